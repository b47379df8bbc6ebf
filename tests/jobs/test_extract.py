"""A research extract: two people ask for it, nobody in it can be told apart or led back, and it ends."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import cast

import pytest
from sqlalchemy import update

from enclave.audit.record import Position
from enclave.control.extracts import Extract, extracts_of
from enclave.control.requests import find_request
from enclave.control.tables import institution
from enclave.crypto import age, sshsig
from enclave.demo.airlock import make_folders
from enclave.errors import Refused
from enclave.flow import ReleaseState, RequestState
from enclave.model.draft import Kind
from enclave.model.extract import ExtractTerms
from enclave.model.purpose import Purpose
from enclave.settings import read_settings
from enclave.terminal.extract_desk import ExtractDesk
from enclave.terminal.status import look
from enclave.wiring import open_log, utc_now
from jobs.schedule import JOBS
from tests.identity.numbers import synthetic
from tests.jobs.clinics import CLOSED, COURSES, REGISTRY, TODAY, Course, Server
from tests.kills.forks import Forks, Request

UNIVERSITY = "universitet"
LIKE = [Course("alfa", f"Like-{n}", synthetic(date(1970, 5, 1 + n), 40 + n), date(CLOSED, 5, 20)) for n in range(14)]
ODD = [Course("alfa", f"Odd-{n}", synthetic(date(1971, 5, 1 + n), 60 + n), date(CLOSED, 5, 20)) for n in range(3)]
"""Men among women: three, where five are needed."""
VARIABLES = ("arrival.arrival_date", "arrival.benefits", "arrival.education", "arrival.sex", "arrival.work_ability")
MORE = ("discharge.completion", "discharge.end_date")


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with admitted rows and a university that has an age key."""
    with Forks() as forks:
        server = Server(tmp_path_factory.mktemp("extract"), forks)
        server.send()
        rows = [one.arrival() for one in LIKE] + [one.arrival() | {"sex": "male"} for one in ODD]
        server.seal_drop("alfa", {"arrival": rows, "discharge": [one.discharge() for one in (*LIKE, *ODD)]}, seq=2)
        server.run("collect", "admit")
        make_folders(server.live / "airlock", UNIVERSITY)
        public = sshsig.new_key(UNIVERSITY)[1]
        name = "Universitetet"
        letter = server.desk.add_institution(UNIVERSITY, name, "researcher", public, server.lender_public)
        server.letters[UNIVERSITY] = letter
        yield server


def desk(server: Server) -> ExtractDesk:
    """The terminal, for extracts."""
    return ExtractDesk(server.folder, read_settings(server.folder.settings), REGISTRY)


def terms(server: Server, extract_id: str = "uttrekk-1") -> ExtractTerms:
    """What the university asks for: arrivals of the closed year."""
    return ExtractTerms(
        extract_id,
        "Arbeid & helse",
        "Hvem kommer tilbake i arbeid?",
        "REK 2026/77",
        UNIVERSITY,
        server.lender_public,
        "2026/5",
        (*VARIABLES, *MORE),
        date(CLOSED, 1, 1),
        date(CLOSED, 12, 31),
        TODAY + timedelta(days=90),
    )


def lend(server: Server, extract_id: str = "uttrekk-1") -> str:
    """Ask for an extract, let the project lead sign it, and run the job; answers the request's id."""
    request_id = desk(server).open_extract(terms(server, extract_id))
    server.desk.approve_request(request_id, server.sign(request_id))
    server.run("release")
    return request_id


def rows(server: Server, sealed: bytes) -> list[dict[str, str]]:
    """The rows as the university opens them with its own key."""
    clear = age.open(sealed, server.lender_key).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(clear), delimiter=";"))


def drafted(server: Server) -> list[dict[str, str]]:
    """The rows of the newest extract that was not cancelled."""
    release = server.releases(Kind.EXTRACT, ReleaseState.APPROVED, ReleaseState.SEALED)[-1]
    return rows(server, next(one.content for one in server.draft(release).files if one.name == "uttrekk.age"))


def only(server: Server) -> Extract:
    """The one extract of the server."""
    (one,) = extracts_of(server.control, REGISTRY)
    return one


