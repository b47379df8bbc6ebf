"""A loan's key, and the opening of what its lender sealed to it: signature, agreement, envelope, then the rows."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from enclave.crypto import aes_zip, age, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import Rejected, explain
from enclave.linkage.read import read_rows
from enclave.linkage.rules import check_agreement, check_inner, check_outer, check_payload
from enclave.model.drop import Closed, InnerManifest, Manifest
from enclave.model.identified import LoanRows
from enclave.model.loan import LoanAgreement
from enclave.registry.definition import Loan

explain(
    "E_LOAN_MANIFEST",
    "A manifest of the borrowed file, outside or inside, is missing or not what the schema requires.",
    "Make it again as JSON with exactly the keys of the guide, seal and send again.",
    nb=(
        "Et manifest til lånefilen, utenpå eller inni, mangler eller er ikke slik skjemaet krever.",
        "Lag det på nytt som JSON med nøyaktig de nøklene som står i veiledningen, forsegl og send på nytt.",
    ),
)

INNER_MANIFEST_NAME = "manifest.json"
MANIFEST_LIMIT = 64 * 1024  # bytes, both manifests

Schema = TypeVar("Schema", bound=Closed)


def new_loan_key() -> tuple[Secret, str]:
    """A fresh age key pair for one loan: the identity, for the keystore only, and the recipient for the lender."""
    return age.new_identity()


def open_loan_file(
    manifest: bytes,
    signature: bytes,
    payload: bytes,
    *,
    identity: Secret,
    agreement: LoanAgreement,
    form: Loan,
    signers: Sequence[sshsig.AllowedSigner],
    at: datetime,
    limits: aes_zip.Limits,
) -> LoanRows:
    """A borrowed file's rows, in memory only; Rejected with a code for each thing that does not agree.

    The manifest is signed by the lender in namespace `loan@REGISTRY`; the payload is age to the loan's key around a
    plain ZIP of `manifest.json` and one CSV file. `form` is the loan in the registry's definition.
    """
    check_agreement(agreement, form)
    outer = _document(manifest, Manifest)
    check_outer(outer, agreement)
    sshsig.verify(manifest, signature, signers, agreement.lender, f"loan@{agreement.registry}", at)
    check_payload(outer, payload)
    files = aes_zip.open_plain(age.open(payload, identity), limits)
    inner = [file for file in files if file.name == INNER_MANIFEST_NAME]
    if not inner:
        raise Rejected("E_LOAN_MANIFEST")
    data = [file for file in files if file.name != INNER_MANIFEST_NAME]
    file = check_inner(outer, _document(inner[0].content, InnerManifest), data)
    return read_rows(file.content, agreement, form)


def _document(content: bytes, schema: type[Schema]) -> Schema:
    if len(content) > MANIFEST_LIMIT:
        raise Rejected("E_LOAN_MANIFEST")
    try:
        json.loads(content.decode("utf-8"), object_pairs_hook=_each_key_once)
        return schema.model_validate_json(content, strict=True)
    except (ValidationError, ValueError, RecursionError):
        raise Rejected("E_LOAN_MANIFEST") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
