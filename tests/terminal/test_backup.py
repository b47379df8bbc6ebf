"""Backups: two sets of one moment, for two people; neither holds a key, nor what only a destroyed key would open."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from enclave import durable
from enclave.crypto import age
from enclave.crypto.keyring import public
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused, Rejected
from enclave.flow import Act
from enclave.grants import Folder
from enclave.settings import Backup, Roles, Settings
from enclave.terminal import backup, doctor
from enclave.terminal.backup import back_up
from enclave.terminal.backup_set import MANIFEST, WHICH, Manifest, examine, set_of
from enclave.terminal.escrow import EscrowDesk
from enclave.wiring import open_log, utc_now
from jobs.schedule import JOBS
from tests.jobs.clinics import COURSES, REGISTRY, InProcess, Server
from tests.terminal.backups import EVERY, Deaths, Holders, backed_up, kill_points, settings_of


@pytest.fixture(scope="module")
def holders() -> Holders:
    """The two people."""
    return Holders.new()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, holders: Holders) -> Server:
    """A server with rows, drafts, a master key, a drop in quarantine and a filed withdrawal."""
    made = Server(tmp_path_factory.mktemp("backup"), InProcess())
    holders.registered(made.folder)
    EscrowDesk(made.folder, settings_of(made.folder), REGISTRY).ceremony(made.root / "papers")
    made.send()
    made.seal_drop("alfa", {"arrival": [COURSES[0].arrival()]}, seq=2)
    made.run("collect")
    made.desk.withdraw(Secret(COURSES[1].person.encode()), "2026/9")
    return made


@pytest.fixture(scope="module")
def sealed(server: Server, holders: Holders) -> Path:
    """The folder of one backup, each set opened beside its sealed file."""
    backed_up(server.folder, server.root / "sealed")
    holders.opened(server.root / "sealed")
    return server.root / "sealed"


def names_in(tar: Path) -> list[str]:
    """What stock `tar` finds in a set."""
    return subprocess.run(["tar", "-tf", tar], capture_output=True, text=True, check=True).stdout.splitlines()


def test_what_is_in_which_set(server: Server, sealed: Path) -> None:
    """The registry's set has rows, states, log and definitions; the vault's has what could name people."""
    registry, vault = names_in(sealed / "registry.tar"), names_in(sealed / "vault.tar")

    assert registry[0] == vault[0] == MANIFEST
    assert set(registry) >= {"control.db", "audit/log.jsonl", "enclave.toml", "registries/kar/registry.db"}
    assert set(registry) >= {"keys/audit-sign.pub", "keys/kar/rights.pub", "keys/kar/escrow.identity.age"}
    in_vault = {name.split("/")[2] for name in vault[1:]}
    assert in_vault == {"vault.db", "requests", "drafts"}
    folders = {name.split("/")[0] for name in (*registry, *vault)}
    assert folders == {MANIFEST, "audit", "control.db", "enclave.toml", "keys", "outbox", "registries"}
    assert not [name for name in registry if set_of(name) == "vault"]
    halves = ("keys/kar/quarantine.next.pub", "keys/kar/bundle-sign.earlier.pub", "keys/audit-sign.next.pub")
    assert [set_of(name) for name in halves] == ["registry"] * 3
    assert [set_of(name.replace(".pub", ".key")) for name in halves] == [None] * 3


def test_no_key_no_passphrase_and_nothing_of_the_keystore_is_in_either(server: Server, sealed: Path) -> None:
    """No byte of a private key, passphrase, wrapped key, drop in quarantine or national number stands in a set."""
    lies = server.folder.registry(REGISTRY)
    secret = [*server.folder.keys.rglob("*.key"), *server.folder.keys.rglob("*.passphrase")]
    destroyed_with_a_key = [*lies.keystore.rglob("*.age"), *lies.folder(Folder.QUARANTINE).iterdir()]
    assert len(secret) > 15
    assert len(destroyed_with_a_key) == 6
    contents = [path.read_bytes().strip() for path in (*secret, *destroyed_with_a_key)]
    contents += [course.person.encode() for course in COURSES]

    for which in WHICH:
        packed = (sealed / f"{which}.tar").read_bytes()
        assert [content for content in contents if content in packed] == []
    assert {set_of(path.relative_to(server.folder.root).as_posix()) for path in secret} == {None}
    # A vault's file is in the other person's set only.
    assert lies.vault.read_bytes()[:4096] not in (sealed / "registry.tar").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        *("keystore/kar/loans/nav-2026.age", "keystore/kar/loans/nav-2026.destroyed", "registries/kar/loans/x.drop"),
        *("registries/kar/quarantine/x.age", "keys/kar/rights.key", "keys/kar/vault-db.next.key", "locks/halted.json"),
        *("keys/kar/senders/alfa.passphrase", "../control.db", "audit/../keys/audit-sign.key", "audit/lock"),
        *("registries/kar/requests/00000000-0000-4000-8000-000000000000.answer.age", "registries/kar/drafts/.tmp-1"),
    ],
)
def test_what_is_in_no_backup(name: str) -> None:
    """Keys, graves, ciphertext whose key is the keystore's, answers that name people, and ways out of the folder."""
    assert set_of(name) is None


