"""Made-up people of whom some are easily mistaken for others, as two lists know them: a registry and a lender.

The rates of errors, moves and strangers are those that the mission names; the others are rounded from what is commonly
known of Norway. False links arise from them by themselves: no rate was set to make an estimate of them right.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

COLUMNS = ("given_name", "surname", "date_of_birth", "postcode", "municipality")
TODAY = np.datetime64("2025-01-01")

KNOWN_TO_ONE = 0.1  # of each list: registered people whom nobody lent, and strangers in the loan
TYPING_ERRORS = {"given_name": 0.04, "surname": 0.03}
WRONG_BIRTH_DATES = 0.015
MOVED = 0.12  # half of them as a whole household
NEARBY = 0.5  # of moves, within the municipality
FIRST_OF_JANUARY = 0.02  # registered so because the day was not known

COUPLES, PARENTS, LONE_PARENTS = 0.27, 0.24, 0.11  # of households; the others live alone
ONE_SURNAME = 0.5  # of couples
TWIN_BIRTHS = 0.016
TWINS_OF_ONE_SEX = 0.65
NAMED_AFTER_A_PARENT = 0.02  # of children of this parent's sex

POSTCODES, MUNICIPALITIES = 3000, 357
SURNAMES, GIVEN_NAMES = 20_000, 1500  # given names of each sex; the commonest are 1.2 % and 2 % of people
GENERATION = 25  # years in which names have the same popularity

Numbers = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Side:
    """One list of people: its columns, and the true person behind each row."""

    frame: pl.DataFrame
    person: pl.Series


def people(how_many: int, seed: int, known_to_one: float = KNOWN_TO_ONE) -> tuple[Side, Side]:
    """A lender's list and a registry, each of `how_many` of one population; that share of each is not in the other."""
    chance = np.random.default_rng(seed)
    land = _Land(chance)
    one_sided = round(how_many * known_to_one)
    everybody = _everybody(how_many + one_sided, land, chance)
    registered = _told(everybody, land)
    lent = _mistyped(_told(_moved(everybody, land, chance), land), chance)
    person = pl.Series([str(number) for number in range(how_many + one_sided)])
    order = chance.permutation(np.arange(one_sided, how_many + one_sided))
    return Side(lent[order], person.gather(order)), Side(registered.head(how_many), person.head(how_many))


