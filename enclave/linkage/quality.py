"""The linkage report: how well a loan met the registry, in counts. Whole for the data processor, coarse for others."""

from enclave.model.draft import DraftFile
from enclave.model.loan import Linkage, LoanAgreement
from enclave.spreadsheet import csv_bytes

# Below these a share shown to others could tell about single people; the floors of disclosure, stated again here
# because a linkage report is no result table.
SMALLEST_COUNT = 5
SMALLEST_DENOMINATOR = 10


def report(linkage: Linkage, agreement: LoanAgreement) -> tuple[DraftFile, ...]:
    """The whole report, for the data processor alone: `koblingsrapport.txt` and `.csv`, with counts by institution."""
    facts = _facts(linkage)
    width = max(len(label) for label, _ in facts)
    lines = [*_heading(agreement), ""]
    lines += [f"{label:<{width}}  {count:>9}" for label, count in facts]
    rate = _percent(linkage.linked_persons, linkage.registry_persons)
    lines += ["", f"Koblingsgrad: {rate} av registerets personer.", ""]
    lines += ["Per institusjon (personer i registeret, koblet, andel):"]
    lines += [
        f"  {sender:<40} {persons:>7} {linked:>7} {_percent(linked, persons):>9}"
        for sender, persons, linked in linkage.by_institution
    ]
    lines += ["", "Tallene er ikke avrundet og kan være små: rapporten er bare for databehandleren."]
    table: list[list[str | int]] = [["alle", linkage.registry_persons, linkage.linked_persons]]
    table += [[sender, persons, linked] for sender, persons, linked in linkage.by_institution]
    return (
        DraftFile("koblingsrapport.txt", _text(lines)),
        DraftFile("koblingsrapport.csv", csv_bytes(["institusjon", "personer", "koblet"], table)),
    )


def shared_report(linkage: Linkage, agreement: LoanAgreement) -> DraftFile:
    """What the lender or an auditor may read: the share of the registry's people that was linked, in whole percent.

    It is withheld when the linked, the others or all of them are too few.
    """
    linked, everyone = linkage.linked_persons, linkage.registry_persons
    enough = everyone >= SMALLEST_DENOMINATOR and SMALLEST_COUNT <= linked <= everyone - SMALLEST_COUNT
    whole = everyone >= SMALLEST_DENOMINATOR and linked in {0, everyone}
    share = f"{round(100 * linked / everyone)} %" if enough or whole else "vises ikke, fordi tallene er små"
    lines = [*_heading(agreement), "", f"Andel av registerets personer som ble koblet: {share}"]
    return DraftFile("koblingsrapport.txt", _text(lines))


def _heading(agreement: LoanAgreement) -> list[str]:
    return [
        f"Koblingsrapport for lånet {agreement.loan_id}",
        f"Register: {agreement.registry}   Utlåner: {agreement.lender}   Slettefrist: {agreement.due.isoformat()}",
        f"Variabler: {', '.join(sorted(agreement.variables))}",
        "Metode: nøyaktig treff på gyldig fødselsnummer, D-nummer eller hjelpenummer.",
    ]


def _facts(linkage: Linkage) -> list[tuple[str, int]]:
    return [
        ("Rader i lånefilen", linkage.loan_rows),
        ("Like rader, talt én gang", linkage.duplicate_rows),
        ("Ulike numre i lånefilen", linkage.loan_persons),
        ("  derav ugyldige", linkage.invalid_ids),
        ("  derav ikke i registeret", linkage.unknown_ids),
        ("Personer i registeret", linkage.registry_persons),
        ("Koblede personer", linkage.linked_persons),
        ("Personer i registeret uten kobling", linkage.registry_persons - linkage.linked_persons),
    ]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %".replace(".", ",") if whole else "–"


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")
