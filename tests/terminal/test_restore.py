"""Restores: the databases go back, and with them nothing that left, was destroyed or was decided since."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from enclave import durable
from enclave.audit.record import Purpose
from enclave.cli import client
from enclave.control.database import Control
from enclave.control.drops import Drop, drops_of
from enclave.control.loans import find_loan
from enclave.control.releases import NO_STATE, RESTORED, released_tables, releases_of
from enclave.control.requests import SIGNATURE_NAMESPACE, find_request
from enclave.control.sender_keys import SenderKey, keys_of
from enclave.crypto import sshsig
from enclave.crypto.keystore import Keystore
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused
from enclave.flow import Act, DropState, LoanState, ReleaseState, RequestState
from enclave.folders import WorkingFolder
from enclave.grants import Folder
from enclave.halted import PAUSED, UNFINISHED, halt_mark, require_not_halted, stand_still
from enclave.model.draft import Kind
from enclave.model.loan import LoanAgreement
from enclave.settings import Roles
from enclave.terminal.backup_set import WHICH
from enclave.terminal.escrow import ESCROWED, EscrowDesk
from enclave.terminal.recovery import state_why
from enclave.terminal.registrar import Registrar
from enclave.terminal.restore import STAGED, Sets, open_sets, restore, statement
from enclave.wiring import open_log, utc_now
from jobs.runner import run_job
from tests.jobs.clinics import LENDER, OLD, REGISTRY, TODAY, InProcess, Server, someone
from tests.jobs.working import wired
from tests.kills.forks import Request
from tests.terminal.backups import (
    EVERY,
    Deaths,
    Holders,
    backed_up,
    digests,
    kill_points,
    pause,
    put_back,
    settings_of,
    signed,
)

LOAN = "nav-2026"
FILED_BEFORE, FILED_SINCE = someone(1), someone(2)


@dataclass(frozen=True)
class Standing:
    """A server, two opened sets of its backup, and the withdrawal that was filed before it."""

    server: Server
    tars: tuple[Path, Path]
    filed_before: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Standing:
    """A server that was backed up, and on which much was done since.

    Before the backup: rows, an open loan, a filed withdrawal, a collected drop. Since: that drop was admitted, and
    another collected and admitted; everything that was approved was delivered; two people withdrew; the loan was
    destroyed; a clinic's key was replaced.
    """
    server, holders = Server(tmp_path_factory.mktemp("restore"), InProcess()), Holders.new()
    holders.registered(server.folder)
    escrow = EscrowDesk(server.folder, settings_of(server.folder), REGISTRY)
    escrow.ceremony(server.root / "papers")
    escrow.escrow(server.root / "escrow.age")
    server.send()
    agreement = LoanAgreement(LOAN, REGISTRY, LENDER, "linkage", "2026/1", ("aap",), TODAY + timedelta(days=30))
    server.desk.open_loan(agreement, "nav", TODAY)
    server.run("link")
    filed_before = server.desk.withdraw(Secret(FILED_BEFORE.encode()), "2026/8")
    server.seal_drop("alfa", {"arrival": [OLD[0].arrival()]}, seq=2)
    server.run("collect", "checkpoint")
    backed_up(server.folder, server.root / "sealed")
    tars = holders.opened(server.root / "sealed")

    server.run("admit")
    server.seal_drop("alfa", {"arrival": [{**OLD[1].arrival(), "work_ability": 6}]}, seq=3)
    server.run("collect", "admit")
    server.withdraw(FILED_SINCE)
    server.desk.destroy_loan(LOAN, "2026/2")
    server.run("destroy", "analyse", "release")
    (table,) = (one for one in server.releases(Kind.RELEASABLE_TABLE) if one.recipient == "beta")
    server.desk.decide_release(table.release_id, ReleaseState.APPROVED)
    server.run("checkpoint", "seal", "deliver")
    registrar = Registrar(server.folder, settings_of(server.folder), REGISTRY)
    registrar.revoke("beta", next(key.key for key in keys_of(server.control, REGISTRY) if is_signing(key, "beta")))
    pause(server.folder)
    return Standing(server, tars, filed_before)


def is_signing(key: SenderKey, institution: str) -> bool:
    """Whether a key is this institution's own signing key."""
    return (key.institution_id, key.kind) == (institution, "signing")


