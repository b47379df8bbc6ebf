"""What may be taken from the airlock, and what must wait: pure rules over names, kinds, sizes and times."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from enclave.airlock.port import Entry, EntryKind, Incoming
from enclave.errors import explain

explain(
    "E_DROP_NAME",
    "A name at the airlock is not one that a drop may have.",
    "Use only letters a-z, digits, dots, hyphens and underscores, at most 80, starting with a letter or digit.",
    nb=(
        "Navnet på innsendingen er ikke tillatt.",
        "Bruk bare a–z, tall, punktum, bindestrek og understrek, høyst 80 tegn, og begynn med bokstav eller tall.",
    ),
)
explain(
    "E_DROP_KIND",
    "What was sent is not a folder of regular files.",
    "Send a folder with manifest.json, manifest.json.sig and the payload; no links and no loose files.",
    nb=(
        "Det som ble sendt, er ikke en mappe med vanlige filer.",
        "Send en mappe med manifest.json, manifest.json.sig og nyttelasten; ingen lenker og ingen løse filer.",
    ),
)
explain(
    "E_DROP_CONTENT",
    "The folder does not hold exactly manifest.json, manifest.json.sig and one payload file.",
    "Make the drop again with the client and send the folder as it is.",
    nb=(
        "Mappen inneholder ikke nøyaktig manifest.json, manifest.json.sig og én nyttelastfil.",
        "Lag innsendingen på nytt med klienten, og send mappen slik den er.",
    ),
)
explain(
    "E_DROP_SIZE",
    "A file of the drop is larger than the agreed limit.",
    "Divide the data over several drops.",
    nb=("En fil i innsendingen er større enn avtalt grense.", "Del dataene på flere innsendinger."),
)
explain(
    "E_DROP_INCOMPLETE",
    "The drop has lain incomplete for longer than the server waits.",
    "Send it again; upload under a name that ends in .part and rename the folder when all is sent.",
    nb=(
        "Innsendingen har ligget ufullstendig lenger enn serveren venter.",
        "Send den på nytt; last opp under et navn som slutter på .part, og gi mappen nytt navn når alt er sendt.",
    ),
)

explain(
    "E_DROP_UNSIGNED",
    "The drop has lain without a signature for longer than the server waits.",
    "Sign manifest.json with your registered key and send the drop again with manifest.json.sig.",
    nb=(
        "Innsendingen har ligget uten signatur lenger enn serveren venter.",
        "Signer manifest.json med den registrerte nøkkelen deres, og send innsendingen på nytt med manifest.json.sig.",
    ),
)

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
ZIP_SIGNATURE = b"PK\x03\x04"
UPLOADING = ".part"
PAYLOADS = frozenset({"payload.zip", "payload.age", "payload.pgp", "payload.gpg", "payload.asc"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)
_INSTITUTION = re.compile(r"[a-z][a-z0-9-]{1,39}", re.ASCII)
_CLAIMED = re.compile(r"\.taken-([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.ASCII | re.IGNORECASE)
_UPLOADING_FILE = (".part", ".filepart")  # what upload programs append to a file until it is whole
_SIGNATURE_END = b"-----END SSH SIGNATURE-----"


@dataclass(frozen=True)
class Limits:
    """How large the files of a drop may be, in bytes, and how long an incomplete one is waited for."""

    manifest: int = 64 * 1024
    signature: int = 16 * 1024
    payload: int = 1024 * 1024 * 1024
    patience: timedelta = timedelta(hours=24)


@dataclass(frozen=True)
class Peek:
    """What an outer manifest says that routing and order need, not believed yet; None where it says nonsense."""

    whole: bool
    payload_size: int | None = None
    payload_sha256: str | None = None
    recipient_kid: str | None = None
    drop_id: str | None = None
    seq: int | None = None
    created_at: str | None = None


class Standing(StrEnum):
    """What is to be done with one name at the airlock."""

    READY = "ready"
    GROWING = "growing"
    REFUSED = "refused"
    CLAIMED = "claimed"


@dataclass(frozen=True)
class Verdict:
    """A standing and, for REFUSED, why."""

    standing: Standing
    code: str = ""


def is_name(name: str) -> bool:
    """Whether a name is one that a drop or a file of ours may have: the same file on every system, and no option."""
    return _NAME.fullmatch(name) is not None and not name.endswith(".") and _DEVICE.fullmatch(name) is None


def institution_path(institution: str) -> str:
    """The name of an institution's folder at the airlock, which is its id; anything else is a mistake of ours."""
    if _INSTITUTION.fullmatch(institution) is None:
        raise ValueError("not the id of an institution")
    return institution


def outgoing_name(name: str) -> str:
    """A name that we give to a file in an institution's box; anything else is a mistake of ours."""
    if not is_name(name) or name.endswith(UPLOADING):
        raise ValueError("not a name for a file that leaves")
    return name


def claimed_name(drop_uuid: str) -> str:
    """The name in `in/` of the drop that we took as `drop_uuid`."""
    name = f".taken-{drop_uuid}"
    if not is_claimed(name):
        raise ValueError("not a random UUID in its canonical form")
    return name


def is_claimed(name: str) -> bool:
    """Whether a name is that of a claimed drop. A sender can forge one; the audit log knows which are ours."""
    return _CLAIMED.fullmatch(name) is not None


