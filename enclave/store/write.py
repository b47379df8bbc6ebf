"""Writing the registry: each public method that changes it is one transaction with its intent's position in it.

The locked state row serialises writers. A state is raised exactly when what a read answers can change: by stored rows
and by withdrawals, not by a rejected drop, a draft or a table.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl
from sqlalchemy import Connection, Engine, Table, bindparam, insert, select, update

from enclave.audit.record import Position
from enclave.errors import Refused, explain
from enclave.model.draft import NamedDraft
from enclave.model.fault import Fault
from enclave.model.pseudonymous import PSEUDONYM, ROW, PseudonymousRecords
from enclave.model.purpose import Purpose
from enclave.model.table import ReleasableTable, ResultTable
from enclave.registry.definition import Definition, Form
from enclave.store import schema
from enclave.store.aliases import aliases, begin_alias, end_alias, everyone, read_as
from enclave.store.bulk import insert_frame, row_schema, select_frame
from enclave.store.engines import transaction
from enclave.store.rules import ROW_ID, Judged, judge
from enclave.store.settlement import Counts, Outcome, Settlement
from enclave.store.tables import require_applied

explain(
    "R_SETTLED",
    "This drop is settled already; nothing was stored twice.",
    "None is needed; the first settlement stands.",
)
explain(
    "R_BORROWED",
    "A table made from a loan was to be kept before disclosure control.",
    "Keep only what `disclosure` has finished; who contributed is never kept.",
)


class StateMovedError(Exception):
    """Another writer raised the state after this plan was made: plan again."""


@dataclass(frozen=True, repr=False)
class Plan:
    """What settling a drop would store, and the faults found on the way; good only while the state stays as it was."""

    drop_uuid: str
    sender: str
    forms: tuple[Judged, ...]
    faults: tuple[Fault, ...]
    counts: Counts
    based_on_state: int


class RegistryWriter:
    """The only writer of a registry database; halts H_NOT_APPLIED where the definition is not applied."""

    def __init__(self, engine: Engine, definition: Definition) -> None:
        self._engine = engine
        self._definition = definition
        with transaction(engine) as connection:
            require_applied(connection, definition)

    def plan(self, records: Sequence[PseudonymousRecords]) -> Plan:
        """Judge the records of one drop, one frame for each form, against the sender's own stored rows."""
        drops = {(of_form.drop_uuid, of_form.sender) for of_form in records}
        new = {of_form.form: self._typed(of_form) for of_form in records}
        if len(drops) != 1 or len(new) != len(records):
            raise ValueError("a plan takes one drop, each form once")
        ((drop_uuid, sender),) = drops
        with transaction(self._engine) as connection:
            state = connection.execute(select(schema.registry_state.c.state)).scalar_one()
            ends = aliases(connection, None)
            stored = {
                form.id: read_as(_current_rows(connection, form, sender), ends) for form in self._definition.forms
            }
        judged, faults = judge(self._definition, new, stored)
        counts = Counts(
            delivered=sum(frame.height for frame in new.values()),
            accepted=sum(of_form.fresh.height for of_form in judged),
            unchanged=sum(of_form.unchanged for of_form in judged),
            rejected=sum(of_form.rejected for of_form in judged),
            superseded=sum(len(of_form.superseded) for of_form in judged),
        )
        return Plan(drop_uuid, sender, judged, faults, counts, state)

    def _typed(self, records: PseudonymousRecords) -> pl.DataFrame:
        form = self._definition.form(records.form)
        columns = pl.Schema({ROW: pl.Int64(), **row_schema(form)})
        if dict(records.frame.schema) != dict(columns):
            raise TypeError(f"the records of {form.id} do not have the typed columns of its definition")
        # SQLite knows no negative zero; adding zero makes it the same on both databases.
        decimals = [pl.col(name) + 0.0 for name, kind in columns.items() if kind == pl.Float64()]
        return records.frame.select(*columns).with_columns(decimals).sort(ROW)

    def settle(
        self,
        plan: Plan | None,
        settlement: Settlement,
        drafts: Sequence[NamedDraft],
        position: Position,
        *,
        faults: Sequence[Fault] = (),
    ) -> int:
        """Store a drop's rows, its settlement and its drafts' names together; answer the state after it.

        `faults` are kept where the drop has no answer of its own, until one answer is made to several drops.
        A rejected drop has no plan, nor has an admitted one of which no row reached the store.
        Raises StateMovedError where another writer came between plan and settlement, Refused R_SETTLED where the drop
        is settled already; in both cases nothing is changed.
        """
        _agree(plan, settlement)
        with transaction(self._engine) as connection:
            locked = schema.lock_state(connection)
            _refuse_settled(connection, settlement.drop_uuid)
            if plan is not None and plan.based_on_state != locked.state:
                raise StateMovedError
            connection.execute(insert(schema.act).values(position._asdict()))
            number = locked.drop_number + 1
            connection.execute(update(schema.registry_state).values(drop_number=number))
            state = locked.state
            if plan is not None and plan.counts.accepted:
                state = schema.raise_state(connection, locked, position)
                origin = {
                    "sender": plan.sender,
                    "drop_uuid": plan.drop_uuid,
                    "drop_number": number,
                    "state_from": state,
                    **position._asdict(),
                }
                for judged in plan.forms:
                    self._store(connection, judged, origin)
            connection.execute(insert(schema.settlement).values(_settlement_row(settlement, number, state, position)))
            _insert_faults(connection, faults, settlement.drop_uuid)
            _insert_drafts(connection, drafts, settlement.drop_uuid, position)
        return state

    def _store(self, connection: Connection, judged: Judged, origin: dict[str, str | int]) -> None:
        if judged.fresh.is_empty():
            return
        table = schema.form_table(self._definition.form(judged.form))
        if judged.superseded:
            closing = update(table).where(table.c.row_id == bindparam("closed"))
            closed = [{"closed": row_id} for row_id in judged.superseded]
            connection.execute(closing.values(state_to=origin["state_from"]), closed)
        rows = judged.fresh.rename({ROW: "row"})
        insert_frame(connection, table, rows.with_columns(pl.lit(value).alias(name) for name, value in origin.items()))

    def keep_tables(
        self, results: Sequence[ResultTable | ReleasableTable], position: Position, *, as_of: int | None = None
    ) -> None:
        """Keep tables for later jobs; one that is kept already, number for number, is not kept twice.

        With `as_of` nothing is kept, and StateMovedError raised, where the state is another by now: somebody who
        withdrew while the tables were made is then in none of them.
        """
        if any(table.borrowed and isinstance(table, ResultTable) for table in results):
            raise Refused("R_BORROWED")
        with transaction(self._engine) as connection:
            locked = schema.lock_state(connection)
            if as_of is not None and locked.state != as_of:
                raise StateMovedError
            connection.execute(insert(schema.act).values(position._asdict()))
            for table in results:
                _keep_table(connection, table, position)

    def name_drafts(self, drafts: Sequence[NamedDraft], position: Position) -> None:
        """Name drafts that belong to no drop."""
        with transaction(self._engine) as connection:
            schema.lock_state(connection)
            connection.execute(insert(schema.act).values(position._asdict()))
            _insert_drafts(connection, drafts, None, position)

    def withdraw(self, pseudonym: bytes, purpose: Purpose | None, position: Position) -> int:
        """Take a person's rows out of one purpose, or of all (None); answer the state after it.

        The next state is raised also where the person has no rows, so that later rows are covered; a repeated
        withdrawal only records its act. Whoever was merged into this person is covered too, and stays so after a split.
        """
        wanted = schema.ALL_PURPOSES if purpose is None else purpose.value
        kept = schema.reservation
        with transaction(self._engine) as connection:
            locked = schema.lock_state(connection)
            connection.execute(insert(schema.act).values(position._asdict()))
            group = everyone(aliases(connection, None), pseudonym)
            standing = select(kept.c[PSEUDONYM]).where(
                kept.c[PSEUDONYM].in_(group), kept.c.purpose == wanted, kept.c.state_to.is_(None)
            )
            missing = set(group) - {bytes(found) for (found,) in connection.execute(standing)}
            if not missing:
                return locked.state
            state = schema.raise_state(connection, locked, position)
            same = {"purpose": wanted, "state_from": state, **position._asdict()}
            connection.execute(insert(kept), [{PSEUDONYM: one, **same} for one in group if one in missing])
        return state

    def merge(self, merged: bytes, into: bytes, position: Position) -> int:
        """Read the rows of one person as another's from the next state on; answer it. The same again only records."""
        with transaction(self._engine) as connection:
            schema.control.create_all(connection, tables=[schema.alias])
            locked = schema.lock_state(connection)
            connection.execute(insert(schema.act).values(position._asdict()))
            if merged in aliases(connection, None):
                return locked.state
            state = schema.raise_state(connection, locked, position)
            begin_alias(connection, merged, into, state, position)
        return state

    def split(self, merged: bytes, position: Position) -> int:
        """Read the rows of a merged person as its own again from the next state on; answer it."""
        with transaction(self._engine) as connection:
            locked = schema.lock_state(connection)
            connection.execute(insert(schema.act).values(position._asdict()))
            if merged not in aliases(connection, None):
                return locked.state
            state = schema.raise_state(connection, locked, position)
            end_alias(connection, merged, state)
        return state

    def record(self, position: Position) -> None:
        """Commit an act that changed the database's file and none of its rows."""
        with transaction(self._engine) as connection:
            connection.execute(insert(schema.act).values(position._asdict()))

    def has_act(self, position: Position) -> bool:
        """Whether the transaction of this intent was committed."""
        return schema.has_act(self._engine, position)


