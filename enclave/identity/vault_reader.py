"""The vault, read: finds the pseudonym of a number, and opens identities for the jobs that may name people."""

from collections.abc import Sequence

import polars as pl
from sqlalchemy import Connection, Engine, Table, inspect, select

from enclave.audit.record import Position
from enclave.errors import Halt, explain
from enclave.identity import merges
from enclave.identity.vault_bulk import READ_ROWS, among, by_index, chunks
from enclave.identity.vault_keys import VaultKeys
from enclave.identity.vault_rows import index_texts, open_identity, open_reference, reference_texts
from enclave.identity.vault_tables import act, identity, match_keys, reference, transaction, vault_key

explain(
    "H_VAULT_MISSING",
    "The vault's tables are missing; a vault is never made anew by itself.",
    "Restore the vault from a backup, or run `enclave init` in a new folder.",
)


class VaultReader:
    """Finds pseudonyms, and opens identities for the jobs that may name people; writes nothing.

    A person who was merged into another is found as that other, under every number of both (`merges.py`). An H-number
    is its issuer's: it is found only where `issuer` names the institution that it came from.
    """

    def __init__(self, engine: Engine, keys: VaultKeys) -> None:
        self._engine = engine
        with transaction(engine) as connection:
            if not inspect(connection).has_table(vault_key.name):
                raise Halt("H_VAULT_MISSING")
            self._keys = match_keys(connection, keys)

    def find(
        self, ids: Sequence[str] | pl.Series, kinds: Sequence[str] | pl.Series | None = None, *, issuer: str = ""
    ) -> pl.DataFrame:
        """`id`, `pseudonym` of the ids that are known, in the order given; each id once.

        Without `kinds` none is an H-number.
        """
        wanted, index = _wanted(ids, kinds, issuer)
        with transaction(self._engine) as connection:
            names, _ = self._named(connection, identity, "person_id", index)
            names = merges.read_as(merges.standing(connection), names)
        return people_frame(wanted, names)

    def own_names(self, ids: Sequence[str], kinds: Sequence[str], *, issuer: str = "") -> list[bytes | None]:
        """The pseudonym that each id was first given, whatever was merged since; None for nobody known."""
        with transaction(self._engine) as connection:
            return self._named(connection, identity, "person_id", index_texts(ids, kinds, issuer))[0]

    def find_episodes(self, references: Sequence[tuple[str, str]]) -> pl.DataFrame:
        """`sender`, `reference`, `episode` of the (sender, reference) pairs that are known, in the order given."""
        wanted = list(dict.fromkeys(references))
        with transaction(self._engine) as connection:
            names, _ = self._named(connection, reference, "episode", reference_texts(wanted))
        return episodes_frame(wanted, names)

    def _named(
        self, connection: Connection, table: Table, column: str, texts: Sequence[tuple[str, str]]
    ) -> tuple[list[bytes | None], list[bytes]]:
        """The name of each (domain, text), under whichever index key it stands, and its index under the newest."""
        newest, *older = self._keys.index_versions
        index = self._blind(texts, newest)
        names = by_index(connection, table, column, index, newest)
        for version in older:
            missing = [place for place, name in enumerate(names) if name is None]
            blinded = self._blind([texts[place] for place in missing], version)
            for place, name in zip(missing, by_index(connection, table, column, blinded, version), strict=True):
                names[place] = name
        return names, index

    def _blind(self, texts: Sequence[tuple[str, str]], version: int) -> list[bytes]:
        domains = {domain for domain, _ in texts}
        if len(domains) == 1:
            return self._keys.blind(domains.pop(), (text for _, text in texts), version)
        return [self._keys.blind(domain, (text,), version)[0] for domain, text in texts]

    def identities(self, pseudonyms: Sequence[bytes]) -> pl.DataFrame:
        """`pseudonym`, `id`, `kind` of these people, all numbers of each; sorted by the order given, then by id."""
        opened: list[tuple[bytes, str, str]] = []
        asked = list(dict.fromkeys(pseudonyms))
        with transaction(self._engine) as connection:
            ends = merges.standing(connection)
            others = [other for other, end in ends.items() if end in set(asked)]
            for chunk in chunks(sorted({*asked, *others}), READ_ROWS):
                theirs = among(connection, identity.c.person_id, chunk)
                rows = connection.execute(select(identity).where(theirs))
                opened += [(row.person_id, open_identity(self._keys, row), row.kind.partition("|")[0]) for row in rows]
        order = {pseudonym: place for place, pseudonym in enumerate(asked)}
        named = [
            (name, number, kind) for own, number, kind in opened for name in {own, ends.get(own, own)} if name in order
        ]
        named.sort(key=lambda each: (order[each[0]], each[1]))
        schema = {"pseudonym": pl.Binary, "id": pl.String, "kind": pl.String}
        return pl.DataFrame(named, schema=schema, orient="row")

    def references(self, episodes: Sequence[bytes]) -> pl.DataFrame:
        """`episode`, `sender`, `reference` of these courses, in the order given."""
        found: dict[bytes, tuple[str, str]] = {}
        with transaction(self._engine) as connection:
            for chunk in chunks(sorted(set(episodes)), READ_ROWS):
                for row in connection.execute(select(reference).where(among(connection, reference.c.episode, chunk))):
                    found[row.episode] = (row.sender, open_reference(self._keys, row))
        rows = [(episode, *found[episode]) for episode in dict.fromkeys(episodes) if episode in found]
        schema = {"episode": pl.Binary, "sender": pl.String, "reference": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def has_act(self, position: Position) -> bool:
        """Whether the act with this intent was committed here: the evidence by which a crash is resolved."""
        here = (act.c.log_id == position.log_id) & (act.c.audit_seq == position.audit_seq)
        with transaction(self._engine) as connection:
            return connection.execute(select(act.c.log_id).where(here)).first() is not None


def _wanted(
    ids: Sequence[str] | pl.Series, kinds: Sequence[str] | pl.Series | None, issuer: str
) -> tuple[list[str], list[tuple[str, str]]]:
    """Each id once, and the (domain, text) that it is indexed by."""
    by_id = dict(zip(ids, kinds, strict=True)) if kinds is not None else dict.fromkeys(ids, "")
    return list(by_id), index_texts(list(by_id), list(by_id.values()), issuer)


def people_frame(ids: Sequence[str], names: Sequence[bytes | None]) -> pl.DataFrame:
    """`id`, `pseudonym` of who has a name, in the order given."""
    columns = {"id": pl.Series(ids, dtype=pl.String), "pseudonym": pl.Series(names, dtype=pl.Binary)}
    return pl.DataFrame(columns).drop_nulls("pseudonym")


def episodes_frame(references: Sequence[tuple[str, str]], names: Sequence[bytes | None]) -> pl.DataFrame:
    """`sender`, `reference`, `episode` of what has a name, in the order given."""
    columns = {
        "sender": pl.Series([sender for sender, _ in references], dtype=pl.String),
        "reference": pl.Series([value for _, value in references], dtype=pl.String),
        "episode": pl.Series(names, dtype=pl.Binary),
    }
    return pl.DataFrame(columns).drop_nulls("episode")
