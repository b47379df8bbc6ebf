"""Passphrases of AES-ZIP envelopes: AES-ZIP stretches them by 1000 rounds only, so their own entropy must carry it."""

import secrets

from enclave.crypto.secret import Secret
from enclave.errors import Halt, explain

explain(
    "H_PASSPHRASE",
    "A passphrase is too weak, or is not one line of printable ASCII.",
    "Use the passphrase as it was generated (26 letters and digits in groups); never choose one.",
    nb=(
        "En passfrase er for svak, eller er ikke én linje med vanlige tegn.",
        "Bruk passfrasen slik den ble laget (26 bokstaver og tall i grupper); velg aldri en selv.",
    ),
)

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 signs (5 bits each) without those that a paper letter confuses: I, O, 0, 1."""
LENGTH = 26
GROUP = 5
SHORTEST = 20
FEWEST_DISTINCT = 8


def new_passphrase() -> Secret:
    """A fresh passphrase of 130 bits: 26 signs in groups of five, ASCII."""
    signs = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return Secret("-".join(signs[start : start + GROUP] for start in range(0, LENGTH, GROUP)).encode())


def read_passphrase(content: bytes) -> Secret:
    """The passphrase in a file's content, without its line end; Halt H_PASSPHRASE if it cannot be a generated one.

    Entropy cannot be measured; what is refused is what no generator makes: short, few signs, spaces, not ASCII.
    """
    passphrase = content.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    printable = all(0x21 <= sign <= 0x7E for sign in passphrase)
    if not printable or len(passphrase) < SHORTEST or len(set(passphrase)) < FEWEST_DISTINCT:
        raise Halt("H_PASSPHRASE")
    return Secret(passphrase)


def groups(passphrase: Secret) -> tuple[str, ...]:
    """The groups of a generated passphrase, as a paper letter shows them."""
    return tuple(passphrase.reveal().decode("ascii").split("-"))


def check_sign(group: str, place: int) -> str:
    """The sign that a letter prints after the group at `place` (from 1), for a check of what was typed.

    A polynomial over GF(2^5), x^5 + x^2 + 1: one wrong sign, two signs or two groups swapped always show. It is made
    from the group alone, so it tells nothing that the group does not.
    """
    remainder = place
    for sign in (*group, ALPHABET[0]):
        remainder = _times_x(remainder) ^ ALPHABET.index(sign)
    return ALPHABET[remainder]


def _times_x(element: int) -> int:
    doubled = element << 1
    return doubled ^ 0b100101 if doubled & 0b100000 else doubled
