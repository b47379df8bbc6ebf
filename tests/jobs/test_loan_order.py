"""A loan order names people to a lender: two people ask for it, and only those who may be linked are in it."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from enclave.audit.record import Position
from enclave.control.institutions import find_institution
from enclave.control.loans import find_loan
from enclave.control.requests import find_request
from enclave.control.tables import institution, request
from enclave.crypto import age, sshsig
from enclave.errors import Refused
from enclave.flow import ReleaseState, RequestState
from enclave.model.draft import Kind
from enclave.model.loan import LoanAgreement
from enclave.model.purpose import Purpose
from enclave.settings import read_settings
from enclave.terminal.registrar import Registrar
from enclave.terminal.status import look
from enclave.wiring import open_log, utc_now
from tests.jobs.clinics import COURSES, ELSEWHERE, LENDER, OLD, REGISTRY, SHARED, TODAY, Server
from tests.kills.forks import Forks, Request

LOAN = "nav-2026"
ASKED_ABOUT = sorted({one.person for one in (*OLD, SHARED, ELSEWHERE)})
"""Everyone with a course that arrived in a closed year; one of them has been at both clinics."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with admitted rows and an open loan."""
    with Forks() as forks:
        server = Server(tmp_path_factory.mktemp("order"), forks)
        server.send()
        due = TODAY + timedelta(days=30)
        server.desk.open_loan(LoanAgreement(LOAN, REGISTRY, LENDER, "linkage", "2026/1", ("aap",), due), "nav", TODAY)
        server.run("link")
        yield server


def ordered(server: Server) -> str:
    """File an order, let the project lead sign it, and run the job; answers the request's id."""
    request_id = server.desk.order_loan(LOAN)
    server.desk.approve_request(request_id, server.sign(request_id))
    server.run("link")
    return request_id


def numbers(server: Server, sealed: bytes) -> list[str]:
    """The list as the lender opens it with its own key."""
    lines = age.open(sealed, server.lender_key).decode("utf-8-sig").splitlines()
    assert lines[0] == '"person_id"'
    return [line.strip('"') for line in lines[1:]]


def the_list(server: Server) -> list[str]:
    """The numbers in the newest order that was not cancelled."""
    (release,) = server.releases(Kind.LOAN_ORDER, ReleaseState.APPROVED)
    (sealed,) = (file.content for file in server.draft(release).files if file.name == "bestilling.age")
    return numbers(server, sealed)


def test_the_lender_opens_the_list_of_those_who_may_be_linked(server: Server) -> None:
    """Sealed, delivered and opened, it names each person of the closed years once, and nobody of the open one."""
    request_id = ordered(server)
    server.run("seal", "deliver")
    opened = server.delivered(LENDER, Kind.LOAN_ORDER)
    letter = opened["bestilling.txt"].decode("utf-8-sig")

    assert numbers(server, opened["bestilling.age"]) == ASKED_ABOUT
    assert find_request(server.control, request_id).state is RequestState.DONE
    (release,) = server.releases(Kind.LOAN_ORDER)
    assert (release.recipient, release.subject, release.decided_by) == (LENDER, request_id, "policy")
    assert find_loan(server.control, REGISTRY, LOAN).public_key in letter
    assert f"Antall numre:      {len(ASKED_ABOUT)}" in letter
    assert not [number for number in ASKED_ABOUT if number in letter]


def test_the_list_is_nowhere_in_clear(server: Server) -> None:
    """No file of server or airlock shows a number, nor does the draft that the viewing key opens."""
    ordered(server)
    server.run("seal", "deliver")
    (release,) = server.releases(Kind.LOAN_ORDER)

    assert server.holds(*ASKED_ABOUT) == []
    drafted = b"".join(file.content for file in server.draft(release).files)
    assert not [number for number in ASKED_ABOUT if number.encode() in drafted]


def test_its_record_holds_a_count_and_nobody(server: Server) -> None:
    """The audit log tells how many numbers left, for which case and why."""
    ordered(server)

    lines = [line for line in open_log(server.folder).lines() if b'"loan.order"' in line and b'"done"' in line]
    assert len(lines) == 1
    assert f'"numbers":{len(ASKED_ABOUT)}'.encode() in lines[0]
    assert b'"case_number":"2026/1"' in lines[0]
    assert b'"purpose":"linkage"' in lines[0]


