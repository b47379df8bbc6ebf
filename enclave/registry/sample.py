"""One made-up row for each form of a definition: what a sender's file looks like, and nobody that exists.

Dates follow the definition's own rules between forms; answers are the first that its checks let stand together. The
same definition and day give the same rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import combinations, product

import polars as pl

from enclave.errors import Refused, explain
from enclave.model.made_up import MADE_UP_COURSE, MADE_UP_PERSON, MADE_UP_TEXT
from enclave.registry.definition import Definition, Form, Kind, SetCheck, Variable
from enclave.registry.expressions import columns_of, parse, to_polars

explain(
    "R_NO_SAMPLE",
    "No made-up row was found that every check of this form lets pass.",
    "Look for checks of the form that contradict each other: `enclave registry check FOLDER`.",
)

APART = timedelta(days=28)  # between two forms that no rule ties together

ORDINARY = 20
"""How far above its least a number lies, where the range is wide: a range's middle would look absurd."""

Value = str | bool | int | float | date | None
Row = dict[str, Value]

DTYPES: Mapping[Kind, type[pl.DataType]] = {
    Kind.CODE: pl.String,
    Kind.MULTI: pl.Boolean,
    Kind.BOOLEAN: pl.Boolean,
    Kind.INTEGER: pl.Int64,
    Kind.DECIMAL: pl.Float64,
    Kind.DATE: pl.Date,
    Kind.TEXT: pl.String,
}


@dataclass(frozen=True)
class SampleForm:
    """A form's file with one row: `header` are its columns, identities first."""

    form: Form
    header: tuple[str, ...]
    row: tuple[Value, ...]


@dataclass
class _Calendar:
    """The dates given so far, by form and column, and the newest of a form about a person."""

    given: dict[tuple[str, str], date] = field(default_factory=dict)
    newest: date = date.min


def sample_forms(definition: Definition, today: date) -> tuple[SampleForm, ...]:
    """A file with one row for each form that is in use, in the definition's order; all about one person and course.

    The course begins in January two years before `today`, so that its follow-ups lie behind. Refused R_NO_SAMPLE.
    """
    begun = date(today.year - 2, 1, 15)
    calendar = _Calendar(newest=begun - APART)
    made: dict[str, SampleForm] = {}
    for form in _by_dependence(definition):
        day = _day_of(form, definition, begun, calendar)
        if not form.holds_on(day):
            continue
        row = _answers(form, day)
        for column, value in row.items():
            if isinstance(value, date):
                calendar.given[form.id, column] = value
        if form.subject == "person":
            calendar.newest = max(calendar.newest, *(value for value in row.values() if isinstance(value, date)))
        made[form.id] = _with_identities(form, row)
    return tuple(made[form.id] for form in definition.forms if form.id in made)


def _with_identities(form: Form, row: Row) -> SampleForm:
    identities: Row = {}
    if form.names_persons and form.person_id is not None:
        identities[form.person_id] = MADE_UP_PERSON
    if not form.key:
        identities[form.reference] = MADE_UP_COURSE
    whole = identities | row
    return SampleForm(form, tuple(whole), tuple(whole.values()))


def _by_dependence(definition: Definition) -> Iterator[Form]:
    """The period's form first, then each form after those that its own dates are counted from."""
    waiting = sorted(definition.forms, key=lambda form: form.id != definition.period_form)
    done: set[str] = set()
    while waiting:
        ready = (form for form in waiting if {other for other, _ in _counted_from(form)} <= done)
        form = next(ready, waiting[0])
        waiting.remove(form)
        done.add(form.id)
        yield form


def _counted_from(form: Form) -> set[tuple[str, str]]:
    from_due = {(form.due.form, form.due.column)} if form.due else set()
    return from_due | {place for check in form.set_checks if (place := _window_from(form, check)) is not None}


def _window_from(form: Form, check: SetCheck) -> tuple[str, str] | None:
    mine = check.kind == "window" and check.columns[0] == form.dated_by
    if not mine or check.other_form is None or check.other_column is None or check.other_form == form.id:
        return None
    return check.other_form, check.other_column


