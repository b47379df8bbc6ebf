"""False links expected against false links there are: by a table of pairs, and by the real engine on made-up people."""

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.linkage import NUMBER, link, made_up_model
from benchmarks.people import COLUMNS, Side, people
from enclave.linkage.expected import Interval, Run, Trial, _taken_for_another, expected_false
from enclave.linkage.probable import ENTITY, PLACE, Probable, by_model, one_to_one
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Probabilistic
from tests.linkage.test_probable import Table

PAIRS = {"theirs": pl.UInt32, "ours": pl.UInt32, "weight": pl.Float64}


def pairs(*rows: tuple[int, int, float]) -> pl.DataFrame:
    """Pairs that may be links."""
    return pl.DataFrame(rows, schema=PAIRS, orient="row")


WORLDS = [(0.3, 0.3, 0.02), (0.1, 0.6, 0.02), (0.1, 0.02, 0.02), (0.0, 0.3, 0.1), (0.4, 0.1, 0.0)]


def world(seed: int, *, rows: int, known: int, absent: float, twins: float, unlike: float) -> tuple[Probable, int]:
    """A linkage by a table, and how many of its links are false.

    People stand in pairs, of whom the share `twins` are so alike that the model is sure of either; `unlike` of the rows
    are written so badly that they look less like their own person than like the twin. `absent` of those lent are not
    registered, and as many who are registered are not lent.
    """
    chance = np.random.default_rng(seed)
    count = rows + known
    where = chance.choice(3, count, p=[absent, absent, 1 - 2 * absent])  # lent only, registered only, both
    alike, bad = np.repeat(chance.random(count // 2) < twins, 2), chance.random(count) < unlike
    table: dict[tuple[str, str], tuple[float, str]] = {}
    for one in range(count):
        table[f"r{one}", f"p{one}"] = (0.99 + 0.009 * chance.random() - 0.3 * bad[one], "own")
        if alike[one]:
            table[f"r{one}", f"p{one ^ 1}"] = (0.97 + 0.009 * chance.random(), "twin")
    numbered = sorted(chance.choice(np.flatnonzero(where == 2), known, replace=False).tolist())
    registered = np.flatnonzero(where != 0).tolist()
    lent = sorted(set(np.flatnonzero(where != 1).tolist()) - set(numbered))
    named = pl.DataFrame({"name": [f"r{one}" for one in lent]}).with_row_index(ENTITY)
    ours, trial = (
        pl.DataFrame(
            {PSEUDONYM: [f"p{one}".encode() for one in people], "name": [f"{side}{one}" for one in people]},
            schema={PSEUDONYM: pl.Binary, "name": pl.String},
        )
        for side, people in (("p", registered), ("r", numbered))
    )
    terms = Probabilistic(version="1", model="{}", accept_above=0.95, review_above=0.95)
    found = by_model(named, ours, trial[PSEUDONYM], trial.with_row_index(ENTITY), Table(table), terms, {})
    links = found.links.join(named, on=ENTITY).select("name", PSEUDONYM).rows()
    return found, sum(name[1:] != pseudonym.decode()[1:] for name, pseudonym in links)


def within(expected: Interval | None, false: int) -> bool:
    """Whether the interval holds the count. From 20 on a factor 3 must hold too; fewer, in pairs, are chance."""
    assert expected is not None
    value, low, high = expected
    assert max(value, false) < 20 or false / 3 <= value <= 3 * false, (expected, false)
    return low <= false <= high


def test_so_many_links_are_false_as_the_trial_expects() -> None:
    """Strangers and look-alikes many or few, rows well or badly typed: factor 3 always, the interval 9 times in 10."""
    inside = []
    for absent, twins, unlike in WORLDS:
        for seed in range(8):
            found, false = world(seed, rows=3000, known=700, absent=absent, twins=twins, unlike=unlike)
            inside.append(within(found.quality.expected_false, false))
    assert sum(inside) >= 0.9 * len(inside)


def test_the_models_own_doubt_does_not_tell_how_many_are_false() -> None:
    """It is sure of every twin: three times fewer than there are, at least, where the trial is right."""
    found, false = world(1, rows=3000, known=700, absent=0.3, twins=0.3, unlike=0.02)
    assert false >= 30
    assert found.quality.expected_false_by_model < false / 3


def test_where_nobodys_number_is_known_nothing_is_expected_but_the_models_own_doubt() -> None:
    """No trial, no figure that pretends to be one."""
    found, _ = world(1, rows=800, known=0, absent=0.3, twins=0.3, unlike=0.02)
    assert found.quality.expected_false is None
    assert (found.quality.sample, found.quality.strangers) == (0, 0)
    assert found.quality.expected_false_by_model > 0


@given(
    st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
)
def test_the_chance_to_be_taken_for_another_is_that_of_matching_one_to_one(
    weights: list[float], unclaimed: float
) -> None:
    """Over all ways in which others are claimed or not, it is how often `one_to_one` links the row with one of them."""
    chance = 0.0
    for free in product((False, True), repeat=len(weights)):
        left = [(0, other, weight) for other, weight in enumerate(weights) if free[other]]
        of_all = unclaimed ** sum(free) * (1 - unclaimed) ** (len(weights) - sum(free))
        linked = one_to_one(pairs(*left).with_columns(probability=0.9, kind=pl.lit("")))
        # The tie itself ends the row's search: what is less alike is not taken instead.
        chance += of_all * linked.height
    everybody = pairs(*((0, other, weight) for other, weight in enumerate(weights)))
    assert _taken_for_another(everybody, unclaimed)[0] == pytest.approx(chance, abs=1e-9)


@given(
    st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(1, 60), st.integers(0, 60),
    st.integers(0, 60), st.integers(0, 60)
)  # fmt: skip
def test_no_count_is_expected_that_cannot_be(
    records: int, accepted: int, free: int, sample: int, right: int, rather: int, instead: int
) -> None:
    """Between none and all of the links, inside its interval, and none where everybody is claimed."""
    accepted, right = min(accepted, records, free), min(right, sample)
    run = Run(records, accepted, free, everybody=max(1, free))
    wrong = [pairs(*((row, row, 1.0) for row in range(min(sample, many)))) for many in (rather, instead)]
    expected = expected_false(run, Trial(sample, right, 0, sample, wrong[0], sample, wrong[1]))
    assert expected is not None
    value, low, high = expected
    assert 0 <= low <= high <= accepted
    assert 0 <= value <= accepted
    assert low - 1 <= value <= high + 1
    assert accepted != free or value == 0


@pytest.fixture(scope="module")
def model() -> str:
    """A model of names, birth dates and places without given names, trained once, on other people."""
    columns = COLUMNS[1:]
    sides = [side.frame.select(columns).with_row_index(PLACE) for side in people(4000, seed=9)]
    return made_up_model(sides[0], sides[1])[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("strangers", [0.1, 0.3])
def test_on_made_up_people_the_real_engine_expects_as_many_as_are_false(
    seed: int, strangers: float, model: str
) -> None:
    """Families share name and address: about 1 % and 8 % of links are false, and the model by itself sees few."""
    theirs, ours = people(4000 + 2000, seed, strangers)
    met = theirs.person.is_in(ours.person.to_list())
    numbers = pl.select(pl.when(met & (met.cum_sum() <= 2000)).then(theirs.person).alias(NUMBER)).to_series()
    links, found = link(
        Side(theirs.frame.with_columns(numbers), theirs.person),
        Side(ours.frame.with_columns(ours.person.alias(NUMBER)), ours.person),
        model,
        COLUMNS[1:],
        number=NUMBER,
        accept=0.9,
    )
    persons = theirs.person.to_list()
    false = sum(persons[row] != pseudonym for row, pseudonym in links.select(ENTITY, PSEUDONYM).iter_rows())
    assert false > 20
    assert within(found.quality.expected_false, false), (found.quality.expected_false, false)
    assert found.quality.expected_false_by_model < false / 3