def _current_rows(connection: Connection, form: Form, sender: str) -> pl.DataFrame:
    table = schema.form_table(form)
    columns = pl.Schema({ROW_ID: pl.Int64(), **row_schema(form)})
    own = select(*(table.c[name] for name in columns)).where(table.c.sender == sender, table.c.state_to.is_(None))
    return select_frame(connection, own.order_by(table.c.drop_number, table.c.row), columns)


def _agree(plan: Plan | None, settlement: Settlement) -> None:
    counts, planned = settlement.counts, plan.counts if plan is not None else Counts(delivered=0)
    stored = (counts.accepted, counts.unchanged, counts.superseded)
    if (
        stored != (planned.accepted, planned.unchanged, planned.superseded)
        or (plan is not None and (plan.drop_uuid, plan.sender) != (settlement.drop_uuid, settlement.sender))
        or (plan is not None and settlement.outcome is Outcome.REJECTED)
    ):
        raise ValueError("the settlement is not that of the plan")


def _refuse_settled(connection: Connection, drop_uuid: str) -> None:
    settled = schema.settlement
    if connection.execute(select(settled.c.drop_number).where(settled.c.drop_uuid == drop_uuid)).first() is not None:
        raise Refused("R_SETTLED")


def _settlement_row(settlement: Settlement, number: int, state: int, position: Position) -> dict[str, object]:
    return {
        "drop_uuid": settlement.drop_uuid,
        "sender": settlement.sender,
        "drop_number": number,
        "outcome": settlement.outcome.value,
        "reason": settlement.reason,
        **asdict(settlement.counts),
        "state": state,
        **position._asdict(),
    }


