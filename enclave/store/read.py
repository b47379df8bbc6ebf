"""Reading the registry: by state and purpose, and never otherwise (law 10). A reader cannot write.

Give it an engine made with `read_only=True`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, Engine, false, or_, select

from enclave.audit.record import Position
from enclave.errors import Halt, Refused, explain
from enclave.model.draft import Kind, NamedDraft
from enclave.model.fault import Fault, Severity
from enclave.model.pseudonymous import DROP, DROP_NUMBER, PSEUDONYM, ROW, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import ReleasableTable, ResultTable
from enclave.registry.definition import Definition, Form
from enclave.store import schema
from enclave.store.aliases import aliases, everyone, read_as
from enclave.store.bulk import row_schema, select_frame
from enclave.store.engines import transaction
from enclave.store.settlement import Counts, Outcome, Settled, Settlement
from enclave.store.tables import require_applied

explain("R_STATE", "The registry has no such state yet.", "Name a state from 0 to the current one.")
explain(
    "R_ONE_PERSON",
    "Rows are read for access only for one named person, and for one person only for access.",
    "Name the person by pseudonym together with the purpose `access`.",
)
explain("H_TABLE_DAMAGED", "A kept result table is not what was kept.", "Restore the registry database from a backup.")


@dataclass(frozen=True)
class StoredDraft:
    """A named draft with the order in which it was named, and the drop that it answers, if any."""

    number: int
    draft: NamedDraft
    drop_uuid: str | None
    position: Position


class RegistryReader:
    """Reads a registry; halts H_NOT_APPLIED where the definition is not applied."""

    def __init__(self, engine: Engine, definition: Definition) -> None:
        self._engine = engine
        self._definition = definition
        with transaction(engine) as connection:
            require_applied(connection, definition)

    def current_state(self) -> int:
        """The newest state; 0 before the first commit."""
        with transaction(self._engine) as connection:
            return _current_state(connection)

    def read(
        self,
        form: str,
        *,
        state: int | None,
        purpose: Purpose,
        as_released: bool = False,
        sender: str | None = None,
        pseudonym: bytes | None = None,
    ) -> pl.DataFrame:
        """The rows of a form that held in `state` (None: the newest) and may serve `purpose`.

        `_pseudonym` (forms about persons), `_episode`, `_sender`, `_drop`, `_drop_number`, `_row` and the definition's
        typed columns, sorted by sender, drop number and row. Reservations and withdrawals of today apply, or with
        `as_released` those of that state, so that an old release can be made again. Purpose `access` ignores them and
        needs the `pseudonym`. Who was merged into another is read as that other, as of the state. Raises Refused
        R_STATE, R_ONE_PERSON; KeyError for an unknown form.
        """
        if (purpose is Purpose.ACCESS) != (pseudonym is not None):
            raise Refused("R_ONE_PERSON")
        of_form = self._definition.form(form)
        with transaction(self._engine) as connection:
            newest = _current_state(connection)
            as_of = newest if state is None else state
            if not 0 <= as_of <= newest:
                raise Refused("R_STATE")
            ends = aliases(connection, as_of)
            asked = None if pseudonym is None else everyone(ends, pseudonym)
            frame = read_as(_rows(connection, of_form, as_of, sender, asked), ends)
            if of_form.subject == "person" and purpose is not Purpose.ACCESS:
                reserved = read_as(_reserved(connection, purpose, as_of if as_released else newest), ends)
                frame = frame.join(reserved, on=PSEUDONYM, how="anti")
        return frame.sort(SENDER, DROP_NUMBER, ROW)

    def tables(
        self, *, table: str | None = None, finished: bool | None = None
    ) -> tuple[ResultTable | ReleasableTable, ...]:
        """Kept tables, the newest for each table, period, recipient, state and definition, in the order they were kept.

        `finished` tells tables after disclosure control (True) from those before it (False). Halts H_TABLE_DAMAGED.
        """
        kept = schema.result_table
        wanted = select(kept.c.content, kept.c.sha256, kept.c.finished).order_by(kept.c.number)
        if table is not None:
            wanted = wanted.where(kept.c.table_id == table)
        if finished is not None:
            wanted = wanted.where(kept.c.finished == finished)
        with transaction(self._engine) as connection:
            rows = connection.execute(wanted).all()
        newest: dict[tuple[object, ...], ResultTable | ReleasableTable] = {}
        for content, digest, is_finished in rows:
            restored = _restore(content, digest, finished=bool(is_finished))
            place = (restored.table, restored.period, restored.recipient, restored.state, restored.definition)
            key = (*place, is_finished)
            newest.pop(key, None)
            newest[key] = restored
        return tuple(newest.values())

    def settlements(self, *, drop_uuid: str | None = None) -> tuple[Settled, ...]:
        """Every settled drop, or this one if it is settled, by drop number."""
        settled = schema.settlement
        wanted = select(settled).order_by(settled.c.drop_number)
        if drop_uuid is not None:
            wanted = wanted.where(settled.c.drop_uuid == drop_uuid)
        with transaction(self._engine) as connection:
            rows = connection.execute(wanted).mappings().all()
        return tuple(
            Settled(
                Settlement(
                    row["drop_uuid"],
                    row["sender"],
                    Outcome(row["outcome"]),
                    row["reason"],
                    Counts(**{field.name: row[field.name] for field in fields(Counts)}),
                ),
                row["drop_number"],
                row["state"],
                _position(row),
            )
            for row in rows
        )

    def faults(self, drop_uuid: str) -> tuple[Fault, ...]:
        """What was kept of a drop's faults, in their order; nothing for one that was answered by itself."""
        kept = schema.settlement_fault
        wanted = select(kept).where(kept.c.drop_uuid == drop_uuid).order_by(kept.c.number)
        with transaction(self._engine) as connection:
            rows = connection.execute(wanted).all()
        return tuple(Fault(row.form, row.row, row.variable, row.rule, Severity(row.severity)) for row in rows)

    def drafts(self, *, after: int = 0, drop_uuid: str | None = None) -> tuple[StoredDraft, ...]:
        """Every named draft with a number above `after`, or of them those that answer a drop, in order of number."""
        named = schema.draft
        later = select(named).where(named.c.number > after).order_by(named.c.number)
        if drop_uuid is not None:
            later = later.where(named.c.drop_uuid == drop_uuid)
        with transaction(self._engine) as connection:
            rows = connection.execute(later).mappings().all()
        return tuple(
            StoredDraft(
                row["number"],
                NamedDraft(
                    row["draft_id"],
                    Kind(row["kind"]),
                    row["recipient"],
                    row["sha256"],
                    row["state"],
                    tuple((table, period) for table, period in json.loads(row["tables"])),
                ),
                row["drop_uuid"],
                _position(row),
            )
            for row in rows
        )

    def has_act(self, position: Position) -> bool:
        """Whether the transaction of this intent was committed."""
        return schema.has_act(self._engine, position)


