"""What a sender is told about faults in national numbers and ages, in `nb` and `en`."""

from dataclasses import dataclass

from enclave.registry.definition import Label


@dataclass(frozen=True)
class Rule:
    """What a sender is told about a fault, and what to do about it."""

    label: Label
    remedy: Label


RULES: dict[str, Rule] = {
    "id_malformed": Rule(
        Label(nb="Fødselsnummeret er ikke elleve siffer med en mulig dato.", en="Not eleven digits with a real date."),
        Label(
            nb="Skriv nummeret som elleve siffer uten mellomrom, slik det står i journalen.",
            en="Write the number as eleven digits without spaces, as in the patient's record.",
        ),
    ),
    "id_lost_zero": Rule(
        Label(nb="Fødselsnummeret har ti siffer; nullen foran er borte.", en="Ten digits: the leading zero is lost."),
        Label(
            nb="Gjør kolonnen om til tekst i regnearket, skriv nullen foran igjen og send på nytt.",
            en="Make the column text in the spreadsheet, put the zero back and send again.",
        ),
    ),
    "id_control_digits": Rule(
        Label(nb="Kontrollsifrene i fødselsnummeret stemmer ikke.", en="The control digits do not fit."),
        Label(nb="Sammenlign nummeret med journalen og rett det.", en="Compare it with the record and correct it."),
    ),
    "id_synthetic_in_production": Rule(
        Label(nb="Dette er et syntetisk testnummer.", en="This is a synthetic test number."),
        Label(nb="Send bare virkelige personer hit.", en="Send only real people here."),
    ),
    "id_real_in_test": Rule(
        Label(nb="Dette kan være nummeret til en virkelig person.", en="This may be a real person's number."),
        Label(
            nb="Dette er et testmottak: send bare syntetiske testnumre.",
            en="This is a test installation: send synthetic test numbers only.",
        ),
    ),
    "id_unusable": Rule(
        Label(
            nb="Nummeret forteller ikke fødselsdato, og skjemaet har en aldersgrense.",
            en="The number tells no date of birth, and the form has an age limit.",
        ),
        Label(
            nb="Send raden på nytt når personen har fått fødselsnummer eller D-nummer.",
            en="Send the row again when the person has a national number or D-number.",
        ),
    ),
    "id_conflict": Rule(
        Label(
            nb="Samme forløp har numre med ulik fødselsdato eller kjønn.",
            en="One course has numbers of different dates of birth or sexes.",
        ),
        Label(
            nb="Kontroller fødselsnummer og forløpsnummer på alle radene i forløpet.",
            en="Check the national id and the course number of every row of the course.",
        ),
    ),
    "id_born_later": Rule(
        Label(nb="Fødselsdatoen er etter skjemaets dato.", en="Born after the form's date."),
        Label(nb="Kontroller nummeret og datoen mot journalen.", en="Check number and date against the record."),
    ),
    "age_unknown": Rule(
        Label(nb="Skjemaets dato mangler, så alderen er ukjent.", en="The form's date is missing, so age is unknown."),
        Label(nb="Fyll inn datoen og send på nytt.", en="Fill in the date and send again."),
    ),
    "underage": Rule(
        Label(nb="Personen er under registerets aldersgrense.", en="The person is below the registry's age limit."),
        Label(nb="Personen skal ikke registreres.", en="The person is not to be registered."),
    ),
}
