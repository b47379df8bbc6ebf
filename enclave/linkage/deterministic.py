"""The second pass: exact agreement on declared keys, where exactly one on either side has these values."""

from collections.abc import Sequence

import polars as pl

from enclave.model.pseudonymous import PSEUDONYM
from enclave.registry.definition import Loan

ENTITY = "_entity"


def by_keys(entities: pl.DataFrame, ours: pl.DataFrame, form: Loan, taken: pl.Series) -> list[tuple[str, pl.DataFrame]]:
    """For each declared key, its name and the links (`_entity`, `_pseudonym`) that it gave and no earlier one did.

    `entities` has `_entity` and the loan's identifiers, `ours` has `_pseudonym` and the same; `taken` are people who
    are linked already. Values that two share on either side link nobody, also where one of the two is taken.
    """
    found: list[tuple[str, pl.DataFrame]] = []
    linked = taken.to_list()
    left = entities
    for key in form.keys:
        theirs, mine = _only_one(left, key, ENTITY), _only_one(ours, key, PSEUDONYM)
        links = (
            theirs.join(mine, on=list(key), how="inner", maintain_order="left")
            .filter(~pl.col(PSEUDONYM).is_in(linked))
            .select(ENTITY, PSEUDONYM)
        )
        found.append(("key_" + "_".join(key), links))
        linked += links[PSEUDONYM].to_list()
        left = left.join(links, on=ENTITY, how="anti", maintain_order="left")
    return found


def _only_one(frame: pl.DataFrame, key: Sequence[str], who: str) -> pl.DataFrame:
    return (
        frame.drop_nulls(list(key))
        .group_by(list(key), maintain_order=True)
        .agg(pl.col(who).first(), _many=pl.len())
        .filter(pl.col("_many") == 1)
        .drop("_many")
    )