def _current_state(connection: Connection) -> int:
    return int(connection.execute(select(schema.registry_state.c.state)).scalar_one())


def _rows(
    connection: Connection, form: Form, as_of: int, sender: str | None, pseudonyms: list[bytes] | None
) -> pl.DataFrame:
    table = schema.form_table(form)
    own = row_schema(form)
    origin = {SENDER: pl.String(), DROP: pl.String(), DROP_NUMBER: pl.Int64(), ROW: pl.Int64()}
    keys = [name for name in own if name not in form.columns()]
    columns = pl.Schema({name: own[name] for name in keys} | origin | {name: own[name] for name in form.columns()})
    held = select(*(table.c[_STORED_NAMES.get(name, name)] for name in columns)).where(
        table.c.state_from <= as_of, or_(table.c.state_to.is_(None), table.c.state_to > as_of)
    )
    if sender is not None:
        held = held.where(table.c.sender == sender)
    if pseudonyms is not None:
        # What an institution says about itself is about no person.
        held = held.where(table.c[PSEUDONYM].in_(pseudonyms) if PSEUDONYM in own else false())
    return select_frame(connection, held, columns)


_STORED_NAMES = {SENDER: "sender", DROP: "drop_uuid", DROP_NUMBER: "drop_number", ROW: "row"}


def _reserved(connection: Connection, purpose: Purpose, as_of: int) -> pl.DataFrame:
    kept = schema.reservation
    standing = (
        select(kept.c[PSEUDONYM])
        .distinct()
        .where(
            kept.c.purpose.in_([purpose.value, schema.ALL_PURPOSES]),
            kept.c.state_from <= as_of,
            or_(kept.c.state_to.is_(None), kept.c.state_to > as_of),
        )
    )
    return select_frame(connection, standing, pl.Schema({PSEUDONYM: pl.Binary()}))


_RESULT_TABLE = TypeAdapter(ResultTable)
_RELEASABLE_TABLE = TypeAdapter(ReleasableTable)


def _restore(content: str, digest: str, *, finished: bool) -> ResultTable | ReleasableTable:
    try:
        if hashlib.sha256(content.encode()).hexdigest() != digest:
            raise Halt("H_TABLE_DAMAGED")
        return (_RELEASABLE_TABLE if finished else _RESULT_TABLE).validate_json(content, strict=True, extra="forbid")
    except ValidationError:
        raise Halt("H_TABLE_DAMAGED") from None


def _position(row: Mapping[Any, Any]) -> Position:
    return Position(row["log_id"], row["audit_seq"])
