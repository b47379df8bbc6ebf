"""A test server whose backups are sealed to two people's keys, and what those two do on machines of their own."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

import pytest

from enclave.control.requests import SIGNATURE_NAMESPACE
from enclave.crypto import age, sshsig
from enclave.crypto.secret import Secret
from enclave.folders import WorkingFolder
from enclave.halted import PAUSED
from enclave.settings import Settings, read_settings
from enclave.terminal.after_backup import Restored
from enclave.terminal.backup import Made, back_up
from enclave.terminal.backup_set import WHICH
from enclave.terminal.restore import Sets, open_sets, restore, statement
from tests.jobs.clinics import Server
from tests.kills import deaths as effects

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Holders:
    """The two people who hold the offline keys, by set: identity and public half."""

    keys: dict[str, tuple[Secret, str]]

    @classmethod
    def new(cls) -> "Holders":
        """Two people with a key each."""
        return cls({which: age.new_identity() for which in WHICH})

    def registered(self, folder: WorkingFolder) -> None:
        """Their public halves are entered in enclave.toml."""
        lines = "".join(f'{which} = "{self.keys[which][1]}"\n' for which in WHICH)
        with folder.settings.open("a", encoding="utf-8") as settings:
            settings.write(f"\n[backup]\n{lines}")

    def opened(self, sealed: Path) -> tuple[Path, Path]:
        """Each opens their own file of a backup; the two tars."""
        for which in WHICH:
            content = (sealed / f"{which}.tar.age").read_bytes()
            (sealed / f"{which}.tar").write_bytes(age.open(content, self.keys[which][0]))
        return sealed / "registry.tar", sealed / "vault.tar"


def settings_of(folder: WorkingFolder) -> Settings:
    """What stands in enclave.toml now."""
    return read_settings(folder.settings)


def backed_up(folder: WorkingFolder, out: Path) -> Made:
    """A backup of the server as it stands."""
    return back_up(folder, settings_of(folder), out)


def pause(folder: WorkingFolder) -> None:
    """`enclave pause`."""
    (folder.locks / PAUSED).write_bytes(b"")


def signed(server: Server, folder: WorkingFolder, sets: Sets, key: Secret | None = None) -> bytes:
    """The project lead's signature over a restore into a folder, or somebody else's."""
    return sshsig.sign(statement(folder, settings_of(folder), sets), key or server.lead, SIGNATURE_NAMESPACE)


def put_back(server: Server, tars: tuple[Path, Path], folder: WorkingFolder | None = None) -> Restored:
    """Two people restore a backup into the server's folder, or into another."""
    into = folder or server.folder
    sets = open_sets(*tars)
    return restore(into, settings_of(into), sets, signed(server, into, sets))


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its digest; without locks and the log, which refusals are noted in."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not (name := path.relative_to(folder).as_posix()).startswith(("locks/", "audit/"))
    }


class Deaths:
    """A process that has loaded the program, and forks a child for each backup or restore that is to be killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.terminal.backups"]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def die(self, what: str, *paths: Path, at: int | None) -> tuple[int, int]:
        """Do one of the two in a child that dies at its n-th effect; its exit code, and how many effects passed."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([at, what, *map(str, paths)]) + "\n")
        self._server.stdin.flush()
        code, passed = json.loads(self._server.stdout.readline())
        return code, passed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(timeout=30)
        self._server.stdout.close()


def serve() -> None:
    """Fork a child for each line of standard input, and answer how it ended."""
    for line in sys.stdin:
        at, what, *paths = json.loads(line)
        told, tells = os.pipe()
        child = os.fork()
        if child == 0:
            _act(at, what, WorkingFolder(Path(paths[0])), [Path(path) for path in paths[1:]], tells)
        os.close(tells)
        with os.fdopen(told, "rb") as passed:
            count = len(passed.read())
        status = os.waitpid(child, 0)[1]
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(status), count]) + "\n")
        sys.stdout.flush()


def _act(at: int | None, what: str, folder: WorkingFolder, paths: list[Path], tells: int) -> NoReturn:
    write = os.write
    settings = settings_of(folder)
    effects.Deaths(at, lambda _name: write(tells, b".") and None).arm()
    if what == "backup":
        back_up(folder, settings, paths[0])
    else:
        restore(folder, settings, open_sets(paths[0], paths[1]), paths[2].read_bytes())
    os._exit(0)


EVERY = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)], ids=["some", "every"])
"""Whether a sweep kills at every effect, or at some."""


def kill_points(passed: int, *, every: bool) -> list[int]:
    """The effects of an act: all of them, or the first, the last, and six between."""
    if every:
        return list(range(1, passed + 1))
    return sorted({1, passed, *(1 + passed * n // 7 for n in range(1, 7))})


if __name__ == "__main__":
    serve()
