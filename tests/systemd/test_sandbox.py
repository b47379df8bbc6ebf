"""What a unit grants is enough: every job runs where nothing of the working folder is but what its unit binds."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from enclave.audit.acts import Acts
from enclave.audit.chain import RECOVER
from enclave.control.database import Control
from enclave.control.runs import last_run
from enclave.folders import WorkingFolder
from enclave.halted import lift_halt
from enclave.wiring import SERVER_KEYS, open_log
from jobs.schedule import JOBS
from tests.jobs.working import PLANTED, REGISTRY, founded
from tests.systemd.test_units import allowed_calls

REPOSITORY = Path(__file__).parents[2]
SANDBOX = Path(__file__).with_name("sandbox.sh")
NOBODY = 65534


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> WorkingFolder:
    """A founded server without institutions, so that no job has anything to do but to open what it holds."""
    folder = founded(tmp_path_factory.mktemp("server") / "working")
    for planted in folder.root.rglob(PLANTED):
        planted.unlink()
    return folder


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_on_what_its_unit_binds(server: WorkingFolder, tmp_path: Path, name: str) -> None:
    """With its credentials and its bound files alone, under Landlock, a job ends well, and its run and log say so."""
    for key in JOBS[name].private_keys:
        held = server.keys if key in SERVER_KEYS else server.registry(REGISTRY).keys
        shutil.copy(held / f"{key}.key", tmp_path / f"{key}.key")
        (tmp_path / f"{key}.key").chmod(0o400)
    arguments = (name, str(server.root), str(tmp_path), str(REPOSITORY), sys.executable)

    done = subprocess.run(["unshare", "--mount", "sh", str(SANDBOX), *arguments], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    run = last_run(Control(server.control), REGISTRY, name)
    assert run is not None
    assert run.outcome == "ok"
    assert open_log(server).unresolved(name, REGISTRY) == []


def two_people_recover(server: WorkingFolder) -> None:
    """What `enclave recover` leaves: the log tells it, and the mark is gone."""
    acts = Acts(open_log(server), job="command_line", registry="", run=str(uuid4()), actor="person:tester")
    acts.note(RECOVER, "halt", "H_KEY_MISSING", reason="H_KEY_MISSING")
    lift_halt(server)


def test_a_missing_credential_halts(server: WorkingFolder, tmp_path: Path) -> None:
    """A unit that is handed no key does not fall back on a key file."""
    arguments = ("checkpoint", str(server.root), str(tmp_path), str(REPOSITORY), sys.executable)

    done = subprocess.run(["unshare", "--mount", "sh", str(SANDBOX), *arguments], capture_output=True, text=True)
    two_people_recover(server)

    assert done.returncode == 4
    assert "H_KEY_MISSING" in done.stderr


def test_a_credential_that_an_access_list_opens_is_read() -> None:
    """Root's file that an access list lets the unit's user read is a credential; one that others may read is not."""
    folder = Path("/dev/shm") / f"credentials-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        key = folder / "vault-db.key"
        key.write_text("0123456789abcdef" * 4 + "\n")
        key.chmod(0o400)
        os.setxattr(key, "system.posix_acl_access", access_list())
        listed = told_to_nobody(folder)
        os.removexattr(key, "system.posix_acl_access")
        key.chmod(0o444)
        open_to_all = told_to_nobody(folder)
    finally:
        shutil.rmtree(folder)

    assert (listed, open_to_all) == ("Keyring(1 keys)", "H_KEY_READABLE")


@pytest.mark.parametrize("name", ["checkpoint", "admit", "release", "deliver"])
def test_the_filter_denies_no_system_call_that_a_job_needs(server: WorkingFolder, tmp_path: Path, name: str) -> None:
    """Of what a job asks of the kernel, the units' filter denies only what root does and what NumPy does without."""
    told = tmp_path / "calls"
    job = [sys.executable, "-B", "-m", "jobs", "run", name, "--registry", REGISTRY, "--config", str(server.settings)]

    done = subprocess.run(["strace", "-f", "-c", "-o", str(told), *job], capture_output=True, text=True, cwd=REPOSITORY)
    rows = [line.split() for line in told.read_text().splitlines()[2:] if line and not line.startswith("-")]

    assert done.returncode == 0, done.stderr
    assert {row[-1] for row in rows} - {"total"} - allowed_calls() <= {"capset", "fchown", "mbind"}


def access_list() -> bytes:
    """`u::r,u:nobody:r,g::-,m::r,o::-`, as the kernel keeps it."""
    whole = 0xFFFFFFFF
    entries = ((1, 4, whole), (2, 4, NOBODY), (4, 0, whole), (16, 4, whole), (32, 0, whole))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def told_to_nobody(folder: Path) -> str:
    """What a process of another user is told when it loads this key."""
    script = f"""
import os
from pathlib import Path
from enclave.crypto.keyring import Keyring
from enclave.errors import Halt
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
try:
    print(Keyring(Path({str(folder)!r}), frozenset({{"vault-db"}})))
except Halt as halt:
    print(halt.code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
