"""What a form's file and its rows must satisfy, as pure rules: the built-in faults, each with its texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from enclave.registry.definition import Definition, Form, Kind, Label


class RuleText(Protocol):
    """What a person is told about a rule: what is wrong, and what to do."""

    @property
    def label(self) -> Label:
        """What is wrong, never with the value."""

    @property
    def remedy(self) -> Label:
        """What the sender can do about it."""


@dataclass(frozen=True)
class Rule:
    """A built-in rule's texts."""

    label: Label
    remedy: Label


def form_of(name: str, definition: Definition) -> Form | None:
    """The form that a file of a drop holds, told by its name `FORM_ID.csv` or `FORM_ID.xlsx`; None for other names."""
    return {f"{form.id}{ending}": form for form in definition.forms for ending in (".csv", ".xlsx")}.get(name)


def optional_columns(form: Form) -> frozenset[str]:
    """The columns that a file may leave out: those of variables and options that do not hold at all times.

    So that a file made before a variable was added, or after it ended, is still whole.
    """
    left_out = set()
    for variable in form.variables:
        if variable.valid_from or variable.valid_to:
            left_out |= set(variable.columns())
        elif variable.kind is Kind.MULTI:
            left_out |= {f"{variable.name}_{code.value}" for code in variable.codes if code.valid_from or code.valid_to}
    return frozenset(left_out)


def identity_columns(form: Form) -> tuple[str, ...]:
    """The columns of the sender's file that name the person and the course; they are not variables.

    A form about an institution may have none: its rows are told apart by variables.
    """
    person = (form.person_id,) if form.names_persons and form.person_id else ()
    return (*person, *(() if form.key else (form.reference,)))


def _rule(label_nb: str, label_en: str, remedy_nb: str, remedy_en: str) -> Rule:
    return Rule(Label(nb=label_nb, en=label_en), Label(nb=remedy_nb, en=remedy_en))


