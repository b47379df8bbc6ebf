"""Registry rows, through a reader that cannot write → result tables, kept for `release`."""

from enclave.analysis.courses import Delivery, Scope, period_text
from enclave.analysis.reader import ReadOnce
from enclave.analysis.tables import result_tables
from enclave.flow import Act
from enclave.model.table import ResultTable
from enclave.registry.definition import LoanShareTable
from enclave.wiring import Wiring
from jobs.periods import closed_on, closed_periods, institutions_in


def analyse(wiring: Wiring) -> dict[str, int]:
    """Make every table of every closed period as of the newest state; answers how many were new."""
    reader, loaded = wiring.registry_reader, wiring.definition
    state = reader.current_state()
    known = {(kept.table, kept.period, kept.state, kept.definition) for kept in reader.tables(finished=False)}
    rows, made = ReadOnce(reader), list[ResultTable]()
    deliveries = tuple(
        Delivery(one.drop_uuid, one.sender, one.counts.delivered, one.counts.rejected)
        for one in (remembered.settlement for remembered in reader.settlements())
    )
    for period in closed_periods(wiring):
        scope = Scope(period, institutions_in(wiring, period), state, loaded.sha256, deliveries)
        for table in loaded.definition.tables:
            wanted = (table.id, period_text(period), state, loaded.sha256)
            if isinstance(table, LoanShareTable) or wanted in known:
                continue
            made += result_tables(rows, loaded.definition, table, scope, closed_on=closed_on(period))
    if made:
        with wiring.acts.act(Act.TABLES_KEEP, "state", str(state), counts={"tables": len(made)}) as act:
            wiring.registry_writer.keep_tables(made, act.position)
    return {"tables": len(made)}
