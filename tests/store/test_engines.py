"""Databases are encrypted, keyed, never made by accident, and closed to readers' writes."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, Text, text

from enclave.crypto.secret import Secret
from enclave.errors import Halt
from enclave.store import engines
from enclave.store.engines import holds_in_clear, postgres_engine, rekey_file, sqlcipher_engine, transaction
from tests.store.registry import KEY, Database

MARKER = "MARKER-IN-THE-CLEAR"
TABLE = Table("kept", MetaData(), Column("word", Text, unique=True))


def _filled(path: Path) -> None:
    engine = sqlcipher_engine(path, KEY, create=True)
    TABLE.create(engine)
    with transaction(engine) as connection:
        connection.execute(TABLE.insert(), [{"word": f"{MARKER} {number}"} for number in range(2000)])
    engine.dispose()


def test_what_is_written_cannot_be_read_from_the_raw_file(tmp_path: Path) -> None:
    """Neither content nor table names stand in clear, and only an empty journal is left beside the file."""
    _filled(tmp_path / "a.db")

    assert not holds_in_clear(tmp_path / "a.db", MARKER.encode())
    assert not holds_in_clear(tmp_path / "a.db", b"CREATE TABLE")
    assert not holds_in_clear(tmp_path / "a.db", b"SQLite format 3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "a.db-journal"]
    assert (tmp_path / "a.db-journal").read_bytes() == b""
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_can_be_read_raw_is_refused_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that takes a key and encrypts nothing is found out by the file that it wrote."""
    plain = sqlite3.connect(tmp_path / "a.db")
    plain.execute("CREATE TABLE kept (word TEXT)")
    plain.close()
    monkeypatch.setattr(engines, "_prepare", lambda *_, **__: None)

    with pytest.raises(Halt, match="H_DB_CLEAR"):
        sqlcipher_engine(tmp_path / "a.db", KEY)


def test_a_file_is_encrypted_anew_whole(tmp_path: Path) -> None:
    """After that only the new key opens it, with all that it held; the same again changes nothing."""
    new = Secret(b"n" * 32)
    _filled(tmp_path / "a.db")
    for _ in range(2):
        rekey_file(tmp_path / "a.db", KEY, new)
    with transaction(sqlcipher_engine(tmp_path / "a.db", new)) as connection:
        assert len(connection.execute(TABLE.select()).all()) == 2000
    with pytest.raises(Halt, match="H_DB_KEY"):
        sqlcipher_engine(tmp_path / "a.db", KEY)
    with pytest.raises(Halt, match="H_DB_KEY"):
        rekey_file(tmp_path / "a.db", KEY, Secret(b"x" * 32))
    with pytest.raises(Halt, match="H_DB_KEY_LENGTH"):
        rekey_file(tmp_path / "a.db", new, Secret(b"x"))


REKEY = """
import sys
from pathlib import Path
from enclave.crypto.secret import Secret
from enclave.store.engines import rekey_file
rekey_file(Path(sys.argv[1]), Secret(bytes(range(32))), Secret(b"n" * 32))
"""


@pytest.mark.parametrize("at", [1, 20, 80])
def test_a_file_whose_encryption_is_killed_half_way_has_its_old_key(tmp_path: Path, at: int) -> None:
    """The kernel kills SQLCipher at one of its writes: the old key opens all; again, and it is done."""
    _filled(tmp_path / "a.db")
    kill = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=pwrite64",
        "-e",
        f"inject=pwrite64:signal=SIGKILL:when={at}",
    ]
    command = [*kill, sys.executable, "-c", REKEY, str(tmp_path / "a.db")]
    died = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True)
    assert died.returncode == -signal.SIGKILL
    with pytest.raises(Halt, match="H_DB_KEY"):
        sqlcipher_engine(tmp_path / "a.db", Secret(b"n" * 32))
    for key in (KEY, Secret(b"n" * 32)):
        with transaction(sqlcipher_engine(tmp_path / "a.db", key)) as connection:
            assert len(connection.execute(TABLE.select()).all()) == 2000
        rekey_file(tmp_path / "a.db", KEY, Secret(b"n" * 32))


def test_the_probe_finds_a_marker_in_a_journal(tmp_path: Path) -> None:
    """The probe looks beside the file too."""
    (tmp_path / "a.db").write_bytes(b"")
    (tmp_path / "a.db-journal").write_bytes(MARKER.encode())

    assert holds_in_clear(tmp_path / "a.db", MARKER.encode())


def test_a_journal_of_an_open_transaction_is_encrypted(tmp_path: Path) -> None:
    """The rollback journal, which a kill leaves behind, holds no clear text; nor does any file made for a big sort."""
    _filled(tmp_path / "a.db")
    engine = sqlcipher_engine(tmp_path / "a.db", KEY)
    with transaction(engine) as connection:
        connection.execute(text("PRAGMA cache_size = 5"))
        connection.execute(TABLE.update().values(word=TABLE.c.word + " changed"))
        connection.execute(text("CREATE TEMP TABLE sorted AS SELECT a.word FROM kept a, kept b LIMIT 400000"))
        sorting = connection.execute(text("SELECT word FROM sorted ORDER BY word DESC"))
        assert sorting.fetchone() is not None
        opened = [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]

        assert (tmp_path / "a.db-journal").stat().st_size > 0
        assert not holds_in_clear(tmp_path / "a.db", MARKER.encode())
        assert not [name for name in opened if "etilqs" in name]


