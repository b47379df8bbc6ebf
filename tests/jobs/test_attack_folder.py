"""Somebody edits the working folder between two jobs: what was recorded is what is carried out, or nothing is."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from enclave.audit.record import Position, Purpose
from enclave.control.database import Control
from enclave.control.releases import decide, propose, releases_of
from enclave.control.requests import Request, find_request, requests_of
from enclave.control.runs import current_definition
from enclave.crypto import age, keyring, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import ReleaseState, RequestState
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG
from enclave.grants import Folder
from enclave.halted import halt_mark
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.registry.load import load
from enclave.release import bundle
from enclave.settings import read_settings
from enclave.terminal.definition_desk import DefinitionDesk
from enclave.terminal.recovery import recover, state_why
from jobs import seal as sealing
from jobs.checkpoint import checkpoint
from jobs.drafts import write_draft
from tests.jobs.working import PLANTED, founded, wired

STRICTER = "\n[disclosure]\nminimum_count = 8\n"
LEAD, LEADS_KEY = sshsig.new_key("lead")


@pytest.fixture
def server(tmp_path: Path) -> WorkingFolder:
    """A new server on the shipped KAR, with a project lead."""
    folder = founded(tmp_path / "working", project_lead=LEADS_KEY)
    for planted in folder.root.rglob(PLANTED):
        planted.unlink()
    return folder


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the shipped definition, to be changed."""
    return Path(shutil.copytree(CONFIG / "registries" / "kar", tmp_path / "kar"))


def desk(server: WorkingFolder) -> DefinitionDesk:
    """The terminal."""
    return DefinitionDesk(server, read_settings(server.settings), "kar")


def job(server: WorkingFolder, name: str) -> int:
    """Run one job and answer its exit code."""
    words = ["jobs", "run", name, "--registry", "kar", "--config", str(server.settings)]
    return subprocess.run([sys.executable, "-m", *words], capture_output=True).returncode


def newest(server: WorkingFolder) -> Request:
    """The request that was filed last."""
    return requests_of(Control(server.control), "kar")[-1]


def test_a_definition_edited_where_it_is_kept_halts(server: WorkingFolder) -> None:
    """Its checks and thresholds steer what is taken and shown: another content under its hash is not used."""
    sha256 = current_definition(Control(server.control), "kar")
    kept = server.registry("kar").definitions / f"{sha256}.json"
    kept.write_bytes(kept.read_bytes().replace(b'"minimum":0', b'"minimum":1', 1) + b"\n")

    assert job(server, "analyse") == 4

    mark = halt_mark(server)
    assert mark is not None
    assert mark["code"] == "H_DEFINITION_ALTERED"


def test_a_sealed_identity_that_was_exchanged_is_not_used(server: WorkingFolder) -> None:
    """Anybody can seal another person's number to `rights`; the request is refused and the file destroyed."""
    request_id = desk(server).withdraw(Secret(b"01410199999"), "2026/1")
    lies = server.registry("kar")
    path = lies.folder(Folder.REQUESTS) / f"{request_id}.age"
    path.write_bytes(age.seal(b"02420299999", [keyring.public(lies.keys, "rights")]))

    assert job(server, "rights") == 0

    request = find_request(Control(server.control), request_id)
    assert (request.state, request.reason) == (RequestState.REFUSED, "R_REQUEST_SEALED")
    assert not path.exists()


def test_a_lower_disclosure_threshold_waits_for_the_second_person(server: WorkingFolder, changed: Path) -> None:
    """One person can raise what protects; lowering it again is carried out with the project lead's signature only."""
    shipped = load(changed).sha256
    registry = changed / "registry.toml"
    text = registry.read_text(encoding="utf-8")
    registry.write_text(stricter(text), encoding="utf-8")
    desk(server).apply_definition(changed)
    assert job(server, "rights") == 0
    raised = load(changed).sha256
    assert current_definition(Control(server.control), "kar") == raised

    registry.write_text(text, encoding="utf-8")
    request_id = desk(server).apply_definition(changed)
    assert job(server, "rights") == 0
    assert newest(server).state is RequestState.FILED
    assert current_definition(Control(server.control), "kar") == raised

    signature = sshsig.sign(newest(server).signed_text(), LEAD, "request@enclave")
    desk(server).approve_request(request_id, signature)
    assert job(server, "rights") == 0
    assert newest(server).state is RequestState.DONE
    assert current_definition(Control(server.control), "kar") == shipped


