"""The certificate of a destroyed loan: what was destroyed, how it was checked, and what no such check can cover."""

import json
from datetime import datetime

from enclave.audit.record import Position
from enclave.errors import Halt, explain
from enclave.model.draft import DraftFile
from enclave.model.loan import Destruction, LoanAgreement

explain(
    "H_LOAN_NOT_DESTROYED",
    "A loan's key or a copy of its file is still there after its destruction.",
    "Look at the file system's rights and for links in `loans/` and `keystore/`; then run the job `destroy` again.",
)

# (short name, Norwegian) of each thing that destroying a key here cannot reach.
NOT_COVERED = (
    ("lender", "kopien hos utlåneren selv"),
    ("airlock_backups", "sikkerhetskopier som andre har tatt av slusen; de er kryptert til lånets nøkkel"),
    ("outside_copies", "kopier som noen med full tilgang til serveren kan ha tatt mens lånet var åpent"),
    ("memory", "serverens arbeidsminne og eventuell veksling (swap) mens lånet ble koblet"),
    ("storage_blocks", "gamle blokker på lagringsmediet; der ligger i så fall bare en kryptert nøkkel"),
    ("aggregates", "de ferdige tabellene, som ikke sier hvem noen er, og som er formålet med lånet"),
)


def certificate(
    destruction: Destruction, agreement: LoanAgreement, at: datetime, position: Position
) -> tuple[DraftFile, ...]:
    """`sertifikat.json` and `sertifikat.txt` of a destruction that is whole; Halt H_LOAN_NOT_DESTROYED otherwise.

    `at` is when it was destroyed (aware), `position` the intent in the audit log.
    """
    if not (destruction.key_absent and destruction.files_absent and destruction.decryption_fails):
        raise Halt("H_LOAN_NOT_DESTROYED", place=destruction.loan_id)
    facts = {
        "v": 1,
        "loan_id": agreement.loan_id,
        "registry": agreement.registry,
        "lender": agreement.lender,
        "purpose": agreement.purpose,
        "case_number": agreement.case_number,
        "variables": sorted(agreement.variables),
        "due": agreement.due.isoformat(),
        "destroyed_at": at.isoformat(timespec="seconds"),
        "overdue_days": destruction.overdue_days,
        "key_fingerprint_sha256": destruction.key_fingerprint,
        "files": [{"place": place, "sha256": sha256} for place, sha256 in destruction.files],
        "checks": {"key_absent": True, "files_absent": True, "decryption_fails": True},
        "airlock_copies_left": destruction.airlock_copies_left,
        "not_covered": [name for name, _ in NOT_COVERED],
        "audit": {"log_id": position.log_id, "seq": position.audit_seq},
    }
    document = json.dumps(facts, ensure_ascii=True, sort_keys=True, indent=2).encode() + b"\n"
    return (
        DraftFile("sertifikat.json", document),
        DraftFile("sertifikat.txt", _text(destruction, agreement, at, position)),
    )


def _text(destruction: Destruction, agreement: LoanAgreement, at: datetime, position: Position) -> bytes:
    late = destruction.overdue_days
    lines = [
        "SLETTESERTIFIKAT FOR LÅNTE DATA",
        "",
        f"Lån:          {agreement.loan_id}",
        f"Register:     {agreement.registry}",
        f"Utlåner:      {agreement.lender}",
        f"Formål:       {agreement.purpose}",
        f"Saksnummer:   {agreement.case_number or '–'}",
        f"Variabler:    {', '.join(sorted(agreement.variables))}",
        f"Slettefrist:  {agreement.due.isoformat()}",
        f"Slettet:      {at.isoformat(timespec='seconds')}",
        f"Forsinkelse:  {f'{late} dager etter fristen' if late else 'ingen'}",
        "",
        "Dataene har bare vært lagret kryptert til lånets egen nøkkel. Nøkkelen er ødelagt, og filene er fjernet.",
        "",
        "Nøkkelens fingeravtrykk (SHA-256 av den offentlige nøkkelen):",
        f"  {destruction.key_fingerprint}",
        "",
        "Krypterte filer som er fjernet (sted, SHA-256):" if destruction.files else "Vi hadde ingen filer fra lånet.",
        *(f"  {place}  {sha256}" for place, sha256 in destruction.files),
        "",
        "Kontrollert etterpå:",
        "  - nøkkelen finnes ikke i nøkkellageret, heller ikke under et annet navn",
        "  - ingen av filene finnes der de lå",
        "  - nøkkellageret gir ikke ut noen nøkkel for lånet, så ingen kopi av filene kan åpnes",
        f"  - kopier på slusen som ikke er bekreftet fjernet: {destruction.airlock_copies_left}",
        "",
        "Sertifikatet kan ikke dekke:",
        *(f"  - {text}" for _, text in NOT_COVERED),
        "",
        f"Revisjonslogg: {position.log_id}, linje {position.audit_seq}",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")
