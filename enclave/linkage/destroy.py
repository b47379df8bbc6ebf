"""Destroying a loan: its key first, then every copy of what it sealed, then the proof that nothing is left of it.

Order of a destruction: grave, key, copies, checks. A crash after the key leaves ciphertext that nothing opens; run
again, it removes the rest and checks everything anew. Nothing here needs to have survived from the first attempt.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from enclave import durable
from enclave.crypto.keystore import Keystore
from enclave.errors import Refused
from enclave.linkage.residue import look_through, marks_of, read_manifests
from enclave.model.loan import Destruction


@dataclass(frozen=True)
class Copy:
    """One copy of a loan's ciphertext that we hold; `place` is a name of ours, as the certificate shows it."""

    place: str
    path: Path
    sha256: str


def destroy(
    loan_id: str,
    keystore: Keystore,
    copies: Sequence[Copy],
    *,
    in_clear: str,
    managed: Sequence[tuple[str, Path]],
    backups: Sequence[tuple[str, Path]],
    recipient: str,
    due: date,
    today: date,
    airlock_copies_left: int = 0,
    came_back: bool = False,
) -> Destruction:
    """Destroy a loan's key and copies, and report what is found afterwards; killed anywhere, a second call ends it.

    `recipient` is the public half (`age1…`) that the lender sealed to; `copies` are those of the first attempt;
    `managed` are the folders that are looked through afterwards, (name, path) each, for its ciphertext and for what
    begins with `in_clear`; `backups` are the manifests of those that were made, (SHA-256, path) each. The report can
    say that something is left: then there is no certificate. `came_back` says that a restored copy had brought the
    loan back, keyless.
    """
    wrapped = _wrapped(keystore, loan_id) or b""
    marks = marks_of(wrapped, (copy.path for copy in copies), (copy.sha256 for copy in copies), in_clear)
    keystore.bury(loan_id)
    # A crash here leaves copies that nothing opens.
    for copy in copies:
        _remove(copy.path)
    return Destruction(
        loan_id=loan_id,
        key_fingerprint=hashlib.sha256(recipient.encode()).hexdigest(),
        files=tuple(sorted((copy.place, copy.sha256) for copy in copies)),
        key_absent=not keystore.has(loan_id),
        files_absent=not any(copy.path.exists() or copy.path.is_symlink() for copy in copies),
        decryption_fails=_no_key_is_given_out(keystore, loan_id),
        residue=look_through(managed, marks),
        backups=read_manifests(backups, marks),
        airlock_copies_left=airlock_copies_left,
        overdue_days=max(0, (today - due).days),
        came_back=came_back,
    )


def _wrapped(keystore: Keystore, name: str) -> bytes | None:
    try:
        return keystore.get(name)
    except Refused:
        return None


def _remove(path: Path) -> None:
    try:
        durable.remove(path)
    except OSError:
        # Something that is no file stands there. The report will say so; the other copies still go.
        return


def _no_key_is_given_out(keystore: Keystore, name: str) -> bool:
    """Whether opening the loan as `link` does fails at its first step: the keystore gives out no key to unwrap.

    Only `link` can unwrap; this job holds no key that could open anything, so it proves the loss and not the cipher.
    That the wrapped key lies under no other name, here or elsewhere, is for the look through the managed folders.
    """
    return _wrapped(keystore, name) is None