def drop_uuid_of(claimed: str) -> str:
    """The `drop_uuid` in the name of a claimed drop."""
    match = _CLAIMED.fullmatch(claimed)
    if match is None:
        raise ValueError("not the name of a claimed drop")
    return match[1]


def judge_shape(incoming: Incoming, limits: Limits, *, loose: bool = False) -> Verdict:
    """Whether a name is a drop by what a listing tells; READY here means that its manifest is worth a look.

    Where `loose` files are agreed on, one that is not empty is READY too; what it is, its content tells.
    """
    if is_claimed(incoming.name):
        return Verdict(Standing.CLAIMED)
    uploading = incoming.name.endswith(UPLOADING)
    if not is_name(incoming.name.removesuffix(UPLOADING)):
        return Verdict(Standing.REFUSED, "E_DROP_NAME")
    if uploading and incoming.kind in {EntryKind.FOLDER, EntryKind.FILE}:
        return Verdict(Standing.GROWING)
    if loose and incoming.kind is EntryKind.FILE:
        return _judge_loose(incoming, limits)
    if incoming.kind is not EntryKind.FOLDER:
        return Verdict(Standing.REFUSED, "E_DROP_KIND")
    return judge_files(incoming.files, limits)


def _judge_loose(incoming: Incoming, limits: Limits) -> Verdict:
    if incoming.size > limits.payload:
        return Verdict(Standing.REFUSED, "E_DROP_SIZE")
    return Verdict(Standing.READY if incoming.size else Standing.GROWING)


def judge_files(files: Sequence[Entry], limits: Limits) -> Verdict:
    """Whether the files of a folder are those of a drop: READY, GROWING or REFUSED."""
    if any(file.kind is not EntryKind.FILE for file in files):
        return Verdict(Standing.REFUSED, "E_DROP_KIND")
    if any(file.name.endswith(_UPLOADING_FILE) for file in files):
        return Verdict(Standing.GROWING)
    payloads = [file.name for file in files if file.name in PAYLOADS]
    known = {MANIFEST, SIGNATURE, *payloads}
    if len(payloads) > 1 or any(file.name not in known for file in files):
        return Verdict(Standing.REFUSED, "E_DROP_CONTENT")
    caps = {MANIFEST: limits.manifest, SIGNATURE: limits.signature}
    if any(file.size > caps.get(file.name, limits.payload) for file in files):
        return Verdict(Standing.REFUSED, "E_DROP_SIZE")
    if len(files) < 3 or any(file.size == 0 for file in files):
        return Verdict(Standing.GROWING)
    return Verdict(Standing.READY)


def payload_of(incoming: Incoming) -> Entry:
    """The payload of a drop whose shape is right."""
    return next(file for file in incoming.files if file.name in PAYLOADS)


def peek(manifest: bytes) -> Peek:
    """What an outer manifest claims; never raises: nonsense is `admit`'s to reject, with an answer."""
    try:
        stated = json.loads(manifest)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return Peek(whole=False)
    except (ValueError, RecursionError):
        return Peek(whole=True)  # too many digits, too deep: no further byte makes sense of it
    if not isinstance(stated, dict):
        return Peek(whole=True)
    size, seq = stated.get("payload_size"), stated.get("seq")
    return Peek(
        whole=True,
        payload_size=size if type(size) is int and size >= 0 else None,
        payload_sha256=_text(stated, "payload_sha256", r"[0-9a-f]{64}"),
        recipient_kid=_text(stated, "recipient_kid", r"[A-Za-z0-9._-]{1,64}"),
        drop_id=_uuid(stated.get("drop_id")),
        seq=seq if type(seq) is int and 0 <= seq < 2**53 else None,
        created_at=_text(stated, "created_at", r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,18}(Z|[+-][0-9]{2}:[0-9]{2})"),
    )


def _text(stated: Mapping[str, object], name: str, pattern: str) -> str | None:
    found = stated.get(name)
    return found if isinstance(found, str) and re.fullmatch(pattern, found, re.ASCII) else None


def _uuid(found: object) -> str | None:
    """A UUID in its one canonical spelling: a replay is told by it, whichever of the spellings its manifest has."""
    try:
        return str(UUID(found)) if isinstance(found, str) else None
    except ValueError:
        return None


def judge_growth(seen: Peek, payload: int, signature: bytes) -> Standing:
    """READY when the payload has the stated size and manifest and signature are whole; GROWING before.

    A manifest that is whole but states no size, and a payload above its stated size, grow no more: they are READY,
    for `admit` to reject.
    """
    if not seen.whole or _SIGNATURE_END not in signature:
        return Standing.GROWING
    if seen.payload_size is not None and payload < seen.payload_size:
        return Standing.GROWING
    return Standing.READY


def is_overdue(first_seen: datetime, now: datetime, limits: Limits) -> bool:
    """Whether an incomplete drop has been waited for long enough."""
    return now - first_seen > limits.patience


def overdue_code(incoming: Incoming) -> str:
    """Why what was waited for is given up: all is there but the signature, or something else never came."""
    there = {file.name for file in incoming.files if file.size > 0}
    unsigned = MANIFEST in there and not PAYLOADS.isdisjoint(there) and SIGNATURE not in there
    return "E_DROP_UNSIGNED" if unsigned and not incoming.name.endswith(UPLOADING) else "E_DROP_INCOMPLETE"
