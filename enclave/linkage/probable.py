"""The third pass: the most probable person for a row without a usable number, one to one, by a model that is fixed.

Pairs above the upper threshold are links, below the lower one none; those between are for a person. No row of the loan
may be at rest, so a person judges *kinds* of pair, never pairs: which columns agree how well, how many pairs agree so,
and how probable the model holds them. The decision is kept with the kind, and the same kinds decide every later run.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from enclave.errors import Rejected, explain
from enclave.linkage.expected import Interval, Run, Trial, expected_false
from enclave.model.loan import ProbabilisticQuality
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Probabilistic

explain(
    "E_LOAN_PAIRS",
    "The rows without a usable number would have to be compared with too many people.",
    "Give the national number of more of the rows, or ask the data processor for a model with narrower blocks.",
    nb=(
        "Radene uten brukbart fødselsnummer måtte sammenlignes med for mange personer.",
        "Oppgi fødselsnummer for flere av radene, eller spør databehandleren.",
    ),
)

ENTITY = "_entity"
PLACE = "_place"


class Scorer(Protocol):
    """Compares two lists of people by one fixed model; learns nothing."""

    def count_pairs(self, theirs: pl.DataFrame, ours: pl.DataFrame) -> int:
        """How many pairs `score` would have to compare."""
        ...

    def score(self, theirs: pl.DataFrame, ours: pl.DataFrame, above: float) -> pl.DataFrame:
        """`theirs`, `ours` (the `_place` of each), `weight`, `probability`, `kind` of every pair at least so probable.

        Both frames have `_place` and the identifiers. `weight` orders as the probability does, and does not end at 1.
        A `kind` says in words which columns agree how well.
        """
        ...

    def count_compared(self, theirs: pl.DataFrame, ours: pl.DataFrame) -> int:
        """How many of the pairs with the same `_place` the model compares at all."""
        ...


@dataclass(frozen=True)
class Uncertain:
    """One kind of pair between the thresholds, by a name that stays the same: how many, and how probable on average."""

    kind: str
    pairs: int
    probability: float


@dataclass(frozen=True, repr=False)
class Probable:
    """The links of the third pass (`_entity`, `_pseudonym`), what a person has yet to judge, and how good it all is."""

    links: pl.DataFrame
    undecided: tuple[Uncertain, ...]
    quality: ProbabilisticQuality


def by_model(
    entities: pl.DataFrame,
    ours: pl.DataFrame,
    taken: pl.Series,
    trial: pl.DataFrame,
    scorer: Scorer,
    terms: Probabilistic,
    decisions: Mapping[str, bool],
) -> Probable:
    """Link `entities` with the people of `ours` who are not `taken`, and try the model on `trial`.

    `ours` is in the registry's order; `trial` has `_pseudonym` and the identifiers as the lender has them, of people
    whose number is known and who are therefore taken. Rejected E_LOAN_PAIRS above the terms' `most_pairs`, before
    anything is compared.
    """
    pairs = _pairs_within(scorer, entities, ours, terms)
    theirs, everybody = entities.with_row_index(PLACE), ours.with_row_index(PLACE)
    free = everybody.filter(~pl.col(PSEUDONYM).is_in(taken.to_list())).select(PSEUDONYM, ours=PLACE)
    scored = scorer.score(theirs, everybody, terms.review_above) if pairs else _NO_PAIRS
    scored = scored.join(free, on="ours", how="semi")
    best = one_to_one(scored.filter(_is_link(terms, decisions)))
    between = one_to_one(scored.filter(pl.col("probability") < terms.accept_above))
    between = between.join(best, on="theirs", how="anti").join(best, on="ours", how="anti")
    waiting = between.filter(~pl.col("kind").is_in(list(decisions)))
    links = (
        best.join(theirs.select(theirs=PLACE, _entity=ENTITY), on="theirs", how="inner", maintain_order="left")
        .join(free, on="ours", how="inner", maintain_order="left")
        .select(ENTITY, PSEUDONYM)
    )
    run = Run(entities.height, best.height, free.height, everybody.height)
    tried = _try(*_on_trial(trial, ours, scorer, terms, spent=pairs), ours, scorer, terms, decisions)
    return Probable(links, _kinds(waiting), _quality(best, waiting, pairs, run, tried, terms))


_NO_PAIRS = pl.DataFrame(
    schema={"theirs": pl.UInt32, "ours": pl.UInt32, "weight": pl.Float64, "probability": pl.Float64, "kind": pl.String}
)


def _pairs_within(scorer: Scorer, theirs: pl.DataFrame, ours: pl.DataFrame, terms: Probabilistic) -> int:
    if theirs.is_empty() or ours.is_empty():
        return 0
    pairs = scorer.count_pairs(theirs.with_row_index(PLACE), ours.with_row_index(PLACE))
    if pairs > terms.most_pairs:
        raise Rejected("E_LOAN_PAIRS")
    return pairs


def _is_link(terms: Probabilistic, decisions: Mapping[str, bool]) -> pl.Expr:
    accepted = [kind for kind, accepts in decisions.items() if accepts]
    return (pl.col("probability") >= terms.accept_above) | pl.col("kind").is_in(accepted)


def one_to_one(scored: pl.DataFrame) -> pl.DataFrame:
    """Of all pairs the most probable, then the most probable of who is left, and so on; in order of probability.

    Where the two best of somebody are equally probable, nobody knows which is right, and neither is a link.
    """
    ordered = scored.sort(["weight", "theirs", "ours"], descending=[True, False, False])
    used_theirs: set[int] = set()
    used_ours: set[int] = set()
    keep: list[bool] = []
    rows = ordered.select("weight", "theirs", "ours").rows()
    start = 0
    while start < len(rows):
        end = start
        while end < len(rows) and rows[end][0] == rows[start][0]:
            end += 1
        free = [(t, o) for _, t, o in rows[start:end] if t not in used_theirs and o not in used_ours]
        times_theirs, times_ours = Counter(t for t, _ in free), Counter(o for _, o in free)
        for _, t, o in rows[start:end]:
            alone = times_theirs.get(t) == 1 and times_ours.get(o) == 1
            keep.append(alone and t not in used_theirs and o not in used_ours)
        used_theirs.update(times_theirs)
        used_ours.update(times_ours)
        start = end
    return ordered.filter(pl.Series(keep, dtype=pl.Boolean))


def _kinds(waiting: pl.DataFrame) -> tuple[Uncertain, ...]:
    counted = waiting.group_by("kind").agg(pairs=pl.len(), probability=pl.col("probability").mean()).sort("kind")
    return tuple(Uncertain(kind, pairs, round(mean, 4)) for kind, pairs, mean in counted.iter_rows())


def _on_trial(
    trial: pl.DataFrame, ours: pl.DataFrame, scorer: Scorer, terms: Probabilistic, *, spent: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two samples of people whose number is known; nobody where comparing them too would be too much.

    The second, who are taken out of the registry, are a tenth of it at most: what is left is to be like the whole.
    """
    people = trial.unique(PSEUDONYM, keep="first", maintain_order=True)
    people = people.gather_every(max(1, -(-people.height // (2 * terms.sample))))
    if people.is_empty() or spent + scorer.count_pairs(people.with_row_index(PLACE), ours.with_row_index(PLACE)) > (
        terms.most_pairs
    ):
        return people.clear(), people.clear()
    strangers = people.gather_every(2, offset=1)
    most = max(1, ours.height // 10)
    return people.gather_every(2), strangers.gather_every(max(1, -(-strangers.height // most)))


def _try(
    sample: pl.DataFrame,
    strangers: pl.DataFrame,
    ours: pl.DataFrame,
    scorer: Scorer,
    terms: Probabilistic,
    decisions: Mapping[str, bool],
) -> Trial:
    """Whom the model finds for people whose number was hidden, and for strangers, whose own person is hidden too."""
    everybody = ours.filter(~pl.col(PSEUDONYM).is_in(strangers[PSEUDONYM].to_list())).with_row_index(PLACE)
    theirs = pl.concat([sample, strangers]).drop(ENTITY).with_row_index(PLACE)
    scored = scorer.score(theirs, everybody, terms.review_above) if theirs.height else _NO_PAIRS
    acceptable, of_sample = scored.filter(_is_link(terms, decisions)), pl.col("theirs") < sample.height
    truth = theirs.rename({PLACE: "theirs"}).join(everybody.select(PSEUDONYM, ours=PLACE), on=PSEUDONYM)
    wrong = acceptable.join(truth, on=["theirs", "ours"], how="anti")
    own = acceptable.join(truth, on=["theirs", "ours"], how="semi").select("theirs", own="weight")
    more = pl.col("own").is_null() | (pl.col("weight") > pl.col("own"))
    found = one_to_one(acceptable.filter(of_sample))
    right = found.join(truth, on=["theirs", "ours"], how="semi").height
    return Trial(
        sample=sample.height,
        right=right,
        wrong=found.height - right,
        compared=_compared(theirs, everybody, truth, scorer),
        rather=wrong.filter(of_sample).join(own, on="theirs", how="left").filter(more),
        strangers=strangers.height,
        instead=wrong.filter(~of_sample),
    )


def _compared(theirs: pl.DataFrame, everybody: pl.DataFrame, truth: pl.DataFrame, scorer: Scorer) -> int:
    """How many people the model would compare with themselves."""
    if truth.is_empty():
        return 0
    sides = (theirs[truth["theirs"]], everybody[truth["ours"]])
    return scorer.count_compared(*(side.drop(PLACE).with_row_index(PLACE) for side in sides))


def _quality(
    best: pl.DataFrame, waiting: pl.DataFrame, pairs: int, run: Run, trial: Trial, terms: Probabilistic
) -> ProbabilisticQuality:
    return ProbabilisticQuality(
        model_version=terms.version,
        model_sha256=hashlib.sha256(terms.model.encode()).hexdigest(),
        accept_above=terms.accept_above,
        review_above=terms.review_above,
        records=run.records,
        candidate_pairs=pairs,
        accepted=run.accepted,
        waiting_for_review=waiting.height,
        expected_false=expected_false(run, trial),
        expected_false_by_model=round(float((1 - best["probability"]).sum()), 3),
        sample=trial.sample,
        found_right=trial.right,
        found_wrong=trial.wrong,
        strangers=trial.strangers,
        strangers_alike=trial.instead["theirs"].n_unique(),
        precision=_share(trial.right, trial.right + trial.wrong),
        recall=_share(trial.right, trial.sample),
        blocking_recall=_share(trial.compared, trial.sample),
    )


def _share(part: int, whole: int) -> Interval | None:
    """A share with its Wilson interval (95 %); None of nothing."""
    if not whole:
        return None
    from scipy.stats import binomtest  # noqa: PLC0415 – heavy, and most runs of `link` have nothing to link so

    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return (round(part / whole, 4), round(float(interval.low), 4), round(float(interval.high), 4))
