"""What is due when: the days of the definition, at their edges, and the words in which a clinic is told."""

import io
from datetime import date, timedelta

import openpyxl
import pytest

from enclave.founding import CONFIG
from enclave.model.draft import Draft, Kind
from enclave.registry.load import load
from enclave.release.gate import admit
from enclave.release.own_records import NOT_SHOWN
from enclave.release.reminder import AHEAD, LISTED_AFTER, Standing, Yearly, follow_ups, owed, reminder_files

KAR = load(CONFIG / "registries" / "kar").definition
SIX, TWELVE, YEARLY = KAR.form("follow_up_6"), KAR.form("follow_up_12"), KAR.form("institution")
ANCHOR = date(2024, 8, 31)
DAY = timedelta(days=1)


def standing(today: date) -> list[Standing]:
    """Where the six months' follow-up of one course stands on a day."""
    return [one.standing for one in follow_ups(SIX, {"A-1": ANCHOR}, today)]


def test_a_follow_up_is_due_within_its_window() -> None:
    """Six months after the last of August is the last of February; each edge of the window is a day in time."""
    assert SIX.due is not None
    first, last = SIX.due.window(ANCHOR)
    (one,) = follow_ups(SIX, {"A-1": ANCHOR}, last)

    assert (one.day, one.first, one.last) == (date(2025, 2, 28), first, last)
    assert standing(first - AHEAD - DAY) == []
    assert standing(first - AHEAD) == standing(first - DAY) == [Standing.COMING]
    assert standing(first) == standing(last) == [Standing.DUE]
    assert standing(last + DAY) == standing(last + LISTED_AFTER) == [Standing.OVERDUE]
    assert standing(last + LISTED_AFTER + DAY) == []


def test_what_first_comes_first_and_then_by_reference() -> None:
    """The order is that of the last days in time and of the references, and of nothing random."""
    anchors = {"B": ANCHOR, "C": ANCHOR - 5 * DAY, "A": ANCHOR}

    assert [one.reference for one in follow_ups(SIX, anchors, date(2025, 3, 1))] == ["C", "A", "B"]


def test_a_form_without_a_rule_or_out_of_force_is_never_due() -> None:
    """Arrivals fall due of nothing, and a form that ended is not asked for after its end."""
    ended = SIX.model_copy(update={"valid_to": date(2025, 1, 1)})

    assert follow_ups(KAR.form("arrival"), {"A-1": ANCHOR}, date(2025, 3, 1)) == ()
    assert follow_ups(ended, {"A-1": ANCHOR}, date(2025, 3, 1)) == ()


@pytest.mark.parametrize(
    ("reported", "active", "expected"),
    [([], [2025], [2025]), ([2025], [2025], []), ([2024], [2025], [2025]), ([], [2024], []), ([], [2026], [])],
)
def test_last_years_figures_are_owed_by_who_had_courses(
    reported: list[int], active: list[int], expected: list[int]
) -> None:
    """An institution owes the figures of last year if it had courses then and has not told them."""
    assert [one.year for one in owed(YEARLY, reported, active, date(2026, 1, 1))] == expected


def test_a_form_about_people_owes_no_year() -> None:
    """Only a form with a yearly day is owed yearly."""
    assert owed(SIX, [], [2025], date(2026, 1, 1)) == ()


def test_the_letter_counts_and_the_list_names() -> None:
    """The letter holds counts by form and the deadline of the year; the list names courses, worst first."""
    today = date(2025, 10, 1)
    listed = [*follow_ups(SIX, {"A-1": ANCHOR, "A-2": ANCHOR}, today), *follow_ups(TWELVE, {"A-3": ANCHOR}, today)]
    files = reminder_files(listed, [Yearly(YEARLY, 2024, date(2025, 3, 1))], KAR, recipient_name="Alfa", today=today)
    by_name = {file.name: file.content for file in files}
    letter = by_name["melding.txt"].decode("utf-8-sig")
    lines = by_name["oppfolging.csv"].decode("utf-8-sig").splitlines()

    assert f"{SIX.label.nb}: 2 over fristen" in letter
    assert f"{TWELVE.label.nb}: 1 kan svares nå" in letter
    assert f"{YEARLY.label.nb} for 2024: frist 2025-03-01 – fristen er gått ut" in letter
    assert "A-1" not in letter
    assert [line.split(";")[0] for line in lines[1:]] == ['"A-1"', '"A-2"', '"A-3"']
    book = openpyxl.load_workbook(io.BytesIO(by_name["oppfolging.xlsx"]))
    assert [row[0].value for row in book.worksheets[0].iter_rows()] == ["Forløpsnummer", "A-1", "A-2", "A-3"]
    admit(Draft(Kind.NOTICE, "kar", "alfa", 1, "0" * 64, files), recipient="alfa", institutions={"alfa"})
    again = reminder_files(listed, [Yearly(YEARLY, 2024, date(2025, 3, 1))], KAR, recipient_name="Alfa", today=today)
    assert [file.content for file in again] == [file.content for file in files]


def test_nothing_due_is_no_letter() -> None:
    """A month in which nothing is due has no reminder; yearly figures alone have no list."""
    yearly = reminder_files([], [Yearly(YEARLY, 2024, date(2025, 3, 1))], KAR, recipient_name="A", today=ANCHOR)

    assert reminder_files([], [], KAR, recipient_name="Alfa", today=ANCHOR) == ()
    assert [file.name for file in yearly] == ["melding.txt"]
    assert "gått ut" not in reminder_text(date(2025, 3, 1))
    assert "gått ut" in reminder_text(date(2025, 3, 2))


def reminder_text(today: date) -> str:
    """The letter of one owed year on a day."""
    (letter,) = reminder_files([], [Yearly(YEARLY, 2024, date(2025, 3, 1))], KAR, recipient_name="A", today=today)
    return letter.content.decode("utf-8-sig")


def test_a_reference_that_names_somebody_is_not_listed() -> None:
    """A clinic that used national numbers is told how many, and the gate is not stopped."""
    listed = follow_ups(SIX, {"13897248098": ANCHOR}, date(2025, 3, 1))
    files = reminder_files(listed, [], KAR, recipient_name="Alfa", today=date(2025, 3, 1))

    assert NOT_SHOWN in files[1].content.decode("utf-8-sig")
    admit(Draft(Kind.NOTICE, "kar", "alfa", 1, "0" * 64, files), recipient="alfa", institutions={"alfa"})
