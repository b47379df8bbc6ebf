"""The vault: the only place that ties a person to a pseudonym and a sender's own number to a course.

Pseudonyms and episodes are 16 random bytes, so that nothing outside the vault leads back to anyone, not even with the
index key. A reader finds and opens; only `Vault` names new people.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, Table, insert, select, update

from enclave.audit.record import Position
from enclave.errors import Refused, explain
from enclave.identity import merges
from enclave.identity.vault_bulk import by_index, insert_all
from enclave.identity.vault_keys import FIRST_VERSION, VaultKeys
from enclave.identity.vault_reader import VaultReader, episodes_frame, people_frame
from enclave.identity.vault_rows import identity_columns, index_texts, reference_columns, reference_texts, stored_kind
from enclave.identity.vault_tables import (
    ACTIVE,
    WITHDRAWN,
    act,
    identity,
    match_keys,
    metadata,
    person,
    reference,
    transaction,
    vault_key,
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
        with transaction(self._engine, check_references=False) as connection:
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
        return Assigned(people_frame(ids, named), episodes_frame(references, episodes), len(ours), len(new_episodes))

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
