"""Finds people for the jobs that may look up numbers from elsewhere: a lender's file, a person's own request."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from enclave.identity.rules import IdKind, Mode, classify
from enclave.identity.vault_reader import VaultReader


class Resolver:
    """Judges numbers as `identity` does and finds who is known; writes nothing."""

    def __init__(self, vault: VaultReader, mode: Mode, today: date) -> None:
        self._vault = vault
        self._mode = mode
        self._today = today

    def resolve(self, ids: pl.Series) -> pl.DataFrame:
        """`id`, `valid`, `pseudonym` (16 bytes, null for nobody known), one row for each distinct id, in order.

        An H-number is valid and nobody's: it means somebody only together with the hospital that gave it.
        """
        distinct = ids.unique(maintain_order=True).alias("id")
        judged = classify(distinct, self._mode, self._today)
        valid = judged.get_column("valid")
        found = self._vault.find(distinct.filter(valid), judged.filter("valid").get_column("kind"))
        return pl.DataFrame([distinct, valid]).join(found, on="id", how="left", maintain_order="left")

    def describe(self, pseudonyms: Sequence[bytes]) -> pl.DataFrame:
        """`pseudonym`, `kind`, `birth_date`, `sex` of each person, in order: what the number tells, never the number.

        Of a person with several numbers the kind that stands first in `IdKind` speaks: a `fnr` before a `dnr`.
        """
        known = self._vault.identities(pseudonyms)
        told = classify(known["id"], self._mode, self._today)
        order = pl.Enum([kind.value for kind in IdKind])
        return (
            known.select("pseudonym")
            .hstack(told.select("kind", "birth_date", "sex"))
            .sort(pl.col("kind").cast(order), "birth_date", "sex", maintain_order=True, nulls_last=True)
            .unique("pseudonym", keep="first", maintain_order=True)
        )
