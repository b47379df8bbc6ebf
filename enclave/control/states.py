"""The one function that moves a drop, loan, release or request from one state to the next."""

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.sql.elements import ColumnElement

from enclave.errors import Halt, explain
from enclave.flow import TRANSITIONS, State

explain(
    "H_STATE",
    "Something is in a state from which this step is not allowed.",
    "Nothing was changed. Look at it with `enclave status`; if it stays, keep the folder and report it as a bug.",
)


def move(connection: Connection, table: Table, which: ColumnElement[bool], new_state: State, **changes: object) -> None:
    """Move exactly one row to `new_state`, with its other changes; a step outside `flow.TRANSITIONS` halts."""
    written = connection.scalar(select(table.c.state).where(which))
    if written is None or new_state not in TRANSITIONS[type(new_state)(written)]:
        raise Halt("H_STATE", place=f"{table.name.rstrip('_')} to {new_state}")
    connection.execute(update(table).where(which).values(state=new_state, **changes))
