"""The parts of a codebook in words: forms, variables, answers, checks and results of a definition, for people."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from enclave.registry.definition import (
    ChangeTable,
    Check,
    Code,
    Definition,
    Form,
    Kind,
    Label,
    LoanShareTable,
    SetCheck,
    ShareTable,
    TransitionTable,
    Valid,
    Variable,
)
from enclave.registry.definition import Table as DeclaredTable
from enclave.registry.quality import (
    AgreementTable,
    ConsistencyTable,
    CoverageTable,
    MissingTable,
    RefusedTable,
)
from enclave.report.texts import decimal_comma, text

OPEN_END = "…"


@dataclass(frozen=True)
class Answer:
    """One permitted answer."""

    value: str
    label: Label
    remark: str


@dataclass(frozen=True)
class Question:
    """One variable."""

    name: str
    label: Label
    kind: str
    facts: tuple[str, ...]
    answers: tuple[Answer, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """One check; `holds` is its expression, or what a set check compares."""

    id: str
    label: Label
    holds: str
    severity: str
    validity: str


@dataclass(frozen=True)
class Result:
    """One table of results: at which forms it measures what, by which categories."""

    id: str
    label: Label
    kind: str
    measures: str
    forms: str
    categories: tuple[tuple[Label, str], ...]


@dataclass(frozen=True)
class Chapter:
    """One form."""

    id: str
    label: Label
    facts: tuple[tuple[str, str], ...]
    questions: tuple[Question, ...]
    rules: tuple[Rule, ...]
    set_rules: tuple[Rule, ...]


def chapter_of(definition: Definition, form: Form) -> Chapter:
    """A form as the codebook tells it."""
    return Chapter(
        id=form.id,
        label=form.label,
        facts=tuple(_form_facts(definition, form)),
        questions=tuple(_question(form, variable) for variable in form.variables),
        rules=tuple(_rule(check, check.holds) for check in form.checks),
        set_rules=tuple(_rule(check, _compared(form, check)) for check in form.set_checks),
    )


def _form_facts(definition: Definition, form: Form) -> Iterable[tuple[str, str]]:
    yield word("about_whom"), word(f"about_{form.subject}")
    yield word("time_point"), form.time_point
    if form.names_persons:
        yield word("row_key"), f"{form.person_id}, {form.reference}"
    else:
        yield word("row_key"), ", ".join(form.key or (form.reference,))
    yield word("dated_by"), form.dated_by
    if form.consent:
        yield word("consent_by"), form.consent
    if form.minimum_age is not None:
        yield word("minimum_age"), text("codebook", "years", years=form.minimum_age)
    if form.due:
        anchor = f"{definition.form(form.due.form).label.nb} ({form.due.form}.{form.due.column})"
        yield (
            word("due"),
            text("codebook", "due_text", months=form.due.months, anchor=anchor, days=form.due.tolerance_days),
        )
    if form.yearly:
        yield word("due"), text("codebook", "yearly_text", day=form.yearly.day, month=form.yearly.month)
    yield word("validity"), validity_of(form)


def _question(form: Form, variable: Variable) -> Question:
    return Question(
        name=variable.name,
        label=variable.label,
        kind=word(f"kind_{variable.kind}"),
        facts=tuple(_variable_facts(form, variable)),
        answers=tuple(Answer(code.value, code.label, answer_remark(code)) for code in variable.codes),
        columns=variable.columns(),
    )


def _variable_facts(form: Form, variable: Variable) -> Iterable[str]:
    if variable.required:
        yield word("required")
    if span := range_of(variable):
        yield span
    if variable.kind is Kind.TEXT:
        yield text("codebook", "characters", count=variable.maximum_length)
    if variable.valid_from or variable.valid_to:
        yield f"{word('validity')}: {validity_of(variable)}"
    if sensitivity := sensitivity_of(form, variable):
        yield sensitivity


def sensitivity_of(form: Form, variable: Variable) -> str:
    """How much an answer says about a person; a form about an institution says nothing about any."""
    return word(f"sensitivity_{variable.sensitivity}") if form.subject == "person" else ""


def range_of(variable: Variable) -> str:
    """The least and the most that a number may be; empty without limits."""
    least, most = _number(variable.minimum), _number(variable.maximum)
    return f"{least or OPEN_END}–{most or OPEN_END}" if least or most else ""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else decimal_comma(value, 2).rstrip("0")


def answer_remark(code: Code) -> str:
    """What is special about an answer: counted as none, or not offered at all times."""
    remarks = [word("not_answered")] if code.not_answered else []
    if code.valid_from or code.valid_to:
        remarks.append(validity_of(code))
    return ", ".join(remarks)


def _rule(check: Check | SetCheck, holds: str) -> Rule:
    validity = validity_of(check) if check.valid_from or check.valid_to else ""
    return Rule(check.id, check.label, holds, word(f"severity_{check.severity}"), validity)


def _compared(form: Form, check: SetCheck) -> str:
    """What a set check compares, in one line: its kind, its columns, and what they are held against."""
    compared, other = ", ".join(check.columns), f"{check.other_form}.{check.other_column}"
    match check.kind:
        case "overlap" if check.other_form:
            compared += f" – {other}"
        case "precedes":
            compared += f" ≤ {other}"
        case "window":
            bounds = (("≥", check.after_days), ("≤", check.before_days))
            limits = ", ".join(f"{sign} {days}" for sign, days in bounds if days is not None)
            compared += f" − {other} {limits} {word('unit_days')}"
        case "due" if form.due:
            anchor = f"{form.due.form}.{form.due.column} + {form.due.months} {word('unit_months')}"
            compared += f" = {anchor} ± {form.due.tolerance_days} {word('unit_days')}"
        case "follows":
            compared = str(check.other_form)
        case "drift":
            compared += f" ± {_number(check.percent)} {word('unit_points')}"
    return f"{check.kind}: {compared}"


def result_of(definition: Definition, table: DeclaredTable) -> Result:
    """A table of results as the codebook tells it."""
    labels = {form.id: form.label.nb for form in definition.forms}
    categories = table.categories if isinstance(table, ShareTable) else ()
    match table:
        case ChangeTable() | TransitionTable():
            measures = table.variable
        case LoanShareTable():
            measures = f"{table.loan}: {table.form}.{table.start}"
        case CoverageTable():
            measures = f"{definition.period_form} / {table.form}.{table.people}"
        case MissingTable():
            asked = ((one.variable, f" ({one.asked_if})" if one.asked_if else "") for one in table.variables)
            measures = ", ".join(f"{variable}{asked_if}" for variable, asked_if in asked)
        case AgreementTable():
            measures = f"{table.first} ~ {table.second}"
        case ConsistencyTable():
            measures = ", ".join(table.items)
        case _:
            measures = ""
    match table:
        case LoanShareTable() | CoverageTable():
            forms: tuple[str, ...] = (table.form,)
        case RefusedTable():
            forms = ()
        case _:
            forms = table.forms
    return Result(
        table.id,
        table.label,
        word(f"table_{table.kind}"),
        measures,
        ", ".join(labels[name] for name in forms),
        tuple((one.label, one.holds) for one in categories),
    )


def validity_of(valid: Valid) -> str:
    """From when to when something holds, in words."""
    first, last = day_of(valid.valid_from), day_of(valid.valid_to)
    if first and last:
        return f"{first}–{last}"
    return f"{word('from')} {first}" if first else f"{word('until')} {last}" if last else word("always")


def day_of(day: date | None) -> str:
    """A day as 31.12.2024; empty for an open end."""
    return f"{day:%d.%m.%Y}" if day else ""


def word(key: str) -> str:
    """A word of the codebook, in the reader's language."""
    return text("codebook", key)
