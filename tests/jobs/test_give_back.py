"""A clinic gets its own rows back, and is reminded of what is due: under its own references, and nobody else's."""

import io
from collections.abc import Iterator

import openpyxl
import polars as pl
import pytest

import jobs.give_back
from enclave.control.requests import find_request, requests_of
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import ReleaseState, RequestState
from enclave.model.draft import Draft, Kind, NamedDraft
from enclave.terminal.status import look
from enclave.wiring import Wiring, utc_now
from jobs.drafts import write_draft
from tests.jobs.clinics import COURSES, DUE, LATE, NAMED, OLD, OPEN, REGISTRY, SHARED, Server, days_ago
from tests.kills.forks import Forks, Request

HIDDEN = "(vises ikke)"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has admitted both clinics' rows."""
    with Forks() as forks:
        server = Server(tmp_path_factory.mktemp("give-back"), forks)
        server.send()
        yield server


def files(draft: Draft) -> dict[str, bytes]:
    """A draft's files by name."""
    return {file.name: file.content for file in draft.files}


def rows(content: bytes) -> pl.DataFrame:
    """A CSV file as the clinic reads it, every cell a text."""
    return pl.read_csv(content, separator=";", infer_schema=False)


def asked_for(server: Server, clinic: str = "alfa") -> str:
    """File the request for a clinic's rows and run the job; answers the request's id."""
    request_id = server.desk.give_back_rows(clinic, "2026/7")
    server.run("give_back")
    return request_id


def test_a_clinic_gets_the_rows_that_it_sent_and_no_others(server: Server) -> None:
    """Each row stands under the clinic's own reference, as it was sent; the draft waits for a person."""
    request_id = asked_for(server)
    (release,) = server.releases(Kind.OWN_RECORDS)
    given = files(server.draft(release))
    arrivals = rows(given["csv/arrival.csv"])

    assert find_request(server.control, request_id).state is RequestState.DONE
    assert (release.recipient, release.state, release.subject) == ("alfa", ReleaseState.PROPOSED, request_id)
    assert set(given) == {"egne_rader.xlsx", "csv/arrival.csv", "csv/discharge.csv"}
    sent = {one.reference if one is not NAMED else HIDDEN for one in COURSES if one.clinic == "alfa"}
    assert set(arrivals["course_id"]) == sent
    assert set(arrivals["diagnosis_group"]) == {"mental"}
    assert set(arrivals["occupation"]) == {"'=1+1 murer"}
    ends = dict(rows(given["csv/discharge.csv"]).select("course_id", "end_date").iter_rows())
    assert ends[LATE.reference] == LATE.end.isoformat()


def test_no_number_pseudonym_or_foreign_row_goes_back(server: Server) -> None:
    """Neither file holds anybody's national number, a registry column, or a reference of the other clinic."""
    asked_for(server)
    (release,) = server.releases(Kind.OWN_RECORDS)
    given = files(server.draft(release))
    book = openpyxl.load_workbook(io.BytesIO(given["egne_rader.xlsx"]))
    shown = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    text = " ".join([*shown, *(given[name].decode("utf-8-sig") for name in given if name.endswith(".csv"))])

    assert not [one for one in COURSES if one.person in text]
    assert NAMED.reference not in text
    assert not [word for word in ("_pseudonym", "_episode", "_sender", SHARED.reference) if word in text]
    assert {one.reference for one in COURSES if one.clinic == "alfa"} - {NAMED.reference} <= set(shown)
    assert {"Forløpsnummer", "course_id", "=1+1 murer", "ja"} <= set(shown)
    assert [value for value in shown if value.startswith("2 verdier vises ikke")]


