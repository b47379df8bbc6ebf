"""A log, its key and its clock, as every test of the audit log needs them."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enclave.audit import signed_note
from enclave.audit.acts import Acts
from enclave.audit.chain import key_digest
from enclave.audit.export import export
from enclave.audit.log import FileLog, create, open_log
from enclave.crypto.secret import Secret

SEED = Secret(bytes(range(32)))
NEXT_SEED = Secret(bytes(range(1, 33)))
"""Of the key that replaces the first."""


@dataclass
class Ticking:
    """A clock that a test sets."""

    now: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 4, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        """One second later than before."""
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class House:
    """A folder with a log that several tests open, damage and verify."""

    folder: Path
    clock: Ticking

    def open(self) -> FileLog:
        """Open the log anew, as a process that starts does."""
        return open_log(self.folder, self.clock)

    @property
    def file(self) -> Path:
        """The log itself."""
        return self.folder / "log.jsonl"

    def lines(self) -> list[bytes]:
        """Its lines with their newlines."""
        return self.file.read_bytes().splitlines(keepends=True)


def acts_of(log: FileLog, job: str = "admit") -> Acts:
    """The acts of a run of a job in `kar`."""
    return Acts(log, job=job, registry="kar", run=str(uuid.uuid4()), actor=f"job:{job}")


def fill(log: FileLog, count: int) -> None:
    """Record `count` acts, each an intent and its outcome."""
    acts = acts_of(log)
    for number in range(count):
        with acts.act("drop.settle", "drop", str(uuid.uuid4()), counts={"rows": number}) as opened:
            opened.add(rows=number)


def name_next_key(log: FileLog) -> None:
    """A line names the key that will replace the first, and checkpoints verify with it too."""
    public_key = signed_note.public_key_of(NEXT_SEED)
    acts_of(log).note("log.key", "key", "audit-sign", digests={"vkey": key_digest(public_key)})
    log.add_key(public_key)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A new log with its first line only."""
    clock = Ticking()
    create(tmp_path / "audit", "demo", signed_note.public_key_of(SEED), clock)
    return House(tmp_path / "audit", clock)


@pytest.fixture
def verify_alone() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the exported verifier as an auditor does: isolated, without site packages, from the exported folder."""

    def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "verify.py", *map(str, arguments)]
        return subprocess.run(
            command, cwd=folder, capture_output=True, encoding="utf-8", env={"PYTHONIOENCODING": "utf-8"}, check=False
        )

    return run


@pytest.fixture
def exported(house: House, tmp_path: Path) -> Path:
    """An export of a log of nine lines whose checkpoints are of sizes 5 and 9."""
    log = house.open()
    fill(log, 2)
    log.sign_checkpoint(SEED)
    fill(log, 2)
    log.sign_checkpoint(SEED)
    export(log, tmp_path / "export")
    return tmp_path / "export"
