"""Keys at the terminal: which there are and how old, and their rotation. No private key's content is read here.

A rotation has three steps, each of which can be killed: `rotate` draws the next key and files a request; the job
`rights` moves to it what the old one protects; `retire` puts it in the old one's place.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from enclave.audit.record import Purpose
from enclave.control.database import Control
from enclave.control.requests import requests_of
from enclave.crypto import keyring
from enclave.crypto.key_register import Registered, register, registered
from enclave.crypto.keyring import KEY_KINDS, NEXT
from enclave.errors import Refused, explain
from enclave.flow import Act, RequestState
from enclave.folders import WorkingFolder
from enclave.settings import Settings
from enclave.terminal.desk import Desk
from enclave.wiring import SERVER_KEYS, utc_now

explain(
    "R_KEY_NAME",
    "This key is not one that is rotated by command.",
    "By command: registry-db, vault-db, vault-index, vault-data. For all others see keys/README.",
)
explain(
    "R_KEY_IN_ROTATION",
    "This key is being rotated already.",
    "Run `enclave job run rights`, then `enclave key retire NAME`.",
)
explain(
    "R_KEY_NOT_MOVED",
    "What the old key protects was not moved to the new one yet, so the old one cannot go.",
    "Run `enclave job run rights` until `enclave request list` shows the rotation as done.",
)

ROTATED = ("registry-db", "vault-db", "vault-index", "vault-data")
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
    if os.path.lexists(lies / f"{name}{NEXT}.key"):
        return "rotating"
    if due is None or due < today:
        return "overdue"
    return "soon" if due - today < SOON else "ok"


class KeyDesk(Desk):
    """The terminal's acts on keys."""

    def rotate(self, name: str, case_number: str = "") -> str:
        """Draw the next key and file its rotation; answers the request's id. What a kill left is taken up."""
        if name not in ROTATED:
            raise Refused("R_KEY_NAME")
        if self._rotations(name, RequestState.FILED):
            raise Refused("R_KEY_IN_ROTATION", place=name)
        with self._acts() as acts, acts.act(Act.KEY_DRAW, "key", name) as act:
            if not os.path.lexists(self.lies.keys / f"{name}{NEXT}.key"):
                keyring.create(self.lies.keys, name, following=True)
            with self.control.changing(act.position):
                pass
        return self.file("rotate_key", {"key": name}, case_number=case_number, purpose=Purpose.OPERATION)

    def retire(self, name: str) -> int:
        """Put the next key in the old one's place, which is overwritten; answers the new version."""
        if name not in ROTATED or not os.path.lexists(self.lies.keys / f"{name}{NEXT}.key"):
            raise Refused("R_KEY_NAME", place=name)
        if self._rotations(name, RequestState.FILED) or not self._rotations(name, RequestState.DONE):
            raise Refused("R_KEY_NOT_MOVED", place=name)
        version = len(self._rotations(name, RequestState.DONE)) + 1
        with self._acts() as acts, acts.act(Act.KEY_RETIRE, "key", name, counts={"version": version}) as act:
            register(self.lies.keys, {name: Registered(version, utc_now().date())})
            keyring.replace_by_next(self.lies.keys, name)
            with self.control.changing(act.position):
                pass
        return version

    def _rotations(self, name: str, state: RequestState) -> list[str]:
        asked = requests_of(Control(self._folder.control), self._registry, state)
        return [one.request_id for one in asked if one.kind == "rotate_key" and one.parameters["key"] == name]
