"""How long national numbers take to judge and people to name: `python -m benchmarks.identity [HOW_MANY]`.

Prints one line for each step; one thread. The vault is SQLCipher in a temporary folder, as a server has it. The peer is
what a first attempt looks like: the same index without a ciphertext, in plain SQLite, a call for each number.
"""

import hmac
import secrets
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from enclave.audit.record import Position
from enclave.crypto.secret import Secret
from enclave.identity import vault
from enclave.identity.rules import Mode, classify
from enclave.identity.vault import Vault
from enclave.identity.vault_keys import VaultKeys
from enclave.store.engines import sqlcipher_engine

LOG = "0b1f6a5e-6f0e-4a4c-9d5e-0c5b7a3b1f10"
FIRST = np.array([3, 7, 6, 1, 8, 9, 4, 5, 2])
SECOND = np.array([5, 4, 3, 2, 7, 6, 5, 4, 3, 2])


def numbers(how_many: int) -> pl.Series:
    """That many different synthetic numbers (month + 80) with right control digits."""
    chance = np.random.default_rng(1)
    found: dict[str, None] = {}
    while len(found) < how_many:
        count = 2 * how_many
        dates = np.stack(
            [chance.integers(1, 29, count), chance.integers(81, 93, count), chance.integers(40, 100, count)], axis=1
        )
        head = np.char.add(
            np.char.add(np.char.zfill(dates[:, 0].astype(str), 2), dates[:, 1].astype(str)),
            np.char.add(dates[:, 2].astype(str), np.char.zfill(chance.integers(0, 500, count).astype(str), 3)),
        )
        digits = np.array([list(text) for text in head], dtype=np.int64)
        first = (11 - digits @ FIRST % 11) % 11
        second = (11 - (digits @ SECOND[:9] + first * SECOND[9]) % 11) % 11
        good = (first < 10) & (second < 10)
        whole = np.char.add(np.char.add(head, first.astype(str)), second.astype(str))[good]
        found |= dict.fromkeys(whole.tolist())
    return pl.Series(list(found)[:how_many])


def timed(what: str, step: Callable[[], object]) -> None:
    """Run a step and print how long it took: on the clock, and on the processor (less, where others use it too)."""
    start, busy = time.perf_counter(), time.process_time()
    step()
    print(f"{what:<44}{time.perf_counter() - start:8.2f} s  ({time.process_time() - busy:.2f} s busy)", flush=True)


def plain(path: Path) -> sqlite3.Connection:
    """The peer: SQLite as everybody has it, without encryption, sealed rows, merges or an audit."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE IF NOT EXISTS person (bidx BLOB PRIMARY KEY, pseudonym BLOB NOT NULL)")
    return connection


def plain_first_load(path: Path, ids: list[str], key: bytes) -> None:
    """HMAC each number and insert it, one call each."""
    with plain(path) as connection:
        for number in ids:
            row = (hmac.new(key, number.encode(), "sha256").digest(), secrets.token_bytes(16))
            connection.execute("INSERT INTO person VALUES (?, ?)", row)


def plain_find(path: Path, ids: list[str], key: bytes) -> None:
    """HMAC each number and look it up, one call each."""
    with plain(path) as connection:
        for number in ids:
            index = hmac.new(key, number.encode(), "sha256").digest()
            connection.execute("SELECT pseudonym FROM person WHERE bidx = ?", (index,)).fetchone()


def main(how_many: int) -> None:
    """Judge, name and find again that many people, beside the peer."""
    ids = numbers(how_many)
    listed, kinds = ids.to_list(), ["syn_tenor"] * how_many
    print(f"{how_many:,} different numbers")
    timed("judge (classify)", lambda: classify(ids, Mode.TEST, date(2026, 1, 1)))
    with tempfile.TemporaryDirectory() as folder:
        engine = sqlcipher_engine(Path(folder) / "vault.db", Secret(secrets.token_bytes(32)), create=True)
        keys = VaultKeys(Secret(secrets.token_bytes(32)), Secret(secrets.token_bytes(32)))
        vault.create(engine, keys)
        writer = Vault(engine, keys)
        timed("vault: name all (first load)", lambda: writer.assign(listed, kinds, [], Position(LOG, 1)))
        timed("vault: find all again", lambda: writer.find(ids))
        path, key = Path(folder) / "plain.db", secrets.token_bytes(32)
        timed("peer, plain SQLite row by row: name all", lambda: plain_first_load(path, listed, key))
        timed("peer, plain SQLite row by row: find all", lambda: plain_find(path, listed, key))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
