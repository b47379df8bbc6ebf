"""Two numbers that are one person's: filed, signed by another, carried out in every room, and undone."""

from dataclasses import replace
from datetime import date

import pytest

from enclave.control.requests import find_request
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import RequestState
from enclave.model.purpose import Purpose
from enclave.terminal.status import look
from enclave.wiring import open_log, utc_now
from tests.identity.numbers import number
from tests.jobs.clinics import COURSES, OLD, REGISTRY, SHARED, InProcess, Server, someone
from tests.kills.forks import Forks, Request

MERGED = OLD[1].person
"""Known to alfa."""
_POSSIBLE = (number(date(1961, 3, 2), n, month_added=80, day_added=40) for n in range(20))
STAYS = next(one for one in _POSSIBLE if int(one[8]) % 2 == int(MERGED[8]) % 2)
"""Of the same day and sex, in another clinic's drop."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server to which beta has sent a person under the number that stays."""
    server = Server(tmp_path_factory.mktemp("merge"), InProcess())
    server.send()
    server.seal_drop("beta", {"arrival": [replace(SHARED, reference="New-1", person=STAYS).arrival()]}, seq=2)
    server.run("collect", "admit")
    return server


def secret(text: str) -> Secret:
    """What was typed."""
    return Secret(text.encode())


def merged(server: Server, stays: str = STAYS, other: str = MERGED, *, confirmed: bool = False) -> str:
    """File a merge, let the project lead sign it, and run the job; answers the request's id."""
    request_id = server.desk.merge(secret(stays), secret(other), "2026/7", confirmed=confirmed)
    server.desk.approve_request(request_id, server.sign(request_id))
    server.run("rights")
    return request_id


def split(server: Server, other: str = MERGED) -> str:
    """File a split, signed and carried out."""
    request_id = server.desk.split(secret(other), "2026/8")
    server.desk.approve_request(request_id, server.sign(request_id))
    server.run("rights")
    return request_id


def outcome(server: Server, request_id: str) -> tuple[RequestState, str]:
    """What became of a request."""
    closed = find_request(server.control, request_id)
    return closed.state, closed.reason


def people(server: Server) -> dict[tuple[str, str], int]:
    """How many people the registry sees, and how many the two numbers are, in vault and registry."""
    wiring = server.wiring("rights")
    names = wiring.vault.find([STAYS, MERGED])["pseudonym"].to_list()
    rows = server.wiring("link").registry_reader.read("arrival", state=None, purpose=Purpose.NATIONAL)
    theirs = rows["_pseudonym"].is_in(names).sum()
    return {
        ("vault", "people"): len(set(names)),
        ("registry", "people"): rows["_pseudonym"].n_unique(),
        ("", "rows"): theirs,
    }


TWO = {("vault", "people"): 2, ("registry", "people"): len({one.person for one in COURSES}) + 1, ("", "rows"): 2}
ONE = {("vault", "people"): 1, ("registry", "people"): len({one.person for one in COURSES}), ("", "rows"): 2}


def test_two_numbers_become_one_person_and_two_again(server: Server) -> None:
    """Merged, vault and registry see one person with the rows of both; split, they see what they saw before."""
    assert people(server) == TWO
    assert outcome(server, merged(server)) == (RequestState.DONE, "")
    assert people(server) == ONE
    assert outcome(server, split(server)) == (RequestState.DONE, "")
    assert people(server) == TWO


def test_a_course_that_began_under_one_number_goes_on_under_the_other(server: Server) -> None:
    """Two people claim one course: the row is held with its fault. When they are known as one, it is taken."""
    later = replace(OLD[1], person=STAYS).discharge() | {"work_ability": 6}
    server.seal_drop("alfa", {"discharge": [later]}, seq=2)
    server.run("collect", "admit")
    read = lambda: server.wiring("link").registry_reader.read("discharge", state=None, purpose=Purpose.NATIONAL)  # noqa: E731
    assert 6 not in read()["work_ability"].to_list()
    merged(server)
    server.seal_drop("alfa", {"discharge": [later | {"work_ability": 5}]}, seq=3)
    server.run("collect", "admit")
    assert 5 in read()["work_ability"].to_list()


