"""Every table that a definition declares and no loan feeds, by its kind."""

from datetime import date

from enclave.analysis.change import change_tables
from enclave.analysis.courses import Scope
from enclave.analysis.reader import Reader
from enclave.analysis.shares import response_tables, share_tables
from enclave.analysis.transition import transition_tables
from enclave.model.table import ResultTable
from enclave.registry.definition import (
    ChangeTable,
    Definition,
    LoanShareTable,
    ResponseTable,
    ShareTable,
    Table,
    TransitionTable,
)


def result_tables(
    reader: Reader, definition: Definition, table: Table, scope: Scope, *, closed_on: date
) -> tuple[ResultTable, ...]:
    """The tables of one declaration, for each institution and for everyone; none of one that a loan feeds.

    `closed_on` is the day that the period was closed on: what fell due before it counts in a response rate. It
    belongs to the period and not to the run, so that the same state gives the same table.
    """
    match table:
        case ChangeTable():
            return change_tables(
                reader,
                definition,
                table,
                period=scope.period,
                institutions=scope.institutions,
                state=scope.state,
                definition_sha256=scope.definition_sha256,
            )
        case ShareTable():
            return share_tables(reader, definition, table, scope)
        case TransitionTable():
            return transition_tables(reader, definition, table, scope)
        case ResponseTable():
            return response_tables(reader, definition, table, scope, closed_on=closed_on)
        case LoanShareTable():
            return ()
