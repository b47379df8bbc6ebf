"""Borrowed rows meet the registry's people in up to three passes; what comes out has pseudonyms and counts only.

1. The exact national number, a superseded one too. 2. Where a definition declares keys, and the row has no usable
number: the only person on either side with these values. 3. Where it declares a model: the most probable person, one to
one. A later pass never takes a person whom an earlier one found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from enclave.errors import Rejected, explain
from enclave.linkage.deterministic import by_keys
from enclave.linkage.probable import Scorer, Uncertain, by_model
from enclave.linkage.quality import mean_age_difference, strata
from enclave.model.identified import PERSON_ID, LoanRows
from enclave.model.loan import Linkage, ProbabilisticQuality
from enclave.model.pseudonymous import PSEUDONYM
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

ENTITY = "_entity"
BY_NUMBER = "national_number"
BY_MODEL = "probabilistic"
TOLD_BY_NUMBER = ("birth_date", "sex")


class Identities(Protocol):
    """Judges national numbers and finds who is known; answers one row for each distinct id, in order."""

    def resolve(self, ids: pl.Series) -> pl.DataFrame:
        """`id`, `valid` (Boolean), `pseudonym` (Binary, null where nobody is known)."""
        ...


@dataclass(frozen=True, repr=False)
class Registered:
    """The registry's side. `people`: `_pseudonym`, `_sender`, in the registry's order, and may repeat.

    `characteristics` is as `quality.characterise` answers, `identifiers` has `_pseudonym` and the loan's identifiers
    as we know them, one row for each person.
    """

    people: pl.DataFrame
    characteristics: pl.DataFrame
    identifiers: pl.DataFrame


@dataclass(frozen=True, repr=False)
class Linked:
    """Borrowed rows of people in the registry: `_pseudonym`, the month, the variables; memory only. And the counts.

    `undecided` are the kinds of uncertain link that a person has yet to judge: until then nothing is made of the loan.
    """

    frame: pl.DataFrame
    linkage: Linkage
    undecided: tuple[Uncertain, ...] = ()


def link(
    rows: LoanRows,
    identities: Identities,
    registered: Registered,
    form: Loan,
    *,
    scorer: Scorer | None = None,
    decisions: Mapping[str, bool] | None = None,
) -> Linked:
    """The rows of the registry's people, one for each person and month, ordered as the registry and by month.

    A person known under two numbers has a benefit in a month when either number has it. Rows of others are counted and
    dropped: that somebody else is known to the vault does not show. `decisions` are a person's, by kind of link.
    """
    once = rows.frame.unique(maintain_order=True)
    named = once.filter(_has_number())
    if named.select(PERSON_ID, form.month).is_duplicated().any():
        raise Rejected("E_LOAN_CONFLICT")
    resolved = identities.resolve(named[PERSON_ID])
    conflicting = _conflicting(named, resolved, registered, form)
    order = registered.people.select(PSEUDONYM).unique(maintain_order=True).with_row_index("_order")
    known = (
        resolved.filter(pl.col("pseudonym").is_not_null(), ~pl.col("id").is_in(conflicting))
        .select(pl.col("id").alias(PERSON_ID), pl.col("pseudonym").alias(PSEUDONYM))
        .join(order, on=PSEUDONYM, how="semi", maintain_order="left")
    )
    unnamed, entities = _without_number(once, resolved, form)
    found = by_keys(entities, registered.identifiers.join(order, on=PSEUDONYM, how="inner"), form, known[PSEUDONYM])
    probable = None
    if scorer is not None and form.probabilistic is not None:
        # People whose number is known are what the model is tried on: their rows, with the number hidden.
        trial = _entities(named.join(known, on=PERSON_ID, how="inner", maintain_order="left"), form)
        ours = registered.identifiers.join(order, on=PSEUDONYM, how="inner").sort("_order")
        taken = pl.concat([known[PSEUDONYM], *(part[PSEUDONYM] for _, part in found)])
        left = entities.join(pl.concat([part.select(ENTITY) for _, part in found] or [entities.select(ENTITY).clear()]),
                             on=ENTITY, how="anti", maintain_order="left")  # fmt: skip
        probable = by_model(left, ours, taken, trial, scorer, form.probabilistic, decisions or {})
        found.append((BY_MODEL, probable.links))
    frame = _rows_of_people(named, known, unnamed, found, order, form)
    linkage = _count(
        rows, once, resolved, conflicting, registered, known, found, probable.quality if probable else None
    )
    return Linked(frame, linkage, probable.undecided if probable else ())


def _has_number() -> pl.Expr:
    return pl.col(PERSON_ID).str.strip_chars().fill_null("") != ""


def _conflicting(named: pl.DataFrame, resolved: pl.DataFrame, registered: Registered, form: Loan) -> list[str]:
    """Numbers under which the lender has somebody of another birth date or sex than the number's person."""
    told = [one.name for one in form.identifiers if one.ours in TOLD_BY_NUMBER]
    if not told:
        return []
    ours = registered.identifiers.select(PSEUDONYM, *(pl.col(name).alias(f"_our_{name}") for name in told))
    both = (
        named.select(PERSON_ID, *told)
        .unique(maintain_order=True)
        .join(resolved.rename({"id": PERSON_ID, "pseudonym": PSEUDONYM}), on=PERSON_ID, how="inner")
        .join(ours, on=PSEUDONYM, how="inner")
    )
    differs = pl.any_horizontal(*((pl.col(name) != pl.col(f"_our_{name}")).fill_null(value=False) for name in told))
    return both.filter(differs)[PERSON_ID].unique().to_list()


