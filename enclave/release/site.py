"""The national pages as they lie where a web server may show them: the pages, their manifest, and its signature.

The same draft, checkpoint and key give the same bytes, so that pages left half written are written again.
"""

import hashlib
import json

from enclave.crypto import sshsig
from enclave.crypto.secret import Secret
from enclave.model.draft import Draft
from enclave.release.ledger import contents_of

MANIFEST = "MANIFEST.json"
SIGNATURE = f"{MANIFEST}.sig"
CHECKPOINT = "sjekkpunkt.txt"


def signed_pages(draft: Draft, *, package: str, checkpoint: bytes, sign_key: Secret) -> tuple[tuple[str, bytes], ...]:
    """(name, content) of every file, the manifest and its signature last.

    The signature is an SSHSIG of `enclave@REGISTRY` in the namespace `site@REGISTRY`.
    """
    facts = {
        "v": 1,
        "site": package,
        "kind": draft.kind,
        "registry": draft.registry,
        "state": draft.state,
        "definition": draft.definition,
        "tables": [{"table": table, "period": period} for table, period in draft.tables],
        "files": [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in contents_of(draft)],
        "checkpoint": {"file": CHECKPOINT, "sha256": hashlib.sha256(checkpoint).hexdigest()},
    }
    manifest = (json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=True) + "\n").encode("ascii")
    return (
        *((file.name, file.content) for file in sorted(draft.files, key=lambda file: file.name)),
        (CHECKPOINT, checkpoint),
        (MANIFEST, manifest),
        (SIGNATURE, sshsig.sign(manifest, sign_key, f"site@{draft.registry}")),
    )
