"""The port through which analysis sees the registry: it can read, for a purpose and as of a state, and nothing else."""

from typing import Protocol

import polars as pl

from enclave.model.purpose import Purpose


class Reader(Protocol):
    """Registry rows of one form: `_sender`, `_pseudonym`, `_episode`, `_drop` and the form's columns, in a fixed order.

    The order is (sender, drop, row). Reservations that bar `purpose` are already applied. A form about an institution
    has no `_pseudonym`.
    """

    def read(self, form: str, *, state: int | None, purpose: Purpose) -> pl.DataFrame:
        """The rows of `form` as of `state` (None: the newest)."""
        ...