# Faults of a whole file (row 0, or the row where reading had to stop).
FILE_RULES: Mapping[str, Rule] = {
    "empty_file": _rule(
        "Filen har ingen rader.",
        "The file has no rows.",
        "Lag filen på nytt med én overskriftsrad og én rad for hvert skjema.",
        "Make the file again with one header row and one row for each form.",
    ),
    "encoding": _rule(
        "Filen er ikke lagret som UTF-8, og tegnene fra denne raden kan ikke tolkes sikkert.",
        "The file is not saved as UTF-8, and from this row on its characters cannot be told for certain.",
        "Lagre filen som «CSV UTF-8».",
        "Save the file as “CSV UTF-8”.",
    ),
    "delimiter": _rule(
        "Skilletegnet mellom kolonnene kan ikke kjennes igjen i overskriftsraden.",
        "What separates the columns cannot be told from the header row.",
        "Lagre filen med semikolon som skilletegn.",
        "Save the file with semicolons between columns.",
    ),
    "read_as_latin_1": _rule(
        "Filen er ikke UTF-8; den er lest som Latin-1 (ISO 8859-1).",
        "The file is not UTF-8; it was read as Latin-1 (ISO 8859-1).",
        "Kontroller at æ, ø og å er riktige. Lagre helst filen som «CSV UTF-8».",
        "See that Nordic letters are right. Better, save the file as “CSV UTF-8”.",
    ),
    "read_as_comma": _rule(
        "Kolonnene er skilt med komma; filen er lest slik.",
        "The columns are separated by commas; the file was read so.",
        "Kontroller at tallene er riktige. Bruk helst semikolon som skilletegn.",
        "See that the numbers are right. Better, save the file with semicolons between columns.",
    ),
    "read_as_tab": _rule(
        "Kolonnene er skilt med tabulator; filen er lest slik.",
        "The columns are separated by tabs; the file was read so.",
        "Kontroller at kolonnene er riktige. Bruk helst semikolon som skilletegn.",
        "See that the columns are right. Better, save the file with semicolons between columns.",
    ),
    "unreadable": _rule(
        "Filen kan ikke leses videre herfra: anførselstegn går ikke opp, eller et felt er for langt.",
        "The file cannot be read from here on: quotation marks do not pair, or a field is too long.",
        "Rett anførselstegnene i raden; et anførselstegn inne i et felt skrives dobbelt.",
        "Mend the quotation marks in the row; one inside a field is written twice.",
    ),
    "too_many_rows": _rule(
        "Filen har flere rader enn det som tas imot i én fil.",
        "The file has more rows than one file may have.",
        "Del filen i flere innsendinger.",
        "Split the file into several drops.",
    ),
    "header_missing": _rule(
        "Kolonnen mangler i overskriftsraden.",
        "The column is missing from the header row.",
        "Ta med kolonnen, også når den er tom.",
        "Include the column, also when it is empty.",
    ),
    "header_twice": _rule(
        "Kolonnen står flere ganger i overskriftsraden.",
        "The column stands more than once in the header row.",
        "Behold kolonnen én gang.",
        "Keep the column once.",
    ),
    "header_unknown": _rule(
        "Overskriftsraden har kolonner som ikke finnes i skjemaet.",
        "The header row has columns that the form does not have.",
        "Fjern kolonnene, eller skriv navnene slik de står i veiledningen.",
        "Remove the columns, or write their names as the guide has them.",
    ),
    "workbook_unreadable": _rule(
        "Filen kan ikke leses som en Excel-arbeidsbok, eller navnet sier noe annet enn innholdet.",
        "The file cannot be read as an Excel workbook, or its name says another kind than its content.",
        "Lagre den fra Excel som «Excel-arbeidsbok (.xlsx)» uten passord, eller som «CSV UTF-8».",
        "Save it from Excel as “Excel Workbook (.xlsx)” without a password, or as “CSV UTF-8”.",
    ),
    "workbook_too_large": _rule(
        "Arbeidsboken er for stor: mer enn 512 kolonner, for lang tekst i en celle, eller for mye innhold i alt.",
        "The workbook is too large: more than 512 columns, too long a text in a cell, or too much in all.",
        "Behold bare skjemaets kolonner, eller del filen i flere innsendinger.",
        "Keep only the form's columns, or split the file into several drops.",
    ),
    "workbook_sheets": _rule(
        "Arbeidsboken skal ha ett ark med data, og ellers bare arket «Forklaring».",
        "The workbook must have one sheet with data, and besides it only the sheet “Forklaring”.",
        "Slett de andre arkene.",
        "Delete the other sheets.",
    ),
    "workbook_hidden": _rule(
        "Arbeidsboken har skjulte ark, rader eller kolonner.",
        "The workbook has hidden sheets, rows or columns.",
        "Vis alt og slå av filteret, og slett det som ikke skal sendes.",
        "Show everything and clear the filter, and delete what is not to be sent.",
    ),
    "workbook_active": _rule(
        "Arbeidsboken har makroer, innebygde objekter eller koblinger til andre filer eller kilder.",
        "The workbook has macros, embedded objects, or links to other files or sources.",
        "Kopier verdiene til en tom arbeidsbok, og send den.",
        "Copy the values into an empty workbook, and send that.",
    ),
    "workbook_formula": _rule(
        "Arket har formler.",
        "The sheet has formulas.",
        "Erstatt formlene med verdier: kopier, og lim inn som verdier.",
        "Replace the formulas by values: copy, and paste as values.",
    ),
    "workbook_merged": _rule(
        "Arket har sammenslåtte celler.",
        "The sheet has merged cells.",
        "Opphev sammenslåingen, og fyll ut hver celle.",
        "Unmerge the cells, and fill in each.",
    ),
    "too_many_faults": _rule(
        "Filen har flere feil enn det som listes opp.",
        "The file has more faults than are listed.",
        "Rett feilene i listen og send på nytt; de øvrige vises da.",
        "Mend the listed faults and send again; the others will then show.",
    ),
}