def test_the_clinic_opens_what_a_person_approved(server: Server) -> None:
    """After approval it is sealed and delivered, and opens with the passphrase of the clinic's letter."""
    asked_for(server)
    (release,) = server.releases(Kind.OWN_RECORDS)
    server.run("seal", "deliver")
    assert server.releases(Kind.OWN_RECORDS, ReleaseState.DELIVERED) == []

    server.desk.decide_release(release.release_id, ReleaseState.APPROVED)
    server.run("seal", "deliver")

    assert set(rows(server.delivered("alfa", Kind.OWN_RECORDS)["csv/arrival.csv"])["course_id"]) >= {OPEN.reference}
    assert server.holds(OPEN.reference, OPEN.person) == []


def test_who_has_withdrawn_is_left_out(server: Server) -> None:
    """A withdrawal before, and one while the draft waits: it is cancelled and made again without that person."""
    server.withdraw(OLD[0].person)
    asked_for(server)
    server.withdraw(OLD[1].person)
    (cancelled,) = server.releases(Kind.OWN_RECORDS)
    assert cancelled.state is ReleaseState.CANCELLED

    server.run("give_back", "give_back")

    (again,) = server.releases(Kind.OWN_RECORDS, ReleaseState.PROPOSED)
    left = set(rows(files(server.draft(again))["csv/arrival.csv"])["course_id"])
    assert left & {one.reference for one in OLD} == {OLD[2].reference, OLD[3].reference}


