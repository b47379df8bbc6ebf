"""The rotation of the keys that databases lie under, also killed on the way, and nobody is another person."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from enclave.control.requests import find_request, requests_of
from enclave.crypto.keyring import KEY_KINDS, Keyring
from enclave.errors import Halt, Refused
from enclave.flow import RequestState
from enclave.model.purpose import Purpose
from enclave.settings import read_settings
from enclave.store.engines import sqlcipher_engine
from enclave.terminal.key_desk import KeyDesk, keys_of
from jobs.rotation import OF_DATABASES
from tests.jobs.clinics import COURSES, REGISTRY, TODAY, InProcess, Server
from tests.kills.forks import Forks, Request

OPENS = ("admit", "link", "give_back")
"""The other jobs that open vault and registry."""
each_key = pytest.mark.parametrize("name", OF_DATABASES)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with admitted rows."""
    server = Server(tmp_path_factory.mktemp("rotation"), InProcess())
    server.send()
    return server


def desk(server: Server) -> KeyDesk:
    """The terminal."""
    return KeyDesk(server.folder, read_settings(server.folder.settings), REGISTRY)


def told(server: Server) -> list[pl.DataFrame]:
    """Every join: number to pseudonym, pseudonym to rows, course to the clinic's own reference."""
    vault = server.wiring("admit").vault
    reader = server.wiring("link").registry_reader
    rows = [reader.read(form, state=None, purpose=Purpose.NATIONAL) for form in ("arrival", "discharge")]
    people, episodes = vault.find([one.person for one in COURSES]), rows[0]["_episode"].to_list()
    return [people, vault.identities(people["pseudonym"].to_list()), vault.references(episodes), *rows]


def same(one: list[pl.DataFrame], other: list[pl.DataFrame]) -> bool:
    """Whether all joins are the same."""
    return all(left.equals(right) for left, right in zip(one, other, strict=True))


def key_of(server: Server, name: str) -> bytes:
    """The key in use."""
    return Keyring(server.folder.registry(REGISTRY).keys, frozenset({name})).get(name).reveal()


def test_the_drill(server: Server) -> None:
    """Each key is another afterwards, every pseudonym and join is the same, all jobs run, and old keys open nothing."""
    before, old = told(server), {name: key_of(server, name) for name in OF_DATABASES}
    files = {path.name: path.read_bytes() for path in server.folder.registry(REGISTRY).keys.glob("*.key")}
    for name in OF_DATABASES:
        request_id = desk(server).rotate(name)
        server.run("rights")
        assert find_request(server.control, request_id).state is RequestState.DONE
        assert same(told(server), before), name
        server.run(*OPENS)
        assert desk(server).retire(name) == 2
        assert key_of(server, name) != old[name]
    assert same(told(server), before)
    server.run(*OPENS)
    lies = server.folder.registry(REGISTRY)
    assert sorted(path.name for path in lies.keys.glob("*.key")) == sorted(files)
    for name, content in files.items():
        if name.removesuffix(".key") in OF_DATABASES:
            kept = (lies.keys / name).read_bytes()
            (lies.keys / name).write_bytes(content)
            with pytest.raises(Halt, match=r"H_DB_KEY|H_VAULT_KEY"):
                server.wiring("rights").open_vault()
                server.wiring("rights").open_registry_writer()
            (lies.keys / name).write_bytes(kept)


@each_key
def test_killed_anywhere_it_goes_on(server: Server, forks: Forks, name: str) -> None:
    """Killed at each ninth effect of `rights`, other jobs still open all; run again, it is done and the same."""
    before = told(server)
    request_id = desk(server).rotate(name)
    with server.undone():
        whole = forks.run(Request(str(server.folder.root), "rights"))
    assert whole.code == 0
    for effect in range(4, len(whole.effects) + 1, 9):
        with server.undone():
            assert forks.run(Request(str(server.folder.root), "rights", at=effect)).killed
            assert same(told(server), before), whole.effects[effect - 1]
            server.run("rights")
            assert find_request(server.control, request_id).state is RequestState.DONE
            desk(server).retire(name)
            assert same(told(server), before), whole.effects[effect - 1]


def test_what_is_out_of_order_is_refused(server: Server) -> None:
    """Only keys that are; not twice at once; not retired before all is moved; not without the next key."""
    with pytest.raises(Refused, match="R_KEY_NAME"):
        desk(server).rotate("escrow")
    with pytest.raises(Refused, match="R_KEY_NOT_ROTATING"):
        desk(server).retire("vault-data")
    desk(server).rotate("vault-data")
    with pytest.raises(Refused, match="R_KEY_IN_ROTATION"):
        desk(server).rotate("vault-data")
    with pytest.raises(Refused, match="R_KEY_NOT_MOVED"):
        desk(server).retire("vault-data")
    (server.folder.registry(REGISTRY).keys / "vault-data.next.key").unlink()
    server.run("rights")
    (closed,) = requests_of(server.control, REGISTRY, RequestState.REFUSED)
    assert closed.reason == "R_NO_NEXT_KEY"
    with pytest.raises(Refused, match="R_KEY_NOT_ROTATING"):
        desk(server).retire("vault-data")


def test_the_terminal_tells_every_key_with_its_age(server: Server) -> None:
    """All keys are listed; new ones are well, old ones due, a missing, readable or rotating one is told."""
    settings, keys = read_settings(server.folder.settings), server.folder.registry(REGISTRY).keys

    def standing(days: int = 0) -> dict[str, str]:
        return {one.key: one.standing for one in keys_of(server.folder, settings, TODAY + timedelta(days=days))}

    assert set(standing()) == set(KEY_KINDS)
    assert set(standing().values()) == {"ok"}
    assert standing(350)["vault-data"] == "soon"
    assert standing(400)["vault-data"] == "overdue"
    assert standing(400)["bundle-sign"] == "ok"
    desk(server).rotate("vault-data")
    (keys / "drafts.key").unlink()
    (keys / "rights.key").chmod(0o640)
    (keys / "register.json").unlink()
    assert {standing()[name] for name in ("vault-data", "drafts", "rights", "vault-db")} == {
        "rotating",
        "missing",
        "readable",
        "overdue",
    }


def test_the_commands(server: Server) -> None:
    """`key list`, `check`, `rotate` and `retire` as they are typed; no key's content is printed."""

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "enclave", "--config", str(server.folder.settings), "key", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])

    listed = json.loads(typed("list", "--json").stdout)
    assert {one["key"] for one in listed} == set(KEY_KINDS)
    assert typed("check").returncode == 0
    assert typed("rotate", "vault-index").returncode == 0
    checked = typed("check", "--json")
    assert (checked.returncode, [one["standing"] for one in json.loads(checked.stdout)]) == (1, ["rotating"])
    assert typed("retire", "vault-index").returncode == 3
    server.run("rights")
    assert "version 2" in typed("retire", "vault-index").stdout
    with pytest.raises(Halt, match="H_DB_KEY"):
        sqlcipher_engine(
            server.folder.registry(REGISTRY).vault,
            Keyring(server.folder.registry(REGISTRY).keys, frozenset({"registry-db"})).get("registry-db"),
        )
