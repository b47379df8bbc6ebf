"""Law 5 against clock and backups: a loan that is destroyed stays so, whatever is put back from anywhere."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from enclave import durable
from enclave.cli import client
from enclave.control.database import Control
from enclave.control.drops import drops_of
from enclave.control.loans import Loan, find_loan
from enclave.control.releases import releases_of
from enclave.control.tables import release
from enclave.crypto.keystore import Keystore
from enclave.flow import DropState, LoanState, ReleaseState
from enclave.grants import Folder
from enclave.halted import halt_mark
from enclave.model.draft import Kind
from enclave.model.loan import LoanAgreement
from enclave.store.write import content_of
from enclave.wiring import open_log
from tests.jobs.clinics import CLOSED, ELSEWHERE, LENDER, OLD, REGISTRY, TODAY, Server
from tests.kills.forks import Forks, Request

LOAN = "nav-2026"
DAYS = 30


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with admitted rows, an open loan, and its lender's file collected."""
    with Forks() as forks:
        server = Server(tmp_path_factory.mktemp("restore"), forks)
        server.send()
        due = TODAY + timedelta(days=DAYS)
        agreement = LoanAgreement(LOAN, REGISTRY, LENDER, "linkage", "2026/1", ("aap",), due)
        server.desk.open_loan(agreement, "nav", TODAY)
        server.run("link")
        answer(server)
        server.run("collect", "checkpoint")
        yield server


@pytest.fixture
def server(lent: Server) -> Iterator[Server]:
    """The server, put back as it was after each test."""
    with lent.undone():
        yield lent


def answer(server: Server) -> None:
    """The lender seals a year of benefits of some of the people to the loan's key."""
    clear = server.root / "clear" / "benefits"
    clear.mkdir(parents=True)
    months = [f"{year}-{month:02}" for year in (CLOSED, CLOSED + 1) for month in range(1, 13)]
    rows = [f"{one.person};{month};{int(one.person < '3')}" for one in (*OLD, ELSEWHERE) for month in months]
    (clear / "benefits.csv").write_text("\r\n".join(["person_id;month;aap", *rows]), encoding="utf-8")
    submission = client.Submission(REGISTRY, LENDER, LOAN, server.wiring("collect").now, 1)
    incoming = server.live / "airlock" / LENDER / "in"
    key = find_loan(server.control, REGISTRY, LOAN).public_key
    client.seal(clear, incoming, submission, sign_key=server.keys[LENDER], recipient=key)


def the_loan(server: Server) -> Loan:
    """The loan as the control database has it."""
    return find_loan(Control(server.folder.control), REGISTRY, LOAN)


def keystore(server: Server) -> Keystore:
    """Where the loan's key is."""
    return Keystore(server.folder.registry(REGISTRY).folder(Folder.LOAN_KEYS))


def lent_files(server: Server) -> list[str]:
    """What lies in `loans/`."""
    return [path.name for path in server.folder.registry(REGISTRY).folder(Folder.LOANS).iterdir()]


def restore(server: Server, backup: Path, *, fresh_machine: bool) -> None:
    """Put an older copy of the working folder back; the keystore is in no backup, on a fresh machine there is none."""
    working = server.folder.root
    kept = server.root / "keystore-aside"
    shutil.copytree(working / "keystore", kept)
    shutil.rmtree(working)
    shutil.copytree(backup, working, symlinks=True)
    shutil.rmtree(working / "keystore", ignore_errors=True)
    if fresh_machine:
        for name in ("drops", "loans"):
            (working / "keystore" / REGISTRY / name).mkdir(parents=True)
    else:
        shutil.copytree(kept, working / "keystore")
    shutil.rmtree(kept)


def backed_up(server: Server) -> Path:
    """A copy of the working folder without the keystore, as a backup has it."""
    backup = server.root / "backup"
    shutil.rmtree(backup, ignore_errors=True)
    shutil.copytree(server.folder.root, backup, symlinks=True, ignore=shutil.ignore_patterns("keystore"))
    return backup


def certificates(server: Server) -> list[dict[str, object]]:
    """What the certificates say, in the order of the ledger."""
    found = [one for one in releases_of(server.control, REGISTRY) if one.kind is Kind.CERTIFICATE]
    files = [file for one in found for file in server.draft(one).files if file.name == "sertifikat.json"]
    return [json.loads(file.content) for file in files]


def rename_another(server: Server) -> str:
    """An answer to a drop, not sealed yet, that is about something of the loan's own name, as an extract could be."""
    one = next(one for one in releases_of(server.control, REGISTRY) if one.kind is Kind.RECEIPT and one.sealed is None)
    with server.control.noting() as connection:
        connection.execute(update(release).where(release.c.release_id == one.release_id).values(subject=LOAN))
    return one.release_id


