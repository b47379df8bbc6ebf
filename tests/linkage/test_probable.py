"""The third pass without its engine: one to one, two thresholds, a person's decisions by kind, and its self-test."""

from collections.abc import Mapping

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from enclave.errors import Rejected
from enclave.linkage.probable import ENTITY, PLACE, Probable, by_model, one_to_one
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Probabilistic

TERMS = Probabilistic(version="1", model="{}", accept_above=0.9, review_above=0.5, most_pairs=1000, sample=4)
Pairs = Mapping[tuple[str, str], tuple[float, str]]


class Table:
    """The scorer's port on a table of (their name, our name) → (probability, kind)."""

    def __init__(self, pairs: Pairs, counted: int | None = None) -> None:
        self._pairs, self._counted = pairs, counted
        self.scored = 0

    def count_pairs(self, theirs: pl.DataFrame, ours: pl.DataFrame) -> int:
        """As many as there are, or as many as the test says."""
        return self.score(theirs, ours, 0).height if self._counted is None else self._counted

    def score(self, theirs: pl.DataFrame, ours: pl.DataFrame, above: float) -> pl.DataFrame:
        """The pairs of the table whose two people are there."""
        self.scored += 1
        one, other = (dict(zip(side["name"], side[PLACE], strict=True)) for side in (theirs, ours))
        rows = [
            (one[a], other[b], probability, probability, kind)
            for (a, b), (probability, kind) in self._pairs.items()
            if a in one and b in other and probability >= above
        ]
        schema = {
            "theirs": pl.UInt32,
            "ours": pl.UInt32,
            "weight": pl.Float64,
            "probability": pl.Float64,
            "kind": pl.String,
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    def count_compared(self, theirs: pl.DataFrame, ours: pl.DataFrame) -> int:
        """As many pairs with the same place as there are in the table."""
        return self.score(theirs, ours, 0).filter(pl.col("theirs") == pl.col("ours")).height


def entities(*names: str) -> pl.DataFrame:
    """Rows without a usable number."""
    return pl.DataFrame({"name": list(names)}, schema={"name": pl.String}).with_row_index(ENTITY)


def people(*names: str) -> pl.DataFrame:
    """The registry's, whose pseudonyms are their names."""
    return pl.DataFrame({PSEUDONYM: [name.encode() for name in names], "name": list(names)})


def matched(
    pairs: Pairs, *, taken: tuple[str, ...] = (), decisions: Mapping[str, bool] | None = None, trial: int = 0
) -> Probable:
    """The pass on entities a, b, c and people A, B, C, tried on the first of D, E, F, G, whose number is known."""
    known = people("A", "B", "C", "D", "E", "F", "G")
    hidden = known[3 : 3 + trial].with_columns(pl.col("name").str.to_lowercase()).with_row_index(ENTITY)
    taken = (*taken, *(name.decode() for name in hidden[PSEUDONYM]))
    gone = pl.Series([name.encode() for name in taken], dtype=pl.Binary)
    return by_model(entities("a", "b", "c"), known, gone, hidden, Table(pairs), TERMS, decisions or {})


def links(found: Probable) -> set[tuple[int, bytes]]:
    """The links of a pass."""
    return set(found.links.rows())


def test_two_thresholds_part_links_questions_and_nothing() -> None:
    """Above the upper one a link, between them a question by kind and without a name, below the lower nothing."""
    found = matched({("a", "A"): (0.99, "all"), ("b", "B"): (0.7, "half"), ("c", "C"): (0.3, "little")})
    assert links(found) == {(0, b"A")}
    assert [(one.kind, one.pairs, one.probability) for one in found.undecided] == [("half", 1, 0.7)]
    assert (found.quality.accepted, found.quality.waiting_for_review) == (1, 1)
    assert found.quality.expected_false_by_model == pytest.approx(0.01)


def test_a_persons_decision_on_a_kind_holds_for_its_pairs() -> None:
    """An accepted kind links and a rejected one does not; neither is asked about again."""
    pairs = {("a", "A"): (0.7, "half"), ("b", "B"): (0.6, "other")}
    found = matched(pairs, decisions={"half": True, "other": False})
    assert links(found) == {(0, b"A")}
    assert found.undecided == ()


def test_nobody_is_linked_twice_nor_taken_from_an_earlier_pass() -> None:
    """The better of two claims wins, the loser is not asked about, and who was found by number is not there."""
    pairs = {("a", "A"): (0.99, "all"), ("b", "A"): (0.95, "all"), ("c", "A"): (0.6, "half"), ("c", "B"): (0.97, "all")}
    assert links(matched(pairs)) == {(0, b"A"), (2, b"B")}
    assert matched(pairs).undecided == ()
    assert links(matched(pairs, taken=("A",))) == {(2, b"B")}


def test_of_two_equally_probable_neither_is_a_link() -> None:
    """Twins, as far as the model sees: nobody guesses, and the order of rows decides nothing."""
    pairs = {("a", "A"): (0.95, "all"), ("a", "B"): (0.95, "all"), ("c", "C"): (0.93, "all")}
    assert links(matched(pairs)) == {(2, b"C")}


def test_too_many_pairs_are_refused_before_any_is_compared() -> None:
    """The cap is asked of a count, and nothing is scored above it."""
    scorer = Table({("a", "A"): (0.99, "all")}, counted=1001)
    with pytest.raises(Rejected, match="E_LOAN_PAIRS"):
        by_model(
            entities("a"),
            people("A"),
            pl.Series([], dtype=pl.Binary),
            people().with_row_index(ENTITY),
            scorer,
            TERMS,
            {},
        )
    assert scorer.scored == 0


def test_the_model_is_tried_on_people_whose_number_is_hidden() -> None:
    """Precision, recall and blocking recall with Wilson intervals, over a sample that no pseudonym's order decides."""
    pairs = {("d", "D"): (0.99, "all"), ("f", "G"): (0.98, "all"), ("f", "F"): (0.2, "little"), ("e", "E"): (1, "all")}
    quality = matched(pairs, trial=3).quality  # d and f are the sample, e is a stranger
    assert (quality.sample, quality.found_right, quality.found_wrong) == (2, 1, 1)
    assert quality.precision is not None
    assert quality.recall is not None
    interval = binomtest(1, 2).proportion_ci(method="wilson")
    assert quality.recall == pytest.approx((1 / 2, interval.low, interval.high), abs=1e-4)
    assert quality.precision[0] == 0.5
    assert quality.blocking_recall is not None
    assert quality.blocking_recall[0] == 1
    assert matched(pairs).quality.recall is None
    del pairs["f", "F"]
    blocked = matched(pairs, trial=3).quality.blocking_recall
    assert blocked is not None
    assert blocked[0] == 0.5


def test_strangers_are_tried_without_their_own_person() -> None:
    """Every second of those whose number is known: who is alike is counted, and never they themselves."""
    pairs = {("e", "E"): (0.99, "all"), ("g", "A"): (0.99, "all"), ("e", "D"): (0.3, "little")}
    quality = matched(pairs, trial=4).quality  # a tenth of all at most: e
    assert (quality.sample, quality.strangers, quality.strangers_alike) == (2, 1, 0)
    assert matched({**pairs, ("e", "D"): (0.95, "all")}, trial=4).quality.strangers_alike == 1


def test_the_trial_changes_no_link() -> None:
    """Whoever is on trial takes nobody from a row, and strangers are missing in the trial only."""
    pairs = {("a", "A"): (0.99, "all"), ("d", "A"): (0.999, "all"), ("e", "B"): (0.99, "all"), ("b", "B"): (0.9, "all")}
    assert links(matched(pairs, trial=4)) == links(matched(pairs)) == {(0, b"A"), (1, b"B")}


def test_the_trial_is_left_out_where_it_would_compare_too_much() -> None:
    """The rows are linked all the same, and nothing is told that was not measured."""
    known = people("A", "D", "E")
    hidden = known[1:].with_columns(pl.col("name").str.to_lowercase()).with_row_index(ENTITY)
    scorer = Table({("a", "A"): (0.99, "all")}, counted=600)
    found = by_model(entities("a"), known, hidden[PSEUDONYM], hidden, scorer, TERMS, {})
    assert links(found) == {(0, b"A")}
    assert (found.quality.sample, found.quality.expected_false) == (0, None)


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 5)), st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]), max_size=20
    )
)
def test_whatever_is_scored_ends_one_to_one(pairs: dict[tuple[int, int], float]) -> None:
    """No row is used twice on either side, and the answer does not depend on the order of the pairs."""
    schema = {
        "theirs": pl.UInt32,
        "ours": pl.UInt32,
        "weight": pl.Float64,
        "probability": pl.Float64,
        "kind": pl.String,
    }
    rows = [(a, b, probability, probability, "kind") for (a, b), probability in pairs.items()]
    found = one_to_one(pl.DataFrame(rows, schema=schema, orient="row"))
    assert found["theirs"].is_unique().all()
    assert found["ours"].is_unique().all()
    assert found.equals(one_to_one(pl.DataFrame(rows[::-1], schema=schema, orient="row")))