def test_a_wrong_key_halts(tmp_path: Path) -> None:
    """A database opens only with its own key."""
    _filled(tmp_path / "a.db")

    with pytest.raises(Halt) as caught:
        sqlcipher_engine(tmp_path / "a.db", Secret(b"w" * 32))
    assert caught.value.code == "H_DB_KEY"


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_halts(tmp_path: Path, length: int) -> None:
    """A key is 32 bytes: SQLCipher would take anything else for a passphrase."""
    with pytest.raises(Halt) as caught:
        sqlcipher_engine(tmp_path / "a.db", Secret(b"w" * length), create=True)
    assert caught.value.code == "H_DB_KEY_LENGTH"


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_empty_file_halts(tmp_path: Path, content: bytes | None) -> None:
    """Opening never makes a database; an empty file is not an empty registry."""
    if content is not None:
        (tmp_path / "a.db").write_bytes(content)

    with pytest.raises(Halt) as caught:
        sqlcipher_engine(tmp_path / "a.db", KEY)
    assert caught.value.code == "H_DB_MISSING"


def test_creating_never_overwrites(tmp_path: Path) -> None:
    """A database that exists is not made again, whether keyed alike or not."""
    _filled(tmp_path / "a.db")
    before = (tmp_path / "a.db").read_bytes()

    with pytest.raises(Halt) as caught:
        sqlcipher_engine(tmp_path / "a.db", KEY, create=True)
    assert caught.value.code == "H_EXISTS"
    assert (tmp_path / "a.db").read_bytes() == before


def test_a_creation_that_was_killed_is_taken_up(tmp_path: Path) -> None:
    """An empty file under the name is what a kill leaves; creating again makes it whole and keyed."""
    (tmp_path / "a.db").write_bytes(b"")
    sqlcipher_engine(tmp_path / "a.db", KEY, create=True).dispose()

    sqlcipher_engine(tmp_path / "a.db", KEY)
    with pytest.raises(Halt, match="H_DB_KEY"):
        sqlcipher_engine(tmp_path / "a.db", Secret(b"w" * 32))


@pytest.mark.parametrize("planted", ["symbolic", "hard", "folder"])
def test_a_planted_name_is_refused(tmp_path: Path, planted: str) -> None:
    """A link or a folder under the database's name is not opened."""
    _filled(tmp_path / "real.db")
    if planted == "symbolic":
        (tmp_path / "a.db").symlink_to(tmp_path / "real.db")
    elif planted == "hard":
        (tmp_path / "a.db").hardlink_to(tmp_path / "real.db")
    else:
        (tmp_path / "a.db").mkdir()

    with pytest.raises(Halt) as caught:
        sqlcipher_engine(tmp_path / "a.db", KEY)
    assert caught.value.code == "H_NOT_A_FILE"


def test_a_dangling_link_is_not_created_through(tmp_path: Path) -> None:
    """Creating does not follow a link to a place that does not exist yet."""
    (tmp_path / "a.db").symlink_to(tmp_path / "elsewhere.db")

    with pytest.raises(Halt, match="H_EXISTS"):
        sqlcipher_engine(tmp_path / "a.db", KEY, create=True)
    assert not (tmp_path / "elsewhere.db").exists()


def _read_everything(path: Path) -> None:
    with transaction(sqlcipher_engine(path, KEY)) as connection:
        connection.execute(text("PRAGMA integrity_check")).all()
        connection.execute(TABLE.select().order_by(text("rowid"))).all()


@pytest.mark.parametrize("place", [0, 20, 4000, 5000, -1])
def test_a_flipped_bit_is_found(tmp_path: Path, place: int) -> None:
    """SQLCipher authenticates its pages: damage anywhere is an error, never other data."""
    _filled(tmp_path / "a.db")
    content = bytearray((tmp_path / "a.db").read_bytes())
    content[place] ^= 1
    (tmp_path / "a.db").write_bytes(content)

    with pytest.raises(Halt) as caught:
        _read_everything(tmp_path / "a.db")
    assert caught.value.code in {"H_DB_KEY", "H_DATABASE"}


