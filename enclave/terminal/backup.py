"""`enclave backup`: everything that a lost disk takes along and may come back, sealed to two offline keys.

The registry's set and the vault's are sealed to different people. Private keys and the keystore are in neither: keys
have copies of their own (keys/README), and a copy of the keystore would undo destruction. No database is opened.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from enclave import durable
from enclave.audit.acts import Acts
from enclave.audit.log import FileLog
from enclave.control.database import Control
from enclave.crypto import age
from enclave.crypto.key_register import registered
from enclave.errors import Halt, Refused, explain
from enclave.flow import COMMAND_LINE, Act
from enclave.folders import WorkingFolder
from enclave.halted import require_not_halted
from enclave.settings import Settings
from enclave.terminal.backup_set import LOG, WHICH, Manifest, Which, find_members, measure, pack
from enclave.terminal.desk import acting_person, resolve_left_open
from enclave.terminal.escrow import ESCROWED
from enclave.terminal.roles import require_data_processor
from enclave.terminal.standstill import at_a_standstill
from enclave.wiring import open_log, utc_now

explain(
    "R_NO_BACKUP_KEYS",
    "There is nobody to seal a backup to.",
    "Two people each run `age-keygen` on a machine of their own and keep the file; put both public halves (age1…) "
    "under [backup] in enclave.toml.",
)
explain(
    "R_BACKUP_KEY",
    "A key that backups are sealed to is no age key, or is one of this server's own.",
    "Have it made elsewhere: a thief of this machine must not open its backups.",
)
explain(
    "R_BACKUP_FOLDER",
    "The folder for the backup is not new.",
    "Name a folder that does not exist yet: a backup is two files, and both are made at once.",
)

explain(
    "R_BACKUP_INCOMPLETE",
    "A database, or the log, is not where the working folder has it; a backup would be one without it.",
    "Put it back; where its folder was moved to another disk, mount that disk there: symbolic links are not followed.",
)

PATIENCE = timedelta(minutes=10)
OPEN_DROPS = ("intake", "nettskjema")
OPEN_REQUESTS = ("rights",)
NEEDED = (*ESCROWED, *OPEN_DROPS, *OPEN_REQUESTS)
"""What opens the databases, the drops that are admitted again, and the requests that are carried out again."""


@dataclass(frozen=True)
class Made:
    """A backup: its name in the log, what it was sealed into, and the databases that are not in it."""

    manifest: str
    files: tuple[Path, ...]
    elsewhere: tuple[str, ...]


def back_up(folder: WorkingFolder, settings: Settings, out: Path) -> Made:
    """Seal both sets into a new folder, while no job or command is at work."""
    require_not_halted(folder)
    recipients = _recipients(folder, settings)
    if out.exists():
        raise Refused("R_BACKUP_FOLDER")
    with at_a_standstill(folder, settings.registries, also=[COMMAND_LINE], patience=PATIENCE):
        control, log = Control(folder.control), open_log(folder)
        acts = acts_of_the_server(log)
        resolve_left_open(acts, log, control, "")
        require_data_processor(settings.roles, acts)
        manifest = _manifest(folder, settings, log)
        digests = {"manifest": manifest.sha256}
        with acts.act(Act.BACKUP_MAKE, "backup", manifest.sha256, digests=digests) as act:
            # Kept, so that who destroys a loan can see that no backup holds it.
            durable.make_folder(folder.backup_manifests)
            durable.sweep(folder.backup_manifests)
            durable.write(folder.backup_manifests / f"{manifest.sha256}.json", manifest.text())
            durable.make_folder(out)
            # A crash here leaves a folder with one of the two files, or none: whole ones, and no backup.
            for which in WHICH:
                path = out / f"{which}.tar.age"
                act.digests[which] = _seal(folder.root, manifest, which, path, recipients[which])
            act.add(files=len(manifest.members), mib=sum(one.size for one in manifest.members) >> 20)
            with control.changing(act.position):
                pass
    return Made(manifest.sha256, tuple(out / f"{which}.tar.age" for which in WHICH), manifest.elsewhere)


def acts_of_the_server(log: FileLog) -> Acts:
    """Acts of this person for the server as a whole."""
    return Acts(log, job=COMMAND_LINE, registry="", run=str(uuid4()), actor=f"person:{acting_person()}")


def _recipients(folder: WorkingFolder, settings: Settings) -> dict[Which, str]:
    if settings.backup is None:
        raise Refused("R_NO_BACKUP_KEYS")
    ours = {path.read_bytes().strip() for path in folder.keys.rglob("*.pub")}
    recipients: dict[Which, str] = {"registry": settings.backup.registry, "vault": settings.backup.vault}
    if not all(age.is_recipient(one) and one.encode() not in ours for one in recipients.values()):
        raise Refused("R_BACKUP_KEY")
    return recipients


def _manifest(folder: WorkingFolder, settings: Settings, log: FileLog) -> Manifest:
    members = find_members(folder.root)
    missing = set(_needed(folder, settings)) - {one.name for one in members}
    if missing:
        raise Refused("R_BACKUP_INCOMPLETE", place=min(missing))
    return Manifest(
        v=1,
        server=settings.server,
        made_at=utc_now().isoformat(timespec="seconds"),
        log_id=log.log_id,
        log_lines=log.head()[0],
        keys=key_versions(folder, settings),
        elsewhere=tuple(_elsewhere(settings)),
        members=members,
    )


def _needed(folder: WorkingFolder, settings: Settings) -> Iterator[str]:
    """The files without which nothing can be put back, by their path in the working folder."""
    yield from (folder.settings.name, folder.control.name, LOG)
    for registry, asked in sorted(settings.registries.items()):
        lies = folder.registry(registry)
        paths = {"registry": lies.database, "vault": lies.vault}
        urls = _urls(asked.database, asked.vault_database)
        yield from (paths[which].relative_to(folder.root).as_posix() for which, url in urls if not url)


def key_versions(folder: WorkingFolder, settings: Settings) -> dict[str, int]:
    """The version of each key that a backup cannot be used without; one from before there was a register is of 1."""
    found: dict[str, int] = {}
    for registry in sorted(settings.registries):
        kept = registered(folder.registry(registry).keys)
        found |= {f"{registry}/{name}": kept[name].version if name in kept else 1 for name in NEEDED}
    return found


def _elsewhere(settings: Settings) -> Iterator[str]:
    for registry, asked in sorted(settings.registries.items()):
        yield from (f"{registry}/{what}" for what, url in _urls(asked.database, asked.vault_database) if url)


def _urls(database: str, vault_database: str) -> tuple[tuple[Which, str], ...]:
    return (("registry", database), ("vault", vault_database))


def _seal(root: Path, manifest: Manifest, which: Which, path: Path, recipient: str) -> str:
    """Write one sealed set, read it back, and answer its SHA-256 (hex)."""
    digest = hashlib.sha256()
    with durable.writing(path, new=True) as file:

        def write(piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        age.seal_stream(pack(root, manifest, which), write, [recipient])
    if measure(path)[1] != digest.hexdigest():
        raise Halt("H_BACKUP_CHANGED", place=path.name)
    return digest.hexdigest()