def test_without_the_second_person_nothing_is_made(server: Server) -> None:
    """An order that is not signed waits, is shown as waiting for that person, and names nobody."""
    request_id = server.desk.order_loan(LOAN)
    server.run("link")

    assert find_request(server.control, request_id).state is RequestState.FILED
    assert server.releases(Kind.LOAN_ORDER) == []
    (waiting,) = (one for one in look(server.folder, REGISTRY, utc_now()).waiting if one.what.startswith("request"))
    assert waiting.needs_person
    assert "project lead" in waiting.why


def test_the_signature_of_somebody_else_is_refused(server: Server) -> None:
    """Another key, or the lead's over another request, is refused at the terminal and, planted, by the job."""
    request_id, other_id = server.desk.order_loan(LOAN), server.desk.order_loan(LOAN)
    stranger = sshsig.new_key("stranger")[0]
    wrong = (server.sign(request_id, stranger), server.sign(other_id))
    for signature in wrong:
        with pytest.raises(Refused, match="R_SECOND_PERSON"):
            server.desk.approve_request(request_id, signature)
    for signature in wrong:
        with server.undone():
            plant(server, request_id, signature=signature.decode())
            server.run("link")

            closed = find_request(server.control, request_id)
            assert (closed.state, closed.reason) == (RequestState.REFUSED, "R_SECOND_PERSON")
            assert server.releases(Kind.LOAN_ORDER) == []


def test_what_was_changed_after_the_signature_is_refused(server: Server) -> None:
    """Neither the request nor the key that the list goes to can be exchanged behind the second person's back."""
    thief = age.new_identity()[1]
    request_id = server.desk.order_loan(LOAN)
    server.desk.approve_request(request_id, server.sign(request_id))
    parameters = {**find_request(server.control, request_id).parameters, "age_key": thief}

    for code, changed in (("R_ORDER_CHANGED", False), ("R_SECOND_PERSON", True)):
        with server.undone():
            with server.control.changing(Position("an earlier log", 9)) as connection:
                which = institution.c.institution_id == LENDER
                connection.execute(update(institution).where(which).values(age_key=thief))
            if changed:
                plant(server, request_id, parameters=parameters)
            server.run("link")

            closed = find_request(server.control, request_id)
            assert (closed.state, closed.reason) == (RequestState.REFUSED, code)
            assert server.releases(Kind.LOAN_ORDER) == []


def plant(server: Server, request_id: str, **values: object) -> None:
    """Change a request in the database, as no command does."""
    with server.control.noting() as connection:
        connection.execute(update(request).where(request.c.request_id == request_id).values(**values))


def test_reservations_and_withdrawals_are_honoured(server: Server) -> None:
    """Who has reserved against linkage, and who has withdrawn, is not in the list, at neither clinic."""
    wiring = server.wiring("link")
    reserved = wiring.vault_reader.find([OLD[0].person])["pseudonym"][0]
    wiring.registry_writer.withdraw(reserved, Purpose.LINKAGE, Position("an earlier log", 9))
    server.withdraw(OLD[1].person)

    ordered(server)

    assert the_list(server) == sorted(set(ASKED_ABOUT) - {OLD[0].person, OLD[1].person})


def test_a_withdrawal_before_it_is_sealed_takes_the_person_out(server: Server) -> None:
    """The order is cancelled and made again, from the same signed request, without that person."""
    ordered(server)
    server.withdraw(ELSEWHERE.person)
    assert [one.state for one in server.releases(Kind.LOAN_ORDER)] == [ReleaseState.CANCELLED]
    server.run("seal", "link", "link")

    assert the_list(server) == sorted(set(ASKED_ABOUT) - {ELSEWHERE.person})


def test_an_order_for_nobody_is_refused(server: Server) -> None:
    """Where everyone has withdrawn, no list is made."""
    wiring = server.wiring("link")
    everyone = wiring.vault_reader.find([one.person for one in COURSES])["pseudonym"]
    for number, pseudonym in enumerate(everyone):
        wiring.registry_writer.withdraw(pseudonym, None, Position("an earlier log", 100 + number))

    closed = find_request(server.control, ordered(server))

    assert (closed.state, closed.reason) == (RequestState.REFUSED, "R_ORDER_EMPTY")