STATEMENTS = [
    "INSERT INTO kept VALUES ('x')",
    "UPDATE kept SET word = 'x'",
    "DELETE FROM kept",
    "DROP TABLE kept",
    "CREATE TABLE more (a TEXT)",
    "CREATE INDEX i ON kept (word)",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_reader_cannot_write(database: Database, statement: str) -> None:
    """Every kind of change through a reader's engine is refused and changes nothing."""
    TABLE.create(database.engine)
    with transaction(database.engine) as connection:
        connection.execute(TABLE.insert(), {"word": MARKER})
    reader = database.open_reader()

    with pytest.raises(Halt, match="H_DATABASE"), transaction(reader) as connection:
        connection.execute(text(statement))
    with transaction(reader) as connection:
        assert connection.execute(TABLE.select()).all() == [(MARKER,)]


@pytest.mark.parametrize(
    "statement", ["PRAGMA query_only = OFF", "ATTACH ':memory:' AS other", "CREATE TEMP TABLE t (a TEXT)"]
)
def test_a_reader_of_sqlcipher_cannot_free_itself(tmp_path: Path, statement: str) -> None:
    """A reader can neither lift its own bar nor write somewhere else."""
    _filled(tmp_path / "a.db")

    with (
        pytest.raises(Halt, match="H_DATABASE"),
        transaction(sqlcipher_engine(tmp_path / "a.db", KEY, read_only=True)) as connection,
    ):
        connection.execute(text(statement))


def test_an_error_of_the_database_quotes_no_value(database: Database) -> None:
    """A unique violation halts with our own text; neither it nor its causes name the value."""
    TABLE.create(database.engine)
    with transaction(database.engine) as connection:
        connection.execute(TABLE.insert(), {"word": MARKER})

    with pytest.raises(Halt) as caught, transaction(database.engine) as connection:
        connection.execute(TABLE.insert(), {"word": MARKER})
    assert MARKER not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u@db.example/x",
        "postgresql+psycopg://u@db.example/x?sslmode=require",
        "postgresql+psycopg://u@127.0.0.1/x",
        "postgresql+psycopg://u@/x",
    ],
)
def test_an_address_that_verifies_nobody_halts(url: str) -> None:
    """PostgreSQL is reached by Unix socket or by TLS verified in full, never otherwise."""
    with pytest.raises(Halt) as caught:
        postgres_engine(url)
    assert caught.value.code == "H_DB_NETWORK"


def test_the_key_is_in_no_text_of_an_engine(tmp_path: Path) -> None:
    """An engine's description does not hold its key."""
    engine = sqlcipher_engine(tmp_path / "a.db", KEY, create=True)

    assert KEY.reveal().hex() not in f"{engine!r} {engine.url} {engine.pool!r}"


def test_a_wrong_key_writes_nothing_to_the_terminal(tmp_path: Path) -> None:
    """SQLCipher's own messages on standard error are silenced; the Halt says what is to be done."""
    _filled(tmp_path / "a.db")
    program = (
        "from pathlib import Path; from enclave.crypto.secret import Secret\n"
        "from enclave.errors import Halt; from enclave.store.engines import sqlcipher_engine\n"
        f"try: sqlcipher_engine(Path({str(tmp_path / 'a.db')!r}), Secret(b'w' * 32))\n"
        "except Halt: print('halted')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    assert (done.stdout, done.stderr) == ("halted\n", "")


def test_a_database_that_stays_locked_halts_as_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits in vain says that it waited, not that the database is broken."""
    _filled(tmp_path / "a.db")
    monkeypatch.setattr("enclave.store.engines.BUSY_SECONDS", 0.05)
    first, second = (sqlcipher_engine(tmp_path / "a.db", KEY) for _ in range(2))

    with transaction(first), pytest.raises(Halt) as caught, transaction(second):
        pass
    assert caught.value.code == "H_DB_BUSY"


def test_a_transaction_that_was_killed_leaves_nothing(tmp_path: Path) -> None:
    """A hot journal is rolled back by whoever opens next, also by a reader."""
    _filled(tmp_path / "a.db")
    program = (
        "import os, signal; from pathlib import Path; from enclave.crypto.secret import Secret\n"
        "from enclave.store.engines import sqlcipher_engine, transaction\n"
        f"engine = sqlcipher_engine(Path({str(tmp_path / 'a.db')!r}), Secret(bytes(range(32))))\n"
        "with transaction(engine) as connection:\n"
        "    connection.exec_driver_sql('PRAGMA cache_size = 2')\n"
        "    connection.exec_driver_sql(\"UPDATE kept SET word = word || ' changed'\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False)

    assert killed.returncode == -9
    assert (tmp_path / "a.db-journal").stat().st_size > 0
    with transaction(sqlcipher_engine(tmp_path / "a.db", KEY, read_only=True)) as connection:
        words = connection.execute(TABLE.select()).scalars().all()
    assert not [word for word in words if "changed" in word]


def test_an_sqlite_that_does_not_encrypt_halts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain SQLite ignores the key and would write in clear; it is told by its lack of a cipher, before any write."""
    monkeypatch.setattr("enclave.store.engines.sqlcipher.connect", sqlite3.connect)

    with pytest.raises(Halt) as caught:
        sqlcipher_engine(tmp_path / "a.db", KEY, create=True)
    assert caught.value.code == "H_DB_CIPHER"
    assert (tmp_path / "a.db").read_bytes() == b""
