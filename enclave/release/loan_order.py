"""The order of a loan: the national numbers that the lender is asked about, sealed to its own key, and a letter.

The list is in clear in memory only. What is drafted, kept and delivered holds it as ciphertext to the lender alone, so
that neither the draft's readers nor whoever opens the package can read it.
"""

import hashlib
from dataclasses import dataclass

from enclave.crypto import age
from enclave.model.draft import DraftFile
from enclave.model.loan import LoanAgreement
from enclave.registry.definition import Definition, Loan
from enclave.spreadsheet import csv_bytes

LIST = "bestilling.age"
LETTER = "bestilling.txt"


@dataclass(frozen=True, repr=False)
class Wanted:
    """Whom the lender is asked about, and for which months (`YYYY-MM`, both included)."""

    numbers: tuple[str, ...]
    first_month: str
    last_month: str


def order_files(
    wanted: Wanted, agreement: LoanAgreement, definition: Definition, kind: Loan, *, age_key: str, answer_key: str
) -> tuple[DraftFile, ...]:
    """`bestilling.age`, one column of numbers in their own order, sealed to `age_key`; and `bestilling.txt`.

    `answer_key` is the loan's own public key, which the lender seals its answer to. No other fact about anyone is in
    the list, and neither a number nor a count of fewer than the whole list is in the letter.
    """
    numbers = sorted(set(wanted.numbers))
    sealed = age.seal(csv_bytes([kind.person_id], [(number,) for number in numbers]), [age_key])
    told = [one.name for one in kind.identifiers]
    lines = (
        f"Bestilling av lånte opplysninger til {definition.name.nb}",
        "",
        f"Lån:               {agreement.loan_id} ({kind.label.nb})",
        f"Saksnummer:        {agreement.case_number}",
        *([f"Hjemmel:           {agreement.legal_basis}"] if agreement.legal_basis else []),
        *([f"Gjelder:           {agreement.population}"] if agreement.population else []),
        f"Antall numre:      {len(numbers)}",
        f"Variabler:         {', '.join(agreement.variables)}",
        f"Måneder:           {wanted.first_month} til {wanted.last_month}",
        f"Slettes her innen: {agreement.due.isoformat()}",
        "",
        "Slik åpner dere listen (med nøkkelen som dere har gitt registeret den offentlige delen av):",
        "",
        f"  age --decrypt -i NØKKELFIL -o bestilling.csv {LIST}",
        "",
        f"bestilling.csv har én kolonne, {kind.person_id}: numrene det spørres om, og ingenting annet om noen.",
        "",
        "Slik svarer dere:",
        "",
        f"  Én CSV-fil med kolonnene {'; '.join((kind.person_id, kind.month, *told, *agreement.variables))},",
        f"  én rad for hver person og måned, {kind.month} som ÅÅÅÅ-MM, variablene som 1 eller 0.",
        *(
            [f"  datoer som ÅÅÅÅ-MM-DD. Der numret mangler, kjennes personen igjen på {', '.join(told)}."]
            if told
            else []
        ),
        "  Andre kolonner blir ikke lest. Forsegl filen til lånets nøkkel, og bare til den:",
        "",
        f"  {answer_key}",
        "",
        "Slett listen når svaret er sendt. Spørsmål: ring registeret på nummeret i avtalen.",
        "",
        f"SHA-256 for {LIST}: {hashlib.sha256(sealed).hexdigest()}",
    )
    letter = "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")
    return (DraftFile(LIST, sealed), DraftFile(LETTER, letter))