@pytest.fixture
def standing(made: Standing) -> Iterator[Standing]:
    """The server, put back as it was after each test."""
    with made.server.undone():
        yield made


def rows(folder: WorkingFolder) -> list[dict[str, object]]:
    """The arrivals that may be counted, without what is drawn or numbered anew."""
    reader = wired(folder, "analyse").registry_reader
    read = reader.read("arrival", state=None, purpose=Purpose.NATIONAL)
    return read.drop("_pseudonym", "_drop", "_drop_number").sort("_sender", "_row", "arrival_date").to_dicts()


def at_the_airlock(server: Server) -> dict[str, str]:
    """What lies in the institutions' boxes."""
    found = digests(server.live / "airlock")
    return {name: digest for name, digest in found.items() if "/out/" in name}


def moved_in(standing: Standing, root: Path) -> WorkingFolder:
    """A new machine, on which somebody put enclave.toml and those private keys that are not in the escrow."""
    old, folder = standing.server.folder, WorkingFolder(root / "working")
    folder.root.mkdir()
    shutil.copy(old.settings, folder.settings)
    copied = [key for key in old.keys.rglob("*.key") if key.stem not in ESCROWED]
    for key in [*copied, *old.keys.rglob("*.passphrase")]:
        path = folder.root / key.relative_to(old.root)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(key, path)
    return folder


# --- What comes back, and what does not -----------------------------------------------------------------------------


def test_a_lost_database_comes_back_with_what_was_admitted_since(standing: Standing) -> None:
    """Drops that lie in quarantine are admitted again by themselves: the rows are those from before the loss."""
    server = standing.server
    before = rows(server.folder)
    server.folder.registry(REGISTRY).database.unlink()
    server.folder.registry(REGISTRY).vault.write_bytes(b"damaged")

    done = put_back(server, standing.tars)

    assert (done.undone.drops_again, done.undone.drops_lost) == (2, 0)
    assert {drop.state for drop in drops_of(server.control, REGISTRY)} == {DropState.ADMITTED, DropState.COLLECTED}
    server.desk.withdraw(Secret(FILED_SINCE.encode()), "2026/9")
    server.run("rights", "collect", "admit")
    assert rows(server.folder) == before
    assert {drop.state for drop in drops_of(server.control, REGISTRY)} == {DropState.ADMITTED}


def test_a_withdrawal_is_carried_out_again_or_asked_for_again(standing: Standing) -> None:
    """One that was filed before the backup is done anew; of one that was filed since, case and request are told."""
    server = standing.server

    done = put_back(server, standing.tars)

    assert [(one.act, one.case_number) for one in done.lost] == [("person.withdraw", "2026/9")]
    lost = find_request(server.control, done.lost[0].object_id)
    assert (lost.state, lost.reason) == (RequestState.REFUSED, RESTORED)
    assert find_request(server.control, standing.filed_before).state is RequestState.FILED
    everybody = len(rows(server.folder))
    server.run("rights")
    assert find_request(server.control, standing.filed_before).state is RequestState.DONE
    assert len(rows(server.folder)) == everybody - 1


def test_what_left_stays_left(standing: Standing) -> None:
    """No package that was delivered is sealed or delivered again, nor are its tables released a second time."""
    server = standing.server
    before, delivered = at_the_airlock(server), {one.release_id for one in releases_of(server.control, REGISTRY)}
    tables = {facts[:3] for facts in released_tables(server.control, REGISTRY) if facts[2] == "beta"}
    assert tables

    put_back(server, standing.tars)
    server.run("checkpoint", "collect", "admit", "rights", "analyse", "release", "seal", "deliver")

    after = at_the_airlock(server)
    assert before.items() <= after.items()
    new = [one for one in releases_of(server.control, REGISTRY) if one.release_id not in delivered]
    # Two drops are answered anew; that is all that leaves.
    assert sum(one.state is ReleaseState.DELIVERED for one in new) == 4
    assert {one.kind for one in new if one.state is ReleaseState.DELIVERED} == {Kind.RECEIPT, Kind.FEEDBACK}
    standing_now = released_tables(server.control, REGISTRY)
    assert {(*facts, NO_STATE) for facts in tables} <= set(standing_now)
    assert not [one for one in new if one.kind is Kind.RELEASABLE_TABLE and one.recipient == "beta"]