def _without_number(once: pl.DataFrame, resolved: pl.DataFrame, form: Loan) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without a usable number, each with its `_entity`, and the entities: who such rows seem to be about."""
    valid = resolved.filter("valid").select(pl.col("id").alias(PERSON_ID))
    unusable = once.join(valid, on=PERSON_ID, how="anti", maintain_order="left")
    names = [one.name for one in form.identifiers]
    if not names:
        return unusable.clear().with_columns(pl.lit(0, dtype=pl.UInt32).alias(ENTITY)), _entities(
            unusable.clear(), form
        )
    entities = _entities(unusable.filter(pl.any_horizontal(pl.col(names).is_not_null())), form)
    return unusable.join(entities, on=names, how="inner", nulls_equal=True, maintain_order="left"), entities


def _entities(rows: pl.DataFrame, form: Loan) -> pl.DataFrame:
    kept = [PSEUDONYM] if PSEUDONYM in rows.columns else []
    names = [one.name for one in form.identifiers]
    return rows.select(*kept, *names).unique(maintain_order=True).with_row_index(ENTITY)


def _rows_of_people(
    named: pl.DataFrame,
    known: pl.DataFrame,
    unnamed: pl.DataFrame,
    found: Sequence[tuple[str, pl.DataFrame]],
    order: pl.DataFrame,
    form: Loan,
) -> pl.DataFrame:
    variables = [variable.name for variable in form.variables]
    columns = [PSEUDONYM, form.month, *variables]
    parts = [named.join(known, on=PERSON_ID, how="inner", maintain_order="left").select(columns)]
    parts += [
        unnamed.join(links.select(ENTITY, PSEUDONYM), on=ENTITY, how="inner", maintain_order="left").select(columns)
        for _, links in found
    ]
    return (
        pl.concat(parts)
        .join(order, on=PSEUDONYM, how="inner", maintain_order="left")
        .group_by("_order", PSEUDONYM, form.month)
        .agg(pl.col(variables).max())
        .sort("_order", form.month)
        .select(columns)
    )


def _count(
    rows: LoanRows,
    once: pl.DataFrame,
    resolved: pl.DataFrame,
    conflicting: Sequence[str],
    registered: Registered,
    known: pl.DataFrame,
    found: Sequence[tuple[str, pl.DataFrame]],
    probabilistic: ProbabilisticQuality | None,
) -> Linkage:
    invalid = int((~resolved["valid"]).sum())
    by_number = known[PSEUDONYM].n_unique()
    linked = pl.concat([known[PSEUDONYM], *(part[PSEUDONYM] for _, part in found)]).unique().to_list()
    return Linkage(
        loan_id=rows.loan_id,
        loan_rows=rows.frame.height,
        loan_persons=resolved.height,
        registry_persons=registered.people[PSEUDONYM].n_unique(),
        linked_persons=len(linked),
        invalid_ids=invalid,
        unknown_ids=resolved.height - invalid - len(conflicting) - known.height,
        conflicting_ids=len(conflicting),
        rows_without_id=int((~once.select(_has_number()).to_series()).sum()),
        duplicate_rows=rows.frame.height - once.height,
        dropped_columns=rows.dropped_columns,
        passes=((BY_NUMBER, by_number), *((name, part.height) for name, part in found)),
        strata=strata(registered.people, registered.characteristics, linked),
        mean_age_difference=mean_age_difference(registered.characteristics, linked),
        probabilistic=probabilistic,
    )
