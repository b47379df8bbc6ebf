"""Result tables made by hand, for attacks on disclosure control."""

from collections.abc import Mapping

from enclave.model.table import Figure, Group, ResultTable, Statistic


def mean(
    group: Group,
    contributors: Mapping[str, int],
    *,
    statistic: Statistic = Statistic.MEAN,
    time_point: str = "arrival",
    interval: tuple[float, float] = (5.125, 6.875),
) -> Figure:
    """A mean with made-up numbers and these contributors."""
    return Figure(
        category="work_ability",
        time_point=time_point,
        group=group,
        statistic=statistic,
        value=85 / 14,
        low=interval[0],
        high=interval[1],
        count=None,
        denominator=sum(contributors.values()),
        contributors=tuple(sorted(contributors.items())),
    )


def share(
    category: str, contributors: Mapping[str, int], positives: Mapping[str, int], time_point: str = "01"
) -> Figure:
    """A share of everyone with these contributors and those of them in the numerator."""
    count, denominator = sum(positives.values()), sum(contributors.values())
    return Figure(
        category=category,
        time_point=time_point,
        group=Group.ALL,
        statistic=Statistic.SHARE,
        value=count / denominator,
        low=0.12345,
        high=0.98765,
        count=count,
        denominator=denominator,
        contributors=tuple(sorted(contributors.items())),
        positives=tuple(sorted(positives.items())),
    )


def table(
    *figures: Figure, recipient: str = "", borrowed: bool = False, period: str = "2024-01-01/2024-12-31"
) -> ResultTable:
    """A result table of these figures."""
    return ResultTable(
        table="benefits_by_month" if borrowed else "work_ability",
        period=period,
        recipient=recipient,
        borrowed=borrowed,
        state=7,
        definition="d" * 64,
        figures=figures,
    )