def test_what_people_decided_stays_decided(standing: Standing) -> None:
    """The control database does not go back where it is whole: a key that was revoked since stays out of use."""
    server = standing.server
    put_back(server, standing.tars)
    (key,) = (key for key in keys_of(server.control, REGISTRY) if is_signing(key, "beta"))
    assert not key.holds_at(utc_now())


def test_a_loan_that_was_destroyed_since_stays_so(standing: Standing) -> None:
    """It is destroyed by the ledger, its grave stands, and no key or file of it came back; jobs leave it so.

    Its certificate says that the manifest of the backup was read, and names neither its key nor its file.
    """
    server = standing.server
    (certificate,) = server.releases(Kind.CERTIFICATE)
    facts = json.loads(next(one.content for one in server.draft(certificate).files if one.name.endswith(".json")))
    assert (facts["checks"]["backup_manifests_read"], facts["checks"]["backup_manifests_missing"]) == (1, 0)
    lies = server.folder.registry(REGISTRY)
    put_back(server, standing.tars)
    server.run("destroy", "link", "destroy")
    assert find_loan(server.control, REGISTRY, LOAN).state is LoanState.DESTROYED
    store = Keystore(lies.folder(Folder.LOAN_KEYS))
    assert (store.is_buried(LOAN), store.has(LOAN)) == (True, False)


def test_the_log_goes_on(standing: Standing) -> None:
    """Every line from before the restore stands, also those since the backup; the restore names what was signed."""
    server = standing.server
    before = list(open_log(server.folder).lines())
    sets = open_sets(*standing.tars)
    text = statement(server.folder, settings_of(server.folder), sets)

    put_back(server, standing.tars)

    log = open_log(server.folder)
    assert list(log.lines())[: len(before)] == before
    intent, outcome = log.entries(Act.BACKUP_RESTORE)
    assert intent.digests["statement"] == hashlib.sha256(text).hexdigest()
    assert intent.digests["manifest"] == sets.manifest.sha256
    assert (outcome.phase, outcome.counts["again"], outcome.counts["to_do"]) == ("done", 2, 1)
    assert log.halt() == ""


def test_drops_that_cannot_be_opened_any_more_are_asked_for(standing: Standing) -> None:
    """Where the keystore is lost, what was admitted since is rejected with its own code, and its sender is answered."""
    server = standing.server
    shutil.rmtree(server.folder.keystore)
    for which in (Folder.DROP_KEYS, Folder.LOAN_KEYS):
        server.folder.registry(REGISTRY).folder(which).mkdir(parents=True)

    done = put_back(server, standing.tars)
    server.run("collect", "admit", "checkpoint", "seal", "deliver")

    assert (done.undone.drops_again, done.undone.drops_lost) == (0, 2)
    lost = [drop for drop in drops_of(server.control, REGISTRY) if drop.reason == "E_SEND_AGAIN"]
    assert {drop.state for drop in lost} == {DropState.REJECTED}
    answers = [one for one in server.releases(Kind.RECEIPT, ReleaseState.DELIVERED) if one.subject in _ids(lost)]
    assert [one.reason for one in answers].count("") == 2
    # The same files in a new drop are admitted.
    server.seal_drop("alfa", {"arrival": [{**OLD[1].arrival(), "work_ability": 6}]}, seq=4)
    server.run("collect", "admit")
    assert [drop.state for drop in drops_of(server.control, REGISTRY)].count(DropState.ADMITTED) == 3


def _ids(drops: list[Drop]) -> set[str]:
    return {drop.drop_uuid for drop in drops}