def _day_of(form: Form, definition: Definition, begun: date, calendar: _Calendar) -> date:
    """The day that a form's row is dated by: the middle of its windows, or some weeks after the form before it."""
    if form.id == definition.period_form:
        return begun
    if form.due and (anchor := calendar.given.get((form.due.form, form.due.column))):
        return form.due.day(anchor)
    for check in form.set_checks:
        place = _window_from(form, check)
        anchor = calendar.given.get(place) if place else None
        if anchor and check.before_days is not None:
            first = check.after_days or 0
            return anchor + min(timedelta(days=first) + APART, timedelta(days=(first + check.before_days) // 2))
    if form.subject == "institution":
        return date(begun.year + 1, 1, 15)
    return calendar.newest + APART


def _answers(form: Form, day: date) -> Row:
    """The first answers that all checks in force let pass, found by changing one or two answers at a time."""
    choices = _choices(form, day)
    row: Row = {column: values[0] for column, values in choices.items()}
    columns = columns_of(form)
    checks = [parse(check.holds, columns) for check in form.checks if check.holds_on(day)]
    dtypes = {column: DTYPES[kind] for column, kind in columns.items()}

    def broken(candidates: Sequence[Row]) -> list[int]:
        frame = pl.DataFrame(candidates, schema=dtypes, orient="row")
        held = frame.select(to_polars(check).fill_null(True).alias(str(place)) for place, check in enumerate(checks))
        return [len(checks) - sum(answers) for answers in held.iter_rows()]

    left = broken([row])[0] if checks else 0
    judged = sorted({column for check in checks for column in check.columns})
    while left:
        for count in (1, 2):
            candidates = list(_changed(row, choices, judged, count))
            faults = broken(candidates)
            best = min(faults)
            if best < left:
                row, left = candidates[faults.index(best)], best
                break
        else:
            raise Refused("R_NO_SAMPLE", place=form.id)
    return row


def _changed(row: Row, choices: Mapping[str, Sequence[Value]], judged: Sequence[str], count: int) -> Iterator[Row]:
    """The row with every other choice of `count` of the columns that checks judge."""
    for columns in combinations(judged, count):
        for values in product(*(choices[column] for column in columns)):
            yield row | dict(zip(columns, values, strict=True))


def _choices(form: Form, day: date) -> dict[str, tuple[Value, ...]]:
    """For each column the answers to try, the likeliest first; a variable that does not hold on the day stays empty."""
    choices: dict[str, tuple[Value, ...]] = {}
    for variable in form.variables:
        if not variable.holds_on(day):
            choices |= dict.fromkeys(variable.columns(), (None,))
        elif variable.kind is Kind.MULTI:
            choices |= _options(variable, day)
        elif form.yearly is not None and variable.name == form.yearly.year:
            choices[variable.name] = (day.year - 1, day.year)
        else:
            dated = variable.name == form.dated_by
            empty = () if dated or variable.required or variable.name == form.consent else (None,)
            choices[variable.name] = (day,) if dated else (*_values(variable, day), *empty)
    return choices


def _options(variable: Variable, day: date) -> dict[str, tuple[Value, ...]]:
    """The first option ticked, the others not."""
    choices: dict[str, tuple[Value, ...]] = {}
    ticked = False
    for code, column in zip(variable.codes, variable.columns(), strict=True):
        holds = code.holds_on(day)
        choices[column] = (None,) if not holds else ((False, True) if ticked else (True, False))
        ticked |= holds
    return choices


def _values(variable: Variable, day: date) -> tuple[Value, ...]:
    least, most = variable.minimum, variable.maximum
    match variable.kind:
        case Kind.CODE:
            return tuple(code.value for code in variable.codes if code.holds_on(day) and not code.not_answered)
        case Kind.BOOLEAN | Kind.MULTI:
            return (True, False)
        case Kind.INTEGER:
            low = int(least) if least is not None else 0
            high = int(most) if most is not None else low + 2 * ORDINARY
            return tuple(dict.fromkeys((min((low + high) // 2, low + ORDINARY), low, high, min(low + 1, high))))
        case Kind.DECIMAL:
            start = least if least is not None else 0.0
            end = most if most is not None else start + 2 * ORDINARY
            return (min((start + end) / 2, start + ORDINARY), start)
        case Kind.DATE:
            return (day, day - APART / 2, day + APART)
        case Kind.TEXT:
            return (MADE_UP_TEXT[: variable.maximum_length],)