@pytest.mark.parametrize("fresh_machine", [False, True])
def test_a_restored_older_backup_brings_no_loan_back(server: Server, fresh_machine: bool) -> None:
    """Rows and ciphertext come back, the key does not; the first run destroys the loan again, and says why."""
    backup = backed_up(server)
    server.run("link", "destroy")
    assert the_loan(server).state is LoanState.DESTROYED
    restore(server, backup, fresh_machine=fresh_machine)
    assert the_loan(server).state is LoanState.OPEN
    assert lent_files(server)

    server.run("destroy")

    assert the_loan(server).state is LoanState.DESTROYED
    assert lent_files(server) == []
    assert keystore(server).names() == ()
    (said,) = certificates(server)
    assert said["brought_back_by_a_restored_copy"] is True
    server.run("link")
    assert {drop.state for drop in drops_of(server.control, REGISTRY) if drop.loan_id} == {DropState.EXPIRED}


def test_what_is_tried_on_a_restored_loan_before_it_is_destroyed_again_opens_nothing(server: Server) -> None:
    """Somebody runs `link` first: no row is read, the attempt stands in the log, and the server goes on."""
    backup = backed_up(server)
    server.run("link", "destroy")
    restore(server, backup, fresh_machine=False)

    ended = server.forks.run(Request(str(server.folder.root), "link"))

    assert ended.code == 3
    tried = [entry for entry in open_log(server.folder).entries() if entry.act == "loan.link"]
    assert [(one.phase, one.reason) for one in tried] == [("intent", ""), ("failed", "R_KEY_DESTROYED")]
    server.run("destroy", "link")
    assert the_loan(server).state is LoanState.DESTROYED


def test_a_key_file_that_is_put_back_alone_is_destroyed_again(server: Server) -> None:
    """Control knows that the loan is gone, and the keystore has its grave: no one is given the key, and it goes."""
    store = keystore(server)
    wrapped = store.get(LOAN)
    path = server.folder.registry(REGISTRY).folder(Folder.LOAN_KEYS) / f"{LOAN}.age"
    server.run("link", "destroy")
    durable.write(path, wrapped)

    server.run("link", "destroy")

    assert not path.exists()
    last = [entry for entry in open_log(server.folder).entries() if entry.act == "loan.destroy"][-1]
    assert (last.phase, last.counts["came_back"]) == ("done", 1)
    assert len(certificates(server)) == 1


def test_a_key_file_and_an_older_backup_together_open_nothing(server: Server) -> None:
    """The grave in the keystore is in no backup either: the key beside it is not given out."""
    backup = backed_up(server)
    path = server.folder.registry(REGISTRY).folder(Folder.LOAN_KEYS) / f"{LOAN}.age"
    wrapped = path.read_bytes()
    server.run("link", "destroy")
    restore(server, backup, fresh_machine=False)
    durable.write(path, wrapped)

    assert server.forks.run(Request(str(server.folder.root), "link")).code == 3
    server.run("destroy")

    assert (path.exists(), the_loan(server).state) == (False, LoanState.DESTROYED)


def test_a_loan_of_after_the_backup_leaves_no_key(server: Server, lent: Server) -> None:
    """The restored control database has never heard of the loan whose key is in the keystore: the key goes."""
    backup = backed_up(server)
    due = TODAY + timedelta(days=DAYS)
    agreement = LoanAgreement("nav-2027", REGISTRY, LENDER, "linkage", "2026/1", ("aap",), due)
    server.desk.open_loan(agreement, "nav", TODAY)
    server.run("link")
    assert "nav-2027" in keystore(server).names()
    restore(server, backup, fresh_machine=False)

    server.run("destroy")

    assert keystore(server).names() == (LOAN,)
    assert the_loan(server).state is LoanState.OPEN


def test_a_file_that_comes_back_into_loans_is_removed(server: Server) -> None:
    """Ciphertext of a destroyed loan that somebody copies back, under its name or another, goes at the next run."""
    folder = server.folder.registry(REGISTRY).folder(Folder.LOANS)
    (name,) = lent_files(server)
    content = (folder / name).read_bytes()
    server.run("link", "destroy")
    durable.write(folder / name, content)
    durable.write(folder / "another.drop", content)

    server.run("destroy")

    assert lent_files(server) == []


