"""The acts that need two people: whether the project lead signed exactly what is to be done (DESIGN 3)."""

from datetime import datetime

from enclave.control.requests import SIGNATURE_NAMESPACE
from enclave.crypto import sshsig
from enclave.errors import Refused, Rejected, explain
from enclave.settings import Settings

explain(
    "R_SECOND_PERSON",
    "This act needs the project lead's signature over the request.",
    "Let the project lead sign the text of `enclave request show ID --text` with ssh-keygen -Y sign, "
    f"namespace {SIGNATURE_NAMESPACE}, and give the signature to `enclave request approve ID --signature FILE`; "
    "`enclave release show` and `approve` do the same for what everyone may read. For `restore` and `recover` it is "
    "the text that they print now; a signature that was used is good for no second one.",
)

PROJECT_LEAD = "project-lead"


def verify_second_person(settings: Settings, text: bytes, signature: bytes, at: datetime) -> None:
    """Whether the project lead signed exactly this text; Refused R_SECOND_PERSON otherwise."""
    if not settings.project_lead:
        raise Refused("R_SECOND_PERSON", place="project_lead in enclave.toml is empty")
    lead = sshsig.AllowedSigner(PROJECT_LEAD, " ".join(settings.project_lead.split()[:2]), (SIGNATURE_NAMESPACE,))
    try:
        sshsig.verify(text, signature, (lead,), PROJECT_LEAD, SIGNATURE_NAMESPACE, at)
    except Rejected as why:
        raise Refused("R_SECOND_PERSON", place=why.code) from None
