"""Who may sign what, and when: the `allowed_signers` format of OpenSSH, in a strict part of it.

One principal per line, no wildcards, no certificate authorities, namespaces always named, times always UTC (`…Z`).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from enclave.errors import Halt, explain

explain(
    "H_SIGNERS",
    "A line of the list of allowed signers is not understood.",
    'Write it as: PRINCIPAL namespaces="NAME@REGISTRY" [valid-after="YYYYMMDDHHMMSSZ"] '
    '[valid-before="YYYYMMDDHHMMSSZ"] ssh-ed25519 KEY.',
)

KEY_TYPE = "ssh-ed25519"
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,79}")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,79}")
_TIME = re.compile(r"\d{8}(\d{4}(\d{2})?)?Z")
_LINE = re.compile(
    r'(?P<principal>\S+) namespaces="(?P<namespaces>[^"]+)"(?:[ ,]valid-after="(?P<after>[^"]+)")?'
    r'(?:[ ,]valid-before="(?P<before>[^"]+)")? (?P<key>ssh-ed25519 [A-Za-z0-9+/=]+)(?: .*)?'
)


@dataclass(frozen=True)
class AllowedSigner:
    """One key that may sign as `principal` in `namespaces`, from `valid_after` to `valid_before` (both inclusive, UTC).

    `public_key` is the line `ssh-ed25519 AAAA…`; a comment behind it is ignored. A `revoked` key is valid at no time.
    """

    principal: str
    public_key: str
    namespaces: tuple[str, ...]
    valid_after: datetime | None = None
    valid_before: datetime | None = None
    revoked: bool = False

    def valid_at(self, at: datetime) -> bool:
        """Whether the key may be used at the aware time `at`, compared as OpenSSH does: both ends count as valid."""
        if self.revoked:
            return False
        if self.valid_after is not None and at < self.valid_after:
            return False
        return self.valid_before is None or at <= self.valid_before


def key_blob(public_key: str) -> bytes:
    """The wire form of an Ed25519 public line; Halt H_SIGNERS if it is anything else."""
    parts = public_key.split()
    try:
        blob = base64.b64decode(parts[1], validate=True) if len(parts) >= 2 else b""
    except binascii.Error:
        blob = b""
    prefix = len(KEY_TYPE).to_bytes(4, "big") + KEY_TYPE.encode() + (32).to_bytes(4, "big")
    if not parts or parts[0] != KEY_TYPE or not blob.startswith(prefix) or len(blob) != len(prefix) + 32:
        raise Halt("H_SIGNERS")
    return blob


def fingerprint(public_key: str) -> str:
    """The fingerprint of a public line as `ssh-keygen -l` prints it: `SHA256:…`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key_blob(public_key)).digest()).decode().rstrip("=")


def parse_allowed_signers(text: str) -> tuple[AllowedSigner, ...]:
    """Every signer of the list, in order; Halt H_SIGNERS names the line. Empty lines and `#` comments are skipped."""
    signers = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = " ".join(raw.split())
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise Halt("H_SIGNERS", place=f"line {number}")
        try:
            signers.append(_signer(match))
        except (ValueError, Halt):
            raise Halt("H_SIGNERS", place=f"line {number}") from None
    return tuple(signers)


def format_allowed_signers(signers: Iterable[AllowedSigner]) -> str:
    """The list as `ssh-keygen -Y verify -f` reads it; options are written only where they say something.

    The format has no word for a revoked key: it is left out.
    """
    lines = []
    for signer in signers:
        if signer.revoked:
            continue
        key_blob(signer.public_key)
        options = [f'namespaces="{",".join(signer.namespaces)}"']
        if signer.valid_after is not None:
            options.append(f'valid-after="{_stamp(signer.valid_after)}"')
        if signer.valid_before is not None:
            options.append(f'valid-before="{_stamp(signer.valid_before)}"')
        key = " ".join(signer.public_key.split()[:2])
        line = f"{signer.principal} {','.join(options)} {key}"
        parse_allowed_signers(line)
        lines.append(line + "\n")
    return "".join(lines)


def _signer(match: re.Match[str]) -> AllowedSigner:
    namespaces = tuple(match["namespaces"].split(","))
    if not _PRINCIPAL.fullmatch(match["principal"]) or not all(_NAMESPACE.fullmatch(name) for name in namespaces):
        raise ValueError("a name outside the grammar")
    key_blob(match["key"])
    return AllowedSigner(match["principal"], match["key"], namespaces, _time(match["after"]), _time(match["before"]))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise ValueError("a time outside the grammar")
    form = {9: "%Y%m%dZ", 13: "%Y%m%d%H%MZ", 15: "%Y%m%d%H%M%SZ"}[len(text)]
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _stamp(time: datetime) -> str:
    # `%Y` alone would not pad the year to the four digits that the format has.
    return f"{time.astimezone(UTC):%Y%m%d%H%M%SZ}".rjust(len("YYYYMMDDhhmmssZ"), "0")
