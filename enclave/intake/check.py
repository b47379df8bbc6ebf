"""A form's rows, judged: every fault of every row is found, the rows without one come out typed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from enclave.intake.convert import Converted, convert, convert_identity, trimmed
from enclave.intake.read import MOST_LISTED, TextTable
from enclave.model.fault import Fault, Severity
from enclave.model.identified import PERSON_ID, REFERENCE, ROW, IdentifiedRecords
from enclave.registry import expressions
from enclave.registry.definition import Definition, Form, Kind, Valid, Variable

MOST_FAULTS = MOST_LISTED  # of one file


@dataclass(frozen=True, repr=False)
class Checked:
    """What came of one form's file.

    `references` has `_row` and `_reference` for every row that could be told apart, also those refused, so that the
    sender can find them again. `delivered` counts the file's rows; `refused_rows` those that the faults keep out.
    `unlisted` counts the faults beyond MOST_FAULTS, by kind: the fault without its row.
    """

    records: IdentifiedRecords
    faults: tuple[Fault, ...]
    delivered: int
    references: pl.DataFrame
    unlisted: Mapping[Fault, int] = field(default_factory=dict)

    @property
    def refused_rows(self) -> int:
        """How many delivered rows are not among the records."""
        return self.delivered - self.records.frame.height


def check(form: Form, definition: Definition, table: TextTable, *, drop_uuid: str, sender: str) -> Checked:
    """Every fault of the table's rows, and those rows that have none, typed as the definition says.

    Dates of validity are judged on `form.dated_by`; a row without that date is refused, as nothing can be judged.
    """
    sheet = _Sheet(form, table)
    _check_fields(sheet)
    _check_identity(sheet)
    _check_dates(sheet, definition)
    _check_definition(sheet)
    _check_repetition(sheet)
    frame = sheet.passing().select(
        pl.col(ROW),
        *([pl.col(form.person_id).alias(PERSON_ID)] if sheet.names_persons and form.person_id else []),
        _reference(form, qualified=True),
        *(pl.col(name) for name in form.columns()),
    )
    faults = sheet.all_faults()
    return Checked(
        records=IdentifiedRecords(drop_uuid=drop_uuid, sender=sender, form=form.id, frame=frame),
        faults=faults,
        delivered=table.delivered,
        references=sheet.typed.select(pl.col(ROW), _reference(form)),
        unlisted=sheet.unlisted(faults),
    )


def _reference(form: Form, *, qualified: bool = False) -> pl.Expr:
    """What the sender finds a row again by: its own number, or the key's answers, as 2024/Ryggskole.

    The vault keeps both kinds in one place; `qualified` by the form, a year is never taken for a course of that number.
    """
    if not form.key:
        return pl.col(form.reference).alias(REFERENCE)
    answers = pl.concat_str([pl.col(name).cast(pl.String) for name in form.key], separator="/")
    return (pl.lit(f"{form.id}:") + answers if qualified else answers).alias(REFERENCE)


@dataclass(repr=False)
class _Sheet:
    """The table while it is judged: its trimmed texts, its typed columns and the faults so far."""

    form: Form
    table: TextTable
    texts: pl.DataFrame = field(init=False)
    typed: pl.DataFrame = field(init=False)
    found: list[tuple[Fault, pl.Series]] = field(default_factory=list)

    def __post_init__(self) -> None:
        frame = self.table.frame
        self.texts = frame.select(ROW, *(trimmed(frame[name]) for name in frame.columns if name != ROW))
        self.typed = self.texts.select(ROW)

    @property
    def names_persons(self) -> bool:
        return self.form.names_persons

    def text(self, column: str) -> pl.Series:
        """A column's trimmed texts; all null where the file has no such column."""
        if column in self.texts.columns:
            return self.texts[column]
        return _nothing(column, pl.String(), self.texts.height)

    def missing(self, column: str) -> bool:
        """Whether the header itself was faulted for this column, so that its rows need not be."""
        return column not in self.texts.columns

    def add(self, converted: Converted, column: str) -> None:
        """Take a typed column in, with its faults."""
        self.typed = self.typed.with_columns(converted.values.alias(column))
        for rule, mask in converted.faults:
            self.fault(rule, column, mask)

    def fault(self, rule: str, variable: str, mask: pl.Series, severity: Severity = Severity.REFUSE) -> None:
        """Note that `rule` is broken in the rows where `mask` is True."""
        rows = self.texts[ROW].filter(mask.fill_null(value=False))
        if len(rows):
            self.found.append((Fault(self.form.id, 0, variable, rule, severity), rows))

    def passing(self) -> pl.DataFrame:
        """The rows without a fault that refuses them; none where the whole file is refused."""
        if self.table.refused:
            return self.typed.clear()
        refusing = [rows.unique() for kind, rows in self.found if kind.severity is Severity.REFUSE]
        if not refusing:
            return self.typed.sort(ROW)
        return self.typed.join(pl.concat(refusing).unique().to_frame(), on=ROW, how="anti").sort(ROW)

    def all_faults(self) -> tuple[Fault, ...]:
        """The first faults of the file and of its rows, in the order of the rows."""
        room = max(0, MOST_FAULTS - len(self.table.faults))
        kinds = sorted(self.found, key=lambda found: (found[0].variable, found[0].rule))
        # Rows rise within a kind, so the first of all are among the first of each.
        first = [rows.head(room).alias("row").to_frame().with_columns(kind=n) for n, (_, rows) in enumerate(kinds)]
        ordered = pl.concat(first).sort("row", "kind").head(room) if first else pl.DataFrame()
        listed = [replace(kinds[kind][0], row=row) for row, kind in ordered.iter_rows()]
        unlisted = sum(len(rows) for _, rows in self.found) > room or bool(self.table.unlisted)
        more = [Fault(self.form.id, 0, "", "too_many_faults", Severity.WARN)] if unlisted else []
        return tuple(sorted([*self.table.faults, *more, *listed]))

    def unlisted(self, listed: Sequence[Fault]) -> Mapping[Fault, int]:
        """How many faults of each kind there are beyond those listed."""
        counted = Counter(self.table.unlisted)
        for kind, rows in self.found:
            counted[kind] += len(rows)
        own = set(self.table.faults)  # not in `found`, so not to be taken off again
        return counted - Counter(replace(fault, row=0) for fault in listed if fault not in own)


