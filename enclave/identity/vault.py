"""The vault: the only place that ties a person to a pseudonym and a sender's own number to a course.

Pseudonyms and episodes are 16 random bytes, so that nothing outside the vault leads back to anyone, not even with the
index key. A reader finds and opens; only `Vault` names new people.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Table,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from enclave.audit.record import Position
from enclave.errors import Halt, Refused, explain
from enclave.identity.vault_bulk import READ_ROWS, among, by_index, chunks, insert_all
from enclave.identity.vault_keys import VERSION, VaultKeys
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
_PERSON_DOMAIN = "person|no"
_IDENTITY_PLACE = "identity|ciphertext"
_REFERENCE_PLACE = "reference|ciphertext"


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
    with _transaction(engine) as connection:
        metadata.create_all(connection)
        if connection.execute(select(vault_key.c.purpose)).first() is None:
            rows = [{"purpose": name, "version": VERSION, "probe": probe} for name, probe in keys.probes().items()]
            connection.execute(insert(vault_key), rows)
        _require_keys(connection, keys)


def _require_keys(connection: Connection, keys: VaultKeys) -> None:
    rows = connection.execute(select(vault_key.c.purpose, vault_key.c.probe).where(vault_key.c.version == VERSION))
    if {purpose: bytes(probe) for purpose, probe in rows} != keys.probes():
        raise Halt("H_VAULT_KEY")


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError:
        # A driver's text may quote values, so nothing of it is kept.
        raise Halt("H_VAULT") from None


class VaultReader:
    """Finds pseudonyms, and opens identities for the jobs that may name people; writes nothing."""

    def __init__(self, engine: Engine, keys: VaultKeys) -> None:
        self._engine = engine
        self._keys = keys
        with _transaction(engine) as connection:
            if not inspect(connection).has_table(vault_key.name):
                raise Halt("H_VAULT_MISSING")
            _require_keys(connection, keys)

    def find(self, ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """`id`, `pseudonym` of the ids that are known, in the order given; each id once."""
        wanted = list(dict.fromkeys(ids))
        index = self._keys.blind(_PERSON_DOMAIN, wanted)
        with _transaction(self._engine) as connection:
            found = by_index(connection, identity, "person_id", index)
        return _people(wanted, index, found)

    def find_episodes(self, references: Sequence[tuple[str, str]]) -> pl.DataFrame:
        """`sender`, `reference`, `episode` of the (sender, reference) pairs that are known, in the order given."""
        wanted = list(dict.fromkeys(references))
        index = self._blind_references(wanted)
        with _transaction(self._engine) as connection:
            found = by_index(connection, reference, "episode", index)
        return _episodes(wanted, index, found)

    def _blind_references(self, references: Sequence[tuple[str, str]]) -> list[bytes]:
        # An institution's id holds no `|`, so no sender can name a course of another.
        return [self._keys.blind(f"reference|{sender}", (value,))[0] for sender, value in references]

    def identities(self, pseudonyms: Sequence[bytes]) -> pl.DataFrame:
        """`pseudonym`, `id`, `kind` of these people, all numbers of each; sorted by the order given, then by id."""
        rows: list[Row[Any]] = []
        with _transaction(self._engine) as connection:
            for chunk in chunks(sorted(set(pseudonyms)), READ_ROWS):
                theirs = among(connection, identity.c.person_id, chunk)
                rows += connection.execute(select(identity).where(theirs)).all()
        opened = [
            (
                row.person_id,
                self._keys.open(
                    _IDENTITY_PLACE,
                    _identity_row(row.bidx, row.person_id, row.kind),
                    row.nonce,
                    row.ciphertext,
                    row.data_key_version,
                ),
                row.kind,
            )
            for row in rows
        ]
        order = {pseudonym: place for place, pseudonym in enumerate(dict.fromkeys(pseudonyms))}
        opened.sort(key=lambda each: (order[each[0]], each[1]))
        schema = {"pseudonym": pl.Binary, "id": pl.String, "kind": pl.String}
        return pl.DataFrame(opened, schema=schema, orient="row")

    def references(self, episodes: Sequence[bytes]) -> pl.DataFrame:
        """`episode`, `sender`, `reference` of these courses, in the order given."""
        found: dict[bytes, tuple[str, str]] = {}
        with _transaction(self._engine) as connection:
            for chunk in chunks(sorted(set(episodes)), READ_ROWS):
                for row in connection.execute(select(reference).where(among(connection, reference.c.episode, chunk))):
                    bound = _reference_row(row.bidx, row.episode, row.sender)
                    value = self._keys.open(_REFERENCE_PLACE, bound, row.nonce, row.ciphertext, row.data_key_version)
                    found[row.episode] = (row.sender, value)
        rows = [(episode, *found[episode]) for episode in dict.fromkeys(episodes) if episode in found]
        schema = {"episode": pl.Binary, "sender": pl.String, "reference": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def has_act(self, position: Position) -> bool:
        """Whether the act with this intent was committed here: the evidence by which a crash is resolved."""
        here = (act.c.log_id == position.log_id) & (act.c.audit_seq == position.audit_seq)
        with _transaction(self._engine) as connection:
            return connection.execute(select(act.c.log_id).where(here)).first() is not None


class Vault(VaultReader):
    """The vault's one writer. Each call is one transaction, with its intent's position in it."""

    def assign(
        self,
        ids: Sequence[str],
        kinds: Sequence[str],
        references: Sequence[tuple[str, str]],
        position: Position,
    ) -> Assigned:
        """Pseudonyms for all ids and episodes for all (sender, reference) pairs; what is unknown gets new ones.

        `ids` and `references` hold no duplicates; `kinds` belongs to `ids`. Another server that names the same person
        at the same time is waited for, and its name is taken.
        """
        people_index = self._keys.blind(_PERSON_DOMAIN, ids)
        episode_index = self._blind_references(references)
        stamp = {"log_id": position.log_id, "audit_seq": position.audit_seq}
        with _transaction(self._engine) as connection:
            connection.execute(insert(act), stamp)
            people = by_index(connection, identity, "person_id", people_index)
            unknown = [place for place, bidx in enumerate(people_index) if bidx not in people]
            new_rows = self._identity_rows(ids, kinds, people_index, unknown, stamp)
            new_people = self._name(connection, identity, "person_id", new_rows, people)
            # The persons come after their identities, when it is known whose name stood.
            persons = [{"person_id": each, "status": ACTIVE, **stamp} for each in new_people]
            insert_all(connection, person, persons)
            episodes = by_index(connection, reference, "episode", episode_index)
            unknown = [place for place, bidx in enumerate(episode_index) if bidx not in episodes]
            new_rows = self._reference_rows(references, episode_index, unknown, stamp)
            new_episodes = self._name(connection, reference, "episode", new_rows, episodes)
        return Assigned(
            _people(ids, people_index, people),
            _episodes(references, episode_index, episodes),
            len(new_people),
            len(new_episodes),
        )

    def _identity_rows(
        self,
        ids: Sequence[str],
        kinds: Sequence[str],
        index: Sequence[bytes],
        places: Sequence[int],
        stamp: dict[str, Any],
    ) -> list[dict[str, Any]]:
        names = _new_names(len(places))
        bound = [_identity_row(index[at], name, kinds[at]) for at, name in zip(places, names, strict=True)]
        sealed = self._keys.seal(_IDENTITY_PLACE, bound, [ids[at] for at in places])
        return [
            _row(index[at], cipher, stamp) | {"person_id": name, "kind": kinds[at]}
            for at, name, cipher in zip(places, names, sealed, strict=True)
        ]

    def _reference_rows(
        self,
        references: Sequence[tuple[str, str]],
        index: Sequence[bytes],
        places: Sequence[int],
        stamp: dict[str, Any],
    ) -> list[dict[str, Any]]:
        names = _new_names(len(places))
        pairs = [references[at] for at in places]
        bound = [
            _reference_row(index[at], name, sender) for at, name, (sender, _) in zip(places, names, pairs, strict=True)
        ]
        sealed = self._keys.seal(_REFERENCE_PLACE, bound, [value for _, value in pairs])
        return [
            _row(index[at], cipher, stamp) | {"episode": name, "sender": sender}
            for at, name, cipher, (sender, _) in zip(places, names, sealed, pairs, strict=True)
        ]

    def _name(
        self, connection: Connection, table: Table, column: str, rows: list[dict[str, Any]], known: dict[bytes, bytes]
    ) -> list[bytes]:
        """Insert what nobody else inserted, add what now stands to `known`, and answer which names are ours."""
        # Sorted by index, so that two servers take their row locks in one order and never wait for each other.
        rows.sort(key=lambda row: row["bidx"])
        insert_all(connection, table, rows)
        standing = by_index(connection, table, column, [row["bidx"] for row in rows])
        known.update(standing)
        return [row[column] for row in rows if standing[row["bidx"]] == row[column]]

    def mark_withdrawn(self, pseudonym: bytes, position: Position) -> None:
        """Mark a person as withdrawn, once or again; Refused R_PERSON_UNKNOWN for nobody, and nothing is changed."""
        with _transaction(self._engine) as connection:
            connection.execute(insert(act), {"log_id": position.log_id, "audit_seq": position.audit_seq})
            changed = connection.execute(update(person).where(person.c.person_id == pseudonym).values(status=WITHDRAWN))
            if changed.rowcount != 1:
                raise Refused("R_PERSON_UNKNOWN")


def _new_names(count: int) -> list[bytes]:
    random = secrets.token_bytes(PSEUDONYM_BYTES * count)
    return [random[start : start + PSEUDONYM_BYTES] for start in range(0, len(random), PSEUDONYM_BYTES)]


def _row(bidx: bytes, cipher: tuple[bytes, bytes], stamp: dict[str, Any]) -> dict[str, Any]:
    nonce, ciphertext = cipher
    versions = {"index_key_version": VERSION, "data_key_version": VERSION}
    return {"bidx": bidx, "nonce": nonce, "ciphertext": ciphertext, **versions, **stamp}


def _identity_row(bidx: bytes, person_id: bytes, kind: str) -> bytes:
    return bidx + person_id + kind.encode()


def _reference_row(bidx: bytes, episode: bytes, sender: str) -> bytes:
    return bidx + episode + sender.encode()


def _people(ids: Iterable[str], index: Sequence[bytes], names: dict[bytes, bytes]) -> pl.DataFrame:
    rows = [(value, names[bidx]) for value, bidx in zip(ids, index, strict=True) if bidx in names]
    return pl.DataFrame(rows, schema={"id": pl.String, "pseudonym": pl.Binary}, orient="row")


def _episodes(references: Iterable[tuple[str, str]], index: Sequence[bytes], names: dict[bytes, bytes]) -> pl.DataFrame:
    rows = [(*pair, names[bidx]) for pair, bidx in zip(references, index, strict=True) if bidx in names]
    schema = {"sender": pl.String, "reference": pl.String, "episode": pl.Binary}
    return pl.DataFrame(rows, schema=schema, orient="row")