def test_each_opens_one_set_and_no_other(sealed: Path, holders: Holders) -> None:
    """Whoever holds the registry's key cannot open the vault's set, nor the other way round."""
    for which, other in (WHICH, WHICH[::-1]):
        with pytest.raises(Rejected, match="E_AGE_KEY"):
            age.open((sealed / f"{which}.tar.age").read_bytes(), holders.keys[other][0])


def test_stock_programs_open_and_check_a_set(sealed: Path, holders: Holders, tmp_path: Path) -> None:
    """`age -d`, `tar -x` and `sha256sum` show an auditor that each file is what the manifest says."""
    for which in WHICH:
        key = tmp_path / f"{which}.key"
        key.write_bytes(holders.keys[which][0].reveal() + b"\n")
        folder = tmp_path / which
        folder.mkdir()
        opened = subprocess.run(["age", "-d", "-i", key, sealed / f"{which}.tar.age"], capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=opened.stdout, check=True)
        members = [one for one in json.loads((folder / MANIFEST).read_text())["members"] if one["which"] == which]
        lines = "".join(f"{one['sha256']}  {one['name']}\n" for one in members)
        checked = subprocess.run(["sha256sum", "-c", "--quiet"], input=lines, cwd=folder, text=True)
        assert checked.returncode == 0
        assert len(members) == sum(path.is_file() for path in folder.rglob("*")) - 1


def test_the_log_names_the_backup_and_both_files(server: Server, sealed: Path) -> None:
    """Intent and outcome hold the manifest's digest and those of the sealed files, so that an exchanged one shows."""
    manifest = examine(sealed / "registry.tar", "registry")
    of_it = [entry for entry in open_log(server.folder).entries(Act.BACKUP_MAKE) if entry.object_id == manifest.sha256]

    assert [entry.phase for entry in of_it] == ["intent", "done"]
    digests = {which: hashlib.sha256((sealed / f"{which}.tar.age").read_bytes()).hexdigest() for which in WHICH}
    assert of_it[1].digests == digests
    assert of_it[0].digests == {"manifest": hashlib.sha256(manifest.text()).hexdigest()}
    assert manifest.log_lines == of_it[0].seq
    assert manifest.keys["kar/vault-data"] == 1


