"""The vault: the only place that ties a person to a pseudonym and a sender's own number to a course.

Pseudonyms and episodes are 16 random bytes, so that nothing outside the vault leads back to anyone, not even with the
index key. A reader finds and opens; only `Vault` names new people.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, Table, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from enclave.audit.record import Position
from enclave.errors import Halt, Refused, explain
from enclave.identity import merges
from enclave.identity.vault_bulk import READ_ROWS, among, by_index, chunks, insert_all
from enclave.identity.vault_keys import FIRST_VERSION, MatchedKeys, VaultKeys
from enclave.identity.vault_rows import (
    identity_columns,
    index_texts,
    open_identity,
    open_reference,
    reference_columns,
    reference_texts,
    stored_kind,
)
from enclave.identity.vault_tables import ACTIVE, WITHDRAWN, act, identity, metadata, person, reference, vault_key

explain(
    "H_VAULT_MISSING",
    "The vault's tables are missing; a vault is never made anew by itself.",
    "Restore the vault from a backup, or run `enclave init` in a new folder.",
)
explain(
    "H_VAULT",
    "The vault's database refused what the server asked of it; nothing was changed.",
    "Look at the database's own log for disk, memory, rights or a broken connection; then start again.",
)
explain(
    "R_PERSON_UNKNOWN",
    "This person is not in the vault of this registry.",
    "Check the number and the registry; where nothing is registered there is nothing to do.",
)

PSEUDONYM_BYTES = 16


@dataclass(frozen=True, repr=False)
class Assigned:
    """What the vault calls people and courses. How many were new is never told to a sender (law 11).

    `people`: `id`, `pseudonym`. `episodes`: `sender`, `reference`, `episode`.
    """

    people: pl.DataFrame
    episodes: pl.DataFrame
    new_people: int
    new_episodes: int


def create(engine: Engine, keys: VaultKeys) -> None:
    """Make the vault's tables and bind them to these keys; a vault that exists must have the same keys."""
    with transaction(engine) as connection:
        metadata.create_all(connection)
        if connection.execute(select(vault_key.c.purpose)).first() is None:
            probes = keys.probes().items()
            rows = [{"purpose": name, "version": FIRST_VERSION, "probe": probe} for name, probe in probes]
            connection.execute(insert(vault_key), rows)
        match_keys(connection, keys)


def match_keys(connection: Connection, keys: VaultKeys) -> MatchedKeys:
    """The keys by the versions that this vault has; Halt H_VAULT_KEY where it was made or changed with another."""
    rows = connection.execute(select(vault_key))
    return keys.matched({(row.purpose, row.version): bytes(row.probe) for row in rows})


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction of the vault; a database error halts with none of the driver's own text."""
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError:
        # A driver's text may quote values, so nothing of it is kept.
        raise Halt("H_VAULT") from None


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
        return _people(wanted, names)

    def own_names(self, ids: Sequence[str], kinds: Sequence[str], *, issuer: str = "") -> list[bytes | None]:
        """The pseudonym that each id was first given, whatever was merged since; None for nobody known."""
        with transaction(self._engine) as connection:
            return self._named(connection, identity, "person_id", index_texts(ids, kinds, issuer))[0]

    def find_episodes(self, references: Sequence[tuple[str, str]]) -> pl.DataFrame:
        """`sender`, `reference`, `episode` of the (sender, reference) pairs that are known, in the order given."""
        wanted = list(dict.fromkeys(references))
        with transaction(self._engine) as connection:
            names, _ = self._named(connection, reference, "episode", reference_texts(wanted))
        return _episodes(wanted, names)

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


