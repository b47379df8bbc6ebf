"""What was expected and what came, in drops, from made-up facts; and the page that shows it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from enclave.cli.pages import write_pages
from enclave.control.agreements import Agreement
from enclave.control.deliveries import Delivery, deliveries_of, note_deliveries
from enclave.control.drops import Drop
from enclave.control.institutions import Institution
from enclave.flow import DropState
from enclave.founding import CONFIG
from enclave.registry.load import load
from enclave.settings import read_settings
from enclave.terminal.alarms import Facts
from enclave.terminal.completeness import Expected, Traffic, Year, closing_of, expected_of, traffic_of, years_of
from tests.control.test_control import a_drop
from tests.jobs.senders import SENDER, arrival, new_server

OSLO = ZoneInfo("Europe/Oslo")
TODAY = date(2026, 2, 10)
DEFINITION = load(CONFIG / "registries" / "kar").definition
YEARLY = [form.id for form in DEFINITION.forms if form.yearly]
CLINIC = Institution("kar", "klinikk", "Klinikk", "sender", "", "klinikk-1", "2024-05-01T00:00:00+00:00")


def collected(uuid: str, day: str, state: DropState = DropState.ADMITTED, reason: str = "", **more: object) -> Drop:
    """A settled drop of the clinic."""
    at = f"{day}T12:00:00+00:00"
    return a_drop(uuid, state=state, reason=reason, collected_at=at, settled_at=at, **more)


def facts(*drops: Drop, agreed_to: date | None = None) -> Facts:
    """The clinic with these drops."""
    agreement = Agreement("kar", "klinikk", None, agreed_to, False, "nb", CLINIC.added_at)
    return Facts((CLINIC,), (agreement,), (), drops, ())


def test_what_came_is_counted_by_form_and_year_and_what_did_not_is_zero() -> None:
    """Rejected drops do not count as come; years without an agreement are not expected."""
    drops = (collected("a", "2025-03-01"), collected("b", "2025-04-01"), collected("c", "2026-01-05", reason="E_SIG"))
    delivered = (Delivery("a", "arrival", 0), Delivery("b", "arrival", 2), Delivery("c", "arrival", 0))

    expected = list(expected_of(facts(*drops), delivered, DEFINITION, TODAY, OSLO))

    assert {(one.form, one.year): one.came for one in expected if one.form in ("arrival", "discharge")} == {
        ("arrival", 2025): 2,
        ("arrival", 2026): 0,
        ("discharge", 2025): 0,
        ("discharge", 2026): 0,
    }
    assert {one.form for one in expected if one.due} == set(YEARLY)
    ended = expected_of(facts(agreed_to=date(2025, 6, 30)), (), DEFINITION, TODAY, OSLO)
    assert {one.year for one in ended} == {2025}


@pytest.mark.parametrize(
    ("due", "came", "told"),
    [
        (TODAY + timedelta(days=31), 0, []),
        (TODAY + timedelta(days=30), 0, ["is due"]),
        (TODAY, 0, ["is due"]),
        (TODAY - timedelta(days=1), 0, ["was due"]),
        (TODAY, 1, []),
    ],
)
def test_a_window_that_closes_is_told_in_time(due: date, came: int, told: list[str]) -> None:
    """Thirty days before the day, and after it, unless the form has come."""
    alarms = list(closing_of((Expected("klinikk", "institution", TODAY.year, due, came),), TODAY))

    assert [alarm.why.split(" 2025 ")[1].rsplit(" ", 1)[0] for alarm in alarms] == told


def test_days_and_years_are_those_of_the_servers_calendar() -> None:
    """A drop of the last hour of the year by UTC belongs to the next; replays and lenders' files are not counted."""
    late = collected("a", "2025-12-31")
    late = a_drop("a", state=DropState.ADMITTED, collected_at="2025-12-31T23:30:00+00:00", settled_at=late.settled_at)
    drops = (
        late,
        collected("b", "2025-06-01"),
        collected("c", "2025-06-02", reason="E_SIG", state=DropState.REJECTED),
        collected("d", "2025-06-03", reason="E_REPLAY", state=DropState.REPLAYED),
        collected("e", "2025-06-03", loan_id="nav"),
    )
    years = years_of(facts(*drops), (Delivery("b", "arrival", 3),), OSLO)
    traffic = traffic_of(facts(*drops), date(2026, 1, 2), OSLO)

    assert years == (Year(2025, 0, 1, 1), Year(2026, 1, 0, 0))
    assert isinstance(traffic, Traffic)
    assert traffic.submitted[-2:] == (1, 0)
    assert sum(traffic.submitted) == 1


def test_the_page_shows_figures_of_drops_and_nothing_of_people(tmp_path: Path) -> None:
    """Two figures that a screen reader can read, a table of what came; no reference and no number of anybody."""
    server = new_server(tmp_path)
    server.add(SENDER)
    server.send(SENDER, [arrival(1, "KANARIFUGL"), arrival(2, "K-2", sex="neither")])
    server.run("collect", "admit")
    (drop,) = server.drops(SENDER)

    write_pages(server.folder, read_settings(server.folder.settings))

    (delivered,) = deliveries_of(server.control, "kar")
    assert (delivered.drop_uuid, delivered.form, delivered.faults) == (drop.drop_uuid, "arrival", 1)
    note_deliveries(server.control, drop.drop_uuid, {"arrival": 1})
    assert deliveries_of(server.control, "kar") == (delivered,)
    page = (server.folder.pages / "kar.html").read_text(encoding="utf-8")
    assert page.count("<svg") == page.count('role="img"') == 2
    assert f"{datetime.now(UTC).year}: 0 without fault, 1 with faults, 0 rejected" in page
    assert "<script" not in page
    assert not any(word in page for word in ("KANARIFUGL", str(arrival(1, "x")["person_id"])))
