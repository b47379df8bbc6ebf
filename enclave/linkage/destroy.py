"""Destroying a loan: its key first, then every copy of what it sealed, then the proof that nothing opens any more.

Order of a destruction: key, copies, checks. A crash after the key leaves ciphertext that nothing opens; run again, it
removes the rest and checks everything anew. Nothing here needs to have survived from the first attempt.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from enclave import durable
from enclave.crypto.keystore import Keystore
from enclave.errors import Refused
from enclave.model.loan import Destruction


@dataclass(frozen=True)
class Copy:
    """One copy of a loan's ciphertext that we hold; `place` is a name of ours, as the certificate shows it."""

    place: str
    path: Path
    sha256: str


def inventory(files: Sequence[tuple[str, Path]]) -> tuple[Copy, ...]:
    """The copies that exist among (place, path), with their SHA-256; taken before the intent, which records them."""
    return tuple(
        Copy(place, path, hashlib.sha256(durable.read(path)).hexdigest()) for place, path in files if path.exists()
    )


def destroy(
    loan_id: str,
    keystore: Keystore,
    key_name: str,
    copies: Sequence[Copy],
    *,
    recipient: str,
    due: date,
    today: date,
    airlock_copies_left: int = 0,
) -> Destruction:
    """Destroy a loan's key and copies, and report what is found afterwards; killed anywhere, a second call ends it.

    `recipient` is the public half (`age1…`) that the lender sealed to; `copies` are those of the first attempt. The
    report can say that something is left: then there is no certificate.
    """
    wrapped = _wrapped(keystore, key_name)
    keystore.destroy(key_name)
    # A crash here leaves copies that nothing opens.
    for copy in copies:
        _remove(copy.path)
    return Destruction(
        loan_id=loan_id,
        key_fingerprint=hashlib.sha256(recipient.encode()).hexdigest(),
        files=tuple(sorted((copy.place, copy.sha256) for copy in copies)),
        key_absent=not keystore.has(key_name),
        files_absent=not any(copy.path.exists() or copy.path.is_symlink() for copy in copies),
        decryption_fails=_no_key_is_given_out(keystore, key_name) and not _is_kept_elsewhere(keystore, wrapped),
        airlock_copies_left=airlock_copies_left,
        overdue_days=max(0, (today - due).days),
    )


def _wrapped(keystore: Keystore, key_name: str) -> bytes | None:
    try:
        return keystore.get(key_name)
    except Refused:
        return None


def _remove(path: Path) -> None:
    try:
        durable.remove(path)
    except OSError:
        # Something that is no file stands there. The report will say so; the other copies still go.
        return


def _no_key_is_given_out(keystore: Keystore, key_name: str) -> bool:
    """Whether opening the loan as `link` does fails at its first step: the keystore gives out no key to unwrap.

    Only `link` can unwrap; this job holds no key that could open anything, so it proves the loss and not the cipher.
    """
    return _wrapped(keystore, key_name) is None


def _is_kept_elsewhere(keystore: Keystore, wrapped: bytes | None) -> bool:
    """Whether the same wrapped key lies in the keystore under another name."""
    return wrapped is not None and wrapped in {_wrapped(keystore, name) for name in keystore.names()}
