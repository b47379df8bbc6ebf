"""What one sender can do to the others: nothing. Each attack is left at a real airlock folder; the real jobs run."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from enclave.airlock.folder import FolderAirlock
from enclave.cli import client
from enclave.control.database import Control
from enclave.control.drops import Drop, drops_of
from enclave.control.releases import releases_of
from enclave.crypto import sshsig
from enclave.crypto.secret import Secret
from enclave.demo.airlock import make_folders
from enclave.errors import Refused
from enclave.flow import DropState
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.grants import Folder
from enclave.halted import halt_mark
from enclave.intake import feedback as wording
from enclave.intake.answer import Answer
from enclave.model.draft import DraftFile, Kind
from enclave.registry.load import load
from enclave.release.leaks import has_control_digits
from enclave.settings import read_settings
from enclave.terminal.desk import Desk, Letter
from jobs import admit as admitting
from jobs import collect as collecting
from tests.identity.numbers import synthetic
from tests.jobs.working import wired

REGISTRY = "kar"
ATTACKER, HONEST = "aaa", "zzz"


@dataclass
class Server:
    """A server with a folder airlock and two senders, the attacker first in every order."""

    root: Path
    folder: WorkingFolder
    letters: dict[str, Letter]
    keys: dict[str, Secret]

    @property
    def control(self) -> Control:
        """The control database."""
        return Control(self.folder.control)

    def incoming(self, institution: str) -> Path:
        """An institution's `in/`."""
        return self.root / "airlock" / institution / "in"

    def send(self, institution: str, *references: str, seq: int | None = None) -> Path:
        """Send a drop with one empty course for each reference."""
        clear = self.root / "clear" / f"{institution}-{len(list(self.root.glob('clear/*')))}"
        clear.mkdir(parents=True)
        (clear / "arrival.csv").write_text(rows(*references))
        letter = self.letters[institution]
        submission = client.Submission(REGISTRY, institution, letter.inbound_key_id, datetime.now(UTC), seq)
        return client.seal(
            clear, self.incoming(institution), submission, sign_key=self.keys[institution], passphrase=letter.inbound
        )

    def sign(self, institution: str, drop: Path, manifest: bytes) -> None:
        """Put another manifest into a drop, signed by its sender."""
        (drop / "manifest.json").write_bytes(manifest)
        signature = sshsig.sign(manifest, self.keys[institution], f"drop@{REGISTRY}")
        (drop / "manifest.json.sig").write_bytes(signature)

    def job(self, name: str) -> int:
        """Run one job as a process of its own and answer its exit code."""
        words = ["jobs", "run", name, "--registry", REGISTRY, "--config", str(self.folder.settings)]
        return subprocess.run([sys.executable, "-m", *words], capture_output=True).returncode

    def drops(self, institution: str) -> list[Drop]:
        """An institution's drops in the order in which they were taken."""
        found = [drop for drop in drops_of(self.control, REGISTRY) if drop.sender == institution]
        return sorted(found, key=lambda drop: drop.collected_at)


def rows(*references: str) -> str:
    """An arrival file whose rows name a person and a course and answer nothing: each has faults, so feedback."""
    columns = load(CONFIG / "registries" / REGISTRY).definition.form("arrival").columns()
    written = io.StringIO(newline="")
    lines = csv.writer(written, delimiter=";")
    lines.writerow(("person_id", "course_id", *columns))
    for number, reference in enumerate(references):
        lines.writerow((synthetic_number(number), reference, *("" for _ in columns)))
    return written.getvalue()


def synthetic_number(number: int) -> str:
    """The synthetic number of somebody."""
    return synthetic(datetime(1970 + number, 3, 4, tzinfo=UTC).date(), number)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A new server with two senders."""
    values = {"server": "enclave-1", "mode": "test", "kind": "folder", "folder": str(tmp_path / "airlock")}
    definition = CONFIG / "registries" / REGISTRY
    folder = found(Founding(tmp_path / "working", REGISTRY, definition, dict(values), "person:tester"))
    server = Server(tmp_path, folder, {}, {})
    desk = Desk(folder, read_settings(folder.settings), REGISTRY)
    for institution in (ATTACKER, HONEST):
        make_folders(tmp_path / "airlock", institution)
        server.keys[institution], public = sshsig.new_key(institution)
        server.letters[institution] = desk.add_institution(institution, institution.title(), "sender", public)
    return server


def test_a_leap_in_a_senders_numbering_halts_nobody(server: Server) -> None:
    """A gap of a thousand million between two drops is noted as large, and the next sender's drop is settled."""
    server.send(ATTACKER, "a", seq=1)
    server.send(ATTACKER, "b", seq=2**53 - 2)
    server.send(HONEST, "c")

    assert [server.job("collect"), server.job("admit")] == [0, 0]

    assert halt_mark(server.folder) is None
    assert [drop.state for drop in server.drops(ATTACKER)] == [DropState.ADMITTED] * 2
    assert [drop.state for drop in server.drops(HONEST)] == [DropState.ADMITTED]


def test_a_drop_that_cannot_be_removed_stops_nobody(server: Server) -> None:
    """Folders nested deeper than a removal goes stay at their sender's; run after run the others are collected."""
    deep = server.send(ATTACKER, "a")
    for level in range(40):
        deep /= f"d{level}"
    deep.mkdir(parents=True)
    assert server.job("collect") == 0
    server.send(HONEST, "b")

    assert server.job("collect") == 0

    assert [drop.airlock_copy for drop in server.drops(ATTACKER)] == [True]
    assert [drop.state for drop in server.drops(HONEST)] == [DropState.COLLECTED]


