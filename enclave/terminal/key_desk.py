"""Keys at the terminal: which there are and how old, and their rotation, the same two commands for each.

A rotation has three steps, each of which can be killed. `rotate` draws the next key: from then on everything new is
sealed to it, and whoever opens tries both. What is under the old one is moved by the job that opens it, or waited for.
`retire` puts the next key in the old one's place when nothing needs that any more. Both commands hold the locks of all
jobs, so that each job sees a key before the step or after it.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from enclave.audit.acts import Acts
from enclave.audit.chain import KEY, key_digest
from enclave.audit.record import Purpose
from enclave.audit.signed_note import public_keys_in
from enclave.control.requests import ROTATION, Request, requests_of
from enclave.crypto import keyring
from enclave.crypto.key_register import Registered, register, registered, take_over
from enclave.crypto.key_rotation import (
    clear_replaced,
    draw_next,
    is_replaced,
    publish_next,
    put_next_in_place,
    shred_unfinished,
)
from enclave.crypto.keyring import KEY_KINDS, NEXT
from enclave.errors import Refused, explain
from enclave.flow import Act, RequestState
from enclave.folders import WorkingFolder
from enclave.settings import Settings
from enclave.terminal.desk import Desk
from enclave.terminal.key_needs import MOVED_BY, require_told, require_unneeded
from enclave.terminal.standstill import at_a_standstill
from enclave.wiring import SERVER_KEYS, open_log, utc_now

explain("R_KEY_NAME", "There is no such key.", "See `enclave key list`.")
explain(
    "R_KEY_IN_ROTATION",
    "This key is being rotated already.",
    "See `enclave request list` for the job that moves what it protects; then `enclave key retire NAME`.",
)
explain(
    "R_KEY_NOT_ROTATING",
    "No next key was drawn for this one, so nothing can take its place.",
    "Draw it with `enclave key rotate NAME`.",
)
explain(
    "R_KEY_NOT_MOVED",
    "What the old key protects was not all moved to the new one, or has not all gone its way yet; the old one stays.",
    "Run the job that is named until `enclave request list` shows the rotation as done. `rights` moves databases and "
    "`link` loans; `seal` waits until drafts are decided and sealed, `rights` until requests are carried out, `admit` "
    "until the keys of earlier drops are destroyed, which is `retention_days` after their answer.",
)

LOG_KEY = "audit-sign"
NO_ROWS_OF_OURS = "R_KEY_OF_SERVER"
SOON = timedelta(days=30)
_SHARED = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class KeyState:
    """One key as the terminal sees it. `standing`: ok, soon, overdue, missing, readable, rotating."""

    registry: str
    key: str
    kind: str
    version: int
    drawn: date | None
    due: date | None
    standing: str

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be done about it."""
        return self.standing in ("ok", "soon")


def keys_of(folder: WorkingFolder, settings: Settings, today: date) -> tuple[KeyState, ...]:
    """Every key of the server and its registries."""
    return tuple(_keys_of(folder, settings, today))


def _keys_of(folder: WorkingFolder, settings: Settings, today: date) -> Iterator[KeyState]:
    for registry in ("", *sorted(settings.registries)):
        lies = folder.keys / registry
        known = registered(lies)
        for name in KEY_KINDS:
            if (name in SERVER_KEYS) == (registry == ""):
                entry = known.get(name, Registered(1, None))
                standing = _standing(lies, name, entry.due(name), today)
                yield KeyState(registry, name, KEY_KINDS[name], entry.version, entry.drawn, entry.due(name), standing)


def _standing(lies: Path, name: str, due: date | None, today: date) -> str:
    private, public_half = lies / f"{name}.key", lies / f"{name}.pub"
    if not private.is_file() or (KEY_KINDS[name] is not keyring.Kind.SYMMETRIC and not public_half.is_file()):
        return "missing"
    if private.stat().st_mode & _SHARED:
        return "readable"
    if any(os.path.lexists(lies / f"{name}{NEXT}.{half}") for half in ("key", "pub")):
        return "rotating"
    if due is None or due < today:
        return "overdue"
    return "soon" if due - today < SOON else "ok"