ROW_RULES: Mapping[str, Rule] = {
    "row_width": _rule(
        "Raden har flere eller færre felter enn overskriftsraden.",
        "The row has more or fewer fields than the header row.",
        "CSV: felter med semikolon eller linjeskift må stå i anførselstegn. Excel: fjern verdier uten overskrift over.",
        "CSV: fields with a semicolon or line break must be quoted. Excel: remove values without a header above.",
    ),
    "control_character": _rule(
        "Feltet har tegn som ikke kan vises.",
        "The field has characters that cannot be shown.",
        "Skriv feltet på nytt.",
        "Write the field again.",
    ),
    "undefined_literal": _rule(
        "Feltet har et feilord fra et dataprogram i stedet for et svar.",
        "The field has a program's error word instead of an answer.",
        "La feltet stå tomt når svar mangler, og rett uttrekket.",
        "Leave the field empty when there is no answer, and mend the export.",
    ),
    "attachment_refused": _rule(
        "Innsendingen hadde vedlegg, som ikke tas imot; svarene er behandlet uten.",
        "The submission had an attachment, which is not taken; the answers were treated without it.",
        "Ta spørsmålet om vedlegg ut av skjemaet.",
        "Take the attachment question out of the form.",
    ),
    "type": _rule(
        "Verdien er ikke skrevet slik variabelen krever.",
        "The value is not written as the variable requires.",
        "Skriv datoer som 2024-03-01 eller 01.03.2024, ja/nei som ja, nei, 1 eller 0, og tall uten mellomrom.",
        "Write dates as 2024-03-01 or 01.03.2024, yes/no as ja, nei, 1 or 0, and numbers without spaces.",
    ),
    "code_unknown": _rule(
        "Koden finnes ikke i variabelens kodeliste.",
        "The code is not in the variable's list.",
        "Bruk en kode fra kodelisten.",
        "Use a code from the list.",
    ),
    "code_not_valid_on_date": _rule(
        "Koden gjaldt ikke på skjemaets dato.",
        "The code was not in force on the form's date.",
        "Bruk en kode som gjaldt på datoen.",
        "Use a code that was in force on the date.",
    ),
    "variable_not_valid_on_date": _rule(
        "Variabelen ble ikke brukt på skjemaets dato.",
        "The variable was not in use on the form's date.",
        "La feltet stå tomt, eller rett datoen.",
        "Leave the field empty, or correct the date.",
    ),
    "below_minimum": _rule(
        "Verdien er lavere enn det laveste som er mulig.",
        "The value is below the lowest possible.",
        "Kontroller verdien mot skjemaet.",
        "Check the value against the form.",
    ),
    "above_maximum": _rule(
        "Verdien er høyere enn det høyeste som er mulig.",
        "The value is above the highest possible.",
        "Kontroller verdien mot skjemaet.",
        "Check the value against the form.",
    ),
    "too_long": _rule(
        "Teksten er lengre enn tillatt.",
        "The text is longer than allowed.",
        "Forkort teksten.",
        "Shorten the text.",
    ),
    "identity_in_text": _rule(
        "Teksten har et tall på elleve sifre, som kan være et fødselsnummer.",
        "The text has a number of eleven digits, which may be a national id.",
        "Fjern nummeret fra teksten; personer skal ikke kunne kjennes igjen i fritekst.",
        "Remove the number from the text; nobody may be recognised in free text.",
    ),
    "required": _rule(
        "Svaret må fylles ut.",
        "The answer is required.",
        "Fyll ut feltet.",
        "Fill in the field.",
    ),
    "person_id_missing": _rule(
        "Fødselsnummeret mangler.",
        "The national id is missing.",
        "Fyll ut personens fødselsnummer eller D-nummer.",
        "Fill in the person's national id.",
    ),
    "reference_missing": _rule(
        "Forløpsnummeret mangler.",
        "The course number is missing.",
        "Fyll ut deres eget nummer på forløpet.",
        "Fill in your own number of the course.",
    ),
    "consent_missing": _rule(
        "Samtykkedatoen mangler, og registeret bygger på samtykke.",
        "The date of consent is missing, and the registry rests on consent.",
        "Fyll ut datoen for samtykket; send ikke skjemaet hvis personen ikke har samtykket.",
        "Fill in the date of consent; do not send the form if the person has not consented.",
    ),
    "before_legal_basis": _rule(
        "Registeret hadde ikke rettslig grunnlag på skjemaets dato.",
        "The registry had no legal basis on the form's date.",
        "Kontroller datoen; skjemaer fra før grunnlaget gjaldt, skal ikke sendes.",
        "Check the date; forms from before the basis was in force are not to be sent.",
    ),
    "outside_form_validity": _rule(
        "Skjemaet var ikke i bruk på denne datoen.",
        "The form was not in use on this date.",
        "Kontroller datoen, eller bruk skjemaet som gjaldt da.",
        "Check the date, or use the form that was in use then.",
    ),
    "duplicate_row_in_file": _rule(
        "Raden er lik en tidligere rad i filen og er ikke tatt med to ganger.",
        "The row equals an earlier one in the file and is not taken twice.",
        "Ta med hvert skjema én gang.",
        "Include each form once.",
    ),
    "conflicting_rows_in_file": _rule(
        "Flere rader i filen har samme forløpsnummer, men ulikt innhold.",
        "Several rows of the file have the same course number but differ.",
        "Behold den riktige raden.",
        "Keep the right row.",
    ),
}

RULES: Mapping[str, Rule] = {**FILE_RULES, **ROW_RULES}
CHECK_REMEDY = Label(
    nb="Rett svarene slik at regelen holder, eller kontroller dem mot skjemaet.",
    en="Correct the answers so that the rule holds, or check them against the form.",
)