def test_doctor_misses_a_backup_after_eight_days(server: Server, sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where backups have keys, it is well while one is younger, and not well from then on, nor before the first."""
    settings, what = settings_of(server.folder), "a backup was made within eight days"

    def is_well(days: int) -> bool:
        monkeypatch.setattr(doctor, "utc_now", lambda: utc_now() + timedelta(days=days))
        return next(one.well for one in doctor.examine(server.folder, settings) if one.what == what)

    assert (is_well(7), is_well(9)) == (True, False)
    nobody = doctor.examine(server.folder, settings.model_copy(update={"backup": None}))
    assert what not in {one.what for one in nobody}


def with_backup(settings: Settings, registry: str, vault: str) -> Settings:
    """Settings with these two public keys."""
    return settings.model_copy(update={"backup": Backup(registry=registry, vault=vault)})


def test_whom_nothing_is_sealed_to(server: Server, holders: Holders, tmp_path: Path) -> None:
    """Nobody, one person for both sets, a mistyped key, or a key of this server: refused, and no folder is made."""
    settings, (one, other) = settings_of(server.folder), (holders.keys[which][1] for which in WHICH)
    ours = public(server.folder.registry(REGISTRY).keys, "viewing")
    mistyped = one[:-1] + ("q" if one[-1] != "q" else "p")
    with pytest.raises(ValueError, match="another key than registry"):
        Backup(registry=one, vault=one)
    for code, asked in (
        ("R_NO_BACKUP_KEYS", settings.model_copy(update={"backup": None})),
        ("R_BACKUP_KEY", with_backup(settings, mistyped, other)),
        ("R_BACKUP_KEY", with_backup(settings, one, ours)),
    ):
        with pytest.raises(Refused, match=code):
            back_up(server.folder, asked, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_backup_that_would_lack_a_database_is_none(server: Server, tmp_path: Path) -> None:
    """A registry's folder on another disk, behind a symbolic link, is not passed over in silence."""
    lies = server.folder.registry(REGISTRY).vault.parent
    lies.rename(tmp_path / "other-disk")
    lies.symlink_to(tmp_path / "other-disk")
    try:
        with pytest.raises(Refused, match=r"R_BACKUP_INCOMPLETE.*registry\.db"):
            backed_up(server.folder, tmp_path / "sealed")
    finally:
        lies.unlink()
        (tmp_path / "other-disk").rename(lies)
    assert not (tmp_path / "sealed").exists()


def test_nothing_is_written_over(sealed: Path, server: Server) -> None:
    """A folder that is there already is refused, also an empty one."""
    before = (sealed / "vault.tar.age").read_bytes()
    with pytest.raises(Refused, match="R_BACKUP_FOLDER"):
        backed_up(server.folder, sealed)
    assert (sealed / "vault.tar.age").read_bytes() == before


def test_only_a_data_processor_backs_up(server: Server, tmp_path: Path) -> None:
    """Whoever is not in the group is refused, and the refusal stands in the log."""
    settings = settings_of(server.folder).model_copy(update={"roles": Roles(data_processors="no-such-group")})
    with pytest.raises(Refused, match="R_ROLE"):
        back_up(server.folder, settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever would wait for jobs does not."""
    monkeypatch.setattr(backup, "PATIENCE", timedelta(0))


@pytest.mark.usefixtures("impatient")
def test_no_job_or_command_is_at_work_meanwhile(server: Server, tmp_path: Path) -> None:
    """While a job or another command holds its lock nothing is copied; afterwards all locks are free again."""
    for name in (*JOBS, "command_line"):
        with durable.lock(server.folder.locks / f"{name}@{REGISTRY}.lock"):
            with pytest.raises(Refused, match="R_AT_WORK"):
                backed_up(server.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    backed_up(server.folder, tmp_path / "out")
    with durable.lock(server.folder.locks / f"admit@{REGISTRY}.lock"):
        pass


def test_a_file_that_changes_meanwhile_ends_the_backup(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes past the locks is noticed: no file appears under its name, and the act stays open in the log."""
    news = server.folder.registry(REGISTRY).pages
    pack = backup.pack

    def changed(root: Path, manifest: Manifest, which: str) -> Iterator[bytes]:
        news.write_bytes(b"# changed\n" + news.read_bytes())
        return pack(root, manifest, which)

    with server.undone():
        monkeypatch.setattr(backup, "pack", changed)
        with pytest.raises(Halt, match=r"H_BACKUP_CHANGED.*news\.toml"):
            backed_up(server.folder, tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


def test_postgresql_is_said_to_be_elsewhere(server: Server, tmp_path: Path, holders: Holders) -> None:
    """A database that is PostgreSQL's is named in the manifest, for it is not in the set."""
    settings = settings_of(server.folder)
    url = "postgresql+psycopg://vault@/vault?host=/run/postgresql"
    there = settings.registries[REGISTRY].model_copy(update={"vault_database": url})
    made = back_up(server.folder, settings.model_copy(update={"registries": {REGISTRY: there}}), tmp_path / "out")
    assert made.elsewhere == examine(holders.opened(tmp_path / "out")[0], "registry").elsewhere == ("kar/vault",)


@EVERY
def test_a_kill_leaves_no_half_backup(server: Server, holders: Holders, tmp_path: Path, every: bool) -> None:
    """What stands under a final name after a kill opens whole; the next backup goes through."""
    with Deaths() as deaths:
        with server.undone():
            code, passed = deaths.die("backup", server.folder.root, tmp_path / "0", at=None)
        assert (code, passed > 10) == (0, True)
        for at in kill_points(passed, every=every):
            with server.undone():
                out = tmp_path / str(at)
                assert deaths.die("backup", server.folder.root, out, at=at)[0] == -9
                for which in WHICH:
                    if (out / f"{which}.tar.age").exists():
                        content = age.open((out / f"{which}.tar.age").read_bytes(), holders.keys[which][0])
                        (out / f"{which}.tar").write_bytes(content)
                        examine(out / f"{which}.tar", which)
                backed_up(server.folder, tmp_path / f"{at}-again")
                log = open_log(server.folder)
                assert (log.unresolved("command_line", ""), log.halt()) == ([], "")