def test_a_sealed_identity_that_no_request_names_is_destroyed(server: WorkingFolder) -> None:
    """A command was killed before it filed its request: an hour later nothing of it is left; a younger file stays."""
    requests = server.registry("kar").folder(Folder.REQUESTS)
    old, young = requests / "old.age", requests / "young.age"
    for path in (old, young):
        path.write_bytes(b"sealed")
    os.utime(old, (time.time() - 7200,) * 2)

    assert job(server, "rights") == 0

    assert (old.exists(), young.exists()) == (False, True)


def test_a_release_withheld_while_it_is_sealed_does_not_leave(
    server: WorkingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision stands, the other releases are sealed, and the server goes on."""
    control = Control(server.control)
    desk(server).add_institution("aaa", "A", "sender", sshsig.new_key("aaa")[1])
    checkpoint(wired(server, "checkpoint"))
    with control.changing(Position("an earlier log", 1)) as connection:
        for number in range(2):
            draft = Draft(Kind.NOTICE, "kar", "aaa", 0, "", (DraftFile("melding.txt", f"{number}".encode()),))
            propose(
                connection,
                "kar",
                write_draft(wired(server, "link"), draft),
                subject="",
                needs_person=False,
                at=datetime(2026, 1, 1, number, tzinfo=UTC),
            )
    first, second = releases_of(control, "kar")

    def meanwhile(inner: bytes, passphrase: Secret, **more: str) -> bundle.SealedBundle:
        if more["bundle_id"] == first.package:
            with control.changing(Position("an earlier log", 2)) as connection:
                decide(connection, first.release_id, ReleaseState.WITHHELD, by="tester", at=datetime.now(UTC))
        return bundle.seal(inner, passphrase, **more)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(sealing, "seal_package", meanwhile)

    assert sealing.seal(wired(server, "seal")) == {
        "sealed": 1,
        "refused": 1,
        "held": 0,
        "without_proof_yet": 0,
        "asked_again": 0,
        "under_old_key": 0,
    }

    states = {release.release_id: release.state for release in releases_of(control, "kar")}
    assert states == {first.release_id: ReleaseState.WITHHELD, second.release_id: ReleaseState.SEALED}
    assert not list(server.registry("kar").folder(Folder.OUTBOX).glob(f"*{first.package}*"))


def test_recovery_needs_the_second_person_for_this_very_halt(server: WorkingFolder) -> None:
    """Nobody else's signature lifts a halt, and a signature that lifted one does not lift the next."""
    settings, now = read_settings(server.settings), datetime.now(UTC)
    shutil.rmtree(server.audit)
    statement = state_why(server, settings)
    assert (statement.code, statement.log_is_sound) == ("H_LOG_MISSING", False)
    stranger = sshsig.sign(statement.text(), sshsig.new_key("other")[0], "request@enclave")
    with pytest.raises(Refused, match="R_SECOND_PERSON"):
        recover(server, settings, stranger, now)
    signature = sshsig.sign(statement.text(), LEAD, "request@enclave")
    recover(server, settings, signature, now)
    assert job(server, "checkpoint") == 0
    desk(server).file("destroy_loan", {"loan_id": "x"}, case_number="", purpose=Purpose.OPERATION)

    shutil.rmtree(server.audit)

    with pytest.raises(Refused, match="R_SECOND_PERSON"):
        recover(server, settings, signature, now)


def stricter(text: str) -> str:
    """A registry.toml with a higher smallest count."""
    if "[disclosure]" in text:
        return text.replace("minimum_count = 5", "minimum_count = 8")
    return text + STRICTER
