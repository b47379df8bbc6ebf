"""The share of people receiving each borrowed benefit, month by month after a date of their course."""

from datetime import date

import polars as pl

from enclave.analysis.courses import COURSE, courses_in_period, people_by_institution, period_text
from enclave.analysis.reader import Reader
from enclave.analysis.statistics import share_interval
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import ANY, NONE, Figure, Group, ResultTable, Statistic
from enclave.registry.definition import Definition, Loan, LoanShareTable


def loan_share_table(
    reader: Reader,
    definition: Definition,
    table: LoanShareTable,
    linked: pl.DataFrame,
    *,
    period: tuple[date, date],
    state: int,
    definition_sha256: str,
) -> ResultTable:
    """One table, the same for everyone (group all): each benefit, at least one, and none, in each month.

    `linked` has `_pseudonym`, the loan's month column (`YYYY-MM`) and its boolean variables, one row for each person
    and month. Month 1 is the calendar month after that of the start date. A course counts in a month when its person
    has a row for it: a month that the lender did not deliver is unknown, not a month without benefits.

    A person whom two institutions hold counts in the share, but as nobody's contributor, because neither institution
    is protected from what it knows itself; disclosure control therefore never counts on such a person.
    """
    loan = {loan.id: loan for loan in definition.loans}[table.loan]
    months = _months(_courses(reader, definition, table, period, state), linked, table, loan)
    held_once = _held_once(months)
    categories = [variable.name for variable in loan.variables] + [ANY, NONE]
    return ResultTable(
        table=table.id,
        period=period_text(period),
        recipient="",
        borrowed=True,
        state=state,
        definition=definition_sha256,
        figures=tuple(
            _figure(category, month, rows.select(SENDER, PSEUDONYM, receives=category).drop_nulls(), held_once)
            for category in categories
            for month in range(1, table.months + 1)
            for rows in (months.filter(pl.col("_nth") == month),)
        ),
    )


def population(
    reader: Reader, definition: Definition, table: LoanShareTable, *, period: tuple[date, date], state: int
) -> pl.DataFrame:
    """`_pseudonym`, `start` of every course that the table would count: whom a lender has to be asked about."""
    return _courses(reader, definition, table, period, state).select(PSEUDONYM, start="_start")


def _courses(
    reader: Reader, definition: Definition, table: LoanShareTable, period: tuple[date, date], state: int
) -> pl.DataFrame:
    starts = reader.read(table.form, state=state, purpose=Purpose.LINKAGE).select(*COURSE, _start=table.start)
    courses = courses_in_period(reader, definition, period=period, state=state, purpose=Purpose.LINKAGE)
    return courses.join(starts, on=COURSE, how="inner", validate="1:1", maintain_order="left").drop_nulls("_start")


def _months(courses: pl.DataFrame, linked: pl.DataFrame, table: LoanShareTable, loan: Loan) -> pl.DataFrame:
    """A row for each course and month that the lender delivered: `_nth` (1 …) and a boolean for each category."""
    names = [variable.name for variable in loan.variables]
    wanted = courses.join(pl.DataFrame({"_nth": range(1, table.months + 1)}), how="cross").with_columns(
        pl.col("_start").dt.month_start().dt.offset_by(pl.format("{}mo", "_nth")).dt.strftime("%Y-%m").alias(loan.month)
    )
    rows = wanted.join(
        linked.select(PSEUDONYM, loan.month, *names),
        on=[PSEUDONYM, loan.month],
        how="inner",
        validate="m:1",
        maintain_order="left",
    )
    # Kleene logic: one benefit makes "any" true whatever is unknown; otherwise an unknown benefit makes it unknown.
    any_benefit = pl.any_horizontal(*names)
    return rows.with_columns(any_benefit.alias(ANY), (~any_benefit).alias(NONE))


def _held_once(months: pl.DataFrame) -> pl.DataFrame:
    """The people (`_pseudonym`) whom exactly one institution holds."""
    held = months.group_by(PSEUDONYM).agg(pl.col(SENDER).n_unique().alias("_holders"))
    return held.filter(pl.col("_holders") == 1).select(PSEUDONYM)


def _figure(category: str, month: int, answered: pl.DataFrame, held_once: pl.DataFrame) -> Figure:
    receiving = answered.filter(pl.col("receives"))
    estimate = share_interval(receiving.height, answered.height)
    return Figure(
        category=category,
        time_point=f"{month:02d}",
        group=Group.ALL,
        statistic=Statistic.SHARE,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        count=receiving.height,
        denominator=answered.height,
        contributors=people_by_institution(answered.join(held_once, on=PSEUDONYM, how="semi")),
        positives=people_by_institution(receiving.join(held_once, on=PSEUDONYM, how="semi")),
    )
