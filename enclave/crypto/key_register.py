"""What is known of keys without seeing one: which version stands, since when, and by when it is to be replaced.

`register.json` lies beside the keys and holds nothing secret. `NAME.next` is in it from the moment a rotation begins to
the one in which the next key has taken its predecessor's place. A folder from before there was a register has none: its
keys are of version 1 and of unknown age until they are rotated.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType

from enclave import durable
from enclave.crypto.keyring import KEY_KINDS, LARGEST, NEXT, Kind
from enclave.errors import Halt, explain

explain(
    "H_KEY_REGISTER",
    "The register of keys, register.json, is not as the program writes it.",
    "Restore it from a backup, or remove it: keys of unknown age are then due for rotation.",
)

REGISTER = "register.json"
_YEAR, _TWO_YEARS = timedelta(days=365), timedelta(days=730)
LIFETIMES: Mapping[Kind, timedelta] = MappingProxyType(
    {
        Kind.SYMMETRIC: _YEAR,
        Kind.AGE: _YEAR,
        Kind.ED25519: _YEAR,
        Kind.SSH: _TWO_YEARS,
        Kind.OPENPGP: 3 * _YEAR - timedelta(days=60),  # it says itself that it ends after three
    }
)
"""How long a key is used before it is due for rotation."""


@dataclass(frozen=True)
class Registered:
    """A key's version and the day on which it was drawn."""

    version: int
    drawn: date | None

    def due(self, name: str) -> date | None:
        """The day by which it is to be replaced; None where nobody knows how old it is."""
        return None if self.drawn is None else self.drawn + LIFETIMES[KEY_KINDS[name]]


def registered(folder: Path) -> dict[str, Registered]:
    """Every key of a folder's register by name; Halt H_KEY_REGISTER for one that cannot be read."""
    try:
        written = json.loads(durable.read(folder / REGISTER, limit=LARGEST))
        return {
            str(name): Registered(
                int(entry["version"]), None if entry["drawn"] is None else date.fromisoformat(entry["drawn"])
            )
            for name, entry in written.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Halt("H_KEY_REGISTER") from None


def register(folder: Path, names: Mapping[str, Registered]) -> None:
    """Enter keys into a folder's register, in place of what it said of them."""
    _write(folder, {**registered(folder), **names})


def take_over(folder: Path, name: str) -> None:
    """Let what the register says of a key's next hold of the key itself."""
    entries = registered(folder)
    entries[name] = entries.pop(f"{name}{NEXT}")
    _write(folder, entries)


def _write(folder: Path, entries: Mapping[str, Registered]) -> None:
    content = {name: asdict(entry) for name, entry in sorted(entries.items())}
    durable.write(folder / REGISTER, json.dumps(content, default=date.isoformat, indent=1).encode() + b"\n", mode=0o644)
