"""A lender for tests: makes loan files as its own tools would, and wrong ones on demand."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from enclave.crypto import age, sshsig
from enclave.crypto.aes_zip import Limits, pack_plain
from enclave.crypto.secret import Secret
from enclave.linkage.loan import new_loan_key, open_loan_file
from enclave.model.drop import PlainFile
from enclave.model.identified import LoanRows
from enclave.model.loan import LoanAgreement
from enclave.registry.definition import Kind, Label, Loan, Variable

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TEXT = Label(nb="x", en="x")
NAMES = ("sick_pay", "aap", "disability_pension")
FORM = Loan(
    id="nav", label=TEXT, lender="nav", variables=tuple(Variable(name=n, kind=Kind.BOOLEAN, label=TEXT) for n in NAMES)
)
AGREEMENT = LoanAgreement("nav-2026", "kar", "nav", "linkage", "26/123", NAMES, date(2026, 7, 1))
DROP_ID = "0e2f6a5e-6f0e-4a4c-9d5e-0c5b7a3b1f10"


@dataclass
class Lender:
    """One lender with its signing key and one loan's key pair. The fields are what a wrong file gets wrong."""

    csv: bytes
    name: str = "lan.csv"
    outer: dict[str, Any] = field(default_factory=dict)
    inner: dict[str, Any] = field(default_factory=dict)
    more: tuple[PlainFile, ...] = ()
    namespace: str = "loan@kar"
    keys: tuple[Secret, str] = field(default_factory=new_loan_key)
    signing: tuple[Secret, str] = field(default_factory=lambda: sshsig.new_key("nav"))

    def inner_manifest(self) -> bytes:
        """The manifest inside."""
        digest = hashlib.sha256(self.csv).hexdigest()
        stated = {"name": self.name, "sha256": digest, "size": len(self.csv)}
        content = {"drop_id": DROP_ID, "sender": "nav", "recipient_kid": "nav-2026", "files": [stated], **self.inner}
        return json.dumps(content).encode()

    def sealed(self) -> tuple[bytes, bytes, bytes]:
        """(manifest, signature, payload)."""
        members = [PlainFile("manifest.json", self.inner_manifest()), PlainFile(self.name, self.csv), *self.more]
        payload = age.seal(pack_plain(members), [self.keys[1]])
        content = {
            "v": 1, "registry": "kar", "drop_id": DROP_ID, "sender": "nav", "created_at": "2026-05-30T08:00:00+00:00",
            "recipient_kid": "nav-2026", "format": "age", "payload_sha256": hashlib.sha256(payload).hexdigest(),
            "payload_size": len(payload), **self.outer,
        }  # fmt: skip
        manifest = json.dumps(content).encode()
        return manifest, sshsig.sign(manifest, self.signing[0], self.namespace), payload

    def open(self, sealed: tuple[bytes, bytes, bytes] | None = None, **other: Any) -> LoanRows:
        """What the server makes of the file."""
        signer = sshsig.AllowedSigner(
            principal="nav",
            public_key=" ".join(self.signing[1].split()[:2]),
            namespaces=("loan@kar",),
            valid_after=None,
            valid_before=None,
        )
        facts = {"identity": self.keys[0], "agreement": AGREEMENT, "form": FORM, "signers": [signer], "at": NOW}
        return open_loan_file(*(sealed or self.sealed()), **{**facts, "limits": Limits(), **other})