def test_a_destroyed_loan_is_not_ordered(server: Server) -> None:
    """Neither at the terminal nor, where it was signed before, by the job."""
    request_id = server.desk.order_loan(LOAN)
    server.desk.approve_request(request_id, server.sign(request_id))
    server.desk.destroy_loan(LOAN, "2026/2")
    server.run("destroy", "link")

    closed = find_request(server.control, request_id)
    assert (closed.state, closed.reason) == (RequestState.REFUSED, "R_LOAN_STATE")
    with pytest.raises(Refused, match="R_LOAN_STATE"):
        server.desk.order_loan(LOAN)


def test_a_list_does_not_leave_after_its_loan(server: Server) -> None:
    """A loan that is destroyed before its order is sealed takes the order with it."""
    ordered(server)
    server.desk.destroy_loan(LOAN, "2026/2")
    server.run("destroy", "link", "seal")

    (release,) = server.releases(Kind.LOAN_ORDER)
    assert (release.state, release.reason) == (ReleaseState.CANCELLED, "loan_destroyed")


def test_a_lender_has_a_key_or_no_order(server: Server, tmp_path: Path) -> None:
    """Only a lender is given one, a text that is no key is refused, and without a key there is no order."""
    public = sshsig.new_key("x")[1]
    with pytest.raises(Refused, match="R_AGE_KEY"):
        server.desk.add_institution("delta", "Delta", "sender", public, server.lender_public)
    with pytest.raises(Refused, match="R_AGE_KEY"):
        server.desk.add_institution("ssb", "SSB", "lender", public, "age1nothing")
    with server.control.noting() as connection:
        connection.execute(text("UPDATE institution SET age_key = ''"))
    with pytest.raises(Refused, match="R_NO_AGE_KEY"):
        server.desk.order_loan(LOAN)


def test_the_project_lead_signs_with_openssh(server: Server, tmp_path: Path) -> None:
    """What stock `ssh-keygen -Y sign` makes of the request's text is taken by the terminal and by the job."""
    request_id = server.desk.order_loan(LOAN)
    (tmp_path / "lead").write_bytes(server.lead.reveal())
    (tmp_path / "lead").chmod(0o600)
    (tmp_path / "request.txt").write_bytes(find_request(server.control, request_id).signed_text())
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", "lead", "-n", "request@enclave", "request.txt"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    server.desk.approve_request(request_id, (tmp_path / "request.txt.sig").read_bytes())
    server.run("link")

    assert the_list(server) == ASKED_ABOUT


def test_killed_anywhere_there_is_one_order(server: Server) -> None:
    """Killed at every ninth effect of `link` and run again, there is one list for the lender, and no other draft."""
    request_id = server.desk.order_loan(LOAN)
    server.desk.approve_request(request_id, server.sign(request_id))
    with server.undone():
        whole = server.forks.run(Request(str(server.folder.root), "link"))
    for at in range(2, len(whole.effects) + 1, 9):
        with server.undone():
            assert server.forks.run(Request(str(server.folder.root), "link", at=at)).killed
            server.run("link")

            assert the_list(server) == ASKED_ABOUT, whole.effects[at - 1]
            drafts = server.folder.registry(REGISTRY).root / "drafts" / "link"
            assert len(list(drafts.iterdir())) == 1


def test_killed_anywhere_the_lenders_key_is_changed_once(server: Server) -> None:
    """Killed at every effect of `rights` and run again, the lender has the key that two people chose, and is known."""
    second = age.new_identity()[1]
    registrar = Registrar(server.folder, read_settings(server.folder.settings), REGISTRY)
    request_id = registrar.ask_for_recipient_key(LENDER, second, "2026/7")
    registrar.approve_request(request_id, server.sign(request_id))
    with server.undone():
        whole = server.forks.run(Request(str(server.folder.root), "rights"))
    assert whole.code == 0
    for at in range(1, len(whole.effects) + 1):
        with server.undone():
            assert server.forks.run(Request(str(server.folder.root), "rights", at=at)).killed
            server.run("rights")

            changed = find_institution(server.control, REGISTRY, LENDER)
            state = find_request(server.control, request_id).state
            assert (changed.age_key, state) == (second, RequestState.DONE), whole.effects[at - 1]
