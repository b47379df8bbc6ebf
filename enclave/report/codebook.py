"""The codebook of a registry: its definition as one page and one workbook, for those who fill in, check and use it.

It is a report on the definition and not a part of it: `registry` stays free of templates and spreadsheets. Every text
is Norwegian, with the definition's English label beside; what is made is the same bytes each time.
"""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from enclave.model.draft import DraftFile
from enclave.registry.definition import Code, Definition, Form, Kind, Variable
from enclave.registry.expression_words import FUNCTIONS, WORDS
from enclave.report.codebook_parts import (
    Chapter,
    answer_remark,
    chapter_of,
    day_of,
    range_of,
    result_of,
    sensitivity_of,
    validity_of,
    word,
)
from enclave.report.codebook_workbook import Table, workbook
from enclave.report.quality import unmeasured_of
from enclave.report.texts import text

PAGE, WORKBOOK = "kodebok.html", "kodebok.xlsx"


def codebook(definition: Definition, sha256: str) -> tuple[DraftFile, ...]:
    """`kodebok.html` and `kodebok.xlsx` of a definition, whose content `sha256` names."""
    about = _about(definition, sha256)
    chapters = tuple(chapter_of(definition, form) for form in definition.forms)
    return (
        DraftFile(PAGE, _page(definition, about, chapters)),
        DraftFile(WORKBOOK, workbook(word("about"), about, _notes(definition), _tables(definition, chapters))),
    )


def _page(definition: Definition, about: Sequence[tuple[str, str]], chapters: Sequence[Chapter]) -> bytes:
    environment = Environment(
        loader=PackageLoader("enclave.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    rendered = environment.get_template("codebook.html").render(
        registry=definition.name,
        version=definition.version,
        proposed=definition.proposed,
        about=about,
        chapters=chapters,
        loans=definition.loans,
        results=tuple(result_of(definition, table) for table in definition.tables),
        words=_dialect(),
        text=text,
    )
    return rendered.encode("utf-8")


def _about(definition: Definition, sha256: str) -> tuple[tuple[str, str], ...]:
    limits = definition.disclosure
    return (
        (word("registry"), f"{definition.name.nb} ({definition.id})"),
        (word("version"), definition.version),
        (word("status"), word("proposed") if definition.proposed else word("published")),
        (word("source"), definition.source),
        *((word(basis.kind), f"{validity_of(basis)}: {basis.source}") for basis in definition.legal_bases),
        (word("period"), definition.form(definition.period_form).label.nb),
        (
            word("limits"),
            text(
                "codebook",
                "limits_text",
                count=limits.minimum_count,
                denominator=limits.minimum_denominator,
                institutions=limits.minimum_institutions,
            ),
        ),
        *((word("unmeasured"), reason) for reason in unmeasured_of(definition)),
        (word("retention"), text("codebook", "days", days=definition.retention_days)),
        (word("digest"), sha256),
    )


def _notes(definition: Definition) -> tuple[str, ...]:
    note = (word("proposed_note"),) if definition.proposed else ()
    return (*note, word("form_note"), word("set_note"), *(f"{word}: {meaning}" for word, meaning in _dialect()))


def _dialect() -> tuple[tuple[str, str], ...]:
    """What an expression of a check may be written with, as the reader of the codebook meets it."""
    functions = ", ".join(f"{name}({', '.join('ab'[:count])})" for name, count in FUNCTIONS.items())
    return (
        (word("words"), ", ".join(sorted(WORDS))),
        (word("functions"), functions),
        (word("unknown"), word("unknown_text")),
    )


def _tables(definition: Definition, chapters: Sequence[Chapter]) -> tuple[Table, ...]:
    """The workbook's sheets: forms, variables with their answers, checks, loans and tables."""
    forms = [(one.id, one.label.nb, one.label.en, name, value) for one in chapters for name, value in one.facts]
    checks = [
        (one.id, rule.id, kind, rule.label.nb, rule.label.en, rule.holds, rule.severity, rule.validity)
        for one in chapters
        for kind, rules in ((word("within_row"), one.rules), (word("across_rows"), one.set_rules))
        for rule in rules
    ]
    loans = [
        (loan.id, loan.lender, variable.name, variable.label.nb, variable.label.en)
        for loan in definition.loans
        for variable in loan.variables
    ]
    results = [
        (one.id, one.kind, one.label.nb, one.label.en, one.forms, one.measures, *category)
        for one in (result_of(definition, table) for table in definition.tables)
        for category in [(label.nb, label.en, holds) for label, holds in one.categories] or [("", "", "")]
    ]
    labels = (word("label_nb"), word("label_en"))
    variables = (word("variable"), *labels, word("type"))
    answers = (word("answer"), word("answer_nb"), word("answer_en"), word("remark"))
    ends = (word("range"), word("required"), word("sensitivity"), word("valid_from"), word("valid_to"))
    return (
        Table(word("forms"), (word("form"), *labels, word("fact"), word("value")), forms),
        Table(word("variables"), (word("form"), word("column"), *variables, *answers, *ends), _lines(definition)),
        Table(
            word("checks"),
            (
                word("form"),
                word("check"),
                word("reach"),
                *labels,
                word("holds"),
                word("effect"),
                word("validity"),
            ),
            checks,
        ),
        Table(word("loans"), (word("loan"), word("lender"), word("variable"), *labels), loans),
        Table(
            word("tables"),
            (
                *(word("table"), word("type"), *labels, word("forms"), word("measures")),
                *(word("category_nb"), word("category_en"), word("holds")),
            ),
            results,
        ),
    )


def _lines(definition: Definition) -> list[tuple[str, ...]]:
    """One line for each permitted answer, or for the variable where answers are not listed."""
    return [
        (form.id, *_line(form, variable, code))
        for form in definition.forms
        for variable in form.variables
        for code in variable.codes or (None,)
    ]


def _line(form: Form, variable: Variable, code: Code | None) -> tuple[str, ...]:
    column = f"{variable.name}_{code.value}" if code and variable.kind is Kind.MULTI else variable.name
    answer = (code.value, code.label.nb, code.label.en, answer_remark(code)) if code else ("", "", "", "")
    return (
        column,
        variable.name,
        variable.label.nb,
        variable.label.en,
        word(f"kind_{variable.kind}"),
        *answer,
        range_of(variable),
        word("yes") if variable.required else "",
        sensitivity_of(form, variable),
        day_of(variable.valid_from),
        day_of(variable.valid_to),
    )
