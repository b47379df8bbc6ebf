"""The kernel refuses a job, though it runs as root, everything that its row of the job table does not name."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from enclave.crypto.keyring import KEY_KINDS
from enclave.errors import Halt
from enclave.folders import WorkingFolder
from enclave.grants import Access, Folder, Job, Network, Passphrases
from enclave.settings import Settings, read_settings
from jobs.confine import landlock_version, temporary_folder, temporary_of
from jobs.confinement import confinement_of
from jobs.schedule import JOBS
from tests.jobs.working import PLANTED, REGISTRY, founded

REPOSITORY = Path(__file__).parents[2]
SEES, CHANGES, REFUSED = "opens to read", "opens to write", "refused"

CONFINED = """
import errno, json, os, socket, sys
from pathlib import Path
from enclave.folders import WorkingFolder
from enclave.settings import read_settings
from jobs.confine import confine, keep_memory_private, temporary_folder
from jobs.confinement import confinement_of
from jobs.schedule import JOBS

root, job, asked = Path(sys.argv[1]), sys.argv[2], json.load(sys.stdin)
folder = WorkingFolder(root)
settings = read_settings(folder.settings)
answers = {"files": {}, "folders": {}, "ports": {}}

def number_of(act):
    try:
        act()
    except OSError as error:
        return error.errno
    return 0

def opened(path, flags):
    return lambda: os.close(os.open(path, flags, 0o600))

def connected(port):
    with socket.socket() as connection:
        connection.settimeout(5)
        connection.connect(("127.0.0.1", port))