def test_the_lender_checks_the_destruction_without_the_server(server: Server, tmp_path: Path) -> None:
    """The certificate leaves with its proof once a checkpoint covers it, and `verify.py --proof` says so, or not."""
    server.run("link", "destroy", "seal")
    waiting = [one.state for one in releases_of(server.control, REGISTRY) if one.kind is Kind.CERTIFICATE]
    assert waiting == [ReleaseState.APPROVED]
    server.run("checkpoint", "seal", "deliver")

    for name, content in server.delivered(LENDER, Kind.CERTIFICATE).items():
        (tmp_path / name).write_bytes(content)
    words = ["verify.py", "--proof", "bevis.tlog-proof", "--vkey", "vkey"]
    done = subprocess.run([sys.executable, "-I", "-S", *words], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    entry = json.loads(done.stdout[: done.stdout.rindex("}") + 1])
    said = json.loads((tmp_path / "sertifikat.json").read_text())
    assert (entry["act"], entry["phase"], entry["object_id"]) == ("loan.destroy", "done", LOAN)
    assert entry["intent_seq"] == said["audit"]["seq"]
    assert entry["digests"]["key"] == said["key_fingerprint_sha256"]
    # Lineage: exactly what the registry keeps of the loan, by digest, and the file that it was made of.
    kept = server.wiring("link").registry_reader.tables(finished=True)
    (drop,) = (drop for drop in drops_of(server.control, REGISTRY) if drop.loan_id)
    expected = {(hashlib.sha256(content_of(table).encode()).hexdigest(), drop.content_digest) for table in kept}
    assert {(one["content_sha256"], one["loan_file_sha256"]) for one in said["derived"]} == expected != set()
    assert {one["level"] for one in said["derived"]} == {"aggregate"}

    proof = (tmp_path / "bevis.tlog-proof").read_bytes()
    (tmp_path / "bevis.tlog-proof").write_bytes(proof.replace(b"index ", b"index 1", 1))
    forged = subprocess.run([sys.executable, "-I", "-S", *words], cwd=tmp_path, capture_output=True)
    assert forged.returncode == 4


def test_a_certificate_that_waited_when_the_log_was_set_aside_is_made_anew(server: Server, tmp_path: Path) -> None:
    """The loan is verified again under the log in use, whose proof leaves; it was destroyed when it was, not later."""
    server.run("link", "destroy")
    before = the_loan(server)
    (first,) = certificates(server)
    namesake = rename_another(server)
    server.lose_the_log()
    server.run("destroy", "destroy", "checkpoint", "seal", "deliver", days=DAYS + 3)

    made = [one.state for one in releases_of(server.control, REGISTRY) if one.kind is Kind.CERTIFICATE]
    assert made == [ReleaseState.CANCELLED, ReleaseState.DELIVERED]
    assert the_loan(server) == before
    (other,) = [one for one in releases_of(server.control, REGISTRY) if one.release_id == namesake]
    assert other.state is not ReleaseState.CANCELLED
    for name, content in server.delivered(LENDER, Kind.CERTIFICATE).items():
        (tmp_path / name).write_bytes(content)
    words = ["verify.py", "--proof", "bevis.tlog-proof", "--vkey", "vkey"]
    subprocess.run([sys.executable, "-I", "-S", *words], cwd=tmp_path, check=True, capture_output=True)
    said = json.loads((tmp_path / "sertifikat.json").read_text())
    assert said["audit"]["log_id"] == open_log(server.folder).log_id != first["audit"]["log_id"]
    assert (said["overdue_days"], said["brought_back_by_a_restored_copy"]) == (0, False)
    assert said["destroyed_at"] == first["destroyed_at"]
    assert said["files"] == first["files"]


def test_killed_anywhere_the_certificate_is_made_anew_once(server: Server) -> None:
    """Killed at every third effect of the run that certifies anew, and run again, one stands, and of the new log."""
    server.run("link", "destroy")
    server.lose_the_log()
    request = Request(str(server.folder.root), "destroy")

    def certified() -> list[tuple[ReleaseState, str]]:
        found = [one for one in releases_of(server.control, REGISTRY) if one.kind is Kind.CERTIFICATE]
        return [(one.state, one.reason) for one in found]

    with server.undone():
        whole = server.forks.run(request)
    assert whole.code == 0
    for at in range(1, len(whole.effects) + 1, 3):
        with server.undone():
            assert server.forks.run(replace(request, at=at)).killed
            server.run("destroy")
            expected = [(ReleaseState.CANCELLED, "certified_anew"), (ReleaseState.APPROVED, "")]
            assert certified() == expected, whole.effects[at - 1]
            logs = {said["audit"]["log_id"] for said in certificates(server)[-1:]}
            assert logs == {open_log(server.folder).log_id}


def test_what_is_left_in_a_managed_folder_stops_the_server(server: Server) -> None:
    """A copy in clear in another job's folder: no certificate, the loan is not called destroyed, two people look."""
    planted = server.folder.registry(REGISTRY).folder(Folder.DRAFTS) / "left.csv"
    durable.write(planted, b"person_id;month;aap\r\n1;2024-01;ja\r\n")
    server.run("link")

    ended = server.forks.run(Request(str(server.folder.root), "destroy"))

    assert ended.code == 4
    mark = halt_mark(server.folder)
    assert mark is not None
    assert mark["code"] == "H_LOAN_NOT_DESTROYED"
    assert the_loan(server).state is LoanState.LINKED
    assert certificates(server) == []


def test_a_due_date_that_passed_while_the_server_was_off(server: Server) -> None:
    """Nothing is read of the loan any more; it is destroyed, and by how much too late stands in log and certificate."""
    late = DAYS + 4
    server.run("link", days=late)
    assert the_loan(server).state is LoanState.OPEN

    server.run("destroy", days=late)

    destroyed = the_loan(server)
    assert (destroyed.state, destroyed.overdue_days) == (LoanState.DESTROYED, 4)
    (said,) = certificates(server)
    assert said["overdue_days"] == 4
    last = [entry for entry in open_log(server.folder).entries() if entry.act == "loan.destroy"][-1]
    assert (last.phase, last.counts["overdue_days"]) == ("done", 4)
