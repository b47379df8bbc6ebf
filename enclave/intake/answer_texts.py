"""The words of feedback in each language that an agreement may name; labels come from the definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from enclave.model.fault import Severity
from enclave.registry.definition import Label


@dataclass(frozen=True)
class Words:
    """One language. `header` and `summary_header` are those of the lists of faults; `totals` stand in their order."""

    header: tuple[str, str, str, str, str, str, str, str]
    summary_header: tuple[str, str, str, str, str]
    consequence: Mapping[Severity, str]
    whole_file: Mapping[Severity, str]
    status: Mapping[str, str]
    title: str
    summary_sheet: str
    faults_sheet: str
    sender: str
    their_id: str
    unreadable: str
    our_id: str
    digest: str
    not_computed: str
    log_place: str
    answer_to: str
    submissions: str
    unsigned: str
    claimed: str
    totals: tuple[str, str, str, str, str]
    person_id: str
    reference: str
    not_shown: str
    ask: str


WORDS: Mapping[str, Words] = MappingProxyType(
    {
        "nb": Words(
            header=(
                "Skjema",
                "Rad",
                "Forløpsnummer",
                "Variabel",
                "Hva er galt",
                "Hva dere kan gjøre",
                "Følge",
                "Regel",
            ),
            summary_header=("Skjema", "Variabel", "Hva er galt", "Følge", "Antall"),
            consequence={
                Severity.REFUSE: "Raden er ikke tatt inn",
                Severity.WARN: "Tatt inn, men kontroller",
            },
            whole_file={Severity.REFUSE: "Hele filen er ikke tatt inn", Severity.WARN: "Til opplysning"},
            status={"admitted": "Innsendingen er tatt imot", "rejected": "Innsendingen er avvist"},
            title="Tilbakemelding fra",
            summary_sheet="Sammendrag",
            faults_sheet="Feil",
            sender="Avsender",
            their_id="Deres innsendings-id",
            unreadable="kunne ikke leses",
            our_id="Vår innsendings-id",
            digest="Innholdsfilens SHA-256",
            not_computed="ikke beregnet",
            log_place="Plass i revisjonsloggen",
            answer_to="Svar på",
            submissions="{count} innsendinger gjennom Nettskjema, én rad for hver",
            unsigned="Usignert",
            claimed="Innsendinger gjennom Nettskjema er ikke signert; avsenderen er den som er valgt i skjemaet.",
            totals=(
                "Rader levert",
                "– tatt inn",
                "– uendret fra før",
                "– ikke tatt inn",
                "Tidligere rader som ble erstattet",
            ),
            person_id="Fødselsnummer",
            reference="Forløpsnummer",
            not_shown="(vises ikke)",
            ask="Ta kontakt med registeret.",
        ),
        "en": Words(
            header=(
                "Form",
                "Row",
                "Course number",
                "Variable",
                "What is wrong",
                "What you can do",
                "Consequence",
                "Rule",
            ),
            summary_header=("Form", "Variable", "What is wrong", "Consequence", "How many"),
            consequence={Severity.REFUSE: "The row is not taken", Severity.WARN: "Taken, but please check"},
            whole_file={Severity.REFUSE: "The whole file is not taken", Severity.WARN: "For your information"},
            status={"admitted": "The drop is taken", "rejected": "The drop is rejected"},
            title="Feedback from",
            summary_sheet="Summary",
            faults_sheet="Faults",
            sender="Sender",
            their_id="Your id of the drop",
            unreadable="could not be read",
            our_id="Our id of the drop",
            digest="SHA-256 of the payload",
            not_computed="not computed",
            log_place="Place in the audit log",
            answer_to="Answer to",
            submissions="{count} submissions through Nettskjema, a row for each",
            unsigned="Unsigned",
            claimed="Submissions through Nettskjema are not signed; the sender is the one chosen in the form.",
            totals=(
                "Rows delivered",
                "– taken",
                "– unchanged",
                "– not taken",
                "Earlier rows that were replaced",
            ),
            person_id="National id",
            reference="Course number",
            not_shown="(not shown)",
            ask="Contact the registry.",
        ),
        "sv": Words(
            header=("Formulär", "Rad", "Vårdnummer", "Variabel", "Vad är fel", "Vad ni kan göra", "Följd", "Regel"),
            summary_header=("Formulär", "Variabel", "Vad är fel", "Följd", "Antal"),
            consequence={Severity.REFUSE: "Raden har inte tagits in", Severity.WARN: "Intagen, men kontrollera"},
            whole_file={Severity.REFUSE: "Hela filen har inte tagits in", Severity.WARN: "För kännedom"},
            status={"admitted": "Inlämningen är mottagen", "rejected": "Inlämningen är avvisad"},
            title="Återkoppling från",
            summary_sheet="Sammanfattning",
            faults_sheet="Fel",
            sender="Avsändare",
            their_id="Ert id för inlämningen",
            unreadable="kunde inte läsas",
            our_id="Vårt id för inlämningen",
            digest="Innehållsfilens SHA-256",
            not_computed="inte beräknad",
            log_place="Plats i revisionsloggen",
            answer_to="Svar på",
            submissions="{count} inlämningar genom Nettskjema, en rad för varje",
            unsigned="Osignerat",
            claimed="Inlämningar genom Nettskjema är inte signerade; avsändaren är den som valts i formuläret.",
            totals=(
                "Rader levererade",
                "– intagna",
                "– oförändrade",
                "– inte intagna",
                "Tidigare rader som ersattes",
            ),
            person_id="Personnummer",
            reference="Vårdnummer",
            not_shown="(visas inte)",
            ask="Kontakta registret.",
        ),
    }
)


def worded(label: Label, language: str) -> str:
    """A label in a language; where the definition has none in it, in Norwegian, which every label has."""
    found: str = getattr(label, language)
    return found or label.nb