def _insert_faults(connection: Connection, faults: Sequence[Fault], drop_uuid: str) -> None:
    rows = [{"drop_uuid": drop_uuid, "number": number, **asdict(fault)} for number, fault in enumerate(faults)]
    if rows:
        connection.execute(insert(schema.settlement_fault), rows)


def _insert_drafts(
    connection: Connection, drafts: Sequence[NamedDraft], drop_uuid: str | None, position: Position
) -> None:
    for draft in drafts:
        row = {
            "draft_id": draft.draft_id,
            "kind": draft.kind.value,
            "recipient": draft.recipient,
            "sha256": draft.sha256,
            "state": draft.state,
            "tables": json.dumps(draft.tables),
            "drop_uuid": drop_uuid,
            **position._asdict(),
        }
        connection.execute(insert(schema.draft).values(row))


def content_of(table: ResultTable | ReleasableTable) -> str:
    """A table as it is kept, of which `sha256` in the database is the digest."""
    return json.dumps(asdict(table), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _keep_table(connection: Connection, table: ResultTable | ReleasableTable, position: Position) -> None:
    content = content_of(table)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    row = {
        "table_id": table.table,
        "period": table.period,
        "recipient": table.recipient,
        "state": table.state,
        "definition": table.definition,
        "finished": isinstance(table, ReleasableTable),
    }
    if sha256 != _newest_digest(connection, schema.result_table, row):
        kept = {**row, "content": content, "sha256": sha256, **position._asdict()}
        connection.execute(insert(schema.result_table).values(kept))


def _newest_digest(connection: Connection, kept: Table, row: dict[str, object]) -> str | None:
    same = [kept.c[name] == value for name, value in row.items()]
    newest = select(kept.c.sha256).where(*same).order_by(kept.c.number.desc()).limit(1)
    found: str | None = connection.execute(newest).scalar()
    return found
