"""The third pass by the real engine: what it finds, that it learns nothing, and that it leaves nothing behind."""

import json
import math
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from enclave.linkage.probable import ENTITY, PLACE, by_model
from enclave.linkage.splink_scorer import NOTHING_ON_DISK, SplinkScorer, _connected
from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Probabilistic

MODEL = Path(__file__).with_name("model.json").read_text(encoding="utf-8")
TERMS = Probabilistic(version="test-1", model=MODEL, accept_above=0.9, review_above=0.2)
SCHEMA = {"birth_date": pl.Date, "family_name": pl.String, "place": pl.String}


def people(*rows: tuple[date | None, str | None, str | None]) -> pl.DataFrame:
    """People by birth date, name and place."""
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


OURS = people(
    (date(1980, 1, 1), "hansen", "bodø"), (date(1980, 1, 1), "olsen", "oslo"), (date(1975, 6, 2), "berg", "moss"),
    *((date(1950 + number, 3, 3), f"name-{number}", "oslo") for number in range(40)),
)  # fmt: skip
THEIRS = people(
    (date(1980, 1, 1), "hanssen", "bodø"), (date(1975, 6, 2), "lie", "moss"), (date(1999, 9, 9), "unlike", "anybody"),
    (None, "berg", None),
)  # fmt: skip


def test_typing_errors_are_linked_and_changed_names_are_asked_about() -> None:
    """A name one letter off is a link, another name on the same birthday a question in words, a stranger neither."""
    registry = OURS.with_columns(pl.Series(PSEUDONYM, [bytes([number]) for number in range(OURS.height)]))
    trial = registry.tail(40).with_row_index(ENTITY)
    taken = trial[PSEUDONYM]
    found = by_model(THEIRS.with_row_index(ENTITY), registry, taken, trial, SplinkScorer(MODEL), TERMS, {})
    assert found.links.rows() == [(0, bytes([0]))]
    (question,) = (one for one in found.undecided if "birth_date: the same" in one.kind)
    assert question.kind == "birth_date: the same; family_name: another; place: the same"
    assert 0.2 < question.probability < 0.9
    quality = found.quality
    assert (quality.sample, quality.found_right, quality.found_wrong) == (20, 20, 0)
    assert quality.blocking_recall is not None
    assert quality.blocking_recall[0] == 1
    assert quality.candidate_pairs == 4


def test_the_words_of_a_kind_are_the_levels_that_the_engine_found() -> None:
    """Each pair's kind is what comparing the two rows by hand says, missing values included."""
    theirs, ours = THEIRS.with_row_index(PLACE), OURS.with_row_index(PLACE)
    scored = SplinkScorer(MODEL).score(theirs, ours, 0.0)
    kinds = {(row["theirs"], row["ours"]): row["kind"] for row in scored.iter_rows(named=True)}
    assert kinds[0, 0] == "birth_date: the same; family_name: similar; place: the same"
    assert kinds[0, 1] == "birth_date: the same; family_name: another; place: another"
    assert kinds[3, 2] == "birth_date: missing; family_name: the same; place: missing"
    assert set(kinds) == {(0, 0), (0, 1), (1, 2), (3, 2)}
    assert SplinkScorer(MODEL).count_pairs(theirs, ours) == 4
    assert SplinkScorer(MODEL).count_compared(theirs, ours) == 1
    assert SplinkScorer(MODEL).count_compared(theirs[[1, 3]].drop(PLACE).with_row_index(PLACE),
                                              ours[[2, 2]].drop(PLACE).with_row_index(PLACE)) == 2  # fmt: skip


def test_the_same_model_scores_a_pair_the_same_whoever_else_is_there() -> None:
    """It learns nothing from a run: other rows on either side change no probability."""
    small = SplinkScorer(MODEL).score(THEIRS[:1].with_row_index(PLACE), OURS[:1].with_row_index(PLACE), 0.0)
    large = SplinkScorer(MODEL).score(THEIRS.with_row_index(PLACE), OURS.with_row_index(PLACE), 0.0)
    pair = large.filter(pl.col("theirs") == 0, pl.col("ours") == 0)
    assert small["probability"].item() == pytest.approx(pair["probability"].item(), abs=1e-12)


def test_a_name_is_as_rare_as_it_is_among_our_people() -> None:
    """Where a model weighs rarity, a common name says less than a rare one, and a loan full of it changes nothing."""
    model = json.loads(MODEL)
    for level in model["comparisons"][1]["comparison_levels"]:
        if level["label_for_charts"] == "the same":
            level |= {"tf_adjustment_column": "family_name", "tf_adjustment_weight": 1.0}
    scorer, same = SplinkScorer(json.dumps(model)), (date(1980, 1, 1), "oslo")
    ours = people(*((same[0], name, same[1]) for name in ("berg", "berg", "berg", "lie"))).with_row_index(PLACE)
    berg, lie = (people((same[0], name, same[1])) for name in ("berg", "lie"))
    few = pl.concat([berg, lie]).with_row_index(PLACE)
    many = pl.concat([berg, lie, *[lie] * 30]).with_row_index(PLACE)

    def weight(theirs: pl.DataFrame, row: int, person: int) -> float:
        scored = scorer.score(theirs, ours, 0.0).filter(pl.col("theirs") == row, pl.col("ours") == person)
        return float(scored["weight"].item())

    assert weight(few, 1, 3) - weight(few, 0, 0) == pytest.approx(math.log2(3))
    assert weight(many, 1, 3) == pytest.approx(weight(few, 1, 3), abs=1e-12)


def test_the_engine_can_write_and_fetch_nothing() -> None:
    """No file, no spill folder, no extension, no network; and no query can change that."""
    with _connected(THEIRS.with_row_index(PLACE), OURS.with_row_index(PLACE)) as connection:
        for query in (
            "COPY a_theirs TO '/tmp/stolen.csv'",
            "SELECT * FROM read_csv('/etc/passwd')",
            "ATTACH '/tmp/stolen.db'",
            "INSTALL httpfs",
            "SET temp_directory = '/tmp'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(Exception, match=r"(?i)disabled|locked|cannot|permission"):
                connection.execute(query)
    assert NOTHING_ON_DISK[-1] == "lock_configuration = true"
    assert not list(Path("/tmp").glob("stolen.*"))


def test_no_job_loads_the_engine_unless_a_definition_asks_for_it() -> None:
    """Importing a job, `link` too, loads neither Splink nor DuckDB; PyArrow comes with pandas where it is installed."""
    code = "import jobs.link, jobs.admit, sys; print([m for m in ('splink', 'duckdb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