def test_a_control_database_that_is_lost_learns_from_the_log(standing: Standing) -> None:
    """The backup's comes back; what the log knows is not done twice, and what nobody else knows is told."""
    server = standing.server
    before, loan = at_the_airlock(server), find_loan(server.control, REGISTRY, LOAN)
    assert loan.state is LoanState.DESTROYED
    server.folder.control.write_bytes(b"damaged")

    done = put_back(server, standing.tars)

    acts = [one.act for one in done.lost]
    assert acts.count("institution.revoke") == acts.count("person.withdraw") == 1
    assert done.unknown_drops == 1
    assert done.unknown_releases > 0
    assert find_loan(server.control, REGISTRY, LOAN).state is LoanState.OPEN
    server.run("checkpoint", "destroy", "collect", "admit", "rights", "seal", "deliver")
    assert find_loan(server.control, REGISTRY, LOAN).state is LoanState.DESTROYED
    after = at_the_airlock(server)
    assert before.items() <= after.items()
    # Feedback and receipt of the first two drops had left by the backup's ledger or by the log: neither leaves twice.
    again = [one for one in releases_of(server.control, REGISTRY) if one.reason == RESTORED]
    assert {one.state for one in again} == {ReleaseState.DELIVERED}
    assert len(again) == 4


def test_a_new_machine(standing: Standing, tmp_path: Path) -> None:
    """From enclave.toml, keys, backup and two papers a server stands up: a new log begins, and jobs go through."""
    server, folder = standing.server, moved_in(standing, tmp_path)

    done = put_back(server, standing.tars, folder)
    papers = [Secret((server.root / "papers" / f"share-{number}.txt").read_bytes()) for number in (1, 3)]
    escrow = EscrowDesk(folder, settings_of(folder), REGISTRY)
    for name in escrow.restore(server.root / "escrow.age", (papers[0], papers[1]), tmp_path / "opened"):
        shutil.move(tmp_path / "opened" / name, folder.registry(REGISTRY).keys / name)

    manifest = open_sets(*standing.tars).manifest
    assert done.log_began_anew
    assert done.needs_person
    log = open_log(folder)
    assert log.log_id != manifest.log_id
    aside = folder.root / f"audit-{manifest.log.sha256[:16]}"
    assert hashlib.sha256((aside / "log.jsonl").read_bytes()).hexdigest() == manifest.log.sha256
    assert (aside / "vkey").is_file()
    assert Keystore(folder.registry(REGISTRY).folder(Folder.LOAN_KEYS)).names() == ()
    for job in ("checkpoint", "destroy", "admit", "rights", "link", "seal"):
        InProcess().run(Request(str(folder.root), job))
    control = Control(folder.control)
    assert find_loan(control, REGISTRY, LOAN).state is LoanState.DESTROYED
    assert [drop.reason for drop in drops_of(control, REGISTRY) if drop.state is DropState.REJECTED] == ["E_SEND_AGAIN"]
    assert find_request(control, standing.filed_before).state is RequestState.DONE


def test_a_file_that_is_missing_comes_back_and_one_that_is_newer_stays(standing: Standing) -> None:
    """Drafts that are gone or altered are put back by their own hash; settings, words and keys stay as they are."""
    server = standing.server
    lies = server.folder.registry(REGISTRY)
    manifest = open_sets(*standing.tars).manifest
    gone, altered = [one for one in manifest.of("vault") if "/drafts/" in one.name][:2]
    (server.folder.root / gone.name).unlink()
    (server.folder.root / altered.name).write_bytes(b"altered")
    lies.pages.write_bytes(b"# newer\n")
    settings = server.folder.settings.read_bytes()

    put_back(server, standing.tars)

    for one in (gone, altered):
        assert hashlib.sha256((server.folder.root / one.name).read_bytes()).hexdigest() == one.sha256
    assert lies.pages.read_bytes() == b"# newer\n"
    assert server.folder.settings.read_bytes() == settings


def test_a_journal_of_the_database_that_is_gone_is_not_played_back(standing: Standing) -> None:
    """What a killed writer left beside a database goes with it; the journal that stays is empty."""
    server = standing.server
    database = server.folder.registry(REGISTRY).database
    journal = database.with_name("registry.db-journal")
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(4096))
    put_back(server, standing.tars)
    assert journal.read_bytes() == b""
    assert rows(server.folder)


