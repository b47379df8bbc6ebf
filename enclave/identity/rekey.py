"""A new key for a vault: rows move to it some at a time, each time in one transaction; names and joins stay.

While rows stand under two versions both keys find and open them; what is new is written under the newer. When no row is
left under the old version the vault forgets its probe, and from then on the old key opens nothing.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, delete, insert, select

from enclave.audit.record import Position
from enclave.identity.vault_bulk import among, insert_all
from enclave.identity.vault_keys import INDEX, MatchedKeys, VaultKeys
from enclave.identity.vault_rows import (
    identity_columns,
    index_texts,
    open_identity,
    open_reference,
    reference_columns,
    reference_texts,
)
from enclave.identity.vault_tables import act, identity, match_keys, reference, transaction, vault_key

MOST_ROWS = 10_000


def rekey(engine: Engine, keys: VaultKeys, purpose: str, position: Position, *, most: int = MOST_ROWS) -> int:
    """Move at most so many rows to the newest held key of a purpose (`index`, `data`); answers how many were moved.

    0 means that all stand under it, and that the vault knows no older key of this purpose any more.
    """
    with transaction(engine) as connection:
        connection.execute(insert(act), position._asdict())
        _make_known(connection, keys, purpose)
        matched = match_keys(connection, keys)
        newest = matched.newest_index if purpose == INDEX else matched.newest_data
        moved = 0
        for table in (identity, reference):
            version = table.c.index_key_version if purpose == INDEX else table.c.data_key_version
            old = select(table).where(version < newest).order_by(table.c.index_key_version, table.c.bidx)
            rows = connection.execute(old.limit(most - moved)).all() if moved < most else []
            if rows:
                here = among(connection, table.c.bidx, [row.bidx for row in rows])
                connection.execute(delete(table).where(version < newest, here))
                insert_all(connection, table, _sealed_anew(table, matched, rows))
            moved += len(rows)
        if moved == 0:
            forgotten = (vault_key.c.purpose == purpose, vault_key.c.version < newest)
            connection.execute(delete(vault_key).where(*forgotten))
    return moved


def _make_known(connection: Connection, keys: VaultKeys, purpose: str) -> None:
    """Enter the newest held key as the vault's next version, unless the vault knows it."""
    rows = connection.execute(select(vault_key).where(vault_key.c.purpose == purpose)).all()
    newest = keys.probes(newest=True)[purpose]
    if newest not in {bytes(row.probe) for row in rows}:
        version = max(row.version for row in rows) + 1
        connection.execute(insert(vault_key).values(purpose=purpose, version=version, probe=newest))


def _sealed_anew(table: Table, keys: MatchedKeys, rows: Sequence[Row[Any]]) -> dict[str, Any]:
    """The same rows under the newest keys, with the intents that they were first written under."""
    stamps = {"log_id": [row.log_id for row in rows], "audit_seq": [row.audit_seq for row in rows]}
    if table is reference:
        values, senders = [open_reference(keys, row) for row in rows], [row.sender for row in rows]
        texts = reference_texts(list(zip(senders, values, strict=True)))
        index = [keys.blind(domain, (text,), keys.newest_index)[0] for domain, text in texts]
        return reference_columns(keys, index, [row.episode for row in rows], senders, values) | stamps
    numbers, kinds = [open_identity(keys, row) for row in rows], [row.kind for row in rows]
    texts = [
        index_texts([number], [kind.partition("|")[0]], kind.partition("|")[2])[0]
        for number, kind in zip(numbers, kinds, strict=True)
    ]
    index = [keys.blind(domain, (text,), keys.newest_index)[0] for domain, text in texts]
    return identity_columns(keys, index, [row.person_id for row in rows], kinds, numbers) | stamps
