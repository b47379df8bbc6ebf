"""`enclave restore`: the databases go back to a backup; what left, was decided or was destroyed since stays so.

Two people: the project lead signs a statement that names the backup. Both sets are compared with their manifest before
anything is touched; then the server stands still until all is in its place, and killed anywhere, the same command ends
it. The audit log never goes back: the one that is there knows more; where it is lost, a new one begins and names it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from enclave import durable
from enclave.audit.acts import Acts
from enclave.audit.chain import HALT, RECOVER
from enclave.audit.log import FileLog
from enclave.audit.log import create as create_log
from enclave.audit.record import Purpose, StoredEntry
from enclave.control.database import Control, is_whole
from enclave.control.releases import Release, releases_of
from enclave.control.restored import SinceBackup, undo
from enclave.crypto import keyring
from enclave.crypto.key_rotation import state_halves
from enclave.crypto.keyring import NEXT
from enclave.crypto.keystore import Keystore
from enclave.errors import Refused, explain
from enclave.flow import COMMAND_LINE, Act
from enclave.folders import WorkingFolder
from enclave.founding import make_folders
from enclave.grants import Folder
from enclave.halted import PAUSED, UNFINISHED, halt_mark, lift_halt, stand_still
from enclave.release.gate import POLICIES
from enclave.second_person import verify_second_person
from enclave.settings import Settings
from enclave.terminal.after_backup import (
    Restored,
    forgotten,
    has_log_of,
    ids_of,
    is_done,
    lost_by_people,
    recorded_since,
)
from enclave.terminal.backup import OPEN_DROPS, OPEN_REQUESTS, acts_of_the_server, key_versions
from enclave.terminal.backup_set import CHUNK, JOURNAL, LOG, Manifest, Member, Which, examine, measure, unpack
from enclave.terminal.desk import resolve_left_open
from enclave.terminal.escrow import ESCROWED
from enclave.terminal.roles import require_data_processor
from enclave.terminal.standstill import at_a_standstill
from enclave.wiring import open_log, utc_now

explain(
    "R_NOT_STOPPED",
    "The server is neither paused nor halted.",
    "Pause it with `enclave pause`, stop the scheduler, and type the same again.",
)
SHOWN_TO_ALL = 0o644
FROM_ROWS = tuple(kind for kind, policy in POLICIES.items() if policy.from_rows)
STAGED = "restoring.db"
"""The backup's control database while it is compared with the one that is there."""


@dataclass(frozen=True)
class Sets:
    """Both sets of a backup, opened and compared with their manifest."""

    manifest: Manifest
    tars: dict[Which, Path]


def open_sets(registry_tar: Path, vault_tar: Path) -> Sets:
    """Both opened sets, compared byte by byte with the one manifest that stands in both; Refused otherwise."""
    tars: dict[Which, Path] = {"registry": registry_tar, "vault": vault_tar}
    manifest, other = (examine(tar, which) for which, tar in tars.items())
    if manifest != other:
        raise Refused("R_BACKUP_PAIR")
    return Sets(manifest, tars)