def test_no_package_claims_to_follow_a_log_that_is_gone(standing: Standing) -> None:
    """After the log began anew an institution gets no proof from its older checkpoint, which was another log's."""
    server = standing.server
    server.lose_the_log()
    for seq, is_first in ((6, True), (7, False)):
        server.seal_drop("alfa", {"arrival": [OLD[seq - 5].arrival()]}, seq=seq)
        server.run("collect", "admit", "checkpoint", "seal", "deliver")
        # Feedback is sealed before the receipt of the same drop.
        theirs = [one for one in server.releases(Kind.FEEDBACK, ReleaseState.DELIVERED) if one.recipient == "alfa"]
        (package,) = (server.live / "airlock" / "alfa" / "out").rglob(f"*{theirs[-1].package}.zip")
        opened = client.open(package.read_bytes(), server.letters["alfa"].outbound)
        manifest = json.loads({file.name: file.content for file in opened}["MANIFEST.json"])
        assert (manifest["consistency"] is None) is is_first


def test_a_log_that_is_lost_comes_back_beside_the_new_one(standing: Standing) -> None:
    """With the log and the registry lost, `recover` begins a log, and the restore puts the backup's beside it."""
    server = standing.server
    server.lose_the_log()
    server.folder.registry(REGISTRY).database.unlink()
    before = list(open_log(server.folder).lines())

    done = put_back(server, standing.tars)

    assert list(open_log(server.folder).lines())[: len(before)] == before
    kept = open_sets(*standing.tars).manifest.log
    (aside,) = server.folder.root.glob("audit-*/log.jsonl")
    assert hashlib.sha256(aside.read_bytes()).hexdigest() == kept.sha256
    assert (done.log_began_anew, done.lost, done.undone.drops_again) == (True, (), 2)


# --- Who may, and with what -----------------------------------------------------------------------------------------


def refused(standing: Standing, code: str, tars: tuple[Path, Path], signature: bytes | None = None) -> None:
    """A restore is refused, and no file of the server has changed."""
    server = standing.server
    before = digests(server.folder.root)
    with pytest.raises(Refused, match=code):
        sets = open_sets(*tars)
        given = signed(server, server.folder, sets) if signature is None else signature
        restore(server.folder, settings_of(server.folder), sets, given)
    assert digests(server.folder.root) == before
    require_not_halted(server.folder)


