"""The proof that goes to a lender with its certificate: that the destruction stands in the log, as anyone can check."""

from pathlib import Path

from enclave.audit import verify
from enclave.audit.export import prove
from enclave.audit.record import Phase
from enclave.control.releases import Release
from enclave.errors import Refused
from enclave.flow import Act
from enclave.model.draft import DraftFile
from enclave.wiring import Wiring

PROOF = "bevis.tlog-proof"


def destruction_proof(wiring: Wiring, certificate: Release) -> tuple[DraftFile, ...]:
    """The proof of a certificate's destruction, the log's key, and the program that checks the one with the other.

    Nothing while no checkpoint covers the destruction: it is then sealed after the next one.
    """
    seq = _outcome_of(wiring, certificate)
    if seq is None:
        return ()
    try:
        proof = prove(wiring.log, seq)
    except Refused:
        return ()
    return (
        DraftFile(PROOF, proof),
        DraftFile("vkey", wiring.log.vkey.encode() + b"\n"),
        DraftFile("verify.py", Path(verify.__file__).read_bytes()),
    )


def _outcome_of(wiring: Wiring, certificate: Release) -> int | None:
    """The line that says that the loan is destroyed: the one that names this certificate, or `recovered` after it."""
    found = None
    for entry in wiring.log.entries():
        if entry.act == Act.LOAN_DESTROY and entry.object_id == certificate.subject:
            named = entry.digests.get("certificate") == certificate.draft_sha256
            if (entry.phase is Phase.DONE and named) or entry.phase is Phase.RECOVERED:
                found = entry.seq
    return found
