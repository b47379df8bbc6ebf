"""What the kernel lets a job's process open, computed from its row of `schedule.py` and nothing else."""

import sys
from pathlib import Path

from sqlalchemy import make_url

import enclave
import jobs
from enclave import durable
from enclave.crypto.key_rotation import EARLIER, KEPT_FOR_THE_OLD
from enclave.crypto.keyring import KEY_KINDS, NEXT, Kind
from enclave.folders import WorkingFolder
from enclave.grants import Access, Job, Network
from enclave.settings import Registry, Settings
from enclave.wiring import SERVER_KEYS
from jobs.confine import Confinement

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/proc", "/sys/devices/system", "/sys/fs/cgroup", "/etc/ld.so.cache")
NETWORK_FILES = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
)
SYSTEM_FILES = (
    "/etc/localtime",
    "/etc/fonts",
    "/etc/ssl/openssl.cnf",
    "/etc/mime.types",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
)
CERTIFICATES = "/etc/ssl/certs"
POSTGRESQL_PORT = 5432


def confinement_of(job: Job, folder: WorkingFolder, settings: Settings, registry: str, temporary: Path) -> Confinement:
    """The files and ports of a job's row: its keys one by one, its databases, its folders, the log and control.db."""
    lies = folder.registry(registry)
    code = (sys.prefix, sys.base_prefix, *enclave.__path__, *jobs.__path__)
    run = [Path(path) for path in (*SYSTEM, *code)]
    read = [Path(path) for path in SYSTEM_FILES] + [folder.settings, lies.definitions]
    write = [temporary, Path("/dev/null"), folder.audit, folder.locks, *_with_journal(folder.control)]
    if job.private_keys and SERVER_KEYS.issuperset(job.private_keys):
        # Only the job that signs for the server as a whole lays something out for the auditor.
        write.append(folder.outbox)

    private = [
        (folder.server_private_keys if name in SERVER_KEYS else folder.private_keys(registry)) / f"{name}.key"
        for name in job.private_keys
    ]
    following = [path.with_name(f"{path.stem}{NEXT}.key") for path in private]
    read += [*private, *(path for path in following if path.exists())]
    read += [
        (folder.keys if name in SERVER_KEYS else lies.keys) / f"{name}{which}.pub"
        for name in {*job.public_keys, *job.private_keys}
        if KEY_KINDS[name] is not Kind.SYMMETRIC
        for which in ("", NEXT, *((EARLIER,) if name in KEPT_FOR_THE_OLD & SERVER_KEYS else ()))
    ]
    read += [lies.passphrases(which) for which in job.passphrases]

    for which, access in job.folders.items():
        (write if access is Access.WRITE else read).append(lies.folder(which))

    ours = settings.registries[registry]
    connect: list[int] = []
    if job.network is Network.AIRLOCK:
        read += [lies.known_hosts, *(Path(path) for path in NETWORK_FILES)]
        if ours.airlock.kind == "sftp":
            connect.append(ours.airlock.port)
        else:
            write.append(Path(ours.airlock.folder))
    if job.submissions and ours.nettskjema is not None:
        read.append(Path(ours.nettskjema.submissions))
    for url, path in _databases(job, ours, lies.database, lies.vault):
        if url:
            certificates, port = _postgresql(url)
            read += [*certificates, *(Path(path) for path in NETWORK_FILES)]
            connect += port
        else:
            write += _with_journal(path)
    return Confinement(tuple(run), tuple(read), tuple(write), tuple(connect))


def _databases(job: Job, ours: Registry, registry: Path, vault: Path) -> list[tuple[str, Path]]:
    asked = ((job.registry, ours.database, registry), (job.vault, ours.vault_database, vault))
    return [(url, path) for access, url, path in asked if access is not None]


def _postgresql(url: str) -> tuple[list[Path], list[int]]:
    """Certificates to read and the port to connect to; a Unix socket needs neither, for Landlock does not judge it."""
    address = make_url(url)
    host = address.query.get("host", address.host) or ""
    if str(host).startswith("/"):
        return [], []
    named = [address.query.get(name) for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl")]
    files = [Path(name) for name in named if isinstance(name, str) and name.startswith("/")]
    return [Path(CERTIFICATES), *files], [int(str(address.query.get("port", address.port or POSTGRESQL_PORT)))]


def make_missing_journals(job: Job, folder: WorkingFolder, registry: str) -> None:
    """Make anew the empty journals that a backup or a foreign tool left out: a confined job could not."""
    lies = folder.registry(registry)
    used = [folder.control]
    used += [path for path, access in ((lies.database, job.registry), (lies.vault, job.vault)) if access is not None]
    for database in used:
        journal = database.with_name(f"{database.name}-journal")
        if database.exists() and not journal.exists():
            durable.write_new(journal, b"")


def _with_journal(database: Path) -> list[Path]:
    # A read-only database still takes locks and may find the journal of a killed writer, so both are opened writable;
    # who may change rows is decided by the engine's authorizer (store/engines.py), not by the file's mode.
    # The journal is a file that stays (journal_mode=TRUNCATE): nothing is ever made beside a database.
    return [database, database.with_name(f"{database.name}-journal")]
