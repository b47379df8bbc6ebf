"""What earlier releases forbid."""

from dataclasses import replace

import pytest

from enclave.disclosure.difference import PUBLIC, Released, check_against_ledger, is_repeated
from enclave.disclosure.policy import Policy
from enclave.disclosure.suppress import suppress
from enclave.model.table import Group, Withheld
from tests.disclosure.tables import mean, table

YEAR = "2024-01-01/2024-12-31"
FIRST = Released("work_ability", YEAR, "alfa", 7)


@pytest.mark.parametrize(
    "period",
    [YEAR, "2024-03-01/2024-05-31", "2023-01-01/2025-12-31", "2024-12-31/2025-12-30", "2023-01-01/2024-01-01"],
    ids=["repeated", "nested", "around", "one day at the end", "one day at the start"],
)
def test_a_table_leaves_once_for_each_day(period: str) -> None:
    """Any overlap with what the recipient has had forbids the table, whatever the state."""
    for state in (7, 8):
        assert is_repeated(Released("work_ability", period, "alfa", state), [FIRST])


@pytest.mark.parametrize(
    "other",
    [
        replace(FIRST, period="2025-01-01/2025-12-31"),
        replace(FIRST, table="benefits_by_month"),
        replace(FIRST, recipient="beta"),
        replace(FIRST, recipient="beta", state=8),
        replace(FIRST, recipient=PUBLIC),
    ],
    ids=["next year", "another table", "another recipient", "another recipient later", "its own national table"],
)
def test_what_nobody_can_subtract_is_free(other: Released) -> None:
    """Another period, table or reader, or the public table of the same release, may leave."""
    assert not is_repeated(other, [FIRST])


def test_a_public_table_of_another_state_is_forbidden_to_all_and_by_all() -> None:
    """Everyone sees the public table, so it and any institution's table of another state would be subtracted."""
    assert is_repeated(replace(FIRST, recipient=PUBLIC, state=8), [FIRST])
    assert is_repeated(replace(FIRST, recipient="beta", state=8), [replace(FIRST, recipient=PUBLIC)])
    assert not is_repeated(replace(FIRST, recipient="beta"), [replace(FIRST, recipient=PUBLIC)])


def test_a_repeated_table_keeps_its_shape_and_loses_every_number() -> None:
    """The recipient sees that a table was withheld, and why, also of its own numbers."""
    result = table(mean(Group.OWN, {"alfa": 20}), recipient="alfa")
    shown = suppress(result, "institution", Policy())
    assert check_against_ledger(shown, [], recipient="alfa") == shown
    [figure] = check_against_ledger(shown, [FIRST], recipient="alfa").figures
    assert figure.withheld is Withheld.REPEATED
    assert (figure.value, figure.low, figure.high, figure.denominator) == (None, None, None, None)