def test_a_withdrawal_in_the_middle_is_never_overtaken(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows read before a withdrawal and drafted after it are not proposed; the next run leaves the person out."""
    request_id = server.desk.give_back_rows("alfa", "2026/7")

    def overtaken(wiring: Wiring, draft: Draft) -> NamedDraft:
        named = write_draft(wiring, draft)
        if draft.kind is Kind.OWN_RECORDS:
            server.withdraw(OLD[0].person)
        return named

    monkeypatch.setattr(jobs.give_back, "write_draft", overtaken)
    jobs.give_back.give_back(server.wiring("give_back"))
    monkeypatch.undo()
    assert (find_request(server.control, request_id).state, server.releases(Kind.OWN_RECORDS)) == (
        RequestState.FILED,
        [],
    )

    server.run("give_back")

    (release,) = server.releases(Kind.OWN_RECORDS)
    assert OLD[0].reference not in set(rows(files(server.draft(release))["csv/arrival.csv"])["course_id"])


def test_a_clinic_without_rows_is_told_so(server: Server) -> None:
    """A request for nothing is refused with its code; a lender and somebody unknown are refused at the terminal."""
    request_id = asked_for(server, "gamma")

    closed = find_request(server.control, request_id)
    assert (closed.state, closed.reason) == (RequestState.REFUSED, "R_NO_OWN_ROWS")
    for nobody in ("nav", "unknown"):
        with pytest.raises(Refused):
            server.desk.give_back_rows(nobody, "2026/7")
    assert len(requests_of(server.control, REGISTRY)) == 1


def test_a_clinic_is_reminded_once_a_month(server: Server) -> None:
    """The list names its courses by its own references with what is due when; the letter holds counts and the year."""
    server.run("give_back", "give_back")
    reminders = server.releases(Kind.NOTICE)
    (release,) = (one for one in reminders if one.recipient == "alfa")
    given = files(server.draft(release))
    listed = rows(given["oppfolging.csv"])
    course = pl.concat_str("Forløpsnummer", "Skjemanavn i CSV", separator=" ")
    status = dict(listed.select(course, "Status").iter_rows())

    assert {one.recipient for one in reminders} <= {"alfa", "beta"}
    assert release.state is ReleaseState.APPROVED
    assert status[f"{LATE.reference} follow_up_6"] == "over fristen"
    assert status[f"{LATE.reference} follow_up_12"] == "kommer"
    assert status[f"{DUE.reference} follow_up_6"] == "kan svares nå"
    assert status[f"{HIDDEN} follow_up_6"] == "over fristen"
    assert not [one for one in COURSES if one.person.encode() in given["oppfolging.csv"]]
    letter = given["melding.txt"].decode("utf-8-sig")
    assert "Informasjon om rehabiliteringsinstitusjonen" in letter
    assert f"for {OPEN.end.year}: frist {OPEN.end.year + 1}-03-01" in letter
    assert not [one for one in COURSES if one.reference in letter]

    server.run("give_back", days=40)
    assert len([one for one in server.releases(Kind.NOTICE) if one.recipient == "alfa"]) == 2


def test_nobody_is_asked_to_remind_a_person_who_withdrew(server: Server) -> None:
    """A reminder that was not sealed is cancelled and made again without the course; nor is an answered one listed."""
    server.run("give_back")
    server.withdraw(LATE.person)
    answer = {"person_id": DUE.person, "course_id": DUE.reference, "response_date": days_ago(2), "work_ability": 5}
    server.seal_drop("alfa", {"follow_up_6": [answer]}, seq=2)
    server.run("collect", "admit", "give_back")

    states = [one.state for one in server.releases(Kind.NOTICE) if one.recipient == "alfa"]
    assert sorted(states) == [ReleaseState.APPROVED, ReleaseState.CANCELLED]
    (again,) = (one for one in server.releases(Kind.NOTICE, ReleaseState.APPROVED) if one.recipient == "alfa")
    listed = set(rows(files(server.draft(again))["oppfolging.csv"])["Forløpsnummer"])
    assert not listed & {LATE.reference, DUE.reference}
    assert HIDDEN in listed


def test_a_reminder_reaches_the_clinic_without_anybody_deciding(server: Server) -> None:
    """It is sealed and delivered by policy, and nothing of it stands in clear at the server or the airlock."""
    server.run("give_back", "seal", "deliver")

    assert "oppfolging.xlsx" in server.delivered("alfa", Kind.NOTICE)
    assert server.holds(LATE.reference, DUE.reference) == []


def test_killed_anywhere_it_ends_as_if_it_had_not_been(server: Server) -> None:
    """Killed at every seventh effect and run again, there is one draft of rows and one reminder for each clinic."""
    server.desk.give_back_rows("alfa", "2026/7")
    with server.undone():
        whole = server.forks.run(Request(str(server.folder.root), "give_back"))
        expected = outcome(server)
    for at in range(1, len(whole.effects) + 1, 7):
        with server.undone():
            killed = server.forks.run(Request(str(server.folder.root), "give_back", at=at))
            assert killed.killed, (at, killed.output)
            server.run("give_back")
            assert outcome(server) == expected, whole.effects[at - 1]


def outcome(server: Server) -> list[object]:
    """What the job made, and that nothing unnamed lies in its folder."""
    made = [*server.releases(Kind.OWN_RECORDS), *server.releases(Kind.NOTICE)]
    lies = server.folder.registry(REGISTRY).root / "drafts" / "give_back"
    assert {path.name for path in lies.iterdir()} == {f"{one.draft_sha256}.age" for one in made}
    texts = [sorted((file.name, file.content) for file in server.draft(one).files) for one in made]
    closed = [one.state for one in requests_of(server.control, REGISTRY)]
    return [[(one.kind, one.recipient, one.state) for one in made], texts, closed]


def test_the_status_names_the_job_that_a_request_waits_for(server: Server) -> None:
    """Own rows wait for `give_back`, and no person is needed until the draft is there."""
    server.desk.give_back_rows("alfa", "2026/7")

    (waiting,) = (one for one in look(server.folder, REGISTRY, utc_now()).waiting if one.what.startswith("request"))
    assert (waiting.why, waiting.needs_person) == ("waits for `give_back`", False)


def test_the_case_number_of_a_request_holds_no_number_of_a_person(server: Server) -> None:
    """What is typed as a case is refused where it could name somebody."""
    with pytest.raises(Refused, match="R_CASE_NUMBER"):
        server.desk.give_back_rows("alfa", Secret(OPEN.person.encode()).reveal().decode())