def _check_fields(sheet: _Sheet) -> None:
    """Each field is of its type, in its range, a known code; what is required is there."""
    for variable in sheet.form.variables:
        for column in variable.columns():
            sheet.add(convert(sheet.text(column), variable), column)
    for variable in sheet.form.variables:
        must = variable.required or variable.name == sheet.form.dated_by
        if must and not any(sheet.missing(column) for column in variable.columns()):
            _check_required(sheet, variable)


def _check_required(sheet: _Sheet, variable: Variable) -> None:
    empty = _all([sheet.text(column).is_null() for column in variable.columns()], sheet.texts.height)
    sheet.fault("required", variable.name, empty & _holds_on(_dates(sheet), variable))


def _check_identity(sheet: _Sheet) -> None:
    """The row names its person and its course."""
    named = [] if sheet.form.key else [(sheet.form.reference, "reference_missing")]
    if sheet.names_persons and sheet.form.person_id:
        named.append((sheet.form.person_id, "person_id_missing"))
    for column, rule in named:
        converted = convert_identity(sheet.text(column))
        sheet.add(converted, column)
        if not sheet.missing(column):
            sheet.fault(rule, column, ~converted.given)


def _check_dates(sheet: _Sheet, definition: Definition) -> None:
    """On the row's date the form, its variables, its codes and a legal basis were in force, and consent was given."""
    form, dates = sheet.form, _dates(sheet)
    sheet.fault("outside_form_validity", form.dated_by, ~_holds_on(dates, form))
    for variable in form.variables:
        for column in variable.columns():
            _check_valid_answers(sheet, variable, column)
    if form.subject == "institution":
        return  # it holds nothing about a person, so it needs no basis
    in_force = [(basis.kind, _holds_on(dates, basis)) for basis in definition.legal_bases]
    sheet.fault("before_legal_basis", form.dated_by, ~_any([mask for _, mask in in_force], len(dates)))
    if form.consent and not sheet.missing(form.consent):
        by_consent = _any([mask for kind, mask in in_force if kind == "consent"], len(dates))
        otherwise = _any([mask for kind, mask in in_force if kind != "consent"], len(dates))
        empty = sheet.text(form.consent).is_null()
        sheet.fault("consent_missing", form.consent, empty & by_consent & (~otherwise | dates.is_null()))


