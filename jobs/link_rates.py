"""How many of the registry's people a loan met, as it stands beside the results that were made of the loan."""

from enclave.control.loans import Loan, derived_of, loans_of
from enclave.disclosure.policy import Policy, policy_for
from enclave.disclosure.rate import shown_percent
from enclave.model.table import ReleasableTable
from enclave.wiring import Wiring


def linked_percent(loan: Loan, policy: Policy) -> int | None:
    """The link rate of a loan in whole per cent; None where it was not linked, or the numbers are too small to show."""
    if loan.report is None:
        return None
    linked, everyone = (int(str(loan.report[name])) for name in ("linked_persons", "registry_persons"))
    return shown_percent(linked, everyone, policy)


def link_rates(wiring: Wiring, tables: list[ReleasableTable]) -> list[tuple[str, int]]:
    """(loan, per cent) of each loan that one of these tables was made of, by loan; those that may be shown."""
    wanted = {(table.table, table.period) for table in tables if table.borrowed}
    rates = []
    for loan in loans_of(wiring.control, wiring.registry):
        made = {(one.table, one.period) for one in derived_of(wiring.control, wiring.registry, loan.loan_id)}
        percent = linked_percent(loan, policy_for(wiring.definition.definition))
        if made & wanted and percent is not None:
            rates.append((loan.loan_id, percent))
    return rates
