"""Made-up rows: every check lets them pass, and nobody has the number."""

from datetime import date
from itertools import pairwise

import polars as pl
import pytest

from enclave.errors import Refused
from enclave.founding import CONFIG
from enclave.identity.rules import Mode, classify
from enclave.model.made_up import MADE_UP_COURSE, MADE_UP_PERSON
from enclave.registry.definition import Check, Label
from enclave.registry.load import load
from enclave.registry.sample import SampleForm, sample_forms

KAR = load(CONFIG / "registries" / "kar").definition
TODAY = date(2026, 11, 23)


def cells(sample: SampleForm) -> dict[str, object]:
    """A sample's row by column."""
    return dict(zip(sample.header, sample.row, strict=True))


def test_every_form_has_a_row_with_its_columns() -> None:
    """A sample has the identity columns and every column of its form, once, in order."""
    samples = sample_forms(KAR, TODAY)

    assert [sample.form.id for sample in samples] == [form.id for form in KAR.forms]
    for sample in samples:
        identities = len(sample.header) - len(sample.form.columns())
        assert sample.header[identities:] == sample.form.columns()
        assert identities == (2 if sample.form.names_persons else 0)


def test_a_sample_is_about_one_made_up_person_and_course() -> None:
    """All forms about a person name the same one, so that they can be sent together."""
    rows = [cells(sample) for sample in sample_forms(KAR, TODAY) if sample.form.names_persons]

    assert {row["person_id"] for row in rows} == {MADE_UP_PERSON}
    assert {row["course_id"] for row in rows} == {MADE_UP_COURSE}


@pytest.mark.parametrize(("mode", "rule"), [(Mode.TEST, None), (Mode.PRODUCTION, "id_synthetic_in_production")])
def test_the_made_up_person_is_nobody(mode: Mode, rule: str | None) -> None:
    """A test server takes the number; a server with real people refuses a sample that was sent by mistake."""
    assert classify(pl.Series([MADE_UP_PERSON]), mode, TODAY)["rule"].to_list() == [rule]


def test_follow_ups_fall_on_their_due_days_and_in_the_past() -> None:
    """Arrival, discharge, six and twelve months: in this order, on the days of the definition, all before today."""
    samples = {sample.form.id: cells(sample) for sample in sample_forms(KAR, TODAY)}
    dates = [samples[form.id][form.dated_by] for form in KAR.forms if form.names_persons]

    assert all(isinstance(day, date) for day in dates)
    assert all(earlier < later for earlier, later in pairwise([*dates, TODAY]))  # type: ignore[operator,type-var]
    for form in KAR.forms:
        if form.due:
            anchor = samples[form.due.form][form.due.column]
            assert isinstance(anchor, date)
            assert samples[form.id][form.dated_by] == form.due.day(anchor)


def test_the_same_year_gives_the_same_rows() -> None:
    """No clock finer than the year and no chance shows in a sample."""
    assert sample_forms(KAR, date(2026, 1, 1)) == sample_forms(KAR, date(2026, 12, 31))


def test_checks_that_contradict_each_other_are_told() -> None:
    """Where no row can pass, no sample is made up that would be refused."""
    label = Label(nb="x", en="x")
    never = (Check(id="low", holds="health < 2", label=label), Check(id="high", holds="health > 4", label=label))
    needed = Check(id="there", holds="health IS NOT NULL", label=label)
    first = KAR.forms[0]
    broken = first.model_copy(update={"checks": (*first.checks, *never, needed)})

    with pytest.raises(Refused, match="R_NO_SAMPLE"):
        sample_forms(KAR.model_copy(update={"forms": (broken,)}), TODAY)


def test_answers_are_mended_until_every_check_passes() -> None:
    """A check that the likeliest answers break changes them."""
    label = Label(nb="x", en="x")
    wanted = ("NOT employed", "sick_leave = 'none'", "work_ability = 0")
    odd = tuple(Check(id=f"odd_{place}", holds=holds, label=label) for place, holds in enumerate(wanted))
    first = KAR.forms[0]
    changed = first.model_copy(update={"checks": (*first.checks, *odd)})
    (sample,) = sample_forms(KAR.model_copy(update={"forms": (changed,)}), TODAY)

    mended = cells(sample)
    assert mended["employed"] is not True
    assert mended["sick_leave"] in ("none", None)
    assert mended["work_ability"] in (0, None)