keep_memory_private()
with temporary_folder(folder, settings, job, "kar") as temporary:
    if not confine(confinement_of(JOBS[job], folder, settings, "kar", temporary)):
        sys.exit("not confined")
    for path in asked["files"]:
        answers["files"][path] = [number_of(opened(path, os.O_RDONLY)), number_of(opened(path, os.O_WRONLY))]
    for path in asked["folders"]:
        new = path + "/made-by-a-job"
        made = number_of(opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        answers["folders"][path] = [number_of(lambda: os.listdir(path)), made]
        if made == 0:
            os.unlink(new)
    for port in asked["ports"]:
        answers["ports"][str(port)] = number_of(lambda: connected(port))
    (temporary / "spilled").write_text("something")
    answers["bound"] = number_of(lambda: socket.create_server(("127.0.0.1", 0)))
    answers["left"] = sorted(os.listdir(temporary))
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Server:
    """A working folder and two listening ports, of which the first is the airlock's."""

    folder: WorkingFolder
    settings: Settings
    airlock_port: int
    other_port: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A founded server whose airlock is a port that listens."""
    with ExitStack() as stack:
        ports = [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(2)]
        folder = founded(tmp_path_factory.mktemp("server") / "working", port=ports[0])
        yield Server(folder, read_settings(folder.settings), ports[0], ports[1])


def test_this_kernel_can_confine_files_and_ports() -> None:
    """Landlock is here, in a version that also judges TCP."""
    assert landlock_version() >= 4


@pytest.mark.parametrize("name", JOBS)
def test_a_confined_job_opens_its_row_and_nothing_else(server: Server, name: str) -> None:
    """Every key, database, folder, passphrase and port opens if the row names it, and else answers EACCES, to root."""
    assert os.geteuid() == 0
    job = JOBS[name]
    files, folders, ports = (
        files_by_row(job, server.folder),
        folders_by_row(job, server.folder),
        ports_by_row(job, server),
    )

    answers = run_confined(server, name, files=list(files), folders=list(folders), ports=list(ports))

    assert {path: outcome(*numbers) for path, numbers in answers["files"].items()} == files
    assert {path: outcome(*numbers) for path, numbers in answers["folders"].items()} == folders
    assert answers["ports"] == {str(port): 0 if granted else errno.EACCES for port, granted in ports.items()}
    assert answers["bound"] == errno.EACCES
    assert answers["left"] == ["spilled"]
    assert list(temporary_of(server.folder, server.settings, name, REGISTRY).iterdir()) == []


def outcome(reading: int, writing: int) -> str:
    """What two error numbers say; anything but success and EACCES is shown as it is."""
    known = {(0, 0): CHANGES, (0, errno.EACCES): SEES, (errno.EACCES, errno.EACCES): REFUSED}
    return known.get((reading, writing), f"{errno.errorcode.get(reading)}, {errno.errorcode.get(writing)}")


def files_by_row(job: Job, folder: WorkingFolder) -> dict[str, str]:
    """Every file that matters, and what the row says of it."""
    lies = folder.registry(REGISTRY)
    said: dict[Path, str] = {}
    for name in KEY_KINDS:
        keys = folder.keys if name == "audit-sign" else lies.keys
        said[keys / f"{name}.key"] = SEES if name in job.private_keys else REFUSED
        public = keys / f"{name}.pub"
        if public.exists():
            said[public] = SEES if name in {*job.private_keys, *job.public_keys} else REFUSED
    for which in Passphrases:
        said[lies.passphrases(which) / PLANTED] = SEES if which in job.passphrases else REFUSED
    for database, access in ((lies.database, job.registry), (lies.vault, job.vault)):
        said[database] = said[database.with_name(f"{database.name}-journal")] = REFUSED if access is None else CHANGES
    for which in Folder:
        said[lies.folder(which) / PLANTED] = by_access(job.folders.get(which))
    said[lies.known_hosts] = SEES if job.network is Network.AIRLOCK else REFUSED
    said[lies.definitions / PLANTED] = said[folder.settings] = SEES
    said[folder.control] = said[folder.audit / "log.jsonl"] = said[folder.locks / PLANTED] = CHANGES
    said[folder.outbox / PLANTED] = CHANGES if job.name == "checkpoint" else REFUSED
    said[folder.pages / PLANTED] = REFUSED
    # Root reads these always; a job's process never does: passwords, and the memory and secrets of other processes.
    for path in ("/etc/shadow", "/etc/ssh/sshd_config", "/proc/1/environ", f"/proc/{os.getpid()}/environ"):
        said[Path(path)] = REFUSED
    return {str(path): expected for path, expected in said.items()}


def folders_by_row(job: Job, folder: WorkingFolder) -> dict[str, str]:
    """Every folder that matters: whether a job may look into it, and make files in it."""
    lies = folder.registry(REGISTRY)
    said = {lies.folder(which): by_access(job.folders.get(which)) for which in Folder}
    said |= {lies.passphrases(which): SEES if which in job.passphrases else REFUSED for which in Passphrases}
    said |= {folder.audit: CHANGES, folder.locks: CHANGES, lies.definitions: SEES}
    said[folder.outbox] = CHANGES if job.name == "checkpoint" else REFUSED
    refused = (folder.root, folder.keys, lies.keys, lies.root, lies.keystore, folder.pages, Path("/etc"), Path("/tmp"))
    said |= dict.fromkeys((*refused, Path("/dev/shm"), Path("/root"), Path("/var/tmp")), REFUSED)
    return {str(path): expected for path, expected in said.items()}


def ports_by_row(job: Job, server: Server) -> dict[int, bool]:
    """Which TCP ports a job may connect to; the databases here are files."""
    return {server.airlock_port: job.network is Network.AIRLOCK, server.other_port: False}


def by_access(access: Access | None) -> str:
    """What an entry in a row lets a job do."""
    return {None: REFUSED, Access.READ: SEES, Access.WRITE: CHANGES}[access]


def run_confined(server: Server, job: str, **asked: list[str] | list[int]) -> dict[str, object]:
    """The error numbers that a confined child process met."""
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(server.folder.root), job],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, object] = json.loads(done.stdout)
    return answers


def test_a_job_cannot_leave_its_confinement(server: Server) -> None:
    """A new ruleset, a new program and a child of a confined job are bound as the job is."""
    key = server.folder.registry(REGISTRY).keys / "vault-data.key"
    escape = (
        CONFINED.split("keep_memory_private()", maxsplit=1)[0]
        + f"""
import subprocess
from jobs.confine import Confinement
with temporary_folder(folder, settings, job, "kar") as temporary:
    confine(confinement_of(JOBS[job], folder, settings, "kar", temporary))
    confine(Confinement((Path("/"),), (Path("/"),), (Path("/"),), (22,)))
    first = number_of(opened({str(key)!r}, os.O_RDONLY))
    second = subprocess.run(["/bin/cat", {str(key)!r}], capture_output=True).returncode
    print(first, second)
"""
    )

    done = subprocess.run(
        [sys.executable, "-c", escape, str(server.folder.root), "seal"],
        input="{}",
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )

    assert done.stdout == f"{errno.EACCES} 1\n", done.stderr


def test_a_filter_that_hides_landlock_halts() -> None:
    """A system-call filter that answers EPERM does not lead to a job that runs unconfined."""
    script = """
import ctypes, struct
from enclave.errors import Halt
from jobs.confine import landlock_version
libc = ctypes.CDLL(None)
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = struct.pack("@HP", len(steps), ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
try:
    print(landlock_version())
except Halt as halt:
    print(halt.code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY)

    assert done.stdout == "H_CONFINEMENT\n", done.stderr


def test_nobody_looks_into_a_jobs_memory() -> None:
    """After `keep_memory_private` a user's process is not dumpable, leaves no core, and is root's in /proc."""
    script = """
import ctypes, os, resource
from jobs.confine import keep_memory_private
libc = ctypes.CDLL(None)
os.setgid(65534)
os.setuid(65534)
libc.prctl(4, 1, 0, 0, 0)
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))
def facts():
    return [os.stat("/proc/self/maps").st_uid, libc.prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE)]
before = facts()
keep_memory_private()
print(before, facts())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY)

    assert done.stdout == "[65534, 1, 0, -1] [0, 0, 0, 0]\n", done.stderr


def test_a_folder_on_disk_is_no_place_for_temporary_files(server: Server) -> None:
    """A temporary folder that is not tmpfs halts, and nothing is made in it."""
    on_disk = server.settings.model_copy(update={"temporary_folder": "/usr"})

    with pytest.raises(Halt) as halted, temporary_folder(server.folder, on_disk, "admit", REGISTRY):
        pass

    assert halted.value.code == "H_NOT_TMPFS"
    assert not temporary_of(server.folder, on_disk, "admit", REGISTRY).exists()


def test_temporary_files_are_gone_before_and_after(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run left is gone when the next begins, and what a run made is gone when it ends."""
    keep_environment(monkeypatch)
    own = temporary_of(server.folder, server.settings, "admit", REGISTRY)
    (own / "inside").mkdir(parents=True)
    (own / "inside" / "left").write_text("something")

    with temporary_folder(server.folder, server.settings, "admit", REGISTRY) as temporary:
        at_start = list(temporary.iterdir())
        mode = temporary.stat().st_mode & 0o777
        (temporary / "made").write_text("something")

    assert (at_start, mode) == ([], 0o700)
    assert not own.exists()


def test_a_planted_link_is_no_temporary_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link under the name of a job's temporary folder halts it, and what it points to is not touched."""
    keep_environment(monkeypatch)
    own = temporary_of(server.folder, server.settings, "seal", "other")
    own.symlink_to(tmp_path)
    try:
        with pytest.raises(Halt) as halted, temporary_folder(server.folder, server.settings, "seal", "other"):
            pass
    finally:
        own.unlink()

    assert halted.value.code == "H_TEMPORARY_TAKEN"
    assert list(tmp_path.iterdir()) == []


def keep_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process its own temporary folder back after the test."""
    monkeypatch.setattr("tempfile.tempdir", None)
    for variable in ("TMPDIR", "POLARS_TEMP_DIR", "SQLITE_TMPDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
        if not os.environ[variable]:
            monkeypatch.delenv(variable)


@pytest.mark.parametrize(
    ("query", "ports", "certificate"),
    [
        ("@/kar?host=/run/postgresql", (), False),
        ("@db.example/kar?sslmode=verify-full&sslrootcert=/etc/enclave/ca.pem", (5432,), True),
        ("@db.example:6543/kar?sslmode=verify-full&sslrootcert=/etc/enclave/ca.pem", (6543,), True),
    ],
)
def test_a_database_server_is_reached_by_the_jobs_that_have_a_database(
    server: Server, query: str, ports: tuple[int, ...], certificate: bool
) -> None:
    """Over a Unix socket no TCP port is open; over TLS exactly the address's port, and no database file is opened."""
    ours = server.settings.registries[REGISTRY].model_copy(update={"database": f"postgresql+psycopg://kar{query}"})
    settings = server.settings.model_copy(update={"registries": {REGISTRY: ours}})
    for job in JOBS.values():
        granted = confinement_of(job, server.folder, settings, REGISTRY, Path("/dev/shm/x"))
        airlock = (server.airlock_port,) if job.network is Network.AIRLOCK else ()

        assert granted.connect_tcp == (ports if job.registry else airlock)
        assert (Path("/etc/enclave/ca.pem") in granted.read) == (certificate and job.registry is not None)
        assert server.folder.registry(REGISTRY).database not in granted.write


def test_credentials_stand_in_for_key_files(server: Server) -> None:
    """Under systemd the private halves are opened where the manager put them, and no key file is."""
    under = WorkingFolder(server.folder.root, Path("/run/credentials/enclave-job@admit.service"))
    granted = confinement_of(JOBS["admit"], under, server.settings, REGISTRY, Path("/dev/shm/x"))
    keys = {path for path in granted.read if path.suffix == ".key"}

    assert keys == {under.credentials / f"{name}.key" for name in JOBS["admit"].private_keys if under.credentials}
