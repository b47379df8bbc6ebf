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


class ReadOnce:
    """A reader that asks another one only once for each form, state and purpose: many tables count the same rows.

    It holds what it read, so it must not outlive the run that one state belongs to.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._held: dict[tuple[str, int | None, Purpose], pl.DataFrame] = {}

    def read(self, form: str, *, state: int | None, purpose: Purpose) -> pl.DataFrame:
        """The rows of `form` as of `state` (None: the newest when first asked)."""
        key = (form, state, purpose)
        if key not in self._held:
            self._held[key] = self._reader.read(form, state=state, purpose=purpose)
        return self._held[key]
