"""A sealed drop, verified and opened: each step that fails stops the drop with a code of its own."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import ValidationError

from enclave.crypto import aes_zip, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import Rejected, explain
from enclave.intake import strict_json
from enclave.intake.agreement import check_inner, check_outer, check_payload
from enclave.intake.envelope import Envelope
from enclave.model.drop import Closed, InnerManifest, Manifest, OpenedDrop, PlainFile, SealedDrop

explain(
    "E_MANIFEST",
    "The manifest outside the envelope is not what the schema requires.",
    "Make it again as JSON in UTF-8 without BOM, with exactly the keys that the guide lists.",
    nb=(
        "Manifestet utenpå konvolutten er ikke slik skjemaet for det krever.",
        "Lag det på nytt som JSON i UTF-8 uten BOM, med nøyaktig de nøklene som står i veiledningen.",
    ),
)
explain(
    "E_INNER_MANIFEST",
    "The manifest inside the envelope is missing or not what the schema requires.",
    "Put manifest.json beside the files, with exactly the keys that the guide lists, and seal again.",
    nb=(
        "Manifestet inne i konvolutten mangler eller er ikke slik skjemaet for det krever.",
        "Legg manifest.json sammen med filene, med nøyaktig de nøklene som står i veiledningen, og forsegl på nytt.",
    ),
)
explain(
    "E_UNSIGNED",
    "The drop has no signature.",
    "Sign manifest.json with your registered key and send a new drop with manifest.json.sig.",
    nb=(
        "Innsendingen er ikke signert.",
        "Signer manifest.json med den registrerte nøkkelen deres, og send en ny innsending med manifest.json.sig.",
    ),
)

MANIFEST_LIMIT = 64 * 1024  # bytes, both manifests
INNER_MANIFEST_NAME = "manifest.json"
LARGEST_SEQ = 2**53 - 1  # what every JSON program can count to
ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})")

Schema = TypeVar("Schema", bound=Closed)


def verify_and_open(
    sealed: SealedDrop,
    *,
    registry: str,
    signers: Sequence[sshsig.AllowedSigner],
    envelopes: Sequence[Envelope],
    at: datetime,
    limits: aes_zip.Limits,
) -> OpenedDrop:
    """The files of a drop whose manifest, signature, owner, digest, envelope and inner manifest all agree.

    `signers` are those registered at `registry`, `at` the time of collection, and `envelopes` those that this sender
    could use then. Rejected: E_MANIFEST, E_UNSIGNED, E_SIG, E_NAMESPACE, E_SENDER, E_SIGNER_REVOKED, E_SIGNER_NOT_YET,
    E_SIGNER_EXPIRED, E_REGISTRY, E_OWNER, E_DIGEST, E_FORMAT, E_KID, E_KID_EXPIRED, E_KID_REVOKED, the codes of
    `intake/envelopes.py`, E_INNER_MANIFEST, E_BINDING, E_FILES, E_FILE_DIGEST.
    """
    manifest = read_manifest(sealed.manifest)
    if not sealed.signature.strip():
        raise Rejected("E_UNSIGNED")
    # The principal is the owner of the folder, not what the manifest says: another's valid key does not help.
    sshsig.verify(sealed.manifest, sealed.signature, signers, sealed.sender, f"drop@{registry}", at)
    check_outer(manifest, registry=registry, sender=sealed.sender)
    check_payload(manifest, sealed.payload)
    members = _envelope_of(manifest, sealed.payload, envelopes).open(sealed.payload, manifest.recipient_kid, limits)
    inner, files = _take_inner_manifest(members)
    check_inner(manifest, inner, files)
    return OpenedDrop(sealed.drop_uuid, manifest, files)


def open_by_hand(
    sealed: SealedDrop, *, registry: str, passphrases: Mapping[str, Secret | str], at: datetime, limits: aes_zip.Limits
) -> OpenedDrop:
    """The files of a ZIP that was placed by hand, opened by one of its sender's passphrases that held at `at`.

    Nothing says who made it but the airlock's login and the passphrase, and nothing binds the names of its files. The
    manifest of the answer is what we state ourselves. Rejected: E_KID_EXPIRED, E_KID_REVOKED, E_KID, the codes of
    `crypto/aes_zip.py`.
    """
    holding = {key_id: words for key_id, words in passphrases.items() if isinstance(words, Secret)}
    if not holding:
        raise Rejected(next((code for code in passphrases.values() if isinstance(code, str)), "E_KID"))
    wrong = Rejected("E_PASSPHRASE")
    for key_id, words in holding.items():
        try:
            files = aes_zip.open_archive(sealed.payload, words, limits)
        except Rejected as why:
            if why.code != wrong.code:
                raise
            continue
        stated = Manifest(
            v=1,
            registry=registry,
            drop_id=UUID(sealed.drop_uuid),
            sender=sealed.sender,
            created_at=at,
            recipient_kid=key_id,
            format="aes-zip",
            payload_sha256=hashlib.sha256(sealed.payload).hexdigest(),
            payload_size=len(sealed.payload),
        )
        return OpenedDrop(sealed.drop_uuid, stated, files)
    raise wrong


def read_manifest(content: bytes) -> Manifest:
    """The outer manifest, schema-checked but not yet verified; Rejected E_MANIFEST."""
    manifest, raw = _parse(Manifest, content, "E_MANIFEST")
    # A time without a zone, or one that is a number in disguise, cannot be ordered with others.
    if not ISO_TIME.fullmatch(raw["created_at"]) or (manifest.seq or 0) > LARGEST_SEQ:
        raise Rejected("E_MANIFEST")
    return manifest


def _envelope_of(manifest: Manifest, payload: bytes, envelopes: Sequence[Envelope]) -> Envelope:
    """The envelope that a payload is by its content, which must be the one that the signed manifest names."""
    for envelope in envelopes:
        if envelope.recognises(payload) and envelope.format == manifest.format:
            return envelope
    raise Rejected("E_FORMAT")


def _take_inner_manifest(members: Sequence[PlainFile]) -> tuple[InnerManifest, tuple[PlainFile, ...]]:
    found = [member for member in members if member.name == INNER_MANIFEST_NAME]
    if len(found) != 1:
        raise Rejected("E_INNER_MANIFEST")
    inner = read_inner_manifest(found[0].content)
    return inner, tuple(member for member in members if member.name != INNER_MANIFEST_NAME)


def read_inner_manifest(content: bytes) -> InnerManifest:
    """The manifest inside an envelope, schema-checked; Rejected E_INNER_MANIFEST."""
    return _parse(InnerManifest, content, "E_INNER_MANIFEST")[0]


def _parse(schema: type[Schema], content: bytes, code: str) -> tuple[Schema, dict[str, Any]]:
    """Strict JSON: UTF-8, no key twice, no NaN, nothing but the schema's keys and types."""
    if len(content) > MANIFEST_LIMIT:
        raise Rejected(code)
    try:
        raw = strict_json.parse(content)
        return schema.model_validate_json(content, strict=True), raw
    except (ValueError, RecursionError, ValidationError):
        # The causes' texts hold what the sender wrote.
        raise Rejected(code) from None
