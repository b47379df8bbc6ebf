"""`enclave recover`: the one way out of a Halt. Two people: the data processor runs it, the project lead signs it.

What stands is written down in a statement; the project lead signs exactly that statement. A damaged log is never
repaired: it is set aside whole, and a new log begins whose first records name the old one's digest and the statement.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select

from enclave import durable
from enclave.audit.acts import Acts
from enclave.audit.chain import RECOVER
from enclave.audit.log import CLOCK_ACCEPTED, LOG, FileLog
from enclave.audit.log import create as create_log
from enclave.audit.record import Purpose
from enclave.control.database import Control
from enclave.control.tables import act
from enclave.crypto import keyring
from enclave.errors import Halt, Refused, explain
from enclave.flow import COMMAND_LINE
from enclave.folders import WorkingFolder
from enclave.halted import UNFINISHED, halt_mark, lift_halt
from enclave.second_person import verify_second_person
from enclave.settings import Settings
from enclave.terminal.desk import acting_person
from enclave.wiring import open_log, utc_now

explain("R_NOT_HALTED", "The server is not halted; there is nothing to recover from.", "See `enclave status`.")

explain(
    "R_RESTORE_UNFINISHED",
    "A backup is half put back; nothing but the same restore leads out of it.",
    "Type the same `enclave restore` again, with the same signature.",
)

CLOCK = "H_CLOCK"
FOREIGN_KEY = "H_LOG_KEY"


@dataclass(frozen=True)
class Statement:
    """Why the server stands still, in the words that the second person signs."""

    server: str
    code: str
    place: str
    log_sha256: str
    log_is_sound: bool
    acts: int
    """how many acts the control database holds, so that a signature is good for one halt and not for a later one"""

    def text(self) -> bytes:
        """The canonical statement."""
        return json.dumps(vars(self), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def state_why(folder: WorkingFolder, settings: Settings) -> Statement:
    """What is to be signed; Refused where nothing is wrong."""
    mark = halt_mark(folder)
    if mark is not None and mark["code"] == UNFINISHED:
        raise Refused("R_RESTORE_UNFINISHED")
    try:
        log = open_log(folder)
        newest = Control(folder.control).newest_act(log.log_id)
        if newest is not None:
            log.require(newest)
        # What names a foreign key is never signed over again: it is set aside like a damaged one.
        sound, code, place = mark is None or mark["code"] != FOREIGN_KEY, "", ""
    except Halt as halt:
        sound, code, place = False, halt.code, halt.place
    if mark is None and not code:
        raise Refused("R_NOT_HALTED")
    facts = {"code": code, "place": place} if code else {"code": mark["code"], "place": mark["place"]} if mark else {}
    return Statement(
        server=settings.server,
        log_sha256=_digest(folder.audit / LOG),
        log_is_sound=sound,
        acts=_count_acts(folder),
        **facts,
    )


def _count_acts(folder: WorkingFolder) -> int:
    try:
        with Control(folder.control).reading() as connection:
            return connection.scalar(select(func.count()).select_from(act)) or 0
    except Halt:
        return 0  # the control database is what the server stands still for


def _digest(path: Path) -> str:
    return hashlib.sha256(durable.read(path)).hexdigest() if path.exists() else hashlib.sha256(b"").hexdigest()


def recover(folder: WorkingFolder, settings: Settings, signature: bytes, now: datetime) -> Statement:
    """Let the server run again, after the second person's signature over the statement is checked.

    Killed anywhere, it is run again with the same signature: the log that was set aside lies under its own digest.
    """
    statement = state_why(folder, settings)
    verify_second_person(settings, statement.text(), signature, now)
    log = open_log(folder) if statement.log_is_sound else _begin_anew(folder, settings, statement)
    acts = Acts(log, job=COMMAND_LINE, registry="", run=str(uuid4()), actor=f"person:{acting_person()}")
    if statement.code == CLOCK:
        acts.note(CLOCK_ACCEPTED, purpose=Purpose.RECOVERY, reason=CLOCK)
    acts.note(
        RECOVER,
        "halt",
        statement.code,
        purpose=Purpose.RECOVERY,
        reason=statement.code,
        digests={
            "statement": hashlib.sha256(statement.text()).hexdigest(),
            "signature": hashlib.sha256(signature).hexdigest(),
            "log": statement.log_sha256,
        },
    )
    lift_halt(folder)
    return statement


def _begin_anew(folder: WorkingFolder, settings: Settings, statement: Statement) -> FileLog:
    aside = folder.audit.with_name(f"audit-{statement.log_sha256[:16]}")
    if folder.audit.exists() and not aside.exists():
        os.rename(folder.audit, aside)
        durable.fsync_folder(folder.root)
    # A crash here leaves no log: the next start halts with H_LOG_MISSING, and recovery begins the log then.
    public_key = bytes.fromhex(keyring.public(folder.keys, "audit-sign"))
    return create_log(folder.audit, settings.server, public_key, utc_now)
