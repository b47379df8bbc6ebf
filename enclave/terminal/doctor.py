"""Preflight: everything that a run needs, looked at before it runs. Opens no database and no private key's content."""

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from enclave.audit.record import Phase
from enclave.control.database import Control
from enclave.control.institutions import institutions_of
from enclave.control.loans import loans_of
from enclave.control.runs import current_definition
from enclave.crypto import openpgp
from enclave.crypto.keyring import KEY_KINDS, NEXT, public
from enclave.errors import EnclaveError, Refused, explain
from enclave.flow import Act, LoanState
from enclave.folders import WorkingFolder
from enclave.grants import Passphrases
from enclave.halted import require_not_halted
from enclave.settings import Settings
from enclave.terminal.alarms import endings, facts_of
from enclave.terminal.status import REMIND_DAYS
from enclave.wiring import SERVER_KEYS, open_log, utc_now

LEAST_FREE_BYTES = 64 * 1024 * 1024
KEY_LASTS_AT_LEAST = timedelta(days=60)
BACKUP_EVERY = timedelta(days=8)

explain(
    "R_NO_BACKUP",
    "No backup was made in the last eight days.",
    "Run `enclave backup FOLDER` now, and each night by itself.",
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is well, and if not, what to do."""

    what: str
    well: bool
    remedy: str = ""


def examine(folder: WorkingFolder, settings: Settings) -> tuple[Finding, ...]:
    """Every finding, in the order in which things are needed."""
    return tuple(_findings(folder, settings))


def _findings(folder: WorkingFolder, settings: Settings) -> Iterator[Finding]:
    yield _tried("not halted", lambda: require_not_halted(folder))
    yield _tried("audit log verifies", lambda: open_log(folder))
    yield _tried("control database opens", lambda: Control(folder.control))
    yield Finding("project lead's key is set", bool(settings.project_lead), "Set project_lead in enclave.toml.")
    free = shutil.disk_usage(folder.root).free
    yield Finding("64 MiB of disk are free", free >= LEAST_FREE_BYTES, "Free space, so that the log can be written.")
    yield _private(folder.keys, "audit-sign")
    if settings.backup is not None:
        yield _tried("a backup was made within eight days", lambda: _require_backup(folder))
    for registry in sorted(settings.registries):
        yield from _registry_findings(folder, settings, registry)


def _registry_findings(folder: WorkingFolder, settings: Settings, registry: str) -> Iterator[Finding]:
    lies = folder.registry(registry)
    control = Control(folder.control)
    yield from (_private(lies.keys, name) for name in sorted(KEY_KINDS) if name not in SERVER_KEYS)
    sha256 = current_definition(control, registry)
    kept = sha256 is not None and (lies.definitions / f"{sha256}.json").exists()
    yield Finding(f"{registry}: a definition is in force", kept, "Run `enclave registry apply FOLDER`.")
    if settings.registries[registry].airlock.kind == "sftp":
        pinned = lies.known_hosts.exists()
        yield Finding(
            f"{registry}: the airlock's host key is pinned", pinned, f"Put it in keys/{registry}/known_hosts."
        )
    today = utc_now().date()
    for loan in loans_of(control, registry, LoanState.OPEN, LoanState.LINKED):
        left = (loan.due - today).days
        due_soon = left < 0 or (loan.state is LoanState.OPEN and left <= REMIND_DAYS)
        yield Finding(
            f"{registry}: loan {loan.loan_id} is due {loan.due}",
            not due_soon,
            "Run the job `destroy`." if left < 0 else "Link it before that day, or it is destroyed unused.",
        )
    if settings.registries[registry].nettskjema is not None:
        yield from _nettskjema_findings(folder, settings, registry)
    for one in institutions_of(control, registry):
        for which in Passphrases:
            path = lies.passphrases(which) / f"{one.institution_id}.passphrase"
            yield Finding(f"{registry}: {which} passphrase of {one.institution_id}", path.exists(), "Restore it.")
    for alarm in endings(facts_of(control, registry), utc_now(), ZoneInfo(settings.time_zone)):
        # What ends soon is told in time; only what is over makes a run incomplete.
        yield Finding(f"{registry}: {alarm.what} of {alarm.institution}", not alarm.stops, alarm.why)


def _nettskjema_findings(folder: WorkingFolder, settings: Settings, registry: str) -> Iterator[Finding]:
    """The tree is there, every form is one of the registry's, and the key lasts long enough to be replaced in time."""
    asked = settings.registries[registry].nettskjema
    if asked is None:
        return
    there = Path(asked.submissions).is_dir()
    yield Finding(f"{registry}: the folder of Nettskjema submissions", there, "Mount it, or mend `submissions`.")
    end = openpgp.expires(public(folder.registry(registry).keys, "nettskjema"))
    lasts = end is None or end - utc_now() > KEY_LASTS_AT_LEAST
    yield Finding(f"{registry}: the Nettskjema key lasts another 60 days", lasts, "Replace it; see keys/README.")
    known = {one.institution_id for one in institutions_of(Control(folder.control), registry, "sender")}
    for number, form in sorted(asked.forms.items()):
        added = set(form.institutions.values()) <= known
        what = f"{registry}: the institutions of Nettskjema form {number}"
        yield Finding(what, added, "Add them with `enclave institution add`, or mend `institutions`.")


def _require_backup(folder: WorkingFolder) -> None:
    made = (entry for entry in open_log(folder).entries(Act.BACKUP_MAKE) if entry.phase is Phase.DONE)
    newest = max((datetime.fromisoformat(entry.ts) for entry in made), default=None)
    if newest is None or utc_now() - newest > BACKUP_EVERY:
        raise Refused("R_NO_BACKUP")


def _private(folder: Path, name: str) -> Finding:
    needed = [folder / f"{name}.key"]
    if (folder / f"{name}{NEXT}.pub").exists():
        needed.append(folder / f"{name}{NEXT}.key")  # something may be sealed to its public half
    well = all(path.is_file() and not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) for path in needed)
    return Finding(f"key {folder.name}/{name}", well, "Restore it, with mode 0600; see keys/README.")


def _tried(what: str, attempt: Callable[[], object]) -> Finding:
    try:
        attempt()
    except EnclaveError as error:
        return Finding(what, False, str(error))
    return Finding(what, True)
