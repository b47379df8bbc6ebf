"""A small registry with one of everything that intake judges, and files of it."""

from datetime import date

from enclave.intake.check import Checked, check
from enclave.intake.read import read
from enclave.model.fault import Fault, Severity
from enclave.registry.definition import Check, Code, Definition, Form, Kind, Label, LegalBasis, Variable


def label(text: str) -> Label:
    """A label that says the same in every language."""
    return Label(nb=text, en=text)


def code(value: str, **valid: date) -> Code:
    """A code, perhaps with validity dates."""
    return Code(value=value, label=label(value), **valid)


ARRIVAL = Form(
    id="arrival",
    label=label("Ankomst"),
    time_point="arrival",
    dated_by="arrival_date",
    consent="consent_date",
    valid_from=date(2016, 1, 1),
    valid_to=date(2030, 12, 31),
    variables=(
        Variable(name="consent_date", kind=Kind.DATE, label=label("Samtykke")),
        Variable(name="arrival_date", kind=Kind.DATE, label=label("Ankomst"), required=True),
        Variable(name="sex", kind=Kind.CODE, label=label("Kjønn"), codes=(code("female"), code("male")), required=True),
        Variable(
            name="aid",
            kind=Kind.CODE,
            label=label("Hjelpemiddel"),
            codes=(code("none"), code("old", valid_to=date(2020, 12, 31))),
        ),
        Variable(name="score", kind=Kind.INTEGER, label=label("Skår"), minimum=0, maximum=10),
        Variable(name="weight", kind=Kind.DECIMAL, label=label("Vekt"), minimum=20.5, maximum=300),
        Variable(name="employed", kind=Kind.BOOLEAN, label=label("I arbeid")),
        Variable(
            name="benefits",
            kind=Kind.MULTI,
            label=label("Ytelser"),
            codes=(code("none"), code("aap"), code("new", valid_from=date(2024, 6, 1))),
            required=True,
        ),
        Variable(name="late", kind=Kind.INTEGER, label=label("Ny variabel"), valid_from=date(2024, 6, 1)),
        Variable(name="occupation", kind=Kind.TEXT, label=label("Yrke"), maximum_length=20),
        Variable(name="free", kind=Kind.INTEGER, label=label("Uten grenser")),
    ),
    checks=(
        Check(id="consent_first", holds="consent_date <= arrival_date", label=label("Samtykke før ankomst")),
        Check(id="low_score", holds="score < 9", label=label("Skår under 9"), severity=Severity.WARN),
        Check(id="one_kind", holds="NOT (benefits_none AND benefits_aap)", label=label("Ingen utelukker andre")),
        Check(id="old_rule", holds="score > 3", label=label("Gjaldt før 2018"), valid_to=date(2017, 12, 31)),
    ),
)
UNIT = Form(
    id="unit",
    label=label("Enheten"),
    time_point="year",
    subject="institution",
    person_id=None,
    reference="unit_id",
    dated_by="counted",
    variables=(
        Variable(name="counted", kind=Kind.DATE, label=label("Dato")),
        Variable(name="beds", kind=Kind.INTEGER, label=label("Plasser"), minimum=0),
    ),
)
REGISTRY = Definition(
    id="kar",
    name=label("Prøveregister"),
    version="1",
    country="no",
    proposed=True,
    source="tests",
    period_form="arrival",
    legal_bases=(LegalBasis(kind="consent", source="tests", valid_from=date(2017, 2, 3)),),
    forms=(ARRIVAL, UNIT),
)

GOOD = {
    "person_id": "17912099997",
    "course_id": "F-1",
    "consent_date": "2024-02-28",
    "arrival_date": "01.03.2024",
    "sex": "female",
    "aid": "none",
    "score": "7",
    "weight": "81,5",
    "employed": "ja",
    "benefits_none": "nei",
    "benefits_aap": "ja",
    "benefits_new": "",
    "late": "",
    "occupation": "fisker",
    "free": "-3",
}


def file_of(*rows: dict[str, str], header: tuple[str, ...] = tuple(GOOD), end: str = "\r\n") -> bytes:
    """A CSV file of changes to the good row; each row is its own course unless it says otherwise."""
    lines = [";".join(header)]
    for number, changes in enumerate(rows, start=1):
        fields = {**GOOD, "course_id": f"F-{number}", **changes}
        lines.append(";".join(fields[name] for name in header))
    return (end.join(lines) + end).encode()


def checked(content: bytes, form: Form = ARRIVAL, definition: Definition = REGISTRY) -> Checked:
    """A file read and judged."""
    return check(form, definition, read(content, form), drop_uuid="0" * 36, sender="klinikk-a")


def faults(content: bytes, form: Form = ARRIVAL, definition: Definition = REGISTRY) -> list[tuple[int, str, str]]:
    """The faults of a file as (row, variable, rule)."""
    return [(fault.row, fault.variable, fault.rule) for fault in checked(content, form, definition).faults]


def refusing(found: tuple[Fault, ...]) -> list[Fault]:
    """Those faults that keep a row out."""
    return [fault for fault in found if fault.severity is Severity.REFUSE]
