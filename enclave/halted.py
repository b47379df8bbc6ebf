"""The server's stop mark: after some Halts nothing runs until two people have looked (`enclave recover`)."""

import json
from contextlib import suppress
from datetime import datetime

from enclave import durable
from enclave.errors import Halt, explain
from enclave.folders import WorkingFolder

explain(
    "H_STOPPED",
    "The server was halted and waits for two people.",
    "See `enclave status` for why; then `enclave recover` with the second person's signature.",
)

UNFINISHED = "H_RESTORE_UNFINISHED"
explain(
    UNFINISHED,
    "A backup is being put back, or that was begun and not ended.",
    "Type the same `enclave restore` again, with the same signature.",
)

ONLY_THIS_RUN = frozenset(
    {
        "H_LOCKED",
        "H_DISK_FULL",
        "H_NOT_TMPFS",
        "H_CONFINEMENT",
        "H_SETTINGS",
        "H_SETTINGS_FILE",
        "H_AIRLOCK_UNREACHABLE",
        "H_DB_BUSY",
        "H_NEXT_KEY_MISSING",
        "H_UNEXPECTED",
        "H_STOPPED",
    }
)
"""Halts whose cause a person mends outside the server, or that pass by themselves: the next run simply tries again."""

MARK = "halted.json"
PAUSED = "paused"
"""The name, beside the mark, of the file that keeps new jobs from starting until a person removes it."""


def require_not_halted(folder: WorkingFolder) -> None:
    """Halt while the mark is there."""
    mark = halt_mark(folder)
    if mark is not None:
        raise Halt("H_STOPPED", place=mark["code"])


def halt_mark(folder: WorkingFolder) -> dict[str, str] | None:
    """Code, place and time of the halt that stands, or None."""
    try:
        content = durable.read(folder.locks / MARK)
    except FileNotFoundError:
        return None
    try:
        facts: dict[str, str] = json.loads(content)
    except ValueError:
        # A mark that cannot be read still stands.
        return {"code": "H_STOPPED", "place": MARK, "at": ""}
    return facts


def halt_until_recovered(folder: WorkingFolder, halt: Halt, now: datetime) -> None:
    """Leave the mark, unless this kind of halt passes by itself."""
    if halt.code not in ONLY_THIS_RUN:
        stand_still(folder, halt.code, halt.place, now)


def stand_still(folder: WorkingFolder, code: str, place: str, now: datetime) -> None:
    """Leave the mark."""
    facts = {"code": code, "place": place, "at": now.isoformat()}
    # Where no mark can be left, the halt is told all the same, and the next run comes upon its cause again.
    with suppress(OSError):
        durable.write(folder.locks / MARK, json.dumps(facts, sort_keys=True).encode())


def lift_halt(folder: WorkingFolder) -> None:
    """Remove the mark; only `enclave recover` does this."""
    durable.remove(folder.locks / MARK)