def test_forged_claims_have_no_more_turns_than_other_names(server: Server) -> None:
    """Names that look claimed are refused within the sender's quota of one turn."""
    for number in range(30):
        (server.incoming(ATTACKER) / f".taken-00000000-0000-4000-8000-{number:012}").mkdir()

    assert server.job("collect") == 0

    assert {drop.reason for drop in server.drops(ATTACKER)} == {"E_DROP_NAME"}
    assert len(server.drops(ATTACKER)) == 20


def test_a_replay_is_told_whichever_spelling_its_id_has(server: Server) -> None:
    """A drop whose id is in capitals is recognised by content, and by id under a signature that is wrapped anew."""
    first = server.send(ATTACKER, "a")
    manifest = json.loads((first / "manifest.json").read_bytes())
    manifest["drop_id"] = manifest["drop_id"].upper()
    server.sign(ATTACKER, first, json.dumps(manifest).encode())
    copies = [{file.name: file.read_bytes() for file in first.iterdir()} for _ in range(2)]
    copies[1]["manifest.json.sig"] += b"\n"
    assert [server.job("collect"), server.job("admit")] == [0, 0]
    for number, files in enumerate(copies):
        replay = server.incoming(ATTACKER) / f"replay-{number}"
        replay.mkdir()
        for name, content in files.items():
            (replay / name).write_bytes(content)

    assert [server.job("collect"), server.job("admit")] == [0, 0]

    assert server.drops(ATTACKER)[0].stated_drop_id == str(UUID(manifest["drop_id"]))
    assert server.drops(ATTACKER)[0].state is DropState.ADMITTED
    assert {drop.reason for drop in server.drops(ATTACKER)[1:]} == {"E_REPLAY", "E_DROP_ID_REUSED"}


def test_a_reference_that_becomes_a_number_when_identifiers_are_taken_out_stops_nobody(server: Server) -> None:
    """Digits around a UUID are no national number; feedback about such a course is written, and admitting goes on."""
    tail = next(f"{last:05}" for last in range(100000) if has_control_digits(f"010170{last:05}"))
    server.send(ATTACKER, f"010170aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa{tail}")
    server.send(HONEST, "b")

    assert [server.job("collect"), server.job("admit")] == [0, 0]

    assert [drop.state for drop in server.drops(ATTACKER)] == [DropState.ADMITTED]
    assert [drop.state for drop in server.drops(HONEST)] == [DropState.ADMITTED]


def test_what_the_gate_holds_back_rejects_its_own_drop_only(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a sender's text ever reach the gate, that drop is rejected with a receipt, and the next is settled."""
    server.send(ATTACKER, "a")
    server.send(HONEST, "b")
    assert server.job("collect") == 0
    leaking = DraftFile("tilbakemelding.csv", b"\xef\xbb\xbf_pseudonym")

    def feedback(answer: Answer, *others: object) -> tuple[DraftFile, ...]:
        made = wording.feedback(answer, *others)  # type: ignore[arg-type]  # handed on as they came
        return (made[0], leaking if answer.sender == ATTACKER else made[1])

    monkeypatch.setattr(admitting, "feedback", feedback)

    assert admitting.admit(wired(server.folder, "admit")) == {
        "admitted": 1,
        "rejected": 1,
        "replayed": 0,
        "digests": 0,
        "under_old_key": 0,
    }

    assert [drop.reason for drop in server.drops(ATTACKER)] == ["E_ANSWER_HELD"]
    receipts = [one for one in releases_of(server.control, REGISTRY) if one.recipient == ATTACKER]
    assert [one.kind for one in receipts] == [Kind.RECEIPT]


def test_a_drop_taken_back_at_the_last_moment_stops_nobody(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that renames its drop between our look and our claim loses its turn; the next sender has its own."""
    drop = server.send(ATTACKER, "a")
    server.send(HONEST, "b")
    claim = FolderAirlock.claim

    def race(airlock: FolderAirlock, institution: str, name: str, as_name: str) -> None:
        if name == drop.name:
            drop.rename(drop.with_name("elsewhere"))
        claim(airlock, institution, name, as_name)

    monkeypatch.setattr(FolderAirlock, "claim", race)

    assert collecting.collect(wired(server.folder, "collect")) == {"taken": 1, "refused": 0, "unreachable": 0}

    assert [one.state for one in server.drops(HONEST)] == [DropState.COLLECTED]


@pytest.mark.parametrize("key", ["ssh-ed25519 " + "A" * 68, "ssh-ed25519 " + "=" * 68])
def test_an_institutions_malformed_key_is_refused_when_it_is_added(server: Server, key: str) -> None:
    """It would otherwise halt the server at that institution's first drop."""
    desk = Desk(server.folder, read_settings(server.folder.settings), REGISTRY)

    with pytest.raises(Refused, match="R_PUBLIC_KEY"):
        desk.add_institution("bbb", "Bbb", "sender", key)


def test_a_drop_exchanged_in_quarantine_is_not_admitted(server: Server) -> None:
    """Whoever can write there can seal an older drop of the same sender to a fresh key; it is not what was taken."""
    for reference in ("a", "b"):
        server.send(ATTACKER, reference)
    assert server.job("collect") == 0
    first, second = server.drops(ATTACKER)
    lies = server.folder.registry(REGISTRY)
    for folder in (lies.folder(Folder.QUARANTINE), lies.folder(Folder.DROP_KEYS)):
        (folder / f"{second.drop_uuid}.age").write_bytes((folder / f"{first.drop_uuid}.age").read_bytes())

    assert server.job("admit") == 0

    assert {drop.drop_uuid: drop.reason for drop in server.drops(ATTACKER)} == {
        first.drop_uuid: "",
        second.drop_uuid: "E_QUARANTINE_FORM",
    }