def statement(folder: WorkingFolder, settings: Settings, sets: Sets) -> bytes:
    """What the project lead signs: this backup, into this server, once."""
    facts = {
        "act": Act.BACKUP_RESTORE.value,
        "server": settings.server,
        "backup": sets.manifest.sha256,
        "made_at": sets.manifest.made_at,
        "log": sets.manifest.log_id,
        # A signature is good for one restore and for no later one; a restore that was killed is not counted yet.
        "restores": 0 if _is_new(folder) else _count_restores(folder),
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _is_new(folder: WorkingFolder) -> bool:
    """Whether there is neither log nor control database: a new machine, on which only enclave.toml was put."""
    return not folder.control.exists() and not (folder.root / LOG).exists()


def _count_restores(folder: WorkingFolder) -> int:
    return sum(is_done(entry) for entry in open_log(folder).entries(Act.BACKUP_RESTORE))


def restore(folder: WorkingFolder, settings: Settings, sets: Sets, signature: bytes) -> Restored:
    """Put a backup back, after the second person's signature is checked; it ends with the server paused."""
    signed = statement(folder, settings, sets)
    verify_second_person(settings, signed, signature, utc_now())
    if sets.manifest.server != settings.server:
        raise Refused("R_BACKUP_OF_OTHERS")
    if not (_is_new(folder) or (folder.locks / PAUSED).exists() or halt_mark(folder)):
        raise Refused("R_NOT_STOPPED")
    durable.make_folder(folder.locks)
    with (
        durable.lock(folder.locks / "server.lock"),
        at_a_standstill(folder, settings.registries, also=[COMMAND_LINE]),
    ):
        log = _open_log(folder, settings, sets)
        since = recorded_since(folder, log, sets.manifest)
        digests = {"manifest": sets.manifest.sha256, "statement": _sha256(signed), "signature": _sha256(signature)}
        return _put_back(folder, settings, sets, log, since, digests)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _open_log(folder: WorkingFolder, settings: Settings, sets: Sets) -> FileLog:
    """The log in use; on a new machine a new one. Where the backup's is lost, it is put beside it, whole."""
    manifest, is_new = sets.manifest, _is_new(folder)
    if is_new:
        durable.write(folder.locks / PAUSED, b"")  # from the first file on, so that nothing starts in half a server
        for registry in sorted(settings.registries):
            make_folders(folder, folder.registry(registry))
        for lies in (folder.keys, *(folder.registry(registry).keys for registry in settings.registries)):
            state_halves(lies)  # a key that was rotated since has another public half than the backup's
    elif not has_log_of(folder, manifest) and open_log(folder).began <= datetime.fromisoformat(manifest.made_at):
        # A log that was there already when the backup was made, and is not the backup's.
        raise Refused("R_BACKUP_OF_OTHERS")
    aside = f"audit-{manifest.log.sha256[:16]}"
    if (folder.root / aside).exists() or not has_log_of(folder, manifest):
        unpack(sets.tars["registry"], manifest, "registry", partial(_put_aside, folder.root, aside))
    if is_new:
        # A crash here leaves neither log nor control database, and the same again goes on from here.
        public_key = bytes.fromhex(keyring.public(folder.keys, "audit-sign"))
        return create_log(folder.audit, settings.server, public_key, utc_now)
    return open_log(folder)


def _put_aside(root: Path, aside: str, member: Member, pieces: Iterable[bytes]) -> None:
    """Put back what is missing of the log, beside the one in use, and of the public keys."""
    name = f"{aside}/{member.name.removeprefix('audit/')}" if member.name.startswith("audit/") else member.name
    if name.startswith((f"{aside}/", "keys/")) and _is_wanted(root / name):
        _write(root, name, pieces)


def _is_wanted(path: Path) -> bool:
    """Whether a file is missing, and is not what once was the next half of a key that is there.

    Everything would be sealed to that one, and its private half may be nowhere any more.
    """
    # Where neither is there both come back, in the order of their names: the next one before the key's own.
    own, following, _ = path.name.partition(f"{NEXT}.pub")
    return not path.exists() and not (following and path.with_name(f"{own}.pub").exists())


def _put_back(
    folder: WorkingFolder,
    settings: Settings,
    sets: Sets,
    log: FileLog,
    since: tuple[StoredEntry, ...],
    digests: dict[str, str],
) -> Restored:
    manifest, name = sets.manifest, sets.manifest.sha256
    acts = acts_of_the_server(log)
    require_data_processor(settings.roles, acts)
    # What a killed restore left beside the files that it was about to replace; every other writer's lock is held.
    for lies in {folder.locks, *((folder.root / member.name).parent for member in manifest.members)}:
        if lies.is_dir():
            durable.sweep(lies)
    backup = _stage_control(folder, sets)
    mark = halt_mark(folder) or {"code": "", "place": ""}
    # A halt that stood before stands again afterwards: two people look at it by itself (`recover`).
    halt = mark["place"] if mark["code"] == UNFINISHED else mark["code"]
    acts.note(HALT, "backup", name, reason=UNFINISHED)
    stand_still(folder, UNFINISHED, halt, utc_now())
    # A crash from here on leaves a server that stands still; the same command ends it.
    with acts.act(Act.BACKUP_RESTORE, "backup", name, purpose=Purpose.RECOVERY, digests=digests) as act:
        for which, tar in sets.tars.items():
            unpack(tar, manifest, which, partial(_put, folder))
        control = _control(folder)
        told = SinceBackup(ids_of(since, Act.RELEASE_SEAL), ids_of(since, Act.REQUEST_CLOSE))
        unknown_releases = len(told.sealed - {one.release_id for one in _releases(control, settings)})
        unknown_drops = sum(entry.act == Act.DROP_TAKE for entry in forgotten(since, control))
        with control.changing(act.position) as connection:
            undone = undo(connection, backup, told, tuple(settings.registries), FROM_ROWS, partial(_is_kept, folder))
        lost = lost_by_people(since, control, undone.requests_again)
        act.add(again=undone.drops_again, send_again=undone.drops_lost, to_do=len(lost))
        act.add(unknown_drops=unknown_drops, unknown_releases=unknown_releases)
        _remove_staged(folder)
        durable.write(folder.locks / PAUSED, b"")
        _stand_as_before(folder, acts, halt, name)
    # A crash before this leaves intents of earlier, killed restores open; the next command for the server closes them.
    resolve_left_open(acts, log, control, "")
    keys = key_versions(folder, settings)
    needed = {*ESCROWED, *(OPEN_DROPS if undone.drops_again else ()), *(OPEN_REQUESTS if undone.requests_again else ())}
    other_keys = [key for key, version in manifest.keys.items() if keys.get(key) != version]
    return Restored(
        made_at=manifest.made_at,
        undone=undone,
        lost=lost,
        unknown_drops=unknown_drops,
        unknown_releases=unknown_releases,
        log_began_anew=not any(entry.act == Act.BACKUP_MAKE for entry in since),
        other_keys=tuple(key for key in other_keys if key.partition("/")[2] in needed),
        elsewhere=manifest.elsewhere,
    )


def _stage_control(folder: WorkingFolder, sets: Sets) -> Control:
    """The backup's control database beside ours; one of another version of the program is refused here."""
    _remove_staged(folder)

    def put(member: Member, pieces: Iterable[bytes]) -> None:
        if member.name == folder.control.name:
            _write(folder.root, STAGED, pieces)

    unpack(sets.tars["registry"], sets.manifest, "registry", put)
    if is_whole(folder.control):
        Control(folder.control)
    return Control(folder.root / STAGED)


def _remove_staged(folder: WorkingFolder) -> None:
    for name in (STAGED, f"{STAGED}{JOURNAL}"):
        durable.remove(folder.root / name)


def _put(folder: WorkingFolder, member: Member, pieces: Iterable[bytes]) -> None:
    """Databases are replaced; everything else is put back where it is missing or, by its own name, altered."""
    path = folder.root / member.name
    if path.name in ("registry.db", "vault.db"):
        _write(folder.root, member.name, pieces)
        # What a killed writer left in the journal belongs to the file that is gone.
        durable.write(path.with_name(f"{path.name}{JOURNAL}"), b"")
    elif path == folder.control or member.name.startswith("audit/"):
        return  # the log that is there is never replaced, and the control database only where it is not whole
    elif path.name.endswith(JOURNAL) or _is_wanted(path) or ("/drafts/" in member.name and not _is_same(path, member)):
        _write(folder.root, member.name, pieces)


def _is_same(path: Path, member: Member) -> bool:
    return path.exists() and measure(path) == (member.size, member.sha256)


def _write(root: Path, name: str, pieces: Iterable[bytes]) -> None:
    durable.make_folder((root / name).parent)
    is_shown = name.startswith("site/") or name.endswith((".pub", "/register.json"))
    with durable.writing(root / name, mode=SHOWN_TO_ALL if is_shown else 0o600) as file:
        for piece in pieces:
            file.write(piece)


def _control(folder: WorkingFolder) -> Control:
    """The control database that is there, if it is whole; else the backup's."""
    if not is_whole(folder.control):
        with durable.opened(folder.root / STAGED) as staged:
            _write(folder.root, folder.control.name, iter(partial(staged.read, CHUNK), b""))
        durable.write(folder.control.with_name(f"{folder.control.name}{JOURNAL}"), b"")
    return Control(folder.control)


def _releases(control: Control, settings: Settings) -> list[Release]:
    return [one for registry in settings.registries for one in releases_of(control, registry)]


def _is_kept(folder: WorkingFolder, registry: str, drop_uuid: str) -> bool:
    lies = folder.registry(registry)
    try:
        Keystore(lies.folder(Folder.DROP_KEYS)).get(drop_uuid)
    except Refused:
        return False
    return (lies.folder(Folder.QUARANTINE) / f"{drop_uuid}.age").is_file()


def _stand_as_before(folder: WorkingFolder, acts: Acts, halt: str, name: str) -> None:
    acts.note(RECOVER, "backup", name, purpose=Purpose.RECOVERY, reason=UNFINISHED)
    if not halt:
        lift_halt(folder)
        return
    acts.note(HALT, "backup", name, reason=halt)
    stand_still(folder, halt, "", utc_now())
