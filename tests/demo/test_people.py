"""The demo's people: numbers that no living person has, the same every time, and each special case once."""

from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from enclave.demo import forms, lender
from enclave.demo.answers import BENEFITS
from enclave.demo.people import (
    FEWEST,
    INSTITUTIONS,
    LAST_ANSWER,
    OPEN_YEAR,
    PARTICIPANTS,
    SMALLEST,
    STILL_FOLLOWED,
    YEARS,
    people,
)
from enclave.identity.rules import IdKind, Mode, classify
from enclave.registry.load import load

TODAY = date(2026, 1, 1)
WRONG = {"wrong_control_digit": "id_control_digits", "lost_zero": "id_lost_zero"}


def test_every_number_is_synthetic_and_valid_but_the_two_planted_ones() -> None:
    """The identity rules of a test folder take all of them, and refuse exactly what was made wrong."""
    courses = people()
    judged = classify(pl.Series([one.person_id for one in courses]), Mode.TEST, TODAY)
    expected = [WRONG.get(one.planted) for one in courses]
    assert judged["rule"].to_list() == expected
    assert set(judged.filter("valid")["kind"]) == {IdKind.SYN_TENOR}
    assert judged.filter("valid")["sex"].to_list() == [one.sex for one in courses if one.planted not in WRONG]


def test_production_takes_none_of_them() -> None:
    """No number of the demo can pass for a real person's."""
    judged = classify(pl.Series([one.person_id for one in people()]), Mode.PRODUCTION, TODAY)
    assert not judged["valid"].any()


@pytest.mark.parametrize("participants", [200, 400, PARTICIPANTS])
def test_there_are_as_many_as_asked_for(participants: int) -> None:
    """Seven institutions share them in each year, one has too few to be shown, and every special case is there once."""
    courses = people(participants)
    assert len(courses) == participants
    assert list(dict.fromkeys(one.institution for one in courses)) == list(INSTITUTIONS)
    for year in YEARS:
        counted = Counter(one.institution for one in courses if one.arrival.year == year)
        assert set(counted) == set(INSTITUTIONS)
        assert counted[SMALLEST] == FEWEST == min(counted.values())
    still = Counter(one.institution for one in courses if one.arrival.year == OPEN_YEAR)
    assert still == {name: STILL_FOLLOWED for name in INSTITUTIONS if name != SMALLEST}
    planted = Counter(one.planted for one in courses if one.planted)
    assert set(planted.values()) == {1}
    assert len(planted) == 8
    assert len({one.reference for one in courses}) == participants
    assert len({one.person_id for one in courses}) == participants - 1
    assert sum(one.occupation.startswith("=") for one in courses) == 1


def test_the_same_seed_gives_the_same_people() -> None:
    """Two calls agree in every answer, another seed in none of the numbers, and so does the lender's file."""
    assert people() == people()
    assert lender.benefits(people()) == lender.benefits(people())
    assert not {one.person_id for one in people(seed=1)} & {one.person_id for one in people(seed=2)}


def test_two_years_are_closed_for_good() -> None:
    """Arrivals lie in two calendar years, and the last answers of each in the next; who came later is still asked."""
    courses = people()
    assert {one.arrival.year for one in courses} == {*YEARS, OPEN_YEAR}
    for year in YEARS:
        arrived = [one for one in courses if one.arrival.year == year and one.planted != "answer_before_discharge"]
        assert {one.after_6.response.year for one in arrived if one.after_6} == {year, year + 1}
        assert {one.after_12.response.year for one in arrived if one.after_12} == {year + 1}
        assert all(one.after_6.response < one.after_12.response for one in arrived if one.after_6 and one.after_12)
        for answered in ([one.after_6 for one in arrived], [one.after_12 for one in arrived]):
            assert 0.6 < sum(one is not None for one in answered) / len(arrived) < 0.9


def test_those_who_are_still_followed_are_at_every_point_of_it() -> None:
    """Some have answered after 6 months and some have not; nobody answered later than the last drop."""
    still = [one for one in people() if one.arrival.year == OPEN_YEAR]
    answered = [one.after_6 for one in still if one.after_6]
    assert 5 < len(answered) < len(still) - 5
    assert max(one.response for one in answered) <= LAST_ANSWER
    assert not any(one.after_12 for one in still)


def test_every_column_of_the_definition_is_typed_and_no_other() -> None:
    """Each form's header is what the definition asks of a sender, and each column but free text has several answers."""
    definition = load(Path(__file__).parents[2] / "config" / "registries" / "kar").definition
    courses = people()
    hysnes = [one for one in courses if one.institution == "hysnes"]
    typed = {
        "arrival": forms.arrivals(courses),
        "discharge": forms.discharges(courses),
        "follow_up_6": forms.follow_ups_6(courses),
        "follow_up_12": forms.follow_ups_12(courses),
        "institution": forms.institutions(hysnes),
        "arr_course": forms.arr_courses(hysnes),
    }
    assert set(typed) == {form.id for form in definition.forms}
    for form in definition.forms:
        identities = {form.person_id, form.reference} if form.subject == "person" else set()
        assert set(typed[form.id][0]) == identities | set(form.columns())
        if form.subject == "person":
            assert all(len({row[column] for row in typed[form.id]}) > 1 for column in form.columns())
        assert all(any(row.values()) for row in typed[form.id])


def test_people_get_better_and_benefits_fall() -> None:
    """Work ability rises on average, sick pay falls month by month, and disability pension starts from very few."""
    pairs = [(one.at_arrival.work_ability, one.after_12.answers.work_ability) for one in people() if one.after_12]
    change = [after - before for before, after in pairs if before is not None and after is not None]
    assert 0.5 < sum(change) / len(change) < 3
    rows = [row for row in lender.benefits(people()) if row["month"] in {"2023-01", "2025-12"}]
    paid = Counter((row["month"], name) for row in rows for name in BENEFITS if row[name] == "1")
    assert paid["2025-12", "sick_pay"] < paid["2023-01", "sick_pay"] / 3
    assert paid["2023-01", "disability_pension"] < 10 < paid["2025-12", "disability_pension"]
