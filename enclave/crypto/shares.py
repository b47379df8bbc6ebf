"""A secret in three shares on paper, of which any two make it and one alone tells nothing (Shamir, over GF(2^128)).

A share is its number and 32 signs in groups of four: 16 bytes and four that show a mistyped one. It carries no name of
the secret; shares of two ceremonies make a third secret, which opens nothing.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence

from Cryptodome.Protocol.SecretSharing import Shamir

from enclave.crypto.secret import Secret
from enclave.errors import Refused, explain

explain(
    "R_SHARES",
    "These are not two different shares of one secret, or one was mistyped.",
    "Type each share as its paper shows it, number first; two of the three are needed.",
)

SHARES, NEEDED = 3, 2
SECRET_BYTES = 16
_CHECK_BYTES = 4
_GROUP = 4


def new_secret() -> Secret:
    """A fresh secret of 128 bits."""
    return Secret(secrets.token_bytes(SECRET_BYTES))


def split(secret: Secret) -> tuple[Secret, ...]:
    """The three shares of a 16-byte secret, as their papers show them (ASCII)."""
    return tuple(_shown(number, share) for number, share in Shamir.split(NEEDED, SHARES, secret.reveal(), ssss=False))


def combine(shares: Sequence[Secret]) -> Secret:
    """The secret of two shares; Refused R_SHARES for one, the same twice, or a mistyped one."""
    read = dict(_read(share) for share in shares)
    if len(read) != NEEDED or len(shares) != NEEDED:
        raise Refused("R_SHARES")
    return Secret(Shamir.combine(list(read.items()), ssss=False))


def _shown(number: int, share: bytes) -> Secret:
    text = base64.b32encode(share + _check(number, share)).decode("ascii")
    groups = [text[start : start + _GROUP] for start in range(0, len(text), _GROUP)]
    return Secret(f"{number}-{'-'.join(groups)}".encode())


def _read(shown: Secret) -> tuple[int, bytes]:
    try:
        number, *groups = shown.reveal().decode("ascii").strip().upper().split("-")
        content = base64.b32decode("".join(groups))
        place = int(number)
    except ValueError:
        raise Refused("R_SHARES") from None
    share, check = content[:SECRET_BYTES], content[SECRET_BYTES:]
    if not 1 <= place <= SHARES or check != _check(place, share):
        raise Refused("R_SHARES")
    return place, share


def _check(number: int, share: bytes) -> bytes:
    return hashlib.sha256(b"enclave share|" + bytes([number]) + share).digest()[:_CHECK_BYTES]