def test_sets_that_are_not_as_they_were_made(standing: Standing, tmp_path: Path) -> None:
    """A flipped byte anywhere, a cut, an exchanged or still sealed set is refused before anything is touched."""
    registry, vault = standing.tars
    content = vault.read_bytes()
    bad = tmp_path / "bad.tar"
    for place in (600, len(content) // 3, len(content) // 2, len(content) - 10_240):
        bad.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        refused(standing, "R_BACKUP_SET|R_BACKUP_PAIR", (registry, bad))
    bad.write_bytes(content[: len(content) // 2])
    refused(standing, "R_BACKUP_SET", (registry, bad))
    bad.write_bytes(content[:-1024] + content[512:1024] + content[-1024:])
    refused(standing, "R_BACKUP_SET", (registry, bad))
    refused(standing, "R_BACKUP_SET", (vault, registry))
    refused(standing, "R_BACKUP_SET", (registry, vault.with_name("vault.tar.age")))
    refused(standing, "R_BACKUP_SET", (registry, tmp_path / "nothing"))


def test_a_set_with_a_file_that_is_in_no_backup(standing: Standing, tmp_path: Path) -> None:
    """Two holders who would plant a key, a grave or a way out of the folder: a name that no backup has is refused."""
    registry, vault = standing.tars
    for name in ("keystore/kar/loans/nav-2026.age", "../outside", "keys/kar/rights.key", "locks/halted.json"):
        planted = tmp_path / "planted"
        planted.mkdir()
        subprocess.run(["tar", "-xf", vault, "-C", planted], check=True)
        manifest = json.loads((planted / "manifest.json").read_text())
        member = {"name": name, "which": "vault", "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
        manifest["members"].insert(0, member)
        (planted / "manifest.json").write_text(json.dumps(manifest, indent=1, separators=(",", ":")) + "\n")
        (planted / "x").write_bytes(b"x")
        order = ["manifest.json", "x", *(one["name"] for one in manifest["members"][1:] if one["which"] == "vault")]
        renamed = f"s,^x$,{name},"
        tar = tmp_path / "planted.tar"
        command = ["tar", "-cPf", tar, "--transform", renamed, "-C", planted, "--format=gnu", *order]
        subprocess.run(command, check=True)
        refused(standing, "R_BACKUP_SET|R_BACKUP_PAIR", (registry, tar))
        shutil.rmtree(planted)


def test_sets_of_two_backups_and_backups_of_others(standing: Standing, tmp_path: Path) -> None:
    """Each set is whole, but they are not of one moment, or not of this server, or nothing that its log knows."""
    server, (registry, vault) = standing.server, standing.tars
    holders = Holders.new()
    other = Server(tmp_path / "other", InProcess())
    holders.registered(other.folder)
    backed_up(other.folder, tmp_path / "theirs")
    theirs = holders.opened(tmp_path / "theirs")
    refused(standing, "R_BACKUP_PAIR", (registry, theirs[1]))
    refused(standing, "R_BACKUP_OF_OTHERS", theirs)
    # A later backup of this server, whose line somebody cut from the log together with all after it.
    text = server.folder.settings.read_text(encoding="utf-8")
    for which in WHICH:
        text = text.replace(f'{which} = "age1', f'{which} = "{holders.keys[which][1]}" # "age1')
    server.folder.settings.write_text(text, encoding="utf-8")
    log = server.folder.audit / "log.jsonl"
    kept = log.read_bytes()
    backed_up(server.folder, tmp_path / "later")
    later = holders.opened(tmp_path / "later")
    refused(standing, "R_BACKUP_PAIR", (later[0], vault))
    log.write_bytes(kept)
    refused(standing, "R_BACKUP_OF_OTHERS", later)


def test_one_person_cannot_restore(standing: Standing) -> None:
    """Without the project lead's signature over exactly this restore nothing is put back, and none is good twice."""
    server, tars = standing.server, standing.tars
    sets = open_sets(*tars)
    text = statement(server.folder, settings_of(server.folder), sets)
    once = signed(server, server.folder, sets)
    for wrong in (
        b"",
        once.replace(b"A", b"B", 1),
        signed(server, server.folder, sets, sshsig.new_key("somebody")[0]),
        sshsig.sign(text, server.lead, "another@enclave"),
        sshsig.sign(text.replace(b'"restores":0', b'"restores":1'), server.lead, SIGNATURE_NAMESPACE),
    ):
        refused(standing, "R_SECOND_PERSON", tars, wrong)
    restore(server.folder, settings_of(server.folder), sets, once)
    refused(standing, "R_SECOND_PERSON", tars, once)


def test_only_a_data_processor_restores_a_server_that_stands_still(standing: Standing) -> None:
    """Neither paused nor halted, a job at work, a scheduler, or somebody else at the terminal: refused."""
    server, tars = standing.server, standing.tars
    for lock in (f"admit@{REGISTRY}.lock", f"command_line@{REGISTRY}.lock"):
        with durable.lock(server.folder.locks / lock):
            refused(standing, "R_AT_WORK", tars)
    with durable.lock(server.folder.locks / "server.lock"), pytest.raises(Halt, match="H_LOCKED"):
        put_back(server, tars)
    sets, before = open_sets(*tars), digests(server.folder.root)
    others = settings_of(server.folder).model_copy(update={"roles": Roles(data_processors="no-such-group")})
    with pytest.raises(Refused, match="R_ROLE"):
        restore(server.folder, others, sets, signed(server, server.folder, sets))
    assert digests(server.folder.root) == before
    (server.folder.locks / PAUSED).unlink()
    refused(standing, "R_NOT_STOPPED", tars)


def test_a_halt_that_stood_before_stands_again(standing: Standing) -> None:
    """A restore mends the databases; why the server was halted, two people look at by itself. It stays paused."""
    server = standing.server
    (server.folder.locks / PAUSED).unlink()
    stand_still(server.folder, "H_DB_KEY", "", utc_now())

    put_back(server, standing.tars)

    mark = halt_mark(server.folder)
    assert mark is not None
    assert mark["code"] == "H_DB_KEY"
    assert open_log(server.folder).halt() == "H_DB_KEY"
    assert (server.folder.locks / PAUSED).exists()


# --- Kills ----------------------------------------------------------------------------------------------------------


@EVERY
def test_a_kill_leaves_the_old_or_what_the_same_again_ends(standing: Standing, tmp_path: Path, every: bool) -> None:
    """Killed at effects all along the way: the server is as it was or stands still; the same signature ends it."""
    server = standing.server
    sets = open_sets(*standing.tars)
    signature = tmp_path / "signature"
    signature.write_bytes(signed(server, server.folder, sets))
    databases = (server.folder.registry(REGISTRY).database, server.folder.registry(REGISTRY).vault)
    old, paths = [path.read_bytes() for path in databases], (server.folder.root, *standing.tars, signature)
    new = [one.sha256 for one in sets.manifest.members if one.name.endswith(("registry.db", "vault.db"))]
    with Deaths() as deaths:
        with server.undone():
            code, passed = deaths.die("restore", *paths, at=None)
            ended = states(server.folder)
        assert (code, passed > 20) == (0, True)
        for at in kill_points(passed, every=every):
            with server.undone():
                assert deaths.die("restore", *paths, at=at)[0] == -9
                mark = halt_mark(server.folder)
                if mark is None:
                    are_new = [hashlib.sha256(path.read_bytes()).hexdigest() for path in databases] == new
                    assert are_new or [path.read_bytes() for path in databases] == old
                else:
                    assert mark["code"] == UNFINISHED
                    assert run_job(server.folder, "analyse", REGISTRY) == 4
                    with pytest.raises(Refused, match="R_RESTORE_UNFINISHED"):
                        state_why(server.folder, settings_of(server.folder))
                finish(server.folder, sets, signature.read_bytes())
                assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in databases] == new
                assert states(server.folder) == ended
                log = open_log(server.folder)
                assert (log.halt(), halt_mark(server.folder)) == ("", None)
                left = [path for path in server.folder.root.rglob("*") if path.name.startswith((".tmp-", STAGED))]
                assert left == []
                backed_up(server.folder, tmp_path / f"after-{at}")
                assert open_log(server.folder).unresolved("command_line", "") == []


def finish(folder: WorkingFolder, sets: Sets, signature: bytes) -> None:
    """Type the same again; where the log says already that it is done, the signature is good no more."""
    again = partial(restore, folder, settings_of(folder), sets, signature)
    if (folder.audit / "log.jsonl").exists() and is_restored(folder):
        with pytest.raises(Refused, match="R_SECOND_PERSON"):
            again()
        return
    again()


def is_restored(folder: WorkingFolder) -> bool:
    """Whether the log has the outcome of a restore."""
    return any(entry.phase == "done" for entry in open_log(folder).entries(Act.BACKUP_RESTORE))


def states(folder: WorkingFolder) -> list[tuple[str, str, str]]:
    """What has become of every drop, release and request."""
    control = Control(folder.control)
    found = [(one.drop_uuid, one.state.value, one.reason) for one in drops_of(control, REGISTRY)]
    return found + [(one.release_id, one.state.value, one.reason) for one in releases_of(control, REGISTRY)]


@EVERY
def test_a_kill_on_a_new_machine(standing: Standing, tmp_path: Path, every: bool) -> None:
    """Killed before or after the new log began, the same again ends with one log and everything in its place."""
    server, sets = standing.server, open_sets(*standing.tars)
    signature = tmp_path / "signature"
    with Deaths() as deaths:
        points: list[int | None] = [None]
        for number, at in enumerate(points):
            root = tmp_path / str(number)
            root.mkdir()
            folder = moved_in(standing, root)
            signature.write_bytes(signed(server, folder, sets))
            code, passed = deaths.die("restore", folder.root, *standing.tars, signature, at=at)
            assert code == (0 if at is None else -9)
            if at is None:
                points += kill_points(passed, every=every)
                continue
            finish(folder, sets, signature.read_bytes())
            assert len(list(folder.root.glob("audit-*"))) == 1
            assert len(drops_of(Control(folder.control), REGISTRY)) == 3
            assert (open_log(folder).halt(), halt_mark(folder)) == ("", None)
