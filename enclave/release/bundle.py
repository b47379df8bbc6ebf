"""The package that leaves: one opaque member in an AES-256 ZIP, a signature beside it, re-opened before it is named.

`innhold.zip` inside holds the draft's files, a readme, a manifest and the newest checkpoint of the audit log, so that
each recipient keeps evidence of the log without knowing it. It is padded inside the encryption, so that the size seen
at the airlock tells little; the same draft, checkpoint and bundle id give the same bytes.
"""

import hashlib
import json
from dataclasses import dataclass

from enclave.crypto import aes_zip, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected, explain
from enclave.model.draft import Draft
from enclave.model.drop import PlainFile
from enclave.release.ledger import contents_of
from enclave.release.readme import readme, verify_script

explain(
    "H_WRONG_RECIPIENT",
    "A sealed package does not open with its recipient's passphrase to what was put in for that recipient.",
    "Nothing was delivered. Compare the recipient's passphrase and folder before anything else is sealed.",
)

INNER = "innhold.zip"
README = "LES_MEG.txt"
MANIFEST = "MANIFEST.json"
CHECKPOINT = "sjekkpunkt.txt"
PADDING = "fyll.bin"
SMALLEST = 1 << 15  # bytes: every receipt and every feedback of ordinary size looks the same
MEMBER_OVERHEAD = 30 + 46  # bytes that a ZIP spends on a stored member, besides its name twice
LIMITS = aes_zip.Limits(nested=frozenset({INNER}), folders=True)


@dataclass(frozen=True)
class Consistency:
    """The RFC 6962 proof (hex hashes) from the checkpoint of `older_size` that the recipient got last to the newest."""

    older_size: int
    proof: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class SealedBundle:
    """A package as it lies in the outbox: (name, content) of the ZIP, its signature, and the script that verifies."""

    archive: tuple[str, bytes]
    signature: tuple[str, bytes]
    script: tuple[str, bytes]

    def files(self) -> tuple[tuple[str, bytes], ...]:
        """The files in the order of delivery: the archive last, so that whoever sees it can verify it."""
        return (self.signature, self.script, self.archive)


def assemble(
    draft: Draft, *, bundle_id: str, checkpoint: bytes, code_version: str, consistency: Consistency | None
) -> bytes:
    """The bytes of `innhold.zip`, padded; the same for the same arguments."""
    files = [
        PlainFile(README, readme(draft.kind, draft.registry, draft.recipient)),
        PlainFile(MANIFEST, _manifest(draft, bundle_id, checkpoint, code_version, consistency)),
        PlainFile(CHECKPOINT, checkpoint),
        *(PlainFile(file.name, file.content) for file in sorted(draft.files, key=lambda file: file.name)),
    ]
    bare = len(aes_zip.pack_plain(files)) + MEMBER_OVERHEAD + 2 * len(PADDING)
    return aes_zip.pack_plain([*files, PlainFile(PADDING, bytes(padded_size(bare) - bare))])


def padded_size(size: int) -> int:
    """The size that a package of `size` bytes is padded to: few steps, at most an eighth larger above the smallest."""
    if size <= SMALLEST:
        return SMALLEST
    step = 1 << (size.bit_length() - 4)
    return -(-size // step) * step


def seal(inner: bytes, passphrase: Secret, *, sign_key: Secret, registry: str, bundle_id: str) -> SealedBundle:
    """The package sealed to a passphrase and signed as `enclave@REGISTRY` in the namespace `bundle@REGISTRY`.

    The signature is over the ciphertext, so that a recipient verifies before typing a passphrase.
    """
    name = f"bundle_{bundle_id}.zip"
    archive = aes_zip.seal_archive([PlainFile(INNER, inner)], passphrase)
    return SealedBundle(
        archive=(name, archive),
        signature=(f"{name}.sig", sshsig.sign(archive, sign_key, f"bundle@{registry}")),
        script=(f"{name}.cmd", verify_script(name, registry)),
    )


def reopen_and_compare(sealed: SealedBundle, passphrase: Secret, *, recipient: str, inner: bytes) -> None:
    """Open a sealed package as its recipient would, and compare; Halt H_WRONG_RECIPIENT if anything differs.

    `passphrase` is read anew for `recipient`, whose folder the package is to be put into.
    """
    try:
        (opened,) = aes_zip.open_archive(sealed.archive[1], passphrase, LIMITS)
        members = {file.name: file.content for file in aes_zip.open_plain(opened.content, LIMITS)}
        manifest = json.loads(members[MANIFEST])
    except (Rejected, ValueError, KeyError):
        raise Halt("H_WRONG_RECIPIENT") from None
    same_files = all(
        hashlib.sha256(members.get(file["name"], b"")).hexdigest() == file["sha256"] for file in manifest["files"]
    )
    if opened.content != inner or manifest["recipient"] != recipient or not same_files:
        raise Halt("H_WRONG_RECIPIENT")


def _manifest(
    draft: Draft, bundle_id: str, checkpoint: bytes, code_version: str, consistency: Consistency | None
) -> bytes:
    content = {
        "v": 1,
        "bundle": bundle_id,
        "kind": draft.kind,
        "registry": draft.registry,
        "recipient": draft.recipient,
        "state": draft.state,
        "definition": draft.definition,
        "code_version": code_version,
        "tables": [{"table": table, "period": period} for table, period in draft.tables],
        "files": [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in contents_of(draft)],
        "checkpoint": {"file": CHECKPOINT, "sha256": hashlib.sha256(checkpoint).hexdigest()},
        "consistency": None
        if consistency is None
        else {"older_size": consistency.older_size, "proof": list(consistency.proof)},
    }
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=True) + "\n").encode("ascii")
