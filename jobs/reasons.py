"""Why a whole drop is rejected: importing this module enters every such code in `errors.CODES`; loads no database."""

from enclave.airlock import collect, rules
from enclave.crypto import aes_zip, age, openpgp, sshsig
from enclave.errors import CODES, explain
from enclave.intake import agreement, envelope
from enclave.intake import open as opening

CRASHED = "E_CRASHED"
explain(
    CRASHED,
    "Opening this drop ended the program three times.",
    "Send it again, made anew; if it fails again, contact the data processor.",
    nb=(
        "Åpning av innsendingen stanset programmet tre ganger.",
        "Lag innsendingen på nytt og send den; feiler den igjen, ta kontakt med databehandleren.",
    ),
)
DROP_ID_REUSED = "E_DROP_ID_REUSED"
explain(
    DROP_ID_REUSED,
    "An earlier drop of yours had the same drop_id and another content.",
    "Give each drop a new random drop_id; a correction is a new drop.",
    nb=(
        "En tidligere innsending fra dere hadde samme drop_id og et annet innhold.",
        "Gi hver innsending en ny, tilfeldig drop_id; en rettelse er en ny innsending.",
    ),
)
SEQUENCE = "E_SEQ"
explain(
    SEQUENCE,
    "The drop's sequence number is not above that of your last admitted drop.",
    "Number drops upwards, or leave seq out.",
    nb=("Løpenummeret (seq) er ikke høyere enn i forrige mottatte innsending.", "Tell oppover, eller utelat seq."),
)
REPLAY = "E_REPLAY"
explain(
    REPLAY,
    "Exactly this drop was admitted before; nothing was stored twice.",
    "None is needed: the first receipt stands.",
    nb=(
        "Akkurat denne innsendingen er mottatt før; ingenting ble lagret to ganger.",
        "Den første kvitteringen gjelder.",
    ),
)
NO_AGREEMENT = "E_AGREEMENT"
explain(
    NO_AGREEMENT,
    "On the day that the drop was collected, no agreement with its sender was in force.",
    "Renew the agreement with the registry, then send a new drop; nothing was opened.",
    nb=(
        "Det var ingen gyldig avtale med avsenderen den dagen innsendingen ble hentet.",
        "Forny avtalen med registeret, og send en ny innsending; ingenting ble åpnet.",
    ),
)
SEND_AGAIN = "E_SEND_AGAIN"
explain(
    SEND_AGAIN,
    "The registry was put back to a backup from before this drop, and the drop itself is gone.",
    "Send the same files again, as a new drop.",
    nb=(
        "Registeret er gjenopprettet fra en sikkerhetskopi som er eldre enn innsendingen, og innsendingen er tapt.",
        "Send de samme filene på nytt, som en ny innsending.",
    ),
)
FORM_UNKNOWN = "E_FORM_UNKNOWN"
explain(
    FORM_UNKNOWN,
    "The drop holds a file or a sheet that is no form of this registry, or the same form twice.",
    "Name each file FORM.csv or FORM.xlsx, with the forms that the guide lists, or send one workbook REGISTRY.xlsx "
    "with sheets named after the forms; send each form once.",
    nb=(
        "Innsendingen inneholder en fil eller et ark som ikke er et skjema i registeret, eller samme skjema to ganger.",
        "Gi filer og ark navn som veiledningen viser.",
    ),
)

EXPLAINED_IN = (collect, rules, aes_zip, age, openpgp, sshsig, agreement, envelope, opening)
"""The rooms that reject drops, each with codes of its own."""


def meaning_of(code: str) -> str:
    """What a reason means, in one sentence for the operator; "" for one that this version does not know."""
    return CODES[code].text if code in CODES else ""