class Vault(VaultReader):
    """The vault's one writer. Each call is one transaction, with its intent's position in it."""

    def assign(
        self,
        ids: Sequence[str],
        kinds: Sequence[str],
        references: Sequence[tuple[str, str]],
        position: Position,
        *,
        issuer: str = "",
    ) -> Assigned:
        """Pseudonyms for all ids and episodes for all (sender, reference) pairs; what is unknown gets new ones.

        `ids` and `references` hold no duplicates; `kinds` belongs to `ids`; `issuer` is the institution whose H-numbers
        these may be. Another server that names the same person at the same time is waited for, and its name is taken.
        """
        people, courses = index_texts(ids, kinds, issuer), reference_texts(references)
        stamp = position._asdict()
        with transaction(self._engine) as connection:
            connection.execute(insert(act), stamp)
            named, index = self._named(connection, identity, "person_id", people)
            unknown = _unnamed(named, index)
            rows = identity_columns(
                self._keys,
                [index[at] for at in unknown],
                _new_names(len(unknown)),
                [stored_kind(kinds[at], issuer) for at in unknown],
                [ids[at] for at in unknown],
            )
            ours = _name(connection, identity, "person_id", rows | stamp, unknown, named)
            # The persons come after their identities, when it is known whose name stood; in the order of their table.
            insert_all(connection, person, {"person_id": sorted(ours), "status": ACTIVE, **stamp})
            episodes, index = self._named(connection, reference, "episode", courses)
            unknown = _unnamed(episodes, index)
            rows = reference_columns(
                self._keys,
                [index[at] for at in unknown],
                _new_names(len(unknown)),
                [references[at][0] for at in unknown],
                [references[at][1] for at in unknown],
            )
            new_episodes = _name(connection, reference, "episode", rows | stamp, unknown, episodes)
            named = merges.read_as(merges.standing(connection), named)
        return Assigned(_people(ids, named), _episodes(references, episodes), len(ours), len(new_episodes))

    def mark_withdrawn(self, pseudonym: bytes, position: Position) -> None:
        """Mark a person, and everyone merged with it, as withdrawn, once or again; a later split leaves all so.

        Refused R_PERSON_UNKNOWN for nobody, and nothing is changed.
        """
        with transaction(self._engine) as connection:
            connection.execute(insert(act), position._asdict())
            group = merges.group_of(merges.standing(connection), pseudonym)
            theirs = person.c.person_id.in_(group)
            changed = connection.execute(update(person).where(theirs).values(status=WITHDRAWN))
            if changed.rowcount != len(group):
                raise Refused("R_PERSON_UNKNOWN")

    def record(self, position: Position) -> None:
        """Commit an act that changed the database's file and none of its rows."""
        with transaction(self._engine) as connection:
            connection.execute(insert(act), position._asdict())

    def merge(self, request_id: str, persons: tuple[bytes, bytes], position: Position) -> tuple[bytes, bytes]:
        """Let the first person be read as the second; answers (from, into). The same request again only records."""
        with transaction(self._engine) as connection:
            connection.execute(insert(act), position._asdict())
            return merges.enter(connection, request_id, persons, position)

    def split(self, request_id: str, person_id: bytes, position: Position) -> tuple[bytes, bytes]:
        """Undo the merge of this person into another; answers (from, into). The same request again only records."""
        with transaction(self._engine) as connection:
            connection.execute(insert(act), position._asdict())
            return merges.undo(connection, request_id, person_id)


def _unnamed(names: Sequence[bytes | None], index: Sequence[bytes]) -> list[int]:
    """The places without a name, sorted by index.

    So two servers take their row locks in one order and never wait for each other, and the table grows at its end. The
    order of an index tells nothing of the names, which are drawn at random.
    """
    return sorted((place for place, name in enumerate(names) if name is None), key=index.__getitem__)


def _name(
    connection: Connection,
    table: Table,
    column: str,
    columns: dict[str, Any],
    places: Sequence[int],
    names: list[bytes | None],
) -> list[bytes]:
    """Insert what nobody else inserted, put what now stands into `names`, and answer which names are ours."""
    drawn = standing = columns[column]
    if insert_all(connection, table, columns) < len(places):
        standing = by_index(connection, table, column, columns["bidx"], columns["index_key_version"])
    for place, name in zip(places, standing, strict=True):
        names[place] = name
    return [ours for ours, name in zip(drawn, standing, strict=True) if ours == name]


def _new_names(count: int) -> list[bytes]:
    random = secrets.token_bytes(PSEUDONYM_BYTES * count)
    return [random[start : start + PSEUDONYM_BYTES] for start in range(0, len(random), PSEUDONYM_BYTES)]


def _wanted(
    ids: Sequence[str] | pl.Series, kinds: Sequence[str] | pl.Series | None, issuer: str
) -> tuple[list[str], list[tuple[str, str]]]:
    """Each id once, and the (domain, text) that it is indexed by."""
    by_id = dict(zip(ids, kinds, strict=True)) if kinds is not None else dict.fromkeys(ids, "")
    return list(by_id), index_texts(list(by_id), list(by_id.values()), issuer)


def _people(ids: Sequence[str], names: Sequence[bytes | None]) -> pl.DataFrame:
    columns = {"id": pl.Series(ids, dtype=pl.String), "pseudonym": pl.Series(names, dtype=pl.Binary)}
    return pl.DataFrame(columns).drop_nulls("pseudonym")


def _episodes(references: Sequence[tuple[str, str]], names: Sequence[bytes | None]) -> pl.DataFrame:
    columns = {
        "sender": pl.Series([sender for sender, _ in references], dtype=pl.String),
        "reference": pl.Series([value for _, value in references], dtype=pl.String),
        "episode": pl.Series(names, dtype=pl.Binary),
    }
    return pl.DataFrame(columns).drop_nulls("episode")