class KeyDesk(Desk):
    """The terminal's acts on keys."""

    def rotate(self, name: str, case_number: str = "") -> str:
        """Draw the next key; answers the id of the request to move what the old one protects, "" where none is needed.

        What a kill left is taken up.
        """
        keys = self._folder_of(name)
        with self._acts() as acts, self._nobody_at_work(name):
            shred_unfinished(keys)
            drawn = registered(keys).get(f"{name}{NEXT}")
            if drawn is not None and self._is_drawn(name, drawn.version):
                raise Refused("R_KEY_IN_ROTATION", place=name)
            with acts.act(Act.KEY_DRAW, "key", name) as act:
                if drawn is None or not os.path.lexists(keys / f"{name}{NEXT}.key"):
                    clear_replaced(keys, name)
                    drawn = Registered(self._next_version(name), utc_now().date())
                    register(keys, {f"{name}{NEXT}": drawn})
                # A crash here leaves a rotation that has no key yet; it is drawn when the command is typed again.
                draw_next(keys, name)
                with self.control.changing(act.position):
                    pass
                # A crash here leaves a next key that nobody knows of yet; typed again, the same one is published.
                publish_next(keys, name)
                if name == LOG_KEY:
                    self._name_in_the_log(acts)
        if name not in MOVED_BY:
            return ""
        parameters = {"key": name, "version": str(drawn.version)}
        return self.file(ROTATION, parameters, case_number=case_number, purpose=Purpose.OPERATION)

    def _next_version(self, name: str) -> int:
        """Above each that was asked for: where the register was lost, an earlier move would pass for this one."""
        known = registered(self._folder_of(name)).get(name, Registered(1, None)).version
        return 1 + max([known, *(int(one.parameters.get("version", 1)) for one in self._rotations(name))])

    def _is_drawn(self, name: str, version: int) -> bool:
        """Whether both halves of the next key, and the request that it needs, are there."""
        halves = ("key",) if KEY_KINDS[name] is keyring.Kind.SYMMETRIC else ("key", "pub")
        if not all(os.path.lexists(self._folder_of(name) / f"{name}{NEXT}.{half}") for half in halves):
            return False
        if name == LOG_KEY:
            return self._next_log_key() in public_keys_in(open_log(self._folder).vkey)
        return name not in MOVED_BY or bool(self._moves(name, version, RequestState.FILED, RequestState.DONE))

    def retire(self, name: str, *, told: bool = False) -> int:
        """Put the next key in the old one's place, which is overwritten; answers the new version.

        `told` says that everybody who holds the old public half of a key outside has been given the next.
        """
        keys = self._folder_of(name)
        with self._acts() as acts, self._nobody_at_work(name):
            shred_unfinished(keys)
            drawn = registered(keys).get(f"{name}{NEXT}")
            if drawn is not None:
                self._require_moved(name, drawn.version)
                require_unneeded(self._folder, self._registry, name)
                require_told(self._folder, self._registry, name, told=told)
            elif not is_replaced(keys, name):
                raise Refused("R_KEY_NOT_ROTATING", place=name)
            version = (drawn or registered(keys)[name]).version
            with acts.act(Act.KEY_RETIRE, "key", name, counts={"version": version}) as act:
                if drawn is not None:
                    put_next_in_place(keys, name)
                    # A crash here leaves the key under both names; the same is done once more.
                    take_over(keys, name)
                with self.control.changing(act.position):
                    pass
                # A crash here leaves the key under both names; the next command on it removes the second.
                clear_replaced(keys, name)
        return version

    def _require_moved(self, name: str, version: int) -> None:
        if not os.path.lexists(self._folder_of(name) / f"{name}{NEXT}.key"):
            raise Refused("R_KEY_NOT_ROTATING", place=name)
        is_moved = any(
            one.state is RequestState.DONE or one.reason == NO_ROWS_OF_OURS
            for one in self._moves(name, version, RequestState.DONE, RequestState.REFUSED)
        )
        if name in MOVED_BY and (not is_moved or self._rotations(name, RequestState.FILED)):
            raise Refused("R_KEY_NOT_MOVED", place=f"{name}: {MOVED_BY[name]}")

    def _moves(self, name: str, version: int, *states: RequestState) -> list[Request]:
        """The requests to move what a key protects to this version of it."""
        return [one for one in self._rotations(name, *states) if one.parameters.get("version") == str(version)]

    def _rotations(self, name: str, *states: RequestState) -> list[Request]:
        """The requests to move what a key protects, to whatever version."""
        asked = requests_of(self.control, self._registry, *states)
        return [one for one in asked if one.kind == ROTATION and one.parameters["key"] == name]

    def _folder_of(self, name: str) -> Path:
        """Where a key's files lie; Refused R_KEY_NAME for a name that is no key's."""
        if name not in KEY_KINDS:
            raise Refused("R_KEY_NAME")
        return self._folder.keys if name in SERVER_KEYS else self.lies.keys

    def _name_in_the_log(self, acts: Acts) -> None:
        """Let a line of the log name the key that will sign it; the old key's next checkpoint vouches for it."""
        public_key = self._next_log_key()
        acts.note(KEY, "key", LOG_KEY, digests={"vkey": key_digest(public_key)})
        # A crash here leaves a named key that no checkpoint verifies with yet; it is named once more.
        open_log(self._folder).add_key(public_key)

    def _next_log_key(self) -> bytes:
        return bytes.fromhex(keyring.recipient(self._folder.keys, LOG_KEY))

    def _nobody_at_work(self, name: str) -> AbstractContextManager[None]:
        """Hold the locks of every job that may have this key; Refused R_AT_WORK while one is held."""
        return at_a_standstill(self._folder, self._settings.registries if name in SERVER_KEYS else [self._registry])