class _Land:
    """Names of very different frequency, and postcodes of very different size, each within one municipality."""

    def __init__(self, chance: np.random.Generator) -> None:
        self.surnames = _words(SURNAMES, ["sen", "sen", "berg", "dal", "stad", "vik", "haug", "land", "nes"], chance)
        self.given = _words(GIVEN_NAMES, ["", "n", "r", "ar", "ine", "e"], chance)
        self.given = np.concatenate([self.given, np.char.add(self.given, "a")])  # many differ by the ending only
        size = chance.lognormal(0, 1, POSTCODES)
        self.share = size / size.sum()
        self.postcode = np.sort(chance.choice(np.arange(1, 9999), POSTCODES, replace=False))
        self.municipality = np.sort(chance.integers(0, MUNICIPALITIES, POSTCODES))
        self._popular = np.argsort(np.arange(GIVEN_NAMES) * chance.lognormal(0, 1, (2, 5, GIVEN_NAMES)))

    def places(self, how_many: int, chance: np.random.Generator) -> Numbers:
        return chance.choice(POSTCODES, how_many, p=self.share)

    def near(self, place: Numbers, chance: np.random.Generator) -> Numbers:
        own = self.municipality[place]
        start, end = (np.searchsorted(self.municipality, own, side=side) for side in ("left", "right"))
        return start + (chance.random(len(place)) * (end - start)).astype(int)

    def given_names(self, sex: Numbers, born: Numbers, chance: np.random.Generator) -> Numbers:
        years = (TODAY - born).astype(int) // 365
        generation = np.minimum(years // GENERATION, 4)
        return sex * GIVEN_NAMES + self._popular[sex, generation, _skewed(GIVEN_NAMES, 8, len(sex), chance)]


def _words(how_many: int, endings: list[str], chance: np.random.Generator) -> Numbers:
    starts = [c + v for c in ("b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "kr", "")
              for v in "aeiouyøå"]  # fmt: skip
    middles = [v + c for v in ("", "a", "e", "i", "o") for c in ("l", "n", "r", "t", "d", "m", "nd", "rs", "k", "st")]
    drawn = [chance.choice(part, 2 * how_many) for part in (starts, middles, ["", *starts[:40]], endings)]
    return np.array(list(dict.fromkeys("".join(parts) for parts in zip(*drawn, strict=True)))[:how_many])


def _skewed(kinds: int, flat: int, how_many: int, chance: np.random.Generator) -> Numbers:
    weight = 1 / (np.arange(kinds) + flat)
    return chance.choice(kinds, how_many, p=weight / weight.sum())


def _everybody(how_many: int, land: _Land, chance: np.random.Generator) -> pl.DataFrame:
    """Households in a random order of people: `household`, `place`, `sex`, `born`, `surname`, `given` (numbers)."""
    homes = how_many // 2 + 200
    kind = chance.choice(4, homes, p=[1 - COUPLES - PARENTS - LONE_PARENTS, COUPLES, PARENTS, LONE_PARENTS])
    young, sex = kind >= 2, chance.integers(0, 2, homes)
    # Always fewer of each higher age; parents of children at home are 22 to 58.
    age = np.minimum(chance.uniform(20, 130, homes), chance.uniform(20, 100, homes))
    age = np.where(young, chance.triangular(22, 38, 58, homes), age)
    surname, household = _skewed(SURNAMES, 10, homes, chance), np.arange(homes)
    first = _born(household, age, sex, surname, land, chance)
    pairs = household[(kind == 1) | (kind == 2)]
    one = chance.random(len(pairs)) < ONE_SURNAME
    second_surname = np.where(one, surname[pairs], _skewed(SURNAMES, 10, len(pairs), chance))
    second = _born(pairs, age[pairs] + chance.normal(0, 3, len(pairs)), 1 - sex[pairs], second_surname, land, chance)
    parent = np.repeat(household, np.where(young, chance.choice([1, 2, 3], homes, p=[0.45, 0.4, 0.15]), 0))
    years = age[parent] - chance.triangular(18, 30, 42, len(parent))
    parent, years = parent[years > 0], years[years > 0]
    children = _born(parent, years, chance.integers(0, 2, len(parent)), surname[parent], land, chance)
    after = (chance.random(len(parent)) < NAMED_AFTER_A_PARENT) & (children["sex"].to_numpy() == sex[parent])
    children = children.with_columns(given=np.where(after, first["given"].to_numpy()[parent], children["given"]))
    twins = children.filter(pl.Series(chance.random(len(parent)) < TWIN_BIRTHS))
    other = pl.Series(chance.random(twins.height) >= TWINS_OF_ONE_SEX)
    twins = twins.with_columns(sex=pl.when(other).then(1 - pl.col("sex")).otherwise("sex"))
    twins = twins.with_columns(
        given=land.given_names(twins["sex"].to_numpy(), twins["born"].to_numpy().astype("datetime64[D]"), chance)
    )
    everybody = pl.concat([first, second, children, twins])
    everybody = everybody.with_columns(place=land.places(homes, chance)[everybody["household"].to_numpy()])
    return everybody[chance.permutation(everybody.height)[:how_many]]


def _born(
    household: Numbers, age: Numbers, sex: Numbers, surname: Numbers, land: _Land, chance: np.random.Generator
) -> pl.DataFrame:
    born = TODAY - (np.clip(age, 0, 105) * 365.25).astype(int) - 1
    unknown = chance.random(len(born)) < FIRST_OF_JANUARY
    born = np.where(unknown, born.astype("datetime64[Y]").astype("datetime64[D]"), born)
    given = land.given_names(sex, born, chance)
    return pl.DataFrame({"household": household, "sex": sex, "born": born, "surname": surname, "given": given})


def _moved(everybody: pl.DataFrame, land: _Land, chance: np.random.Generator) -> pl.DataFrame:
    place, household = everybody["place"].to_numpy(), everybody["household"].to_numpy()
    homes, member = np.unique(household, return_inverse=True)
    home = np.empty(len(homes), dtype=place.dtype)
    home[member] = place
    together = (chance.random(len(homes)) < MOVED / 2)[member]
    alone = chance.random(len(place)) < MOVED / 2
    place = np.where(together, _elsewhere(home, land, chance)[member], place)
    return everybody.with_columns(place=np.where(alone, _elsewhere(place, land, chance), place))


def _elsewhere(place: Numbers, land: _Land, chance: np.random.Generator) -> Numbers:
    nearby = chance.random(len(place)) < NEARBY
    return np.where(nearby, land.near(place, chance), land.places(len(place), chance))


def _told(everybody: pl.DataFrame, land: _Land) -> pl.DataFrame:
    place = everybody["place"].to_numpy()
    columns = (
        land.given[everybody["given"].to_numpy()],
        land.surnames[everybody["surname"].to_numpy()],
        everybody["born"].cast(pl.Date).cast(pl.String).to_numpy(),
        [f"{code:04d}" for code in land.postcode[place]],
        [f"{code:03d}" for code in land.municipality[place]],
    )
    return pl.DataFrame(dict(zip(COLUMNS, columns, strict=True)), schema=dict.fromkeys(COLUMNS, pl.String))


def _mistyped(told: pl.DataFrame, chance: np.random.Generator) -> pl.DataFrame:
    rates = [*((name, share, _typing_error) for name, share in TYPING_ERRORS.items())]
    for name, share, error in (*rates, ("date_of_birth", WRONG_BIRTH_DATES, _wrong_date)):
        texts = told[name].to_list()
        for row in np.flatnonzero(chance.random(told.height) < share):
            texts[row] = error(texts[row], chance)
        told = told.with_columns(pl.Series(name, texts))
    return told


def _typing_error(text: str, chance: np.random.Generator) -> str:
    """A letter left out, doubled or another one, or two that changed places."""
    at, other = int(chance.integers(0, len(text))), str(chance.choice(list("aeinorst")))
    head, letter, tail = text[:at], text[at], text[at + 1 :]
    errors = (head + tail, head + letter + letter + tail, head + other + tail, head + tail[:1] + letter + tail[1:])
    return errors[int(chance.integers(0, 4))] or text


def _wrong_date(text: str, chance: np.random.Generator) -> str:
    """Day and month exchanged where that is a date, or another day, month or year nearby."""
    year, month, day = (int(part) for part in text.split("-"))
    step = int(chance.choice([-10, -2, -1, 1, 2, 10]))
    kind = int(chance.integers(0, 4))
    if kind == 0 and day <= 12:
        month, day = day, month
    elif kind == 1:
        year += step
    elif kind == 2:
        month = (month - 1 + step) % 12 + 1
    else:
        day = (day - 1 + step) % 28 + 1
    return f"{year:04d}-{month:02d}-{min(day, 28) if month == 2 else min(day, 30):02d}"
