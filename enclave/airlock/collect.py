"""From the airlock to quarantine, in steps: what is there, which drops are whole, take one, pack it.

The job's order, each an act of its own: `survey` → `Airlock.claim` under a fresh `drop_uuid` → `take` → seal
`pack(drop)` to quarantine, durably → `Airlock.remove`. A crash leaves the drop at the airlock under the old name, or
under `.taken-DROP_UUID`, until it is in quarantine; it is never in neither place.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from enclave.airlock import rules
from enclave.airlock.port import Airlock, EntryKind, Incoming
from enclave.airlock.rules import Limits, Peek, Standing
from enclave.crypto.secret import Secret
from enclave.errors import Refused, Rejected, explain
from enclave.model.drop import SealedDrop

explain(
    "R_DROP_UNSTEADY",
    "A drop read twice from the airlock gave two contents, neither with the digest that its manifest states.",
    "Nothing was removed; the next run tries again. If this lasts, the airlock or the line to it damages files.",
)
explain(
    "E_QUARANTINE_FORM",
    "A file in quarantine is not a drop as this server packs them.",
    "Nothing was read from it. Find out who else can write to the quarantine folder.",
    nb=("Innsendingen kunne ikke åpnes fra karantenen.", "Send den på nytt."),
)


@dataclass(frozen=True, repr=False)
class Ready:
    """A whole drop at the airlock: the name to claim, and what its manifest claims, for routing."""

    name: str
    peek: Peek
    payload_size: int


@dataclass(frozen=True, repr=False)
class Deferred:
    """A drop that is still growing, told from run to run by a keyed digest: its name may say who it is about."""

    key: str
    first_seen: datetime


@dataclass(frozen=True, repr=False)
class RefusedEntry:
    """A name at the airlock that is no drop: to be claimed under a fresh `drop_uuid`, recorded with `code`, removed."""

    name: str
    code: str


@dataclass(frozen=True, repr=False)
class Survey:
    """What lies in one institution's `in/`, sorted by name.

    `claimed` names were claimed in an earlier run that was killed, or are forged: the job takes up those that the
    audit log knows, and treats the others as refused with E_DROP_NAME.
    """

    ready: tuple[Ready, ...]
    deferred: tuple[Deferred, ...]
    refused: tuple[RefusedEntry, ...]
    claimed: tuple[str, ...]


def survey(
    airlock: Airlock,
    institution: str,
    *,
    now: datetime,
    sightings: Mapping[str, datetime],
    sighting_key: Secret,
    limits: Limits,
    loose: bool = False,
) -> Survey:
    """What in an institution's `in/` is ready, what must wait, and what is refused.

    A `loose` file, where they are agreed on, is ready when an earlier survey saw it with the same size and time: who
    places it by hand has no other way to say that it is whole.

    `sightings` is what earlier surveys deferred: key → first seen. The caller keeps, for this institution, exactly
    the `deferred` of this answer. `sighting_key` is any secret that stays the same from run to run.
    """
    ready: list[Ready] = []
    deferred: list[Deferred] = []
    refused: list[RefusedEntry] = []
    claimed: list[str] = []
    for incoming in airlock.list_incoming(institution):
        verdict = rules.judge_shape(incoming, limits, loose=loose)
        standing, seen = verdict.standing, None
        by_hand = incoming.kind is EntryKind.FILE
        key = _key_of_sighting(sighting_key, institution, _name_of_sighting(incoming) if by_hand else incoming.name)
        if standing is Standing.READY and by_hand:
            standing, seen = (Standing.READY if key in sightings else Standing.GROWING), Peek(whole=True)
        elif standing is Standing.READY:
            standing, seen = _look_inside(airlock, institution, incoming, limits)
        if standing is Standing.GROWING:
            sighting = Deferred(key, min(now, sightings.get(key, now)))
            if not rules.is_overdue(sighting.first_seen, now, limits):
                deferred.append(sighting)
            elif seen is not None and not seen.whole:
                # Three whole files of which the manifest is nonsense: `admit` rejects it, with an answer.
                standing = Standing.READY
            else:
                refused.append(RefusedEntry(incoming.name, rules.overdue_code(incoming)))
        if standing is Standing.READY and seen is not None:
            size = incoming.size if by_hand else rules.payload_of(incoming).size
            ready.append(Ready(incoming.name, seen, size))
        elif standing is Standing.REFUSED:
            refused.append(RefusedEntry(incoming.name, verdict.code))
        elif standing is Standing.CLAIMED:
            claimed.append(incoming.name)
    return Survey(tuple(ready), tuple(deferred), tuple(refused), tuple(claimed))


def _look_inside(
    airlock: Airlock, institution: str, incoming: Incoming, limits: Limits
) -> tuple[Standing, Peek | None]:
    try:
        manifest = airlock.read(institution, incoming.name, rules.MANIFEST, limits.manifest)
        signature = airlock.read(institution, incoming.name, rules.SIGNATURE, limits.signature)
    except Rejected:
        # It changed under our eyes, so somebody is still at work on it; patience ends that too.
        return Standing.GROWING, None
    seen = rules.peek(manifest)
    return rules.judge_growth(seen, rules.payload_of(incoming).size, signature), seen


def _name_of_sighting(incoming: Incoming) -> str:
    """A loose file that changed is another sighting: the slash stands in no name."""
    return f"{incoming.name}/{incoming.size}/{incoming.modified}"


def _key_of_sighting(secret: Secret, institution: str, name: str) -> str:
    text = f"{institution}/{name}".encode("utf-8", "surrogateescape")
    return hmac.new(secret.reveal(), text, hashlib.sha256).hexdigest()


def take(airlock: Airlock, institution: str, drop_uuid: str, limits: Limits, *, loose: bool = False) -> SealedDrop:
    """The three files of the drop that was claimed as `drop_uuid`, its digest compared with the manifest's.

    A `loose` ZIP file has neither manifest nor signature, and nothing that its content could be compared with.

    A digest that differs twice in the same way is the sender's fault and left to `admit`, which answers; one that
    differs in two ways is the line's, and Refused R_DROP_UNSTEADY. Rejected E_DROP_… as for `Airlock.read`.
    """
    name = rules.claimed_name(drop_uuid)
    incoming = airlock.look(institution, name)
    if incoming is None:
        raise Rejected("E_DROP_GONE")
    if loose and incoming.kind is EntryKind.FILE:
        return SealedDrop(drop_uuid, institution, b"", b"", _loose_zip(airlock, institution, name, limits))
    payload_name = _payload_name(incoming, limits)
    manifest = _read_steady(airlock, institution, name, rules.MANIFEST, limits.manifest)
    signature = _read_steady(airlock, institution, name, rules.SIGNATURE, limits.signature)
    payload = _read_steady(airlock, institution, name, payload_name, limits.payload)
    stated = rules.peek(manifest).payload_sha256
    if stated is not None and hashlib.sha256(payload).hexdigest() != stated:
        again = airlock.read(institution, name, payload_name, limits.payload)
        if hashlib.sha256(again).hexdigest() != stated and again != payload:
            raise Refused("R_DROP_UNSTEADY", place=institution)
        payload = again
    return SealedDrop(drop_uuid, institution, manifest, signature, payload)


def _read_steady(airlock: Airlock, institution: str, name: str, file: str, limit: int) -> bytes:
    """The content of a file, read once more where the first reading was cut short or the file moved under it."""
    try:
        return airlock.read(institution, name, file, limit)
    except Rejected as first:
        if first.code != "E_DROP_CHANGED":
            raise
    return airlock.read(institution, name, file, limit)


def _loose_zip(airlock: Airlock, institution: str, name: str, limits: Limits) -> bytes:
    """A file that was placed by hand, if it is a ZIP archive by its content, whatever its name said."""
    content = airlock.read_loose(institution, name, limits.payload)
    if not content.startswith(rules.ZIP_SIGNATURE):
        raise Rejected("E_DROP_KIND")
    return content


def _payload_name(claimed: Incoming, limits: Limits) -> str:
    """The name of the payload, if what was claimed is still a drop; it may have been changed since the survey."""
    if claimed.kind is not EntryKind.FOLDER:
        raise Rejected("E_DROP_KIND")
    verdict = rules.judge_files(claimed.files, limits)
    if verdict.standing is Standing.REFUSED:
        raise Rejected(verdict.code)
    if verdict.standing is Standing.GROWING:
        raise Rejected("E_DROP_CONTENT")
    return rules.payload_of(claimed).name


_MAGIC = b"enclave drop 1\n"
_LENGTH = 8


def pack(drop: SealedDrop) -> bytes:
    """A drop as one content for quarantine: five fields, each after its length; one drop, one content."""
    parts = [_MAGIC]
    for part in (drop.drop_uuid.encode(), drop.sender.encode(), drop.manifest, drop.signature, drop.payload):
        parts += [len(part).to_bytes(_LENGTH, "big"), part]
    return b"".join(parts)


def unpack(content: bytes) -> SealedDrop:
    """The drop in a packed content; anything but what `pack` makes is Rejected E_QUARANTINE_FORM."""
    if not content.startswith(_MAGIC):
        raise Rejected("E_QUARANTINE_FORM")
    ends = [len(_MAGIC)]
    for _ in range(5):
        start = ends[-1] + _LENGTH
        ends.append(start + int.from_bytes(content[ends[-1] : start], "big"))
        if ends[-1] > len(content):
            raise Rejected("E_QUARANTINE_FORM")
    if ends[-1] != len(content):
        raise Rejected("E_QUARANTINE_FORM")
    uuid, sender, manifest, signature, payload = (content[a + _LENGTH : b] for a, b in pairwise(ends))
    try:
        drop_uuid, institution = uuid.decode("ascii"), rules.institution_path(sender.decode("ascii"))
        rules.claimed_name(drop_uuid)
    except ValueError:
        raise Rejected("E_QUARANTINE_FORM") from None
    return SealedDrop(drop_uuid, institution, manifest, signature, payload)
