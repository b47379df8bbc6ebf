"""Naming who stands behind a pseudonym: within signed bounds, logged before it is seen, shown once, then gone."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from enclave.control.requests import find_request
from enclave.errors import Halt, Refused
from enclave.flow import RequestState
from enclave.grants import Folder
from enclave.settings import read_settings
from enclave.terminal.reidentification import ReidentificationDesk, Why, answer_name
from enclave.wiring import open_log
from tests.jobs.clinics import OLD, REGISTRY, TODAY, InProcess, Server
from tests.kills.forks import Forks, Request

PEOPLE = [OLD[0].person, OLD[1].person]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with admitted rows."""
    server = Server(tmp_path_factory.mktemp("reidentify"), InProcess())
    server.send()
    return server


def desk(server: Server) -> ReidentificationDesk:
    """The terminal."""
    return ReidentificationDesk(server.folder, read_settings(server.folder.settings), REGISTRY)


def pseudonyms(server: Server) -> list[str]:
    """Of the two people, as hexadecimal."""
    return [name.hex() for name in server.wiring("rights").vault.find(PEOPLE)["pseudonym"]]


def asked(server: Server, *names: str, most: int = 2, days: int = 7) -> str:
    """File and sign a request; answers its id."""
    until = TODAY + timedelta(days=days)
    request_id = desk(server).reidentify(names, Why.PATIENT_SAFETY, "gdpr-9-2-h", "2026/20", most=most, until=until)
    server.desk.approve_request(request_id, server.sign(request_id))
    return request_id


def answer(server: Server, request_id: str) -> Path:
    """The file of the sealed answer."""
    return server.folder.registry(REGISTRY).folder(Folder.REQUESTS) / answer_name(request_id)


def test_two_people_see_once_who_it_is_and_the_log_says_so_first(server: Server) -> None:
    """The answer names both, is shown once, and stands in no file in clear; the log has purpose, case and count."""
    names = pseudonyms(server)
    request_id = asked(server, *names)
    server.run("rights")
    assert server.holds(*PEOPLE, *names) == []
    shown = desk(server).show_reidentified(request_id)
    assert sorted((name, number) for name, number, _ in shown) == sorted(zip(names, PEOPLE, strict=True))
    with pytest.raises(Refused, match="R_REIDENTIFY_GONE"):
        desk(server).show_reidentified(request_id)
    lines = [json.loads(line) for line in open_log(server.folder).lines()]
    acts = [line for line in lines if line["act"] in ("person.reidentify", "person.show")]
    assert [(line["act"], line["phase"]) for line in acts] == [
        ("person.reidentify", "intent"),
        ("person.reidentify", "done"),
        ("person.show", "intent"),
        ("person.show", "done"),
    ]
    assert {(line["purpose"], line["case_number"]) for line in acts} == {("reidentify", "2026/20")}


def test_nothing_is_seen_that_the_log_could_not_take(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log cannot be written, no answer is opened."""
    request_id = asked(server, *pseudonyms(server))
    server.run("rights")
    monkeypatch.setattr("enclave.durable.append", _full)
    with pytest.raises(Halt):
        desk(server).show_reidentified(request_id)
    assert answer(server, request_id).is_file()


def _full(*_: object) -> None:
    raise OSError(28, "no space")


def test_the_bounds_are_kept_by_terminal_and_job(server: Server) -> None:
    """More people than signed, no people, nonsense or a past day is refused when filed; a day that passes, then."""
    names = pseudonyms(server)
    for wrong in ((), ("zz",), (*names, "0" * 32)):
        with pytest.raises(Refused, match="R_REIDENTIFY_TERMS"):
            asked(server, *wrong)
    with pytest.raises(Refused, match="R_REIDENTIFY_TERMS"):
        asked(server, *names, days=-1)
    request_id = asked(server, *names, days=2)
    server.run("rights", days=3)
    closed = find_request(server.control, request_id)
    assert (closed.state, closed.reason) == (RequestState.REFUSED, "R_REIDENTIFY_BOUNDS")
    assert not answer(server, request_id).exists()


def test_a_pseudonym_of_nobody_names_nobody_else(server: Server) -> None:
    """One unknown among the asked, and none is answered."""
    request_id = asked(server, pseudonyms(server)[0], "0" * 32)
    server.run("rights")
    assert find_request(server.control, request_id).reason == "R_PERSON_UNKNOWN"
    assert not answer(server, request_id).exists()


def test_without_the_second_person_it_waits(server: Server) -> None:
    """Filed alone nothing is answered."""
    until = TODAY + timedelta(days=7)
    request_id = desk(server).reidentify(
        pseudonyms(server), Why.COURT_ORDER, "gdpr-6-1-c", "2026/21", most=2, until=until
    )
    server.run("rights")
    assert find_request(server.control, request_id).state is RequestState.FILED
    with pytest.raises(Refused, match="R_REIDENTIFY_GONE"):
        desk(server).show_reidentified(request_id)


def test_an_answer_that_nobody_looks_at_is_destroyed(server: Server) -> None:
    """An hour after it was made, the next run of `rights` takes it away."""
    request_id = asked(server, *pseudonyms(server))
    server.run("rights")
    path = answer(server, request_id)
    server.run("rights")
    assert path.is_file()
    old = time.time() - 3700
    os.utime(path, (old, old))
    server.run("rights")
    assert not path.exists()


def test_killed_anywhere_it_is_answered_once(server: Server, forks: Forks) -> None:
    """Killed at every seventh effect of `rights` and run again, the answer is there and opens."""
    request_id = asked(server, *pseudonyms(server))
    with server.undone():
        whole = forks.run(Request(str(server.folder.root), "rights"))
    for effect in range(3, len(whole.effects) + 1, 7):
        with server.undone():
            assert forks.run(Request(str(server.folder.root), "rights", at=effect)).killed
            server.run("rights")
            assert len(desk(server).show_reidentified(request_id)) == 2, whole.effects[effect - 1]


def test_the_commands(server: Server) -> None:
    """`person reidentify` reads pseudonyms from standard input; `person reidentified` prints the numbers."""
    command = [sys.executable, "-m", "enclave", "--config", str(server.folder.settings), "person"]
    terms = ["--case-number", "2026/22", "--purpose", "data_quality", "--legal-basis", "gdpr-6-1-e", "--most", "2"]
    until = ["--until", (TODAY + timedelta(days=1)).isoformat()]
    typed = "\n".join(pseudonyms(server))
    place = Path(__file__).parents[2]
    filed = subprocess.run(
        [*command, "reidentify", *terms, *until], input=typed, capture_output=True, text=True, cwd=place
    )
    request_id = filed.stdout.split("request ")[1].split(";")[0]
    server.desk.approve_request(request_id, server.sign(request_id))
    server.run("rights")
    shown = subprocess.run([*command, "reidentified", request_id], capture_output=True, text=True, cwd=place)
    assert all(number in shown.stdout for number in PEOPLE)