def test_it_takes_two_people(server: Server) -> None:
    """Without the project lead's signature nothing happens, and `status` says for whom it waits."""
    server.desk.merge(secret(STAYS), secret(MERGED), "2026/7")
    server.run("rights")
    (waiting,) = (one for one in look(server.folder, REGISTRY, utc_now()).waiting if one.what == "request merge")
    assert "project lead" in waiting.why
    assert people(server) == TWO


def test_two_living_people_are_not_merged_by_mistake(server: Server) -> None:
    """Numbers of different days or sexes are refused, unless the request that two sign says the register confirms."""
    other = someone(2)
    assert outcome(server, merged(server, other=other)) == (RequestState.REFUSED, "R_MERGE_CONFLICT")
    assert outcome(server, merged(server, other=other, confirmed=True)) == (RequestState.DONE, "")
    assert outcome(server, split(server, other)) == (RequestState.DONE, "")
    assert people(server) == TWO


def test_what_cannot_be_is_refused_with_its_code(server: Server) -> None:
    """Nobody, no number, one person with herself, and the split of what was never merged."""
    stranger = number(date(1961, 3, 2), 9, month_added=80)
    assert outcome(server, merged(server, other=stranger, confirmed=True)) == (RequestState.REFUSED, "R_PERSON_UNKNOWN")
    assert outcome(server, merged(server, other="12", confirmed=True)) == (RequestState.REFUSED, "R_PERSON_UNKNOWN")
    assert outcome(server, merged(server, STAYS, STAYS)) == (RequestState.REFUSED, "R_MERGE_SAME")
    assert outcome(server, split(server)) == (RequestState.REFUSED, "R_NOT_MERGED")
    assert people(server) == TWO


def test_it_is_recorded_without_the_numbers(server: Server) -> None:
    """The log tells case and purpose of each act in vault and registry; no file of the server shows a number."""
    merged(server)
    split(server)
    lines = [line for line in open_log(server.folder).lines() if b'"phase":"done"' in line]
    for act, case in (
        ("person.merge", "2026/7"),
        ("rows.merge", "2026/7"),
        ("person.split", "2026/8"),
        ("rows.split", "2026/8"),
    ):
        (line,) = (line for line in lines if f'"act":"{act}"'.encode() in line)
        assert f'"case_number":"{case}"'.encode() in line
        assert b'"purpose":"correct"' in line
    assert server.holds(STAYS, MERGED) == []


def test_killed_anywhere_it_ends_merged_once(server: Server, forks: Forks) -> None:
    """Killed at every fifth effect of `rights` and run again, the two are one, by one state more."""
    request_id = server.desk.merge(secret(STAYS), secret(MERGED), "2026/7")
    server.desk.approve_request(request_id, server.sign(request_id))
    before = server.wiring("link").registry_reader.current_state()
    with server.undone():
        whole = forks.run(Request(str(server.folder.root), "rights"))
    for effect in range(3, len(whole.effects) + 1, 5):
        with server.undone():
            assert forks.run(Request(str(server.folder.root), "rights", at=effect)).killed
            server.run("rights")
            assert people(server) == ONE, whole.effects[effect - 1]
            assert outcome(server, request_id) == (RequestState.DONE, "")
            assert server.wiring("link").registry_reader.current_state() == before + 1


def test_the_request_names_nobody(server: Server) -> None:
    """What the project lead signs holds the digest of the sealed numbers, and a stranger's signature is refused."""
    request_id = server.desk.merge(secret(STAYS), secret(MERGED), "2026/7")
    text = find_request(server.control, request_id).signed_text()
    assert STAYS.encode() not in text
    other = server.desk.split(secret(MERGED), "2026/8")
    with pytest.raises(Refused, match="R_SECOND_PERSON"):
        server.desk.approve_request(request_id, server.sign(other))
