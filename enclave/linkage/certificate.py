"""The certificate of a destroyed loan: what was destroyed, how it was checked, and what no such check can cover."""

import json
from collections.abc import Sequence
from datetime import date, datetime

from enclave.audit.record import Position
from enclave.errors import Halt, explain
from enclave.linkage.lineage import require_aggregates
from enclave.model.draft import DraftFile
from enclave.model.loan import Derived, Destruction, LoanAgreement

explain(
    "H_LOAN_NOT_DESTROYED",
    "A loan's key or a copy of its file, sealed or in clear, is still there after its destruction.",
    "Look in the folders and backups that are named, and for links in `loans/` and `keystore/`; remove what is left, "
    "`enclave recover`, and run the job `destroy` again.",
)

# (short name, Norwegian) of each thing that destroying a key here cannot reach.
NOT_COVERED = (
    ("lender", "kopien hos utlåneren selv"),
    ("airlock_backups", "sikkerhetskopier som andre har tatt av slusen; de er kryptert til lånets nøkkel"),
    ("outside_copies", "kopier som noen med full tilgang til serveren kan ha tatt mens lånet var åpent"),
    ("memory", "serverens arbeidsminne og eventuell veksling (swap) mens lånet ble koblet"),
    ("storage_blocks", "gamle blokker på lagringsmediet; der ligger i så fall bare en kryptert nøkkel"),
    ("databases", "innholdet i de krypterte databasene; der er det bare tabellene som er oppgitt over"),
    ("aggregates", "de ferdige tabellene, som ikke sier hvem noen er, og som er formålet med lånet"),
)


def certificate(
    destruction: Destruction,
    agreement: LoanAgreement,
    at: datetime,
    position: Position,
    *,
    derived: Sequence[Derived] = (),
    snapshots_until: date | None = None,
) -> tuple[DraftFile, ...]:
    """`sertifikat.json` and `sertifikat.txt` of a destruction that is whole; Halt H_LOAN_NOT_DESTROYED otherwise.

    `at` is when it was destroyed (aware), `position` the intent in the audit log, `derived` what was made of the loan
    and outlives it, `snapshots_until` the day when the last snapshot of the server's disk is gone (None: not known).
    """
    gone = destruction.key_absent and destruction.files_absent and destruction.decryption_fails
    left_in = {*destruction.residue.left_in, *destruction.backups.naming}
    if not gone or left_in:
        places = ", ".join(sorted(left_in))
        raise Halt("H_LOAN_NOT_DESTROYED", place=f"{destruction.loan_id} {places}".strip())
    require_aggregates(derived, destruction.loan_id)
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
        "checks": {
            "key_absent": True,
            "files_absent": True,
            "decryption_fails": True,
            "files_looked_through": destruction.residue.files,
            "folders_looked_through": list(destruction.residue.folders),
            "files_with_residue": 0,
            "backup_manifests_read": destruction.backups.read,
            "backup_manifests_missing": destruction.backups.missing,
            "backups_that_hold_it": 0,
        },
        "brought_back_by_a_restored_copy": destruction.came_back,
        "airlock_copies_left": destruction.airlock_copies_left,
        "derived": [
            {
                "table": one.table,
                "period": one.period,
                "level": one.level.value,
                "state": one.state,
                "definition_sha256": one.definition,
                "content_sha256": one.content_sha256,
                "loan_file_sha256": one.loan_file_sha256,
            }
            for one in derived
        ],
        "snapshots_until": None if snapshots_until is None else snapshots_until.isoformat(),
        "not_covered": [name for name, _ in NOT_COVERED],
        "audit": {"log_id": position.log_id, "seq": position.audit_seq},
    }
    document = json.dumps(facts, ensure_ascii=True, sort_keys=True, indent=2).encode() + b"\n"
    return (
        DraftFile("sertifikat.json", document),
        DraftFile("sertifikat.txt", _text(destruction, agreement, at, position, derived, snapshots_until)),
    )


def _text(
    destruction: Destruction,
    agreement: LoanAgreement,
    at: datetime,
    position: Position,
    derived: Sequence[Derived],
    snapshots_until: date | None,
) -> bytes:
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
        f"  - {destruction.residue.files} filer er gjennomsøkt, uten funn av lånets filer eller nøkkel;",
        f"    stedene er {', '.join(destruction.residue.folders)}",
        *_in_backups(destruction),
        f"  - kopier på slusen som ikke er bekreftet fjernet: {destruction.airlock_copies_left}",
        *_came_back(destruction),
        "",
        "Laget av lånet, og beholdt (tabell, periode, SHA-256 av innholdet):"
        if derived
        else "Ingenting er laget av lånet.",
        *(f"  {one.table}  {one.period}  {one.content_sha256}" for one in derived),
        "",
        "Sertifikatet kan ikke dekke:",
        *(f"  - {text}" for _, text in NOT_COVERED),
        f"  - {_snapshots(snapshots_until)}",
        "",
        f"Revisjonslogg: {position.log_id}, linje {position.audit_seq}",
        "At linjen står i loggen, kan kontrolleres uten serveren, der Python 3.9 eller nyere finnes:",
        "  python verify.py --proof bevis.tlog-proof --vkey vkey",
        "Sammenlign vkey med nøkkelen i avtalen: en nøkkel som følger med beviset, sier bare at de to hører sammen.",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")


def _in_backups(destruction: Destruction) -> list[str]:
    read, missing = destruction.backups.read, destruction.backups.missing
    if not read and not missing:
        return ["  - loggen har ingen sikkerhetskopi av serveren"]
    lines = [f"  - fortegnelsen over {read} sikkerhetskopier er lest: verken nøkkelen eller filene er i noen av dem"]
    return [*lines, f"    (fortegnelsen mangler for {missing}; nøkler til lån tas aldri med)"] if missing else lines


def _came_back(destruction: Destruction) -> list[str]:
    if not destruction.came_back:
        return []
    return [
        "  - en gjenopprettet eldre kopi av serveren hadde hentet lånet tilbake; nøkkelen fulgte ikke med,",
        "    og ingenting kunne åpnes",
    ]


def _snapshots(until: date | None) -> str:
    kept = "vi vet ikke hvor lenge de blir tatt vare på" if until is None else f"de siste er borte {until.isoformat()}"
    return f"øyeblikksbilder (snapshots) av serverens disk, som kan ha nøkkelen: {kept}"
