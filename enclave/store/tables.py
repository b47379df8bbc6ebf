"""Making a registry database's tables from its definition: only adds, and keeps each definition by its hash."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.schema import CreateColumn

from enclave.audit.record import Position
from enclave.errors import Halt, Refused, explain
from enclave.registry.definition import Definition, Form
from enclave.store import schema
from enclave.store.engines import transaction

explain(
    "R_COLUMN_KIND",
    "A definition gives an applied variable another type; types never change.",
    "Name a new variable, and end the old one by its validity dates.",
)
explain(
    "H_NOT_APPLIED",
    "The registry database does not hold every form and variable of the definition.",
    "Run `enclave registry apply` with this definition first.",
)

_SUBJECT = "_subject"  # the row of `form_column` that remembers whether a form is about persons or institutions


def apply(engine: Engine, definition: Definition, sha256: str, source: bytes, position: Position) -> None:
    """Add what a definition has and the database lacks, and keep the definition by its hash, in one transaction.

    Raises Refused R_COLUMN_KIND where a variable's type or a form's subject would change. Applying the newest
    definition again only records the act.
    """
    with transaction(engine) as connection:
        schema.control.create_all(connection)
        now = _state_made_and_locked(connection)
        connection.execute(insert(schema.act).values(position._asdict()))
        known = _known_columns(connection)
        for form in definition.forms:
            _add_form(connection, form, known.get(form.id, {}), position)
        newest = select(schema.definition_applied.c.sha256).order_by(schema.definition_applied.c.number.desc()).limit(1)
        if connection.execute(newest).scalar() != sha256:
            row = {"sha256": sha256, "content": source, "state": now, **position._asdict()}
            connection.execute(insert(schema.definition_applied).values(row))


def _state_made_and_locked(connection: Connection) -> int:
    found = connection.execute(select(schema.registry_state.c.state).with_for_update()).scalar()
    if found is None:
        connection.execute(insert(schema.registry_state).values(one=1, state=0, drop_number=0))
    return int(found or 0)


def _known_columns(connection: Connection) -> dict[str, dict[str, str]]:
    known: dict[str, dict[str, str]] = {}
    for form, name, kind in connection.execute(
        select(schema.form_column.c.form, schema.form_column.c.name, schema.form_column.c.kind)
    ):
        known.setdefault(form, {})[name] = kind
    return known


def _wanted_columns(form: Form) -> dict[str, str]:
    return {_SUBJECT: form.subject, **{column: kind.value for column, kind in schema.column_kinds(form).items()}}


def _add_form(connection: Connection, form: Form, known: dict[str, str], position: Position) -> None:
    wanted = _wanted_columns(form)
    if any(known.get(name, kind) != kind for name, kind in wanted.items()):
        raise Refused("R_COLUMN_KIND", place=form.id)
    table = schema.form_table(form)
    missing = [name for name in wanted if name not in known]
    if not known:
        table.create(connection)
    elif missing:
        preparer = connection.dialect.identifier_preparer
        for name in missing:
            column = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(table)} ADD COLUMN {column}")
    if missing:
        rows = [{"form": form.id, "name": name, "kind": wanted[name], **position._asdict()} for name in missing]
        connection.execute(insert(schema.form_column), rows)


def require_applied(connection: Connection, definition: Definition) -> None:
    """Halt H_NOT_APPLIED unless the database holds every column of the definition with its kind."""
    if not inspect(connection).has_table(schema.form_column.name):
        raise Halt("H_NOT_APPLIED")
    known = _known_columns(connection)
    for form in definition.forms:
        if not _wanted_columns(form).items() <= known.get(form.id, {}).items():
            raise Halt("H_NOT_APPLIED", place=form.id)


@dataclass(frozen=True)
class Applied:
    """A definition that was applied: its hash, its source as it was, and the state it was applied at."""

    sha256: str
    source: bytes
    state: int
    position: Position


def applied_definitions(engine: Engine) -> tuple[Applied, ...]:
    """Every definition applied to a registry database, the newest last; none in a database without tables."""
    applied = schema.definition_applied
    with transaction(engine) as connection:
        if not inspect(connection).has_table(applied.name):
            return ()
        rows = connection.execute(select(applied).order_by(applied.c.number)).all()
    return tuple(
        Applied(row.sha256, bytes(row.content), row.state, Position(row.log_id, row.audit_seq)) for row in rows
    )