def _check_valid_answers(sheet: _Sheet, variable: Variable, column: str) -> None:
    dates, values = _dates(sheet), sheet.typed[column]
    # A "no" to an option that did not exist is no answer to it.
    given = values.fill_null(value=False) if variable.kind is Kind.MULTI else values.is_not_null()
    sheet.fault("variable_not_valid_on_date", column, given & ~_holds_on(dates, variable))
    for code in variable.codes:
        if variable.kind is not Kind.MULTI:
            sheet.fault("code_not_valid_on_date", column, (values == code.value) & ~_holds_on(dates, code))
        elif column == f"{variable.name}_{code.value}":
            sheet.fault("code_not_valid_on_date", column, given & ~_holds_on(dates, code))


def _check_definition(sheet: _Sheet) -> None:
    """The form's own checks hold; one that is unknown, because an answer is missing, passes."""
    kinds = expressions.columns_of(sheet.form)
    for rule in sheet.form.checks:
        holds = expressions.to_polars(expressions.parse(rule.holds, kinds))
        broken = sheet.typed.select((~holds).alias("broken"))["broken"]
        in_force = _holds_on(_dates(sheet), rule)
        sheet.fault(f"{sheet.form.id}.{rule.id}", "", broken & in_force, rule.severity)


def _check_repetition(sheet: _Sheet) -> None:
    """A course stands once: of equal rows the first is taken; of differing ones none, as nobody knows the right one."""
    form = sheet.form
    told_apart_by = list(form.key) or [form.reference]
    if any(sheet.missing(column) for column in told_apart_by):
        return
    columns = [name for name in sheet.texts.columns if name != ROW]
    # A key is compared as it was understood: 2024 and +2024 are one year.
    keys = sheet.typed.select(pl.struct(told_apart_by).alias("_key")).to_series()
    named = sheet.typed.select(pl.all_horizontal(pl.col(told_apart_by).is_not_null()).alias("_named")).to_series()
    marked = sheet.texts.with_columns(keys, later=pl.col(ROW).min().over(columns) != pl.col(ROW))
    marked = marked.with_columns(differing=(~pl.col("later")).sum().over("_key") > 1)
    sheet.fault("duplicate_row_in_file", told_apart_by[0], marked["later"] & named)
    sheet.fault("conflicting_rows_in_file", told_apart_by[0], marked["differing"] & named)


def _dates(sheet: _Sheet) -> pl.Series:
    return sheet.typed[sheet.form.dated_by]


def _holds_on(dates: pl.Series, valid: Valid) -> pl.Series:
    """Where `valid` is in force; True where the date is unknown, which is a fault of its own."""
    masks = [_always(len(dates))]
    if valid.valid_from is not None:
        masks.append((dates >= valid.valid_from).fill_null(value=True))
    if valid.valid_to is not None:
        masks.append((dates <= valid.valid_to).fill_null(value=True))
    return _all(masks, len(dates))


def _all(masks: Iterable[pl.Series], height: int) -> pl.Series:
    together = _always(height)
    for mask in masks:
        together = together & mask
    return together


def _any(masks: Sequence[pl.Series], height: int) -> pl.Series:
    return ~_all([~mask for mask in masks], height)


def _always(height: int) -> pl.Series:
    return pl.Series("", [True], dtype=pl.Boolean).new_from_index(0, height)


def _nothing(name: str, dtype: pl.DataType, height: int) -> pl.Series:
    return pl.Series(name, [None], dtype=dtype).new_from_index(0, height)
