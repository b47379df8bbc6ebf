"""The thresholds of disclosure control. A definition may raise them; nothing can lower them (DESIGN law 7)."""

from collections.abc import Mapping
from dataclasses import dataclass

from enclave.errors import Halt, explain
from enclave.registry.definition import ChangeTable, Definition, ShareTable

explain(
    "H_POLICY_BELOW_FLOOR",
    "A disclosure threshold of the registry's definition is below the floor in the code.",
    "Raise it: count at least 5, denominator at least 10, institutions behind a comparison at least 3.",
)

FLOOR_COUNT = 5
FLOOR_DENOMINATOR = 10
FLOOR_INSTITUTIONS = 3

SHARE_DECIMALS = 3  # of a share between 0 and 1: a tenth of a per cent
MEAN_DECIMALS = 1
COEFFICIENT_DECIMALS = 2  # of a standardised difference, kappa and alpha


@dataclass(frozen=True)
class Policy:
    """Thresholds in people and institutions, and what disclosure control must know of the tables.

    `decimals` is what each change table's numbers are rounded to; `exclusive` are the share tables whose categories
    exclude each other.
    """

    minimum_count: int = FLOOR_COUNT
    minimum_denominator: int = FLOOR_DENOMINATOR
    minimum_institutions: int = FLOOR_INSTITUTIONS
    decimals: Mapping[str, int] | None = None
    exclusive: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if (
            self.minimum_count < FLOOR_COUNT
            or self.minimum_denominator < FLOOR_DENOMINATOR
            or self.minimum_institutions < FLOOR_INSTITUTIONS
        ):
            raise Halt("H_POLICY_BELOW_FLOOR", place="disclosure")

    def mean_decimals(self, table: str) -> int:
        """How many decimals a mean of this table is published with."""
        return (self.decimals or {}).get(table, MEAN_DECIMALS)


def policy_for(definition: Definition) -> Policy:
    """The policy of a registry: its definition's thresholds, never below the floors (Halt)."""
    return Policy(
        minimum_count=definition.disclosure.minimum_count,
        minimum_denominator=definition.disclosure.minimum_denominator,
        minimum_institutions=definition.disclosure.minimum_institutions,
        decimals={table.id: table.decimals for table in definition.tables if isinstance(table, ChangeTable)},
        exclusive=frozenset(
            table.id for table in definition.tables if isinstance(table, ShareTable) and table.exclusive
        ),
    )
