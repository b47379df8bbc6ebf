"""How a drop's two manifests, its payload and its files must agree: pure rules, each with a code of its own."""

import hashlib
from collections.abc import Sequence

from enclave.errors import Rejected, explain
from enclave.model.drop import InnerManifest, Manifest, PlainFile

explain(
    "E_REGISTRY",
    "The manifest names another registry than the one that it was sent to.",
    "Send the drop to the airlock folder of the registry that it is made for.",
    nb=(
        "Manifestet gjelder et annet register enn det innsendingen er sendt til.",
        "Send innsendingen til registeret den er laget for.",
    ),
)
explain(
    "E_OWNER",
    "The manifest names another sender than the one whose folder the drop lay in.",
    "Send from your own account, with your own institution as the sender.",
    nb=(
        "Manifestet oppgir en annen avsender enn den som eier mappen innsendingen lå i.",
        "Send fra deres egen konto, med deres egen institusjon som avsender.",
    ),
)
explain(
    "E_DIGEST",
    "The payload is not the one that the manifest describes: its size or SHA-256 differs.",
    "Make the manifest after the payload is finished, sign it, and send a new drop.",
    nb=(
        "Innholdsfilen er ikke den som manifestet beskriver: størrelsen eller SHA-256-summen er en annen.",
        "Lag manifestet etter at innholdsfilen er ferdig, signer det, og send en ny innsending.",
    ),
)
explain(
    "E_BINDING",
    "The manifest inside the envelope belongs to another drop, sender or key than the one outside.",
    "Make both manifests for the same drop, seal again and send a new drop.",
    nb=(
        "Manifestet inne i konvolutten hører til en annen innsending, avsender eller nøkkel enn det utenpå.",
        "Lag begge manifestene for den samme innsendingen, forsegl på nytt og send en ny innsending.",
    ),
)
explain(
    "E_FILES",
    "The files in the envelope are not exactly those that the manifest inside lists.",
    "List every file once, with its name as it is, and send a new drop.",
    nb=(
        "Filene i konvolutten er ikke nøyaktig de som manifestet inni lister opp.",
        "List opp hver fil én gang, med riktig navn, og send en ny innsending.",
    ),
)
explain(
    "E_FILE_DIGEST",
    "A file in the envelope differs from what the manifest inside says: its size or SHA-256.",
    "Make the manifest after the files are finished, seal again and send a new drop.",
    nb=(
        "En fil i konvolutten er ikke slik manifestet inni sier: størrelsen eller SHA-256-summen er en annen.",
        "Lag manifestet etter at filene er ferdige, forsegl på nytt og send en ny innsending.",
    ),
)


def check_outer(manifest: Manifest, *, registry: str, sender: str) -> None:
    """The signed manifest is for this registry and by the owner of the folder; Rejected E_REGISTRY, E_OWNER."""
    if manifest.registry != registry:
        raise Rejected("E_REGISTRY")
    if manifest.sender != sender:
        raise Rejected("E_OWNER")


def check_payload(manifest: Manifest, payload: bytes) -> None:
    """The payload has the size and digest that the signed manifest states; Rejected E_DIGEST."""
    if manifest.payload_size != len(payload) or manifest.payload_sha256 != hashlib.sha256(payload).hexdigest():
        raise Rejected("E_DIGEST")


def _number(key_id: str) -> int:
    number = key_id.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdecimal() else 0


def check_inner(outer: Manifest, inner: InnerManifest, files: Sequence[PlainFile]) -> None:
    """The manifest inside binds these very files to this very drop; Rejected E_BINDING, E_FILES, E_FILE_DIGEST.

    It stops a payload whose signature was stripped and replaced, and a member renamed in both ZIP headers.
    """
    if (inner.drop_id, inner.sender, inner.recipient_kid) != (outer.drop_id, outer.sender, outer.recipient_kid):
        raise Rejected("E_BINDING")
    if not files or sorted(file.name for file in inner.files) != sorted(file.name for file in files):
        raise Rejected("E_FILES")
    stated = {file.name: (file.size, file.sha256) for file in inner.files}
    if any(stated[file.name] != (len(file.content), hashlib.sha256(file.content).hexdigest()) for file in files):
        raise Rejected("E_FILE_DIGEST")
