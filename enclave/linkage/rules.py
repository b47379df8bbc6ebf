"""How a borrowed file must agree with what was agreed about it: pure rules, each with a code of its own."""

import hashlib
from collections.abc import Sequence

from enclave.errors import Halt, Rejected, explain
from enclave.model.drop import InnerManifest, Manifest, PlainFile
from enclave.model.loan import LoanAgreement
from enclave.registry.definition import Kind, Loan

explain(
    "E_LOAN_REGISTRY",
    "The borrowed file's manifest names another registry.",
    "Make the file for the registry that ordered it, sign and send it again.",
    nb=(
        "Manifestet til lånefilen gjelder et annet register.",
        "Lag filen for registeret som bestilte den, signer og send på nytt.",
    ),
)
explain(
    "E_LOAN_LENDER",
    "The borrowed file comes from somebody other than the loan's lender.",
    "Only the lender named in the agreement can send it; ask the data processor if the lender has changed.",
    nb=(
        "Lånefilen kommer fra en annen enn den som låner ut.",
        "Bare utlåneren i avtalen kan sende den; spør databehandleren hvis utlåneren er en annen nå.",
    ),
)
explain(
    "E_LOAN_KEY",
    "The borrowed file is made for another loan's key.",
    "Seal it to the key that you were given for this loan, and name the loan in `recipient_kid`.",
    nb=(
        "Lånefilen er laget for nøkkelen til et annet lån.",
        "Forsegl den med nøkkelen dere fikk for dette lånet, og oppgi lånet i `recipient_kid`.",
    ),
)
explain(
    "E_LOAN_FORMAT",
    "The borrowed file is not sealed with age.",
    "Seal it with age to the loan's public key; nothing else is taken for a loan.",
    nb=(
        "Lånefilen er ikke forseglet med age.",
        "Forsegl den med age til lånets offentlige nøkkel; ikke noe annet tas imot for et lån.",
    ),
)
explain(
    "E_LOAN_DIGEST",
    "The borrowed file is not the one that its manifest describes: size or SHA-256 differs.",
    "Make the manifest after the payload is finished, sign it, and send again.",
    nb=(
        "Lånefilen er ikke den som manifestet beskriver: størrelsen eller SHA-256-summen er en annen.",
        "Lag manifestet etter at innholdsfilen er ferdig, signer det, og send på nytt.",
    ),
)
explain(
    "E_LOAN_BINDING",
    "The manifest inside the borrowed file belongs to another drop, sender or key than the one outside.",
    "Make both manifests for the same file, seal and send again.",
    nb=(
        "Manifestet inne i lånefilen hører til en annen innsending, avsender eller nøkkel enn det utenpå.",
        "Lag begge manifestene for den samme filen, forsegl og send på nytt.",
    ),
)
explain(
    "E_LOAN_FILES",
    "A borrowed file holds exactly one CSV file beside its manifest, as that manifest lists it.",
    "Put one CSV file and manifest.json inside, seal and send again.",
    nb=(
        "En lånefil har nøyaktig én CSV-fil ved siden av manifestet, slik manifestet lister den opp.",
        "Legg én CSV-fil og manifest.json inni, forsegl og send på nytt.",
    ),
)
explain(
    "H_LOAN_AGREEMENT",
    "A loan's agreement and the registry's definition of it do not fit: a variable is unknown or not boolean.",
    "Compare `enclave loan show` with the loan in registry.toml; open a new loan if the agreement is wrong.",
)


def check_agreement(agreement: LoanAgreement, form: Loan) -> None:
    """Every agreed variable is a boolean of the loan's definition; Halt H_LOAN_AGREEMENT otherwise."""
    known = {variable.name for variable in form.variables if variable.kind is Kind.BOOLEAN}
    if not agreement.variables or not set(agreement.variables) <= known:
        raise Halt("H_LOAN_AGREEMENT", place=agreement.loan_id)


def check_outer(manifest: Manifest, agreement: LoanAgreement) -> None:
    """The signed manifest is for this registry and loan, by its lender, sealed with age."""
    if manifest.registry != agreement.registry:
        raise Rejected("E_LOAN_REGISTRY")
    if manifest.sender != agreement.lender:
        raise Rejected("E_LOAN_LENDER")
    if manifest.recipient_kid != agreement.loan_id:
        raise Rejected("E_LOAN_KEY")
    if manifest.format != "age":
        raise Rejected("E_LOAN_FORMAT")


def check_payload(manifest: Manifest, payload: bytes) -> None:
    """The payload has the size and digest that the signed manifest states."""
    if (manifest.payload_size, manifest.payload_sha256) != (len(payload), hashlib.sha256(payload).hexdigest()):
        raise Rejected("E_LOAN_DIGEST")


def check_inner(outer: Manifest, inner: InnerManifest, files: Sequence[PlainFile]) -> PlainFile:
    """The one CSV file inside, which the manifest inside binds to this very drop."""
    if (inner.drop_id, inner.sender, inner.recipient_kid) != (outer.drop_id, outer.sender, outer.recipient_kid):
        raise Rejected("E_LOAN_BINDING")
    if len(files) != 1 or len(inner.files) != 1:
        raise Rejected("E_LOAN_FILES")
    (file,), (stated,) = files, inner.files
    found = (file.name, len(file.content), hashlib.sha256(file.content).hexdigest())
    if not file.name.lower().endswith(".csv") or found != (stated.name, stated.size, stated.sha256):
        raise Rejected("E_LOAN_FILES")
    return file
