"""Every table that a definition declares and no loan feeds, by its kind."""

from datetime import date

from enclave.analysis.change import change_tables
from enclave.analysis.completeness import coverage_tables, missing_tables
from enclave.analysis.courses import Scope
from enclave.analysis.reader import Reader
from enclave.analysis.reliability import agreement_tables, consistency_tables
from enclave.analysis.shares import response_tables, share_tables
from enclave.analysis.transition import transition_tables
from enclave.analysis.validity import implausible_tables, refused_tables
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
from enclave.registry.quality import (
    AgreementTable,
    ConsistencyTable,
    CoverageTable,
    ImplausibleTable,
    MissingTable,
    QualityTable,
    RefusedTable,
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
        case _:
            return _quality_tables(reader, definition, table, scope)


def _quality_tables(
    reader: Reader, definition: Definition, table: QualityTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """The same of what is declared of the quality of the data."""
    match table:
        case CoverageTable():
            return coverage_tables(reader, definition, table, scope)
        case MissingTable():
            return missing_tables(reader, definition, table, scope)
        case ImplausibleTable():
            return implausible_tables(reader, definition, table, scope)
        case RefusedTable():
            return refused_tables(reader, definition, table, scope)
        case AgreementTable():
            return agreement_tables(reader, definition, table, scope)
        case ConsistencyTable():
            return consistency_tables(reader, definition, table, scope)