def test_the_university_opens_the_courses_of_those_who_look_alike(server: Server) -> None:
    """Sealed, delivered and opened: whoever looks like fewer than five is left out, dates are coarse."""
    request_id = lend(server)
    server.run("seal", "deliver")
    opened = server.delivered(UNIVERSITY, Kind.EXTRACT)
    lent = rows(server, opened["uttrekk.age"])
    letter = opened["uttrekk.txt"].decode("utf-8-sig")

    assert {row["arrival.sex"] for row in lent} == {"female"}
    looks = Counter((row["arrival.sex"], row["arrival.education"], row["arrival.arrival_date"]) for row in lent)
    assert min(looks.values()) >= 5
    assert len({row["course"] for row in lent}) == len(lent)
    assert {row["arrival.work_ability"] for row in lent} == {"3"}
    assert {(row["arrival.benefits_none"], row["arrival.benefits_aap"]) for row in lent} == {("1", "0")}
    assert {row["discharge.end_date"] for row in lent} <= {"0", "1"}
    assert {len(row["arrival.arrival_date"]) for row in lent} == {4}
    assert f"Antall forløp:       {len(lent)}" in letter
    assert "REK 2026/77" in letter
    assert "arrival.benefits_aap" in opened["variabler.csv"].decode("utf-8-sig")
    assert find_request(server.control, request_id).state is RequestState.DONE
    assert only(server).state == "lent"


def test_nothing_in_it_or_beside_it_names_anybody(server: Server) -> None:
    """No national number, reference, free text, pseudonym or exact day; nothing in clear on server or airlock."""
    lend(server)
    lent = drafted(server)
    clear = json.dumps(lent)
    for course in (*COURSES, *LIKE, *ODD):
        assert course.person not in clear
        assert course.reference not in clear
    assert "murer" not in clear
    assert f"{CLOSED}-05" not in clear
    frame = server.wiring("release").registry_reader.read("arrival", state=None, purpose=Purpose.RESEARCH)
    kept = [value.hex() for name in ("_pseudonym", "_episode") for value in cast("list[bytes]", frame[name].to_list())]
    assert not [value for value in kept if value[:16] in clear]
    server.run("seal", "deliver")
    assert server.holds("arrival.work_ability;", lent[0]["course"], lent[0]["person"]) == []
    assert not any("vault" in key for key in JOBS["release"].private_keys)


def test_no_two_extracts_share_a_number_or_an_order(server: Server) -> None:
    """Two projects with the same terms cannot join their rows by number or by place."""
    lend(server, "uttrekk-1")
    first = drafted(server)
    lend(server, "uttrekk-2")
    (mine,) = (one.request_id for one in extracts_of(server.control, REGISTRY) if one.terms.extract_id == "uttrekk-2")
    (release,) = (one for one in server.releases(Kind.EXTRACT) if one.subject == mine)
    second = rows(server, next(one.content for one in server.draft(release).files if one.name == "uttrekk.age"))
    for name in ("person", "course"):
        assert not {row[name] for row in first} & {row[name] for row in second}
    assert [row["course"] for row in first] == sorted(row["course"] for row in first)


def test_without_the_second_person_nothing_is_lent(server: Server) -> None:
    """A request that is not signed waits for that person; a wrong signature is refused."""
    request_id = desk(server).open_extract(terms(server))
    server.run("release")

    assert server.releases(Kind.EXTRACT) == []
    (waiting,) = (one for one in look(server.folder, REGISTRY, utc_now()).waiting if one.what.startswith("request"))
    assert waiting.needs_person
    assert "project lead" in waiting.why
    with pytest.raises(Refused, match="R_SECOND_PERSON"):
        server.desk.approve_request(request_id, server.sign(request_id, sshsig.new_key("stranger")[0]))


def test_a_key_that_was_exchanged_after_the_signature_is_refused(server: Server) -> None:
    """The data go to the key that two people have seen, or nowhere."""
    request_id = desk(server).open_extract(terms(server))
    server.desk.approve_request(request_id, server.sign(request_id))
    with server.control.changing(Position("an earlier log", 9)) as connection:
        which = institution.c.institution_id == UNIVERSITY
        connection.execute(update(institution).where(which).values(age_key=age.new_identity()[1]))
    server.run("release")

    closed = find_request(server.control, request_id)
    assert (closed.state, closed.reason) == (RequestState.REFUSED, "R_EXTRACT_CHANGED")
    assert server.releases(Kind.EXTRACT) == []


def test_who_withdraws_before_it_is_sealed_is_taken_out(server: Server) -> None:
    """The unsealed extract is cancelled and made again, from the same signature, without that person."""
    lend(server)
    before = len(drafted(server))
    server.withdraw(LIKE[0].person)
    assert [one.state for one in server.releases(Kind.EXTRACT)] == [ReleaseState.CANCELLED]
    server.run("release")

    assert len(drafted(server)) == before - 1


