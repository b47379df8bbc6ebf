"""Borrowed rows meet the registry's people by exact id; what comes out has pseudonyms and counts only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from enclave.errors import Rejected, explain
from enclave.model.identified import PERSON_ID, LoanRows
from enclave.model.loan import Linkage
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.registry.definition import Loan

explain(
    "E_LOAN_CONFLICT",
    "The borrowed file has rows that say different things about the same person and month.",
    "Send one row for each person and month.",
    nb=(
        "Lånefilen har rader som sier ulike ting om samme person og måned.",
        "Send én rad for hver person og måned.",
    ),
)


class Identities(Protocol):
    """Judges national numbers and finds who is known; answers one row for each distinct id, in order."""

    def resolve(self, ids: pl.Series) -> pl.DataFrame:
        """`id`, `valid` (Boolean), `pseudonym` (Binary, null where nobody is known)."""
        ...


@dataclass(frozen=True, repr=False)
class Linked:
    """Borrowed rows of people in the registry: `_pseudonym`, the month, the variables; memory only. And the counts."""

    frame: pl.DataFrame
    linkage: Linkage


def link(rows: LoanRows, identities: Identities, people: pl.DataFrame, form: Loan) -> Linked:
    """The rows of the people in `people`, one for each person and month, ordered as `people` and by month.

    `people` has `_pseudonym` and `_sender` of the registry's rows for purpose `linkage`, in the registry's order, and
    may repeat. A person known under two numbers has a benefit in a month when either number has it. Rows of others
    are counted and dropped: that somebody else is known to the vault does not show.
    """
    variables = [variable.name for variable in form.variables]
    once = rows.frame.unique(maintain_order=True)
    if once.select(PERSON_ID, form.month).is_duplicated().any():
        raise Rejected("E_LOAN_CONFLICT")
    resolved = identities.resolve(once[PERSON_ID])
    order = people.select(PSEUDONYM).unique(maintain_order=True).with_row_index("_order")
    known = resolved.filter(pl.col("pseudonym").is_not_null()).select(
        pl.col("id").alias(PERSON_ID), pl.col("pseudonym").alias(PSEUDONYM)
    )
    frame = (
        once.join(known, on=PERSON_ID, how="inner", maintain_order="left")
        .join(order, on=PSEUDONYM, how="inner", maintain_order="left")
        .group_by("_order", PSEUDONYM, form.month)
        .agg(pl.col(variables).max())
        .sort("_order", form.month)
        .select(PSEUDONYM, form.month, *variables)
    )
    return Linked(frame, _count(rows, once, resolved, people, frame))


def _count(
    rows: LoanRows, once: pl.DataFrame, resolved: pl.DataFrame, people: pl.DataFrame, frame: pl.DataFrame
) -> Linkage:
    linked = frame.select(PSEUDONYM).unique()
    met = resolved.join(linked, left_on="pseudonym", right_on=PSEUDONYM, how="semi").height
    invalid = int((~resolved["valid"]).sum())
    return Linkage(
        loan_id=rows.loan_id,
        loan_rows=rows.frame.height,
        loan_persons=resolved.height,
        registry_persons=people[PSEUDONYM].n_unique(),
        linked_persons=linked.height,
        invalid_ids=invalid,
        unknown_ids=resolved.height - invalid - met,
        duplicate_rows=rows.frame.height - once.height,
        by_institution=_by_institution(people, linked[PSEUDONYM].to_list()),
    )


def _by_institution(people: pl.DataFrame, linked: Sequence[bytes]) -> tuple[tuple[str, int, int], ...]:
    counts = (
        people.select(SENDER, PSEUDONYM)
        .unique()
        .group_by(SENDER)
        .agg(pl.len().alias("persons"), pl.col(PSEUDONYM).is_in(linked).sum().alias("linked"))
        .sort(SENDER)
    )
    return tuple((sender, persons, met) for sender, persons, met in counts.iter_rows())
