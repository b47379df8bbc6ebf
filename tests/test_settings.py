"""enclave.toml: a bad setting stops the server before it starts, with file, key and remedy, and never a value."""

from pathlib import Path

import pytest

from enclave.errors import Halt
from enclave.founding import CONFIG
from enclave.settings import read_settings

SHIPPED = (CONFIG / "enclave.toml").read_text(encoding="utf-8")

MISTAKES = [
    ('server = "enclave-1"', 'server = "Not A Name"', "server"),
    ('server = "enclave-1"', 'serverr = "enclave-1"', "serverr"),
    ('mode = "test"', 'mode = "tset"', "mode"),
    ('mode = "test"', "", "mode"),
    ('time_zone = "Europe/Oslo"', 'time_zone = "Europe/Olso"', "time_zone"),
    ("port = 22", 'port = "22"', "registries.kar.airlock.port"),
    ("port = 22", "port = 70000", "registries.kar.airlock.port"),
    ("attempts = 5", "attempts = 0", "registries.kar.airlock.attempts"),
    ('kind = "sftp"', 'kind = "ftp"', "registries.kar.airlock.kind"),
    ("drop_bytes = 67108864", "drop_bytes = 1", "registries.kar.limits.drop_bytes"),
    ('database = ""', 'database = "postgresql+psycopg://u@db.example/kar"', "registries.kar.database"),
    ('vault_database = ""', 'vault_database = "sqlite:///vault.db"', "registries.kar.vault_database"),
    ("[registries.kar]", "[registries.KAR]", "registries"),
    ("[schedule]", "[schedul]", "schedul"),
    ('data_processors = ""', 'data_processors = "Not A Group"', "roles.data_processors"),
]


def test_the_shipped_settings_are_read(tmp_path: Path) -> None:
    """config/enclave.toml, which shows every key, is itself a valid file."""
    path = tmp_path / "enclave.toml"
    path.write_text(SHIPPED, encoding="utf-8")

    assert read_settings(path).registries["kar"].airlock.attempts == 5


@pytest.mark.parametrize(("line", "mistaken", "key"), MISTAKES)
def test_a_mistake_is_told_with_its_file_and_key(tmp_path: Path, line: str, mistaken: str, key: str) -> None:
    """The Halt names enclave.toml and the key; the value that was written does not stand in it."""
    path = tmp_path / "enclave.toml"
    assert line in SHIPPED
    path.write_text(SHIPPED.replace(line, mistaken, 1), encoding="utf-8")

    with pytest.raises(Halt) as halt:
        read_settings(path)

    assert (halt.value.code, halt.value.exit_code) == ("H_SETTINGS", 4)
    assert "enclave.toml" in str(halt.value)
    assert key in str(halt.value)
    assert "db.example" not in str(halt.value)


SOCKET = "postgresql+psycopg://{user}@/{name}?host=/run/postgresql"


@pytest.mark.parametrize(
    ("registry", "vault", "is_apart"),
    [
        (SOCKET.format(user="kar", name="kar"), SOCKET.format(user="kar_vault", name="kar_vault"), True),
        (SOCKET.format(user="kar", name="kar"), SOCKET.format(user="kar_vault", name="kar"), False),
        ("", SOCKET.format(user="kar_vault", name="kar"), True),
        ("postgresql+psycopg://a@db.example:5432/kar?sslmode=verify-full",) * 2 + (False,),
        (
            "postgresql+psycopg://a@db.example/kar?sslmode=verify-full",
            "postgresql+psycopg://b@db.example:5432/kar?sslmode=verify-full",
            False,
        ),
    ],
)
def test_vault_and_registry_are_two_databases(tmp_path: Path, registry: str, vault: str, is_apart: bool) -> None:
    """One database for both is refused, whoever logs in to it and however its address is written."""
    path = tmp_path / "enclave.toml"
    text = SHIPPED.replace('vault_database = ""', f'vault_database = "{vault}"', 1)
    path.write_text(text.replace('\ndatabase = ""', f'\ndatabase = "{registry}"', 1), encoding="utf-8")

    if is_apart:
        assert read_settings(path).registries["kar"].vault_database == vault
    else:
        with pytest.raises(Halt, match=r"H_SETTINGS.*registries\.kar") as halt:
            read_settings(path)
        assert "db.example" not in str(halt.value)


def test_no_two_registries_share_a_database(tmp_path: Path) -> None:
    """The vault of one registry is not the database of another, nor are two registries' databases one."""
    first, second = SOCKET.format(user="a", name="one"), SOCKET.format(user="b", name="one")
    other = SHIPPED[SHIPPED.index("[registries.kar]") : SHIPPED.index("# Which OS groups")].replace("kar", "kpr")
    path = tmp_path / "enclave.toml"
    for ours, theirs in (('\nvault_database = "', '\ndatabase = "'), ('\ndatabase = "', '\ndatabase = "')):
        text = SHIPPED.replace(f'{ours}"', f'{ours}{first}"', 1) + other.replace(f'{theirs}"', f'{theirs}{second}"', 1)
        path.write_text(text, encoding="utf-8")
        with pytest.raises(Halt, match=r"H_SETTINGS.*same database"):
            read_settings(path)
    path.write_text(SHIPPED + other, encoding="utf-8")
    assert set(read_settings(path).registries) == {"kar", "kpr"}


ONE, ANOTHER = f"age1{'q' * 58}", f"age1{'p' * 58}"


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (f'registry = "{ONE}"\nvault = "{ANOTHER}"', ""),
        (f'registry = "{ONE}"\nvault = "{ONE}"', "another key"),
        (f'registry = "{ONE}"', "backup.vault"),
        (f'registry = "{ONE}"\nvault = "AGE-SECRET-"', "backup.vault"),
        (f'registry = "{ONE}"\nvault = "{ANOTHER}"\nboth = "{ONE}"', "backup.both"),
    ],
)
def test_backups_are_sealed_to_two_people(tmp_path: Path, section: str, key: str) -> None:
    """One key for both sets, a missing, a private or an unknown one stops the server before it starts."""
    path = tmp_path / "enclave.toml"
    path.write_text(f"{SHIPPED}\n[backup]\n{section}\n", encoding="utf-8")
    if key:
        with pytest.raises(Halt, match=f"H_SETTINGS.*{key}"):
            read_settings(path)
    else:
        assert read_settings(path).backup is not None


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    """A syntax error names its line and repeats nothing of the file."""
    path = tmp_path / "enclave.toml"
    path.write_text('server = "x"\nsecret = 0181551234\n', encoding="utf-8")

    with pytest.raises(Halt, match="line 2") as halt:
        read_settings(path)

    assert "0181551234" not in str(halt.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """Without a file there is nothing to run."""
    with pytest.raises(Halt, match="H_SETTINGS_FILE"):
        read_settings(tmp_path / "enclave.toml")