def test_killed_anywhere_it_is_lent_once_and_ended_once(server: Server) -> None:
    """Killed at every third effect of `release` and run again, there is one draft of it; and one end, confirmed."""
    request_id = desk(server).open_extract(terms(server))
    server.desk.approve_request(request_id, server.sign(request_id))

    def lent() -> tuple[object, ...]:
        drafts = server.folder.registry(REGISTRY).root / "drafts" / "release"
        made = [(one.kind, one.recipient, one.subject, one.state) for one in server.releases(Kind.EXTRACT)]
        return made, len(drafted(server)), len(list(drafts.iterdir())), only(server).state

    _kill_release_everywhere(server, lent)
    server.run("release", "seal", "deliver")
    closing = desk(server).close_extract("uttrekk-1", b"Vi bekrefter at alt er slettet.", "2026/6")
    _kill_release_everywhere(server, lambda: (only(server).state, find_request(server.control, closing).state))


def _kill_release_everywhere(server: Server, outcome: Callable[[], object]) -> None:
    request = Request(str(server.folder.root), "release")
    with server.undone():
        whole = server.forks.run(request)
        expected = outcome()
    for at in range(1, len(whole.effects) + 1, 3):
        with server.undone():
            assert server.forks.run(replace(request, at=at)).killed
            server.run("release")
            assert outcome() == expected, whole.effects[at - 1]


def test_so_few_that_nobody_is_hidden_are_not_lent(server: Server) -> None:
    """A period with fewer people than the policy's denominator gives nothing, and says why."""
    few = replace(terms(server), first=date(CLOSED, 9, 1))
    request_id = desk(server).open_extract(few)
    server.desk.approve_request(request_id, server.sign(request_id))
    server.run("release")

    assert find_request(server.control, request_id).reason == "R_EXTRACT_SMALL"
    assert server.releases(Kind.EXTRACT) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"variables": ("arrival.occupation",)},
        {"variables": ("institution.arr_patients",)},
        {"variables": ("arrival.person_id",)},
        {"variables": ("nav.aap",)},
        {"recipient": "alfa"},
        {"project": "to\nlinjer"},
        {"due": TODAY},
        {"extract_id": "Med Mellomrom"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_terms_that_do_not_fit_are_refused(server: Server, changed: dict[str, object]) -> None:
    """No free text, identity, institution's or borrowed column is lent, nor anything to anybody but a researcher."""
    with pytest.raises(Refused, match="R_EXTRACT_TERMS"):
        desk(server).open_extract(replace(terms(server), **changed))  # type: ignore[arg-type]


def test_it_is_overdue_until_its_deletion_is_confirmed(server: Server) -> None:
    """Status asks for the confirmation; closing keeps its digest, and the extract is ended."""
    lend(server)
    server.run("seal", "deliver")
    late = utc_now() + timedelta(days=91)
    (overdue,) = (one for one in look(server.folder, REGISTRY, late).waiting if one.what == "extract uttrekk-1")
    assert overdue.needs_person
    assert "overdue" in overdue.why
    assert not [one for one in look(server.folder, REGISTRY, utc_now()).waiting if one.needs_person]

    request_id = desk(server).close_extract("uttrekk-1", b"Vi bekrefter at alt er slettet.", "2026/6")
    server.run("release")
    assert only(server).state == "closed"
    assert find_request(server.control, request_id).state is RequestState.DONE
    assert not [one for one in look(server.folder, REGISTRY, late).waiting if one.what.startswith("extract")]
    with pytest.raises(Refused, match="R_EXTRACT_UNKNOWN"):
        desk(server).close_extract("uttrekk-1", b"igjen", "2026/6")
    with pytest.raises(Refused, match="R_EXTRACT_EXISTS"):
        desk(server).open_extract(terms(server))


def test_its_record_tells_how_many_and_nobody(server: Server) -> None:
    """The audit log holds counts, case and purpose."""
    lend(server)
    lines = [line for line in open_log(server.folder).lines() if b'"extract.draft"' in line and b'"done"' in line]
    assert len(lines) == 1
    assert f'"courses":{len(drafted(server))}'.encode() in lines[0]
    assert b'"purpose":"research"' in lines[0]
    assert b'"case_number":"2026/5"' in lines[0]
