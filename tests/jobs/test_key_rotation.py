"""The rotation drill of every key that others seal to, sign for or log in with, with everything in flight."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enclave import durable
from enclave.audit.chain import key_digest
from enclave.audit.export import export
from enclave.audit.record import Phase
from enclave.cli import client
from enclave.control.drops import drops_of
from enclave.control.loans import find_loan
from enclave.control.requests import SIGNATURE_NAMESPACE, find_request
from enclave.crypto import age, keyring, openpgp, sshsig
from enclave.crypto.key_register import registered
from enclave.crypto.key_rotation import KEPT_FOR_THE_OLD, earlier_halves
from enclave.crypto.keyring import KEY_KINDS, NEXT, Keyring, Kind
from enclave.crypto.keystore import Keystore, unwrap_identity
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused
from enclave.flow import COMMAND_LINE, Act, LoanState, ReleaseState, RequestState
from enclave.grants import Folder
from enclave.halted import stand_still
from enclave.model.draft import Kind as DraftKind
from enclave.model.loan import LoanAgreement
from enclave.settings import read_settings
from enclave.terminal.doctor import examine
from enclave.terminal.key_needs import HELD_OUTSIDE, MOVED_BY
from enclave.terminal.reception import Reception
from enclave.terminal.recovery import recover, state_why
from enclave.terminal.reidentification import ReidentificationDesk, Why
from enclave.wiring import SERVER_KEYS, open_log, utc_now
from jobs.schedule import JOBS
from tests.jobs.clinics import CLOSED, COURSES, LENDER, OLD, REGISTRY, TODAY, InProcess, Server
from tests.jobs.test_rotation import desk, same, told
from tests.kills.forks import Forks, Request

PAIRS = tuple(name for name in KEY_KINDS if KEY_KINDS[name] is not Kind.SYMMETRIC)
USED_LOAN, OPEN_LOAN = "nav-1", "nav-2"
AFTER_RETENTION = 40


@dataclass(frozen=True)
class InFlight:
    """A server in which something is under way under every key, and the request that asks who somebody is."""

    server: Server
    asked: str


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> InFlight:
    """Drops sealed to the registry and collected, a lent file, drafts that wait or are approved, a request unsigned."""
    server = Server(tmp_path_factory.mktemp("keys"), InProcess())
    server.send()
    for loan_id in (USED_LOAN, OPEN_LOAN):
        due = TODAY + timedelta(days=30)
        agreement = LoanAgreement(loan_id, REGISTRY, LENDER, "linkage", "2026/1", ("aap",), due)
        server.desk.open_loan(agreement, "nav", TODAY)
    server.run("link")
    lend(server)
    send_sealed(server, "beta", 2)
    server.run("collect")
    server.desk.give_back_rows("alfa", "2026/7")
    server.run("give_back")
    return InFlight(server, ask_who(server))


@pytest.fixture
def in_flight(founded: InFlight) -> Iterator[InFlight]:
    """The same, put back as it was after each test."""
    with founded.server.undone():
        yield founded


@pytest.fixture
def server(in_flight: InFlight) -> Server:
    """Its server."""
    return in_flight.server


def keys_folder(server: Server, name: str = "") -> Path:
    """Where the keys of the registry, or one of the server's own, lie."""
    return server.folder.keys if name in SERVER_KEYS else server.folder.registry(REGISTRY).keys


def lend(server: Server) -> None:
    """The lender seals benefits of some people to the loan's key."""
    clear = server.root / "clear" / "benefits"
    clear.mkdir(parents=True)
    months = [f"{year}-{month:02}" for year in (CLOSED, CLOSED + 1) for month in range(1, 13)]
    rows = [f"{one.person};{month};1" for one in OLD for month in months]
    (clear / "benefits.csv").write_text("\r\n".join(["person_id;month;aap", *rows]), encoding="utf-8")
    submission = client.Submission(REGISTRY, LENDER, USED_LOAN, datetime.now(UTC), 1)
    key = find_loan(server.control, REGISTRY, USED_LOAN).public_key
    incoming = server.live / "airlock" / LENDER / "in"
    client.seal(clear, incoming, submission, sign_key=server.keys[LENDER], recipient=key)


def send_sealed(server: Server, clinic: str, seq: int) -> str:
    """A clinic seals what it sent before to the public key in its kit; answers that key."""
    key = kit(server, clinic)["nokler/age.txt"].decode("ascii").strip()
    submission = client.Submission(REGISTRY, clinic, key, datetime.now(UTC), seq)
    incoming, sign_key = server.live / "airlock" / clinic / "in", server.keys[clinic]
    sealed = client.seal(server.root / "clear" / f"{clinic}-1", incoming, submission, sign_key=sign_key, recipient=key)
    signature = sshsig.sign((sealed / "manifest.json").read_bytes(), sign_key, f"drop@{REGISTRY}")
    (sealed / "manifest.json.sig").write_bytes(signature)
    return key


def kit(server: Server, clinic: str) -> dict[str, bytes]:
    """A new kit for a clinic."""
    out = server.root / "live" / f"kit-{clinic}-{len(list(server.live.iterdir()))}"
    reception = Reception(server.folder, read_settings(server.folder.settings), REGISTRY)
    return {file.name: file.content for file in reception.write_kit(clinic, out, TODAY).files}


def answered(server: Server) -> ReidentificationDesk:
    """The terminal that asks who somebody is, and is answered."""
    return ReidentificationDesk(server.folder, read_settings(server.folder.settings), REGISTRY)


def ask_who(server: Server) -> str:
    """Ask who two people are; the project lead has not signed it yet."""
    terminal = answered(server)
    names = server.wiring("rights").vault.find([OLD[0].person])["pseudonym"].to_list()
    until = TODAY + timedelta(days=60)
    asked = [name.hex() for name in names]
    return terminal.reidentify(asked, Why.PATIENT_SAFETY, "gdpr-9-2-h", "2026/20", most=1, until=until)


def private(server: Server, name: str) -> Secret:
    """The private key in use."""
    return Keyring(keys_folder(server, name), frozenset({name})).get(name)


def outcomes(server: Server) -> list[str]:
    """What became of every drop."""
    return sorted({one.reason or one.state.value for one in drops_of(server.control, REGISTRY)})


def sealed_files(server: Server) -> dict[Path, bytes]:
    """Every age file of the server: drafts, requests, wrapped keys, quarantine."""
    return {path: path.read_bytes() for path in server.folder.root.rglob("*.age")}


def refusal(server: Server, name: str, *, told: bool = True) -> str:
    """Why a key cannot be retired now."""
    with pytest.raises(Refused) as caught:
        desk(server).retire(name, told=told)
    return caught.value.code


def is_verified(server: Server, institution: str, kind: DraftKind, signers: bytes) -> bool:
    """Whether the newest package of a kind verifies with a list of signers, as its recipient does it."""
    release = [one for one in server.releases(kind, ReleaseState.DELIVERED) if one.recipient == institution][-1]
    lying = (server.live / "airlock" / institution / "out").glob("*/*.zip")
    (package,) = (path for path in lying if path.name in (release.sealed or {}))
    signature = package.with_name(f"{package.name}.sig").read_bytes()
    who = client.verify(package.read_bytes(), signature, signers.decode(), REGISTRY, datetime.now(UTC))
    return who == f"enclave@{REGISTRY}"


def verify_alone(exported: Path) -> int:
    """What the auditor's own program says of an exported log."""
    words = ("log.jsonl", "--checkpoints", "checkpoints", "--vkey", "vkey")
    command = [sys.executable, "-I", "-S", "verify.py", *words]
    return subprocess.run(command, cwd=exported, capture_output=True).returncode


def test_the_drill(in_flight: InFlight) -> None:
    """Pseudonyms, joins, recipients are the same; what was in flight arrived; old keys open nothing that came after."""
    server = in_flight.server
    server.run("checkpoint", "seal", "deliver")
    before, signers_before = told(server), kit(server, "alfa")["allowed_signers"]
    old = {name: private(server, name) for name in PAIRS}
    sealed_before = sealed_files(server)
    vkey_before = (server.folder.outbox / "vkey").read_bytes()

    for name in KEY_KINDS:
        desk(server).rotate(name)
    signers = kit(server, "alfa")["allowed_signers"]
    assert is_verified(server, "alfa", DraftKind.RECEIPT, signers)
    send_sealed(server, "beta", 3)  # with a new kit
    server.seal_drop("alfa", {"arrival": [one.arrival() for one in COURSES if one.clinic == "alfa"]}, seq=2)
    server.run("checkpoint", "destroy", "collect", "admit", "rights", "link", "give_back", "seal", "deliver")
    assert outcomes(server) == ["admitted", "lent"]
    assert find_loan(server.control, REGISTRY, USED_LOAN).state is LoanState.LINKED
    assert {refusal(server, name) for name in ("quarantine", "drafts", "rights")} == {"R_KEY_NOT_MOVED"}
    assert refusal(server, "viewing") == "R_KEY_NEEDED"
    assert {refusal(server, name, told=False) for name in HELD_OUTSIDE} == {"R_KEY_TOLD"}

    # Whatever waited under the old keys goes its way: a draft that a person decides, a request that another signs.
    (rows,) = server.releases(DraftKind.OWN_RECORDS)
    server.desk.decide_release(rows.release_id, ReleaseState.APPROVED)
    server.desk.approve_request(in_flight.asked, server.sign(in_flight.asked))
    server.run("rights", "checkpoint", "seal", "deliver")
    assert find_request(server.control, in_flight.asked).state is RequestState.DONE
    server.run("destroy", "admit", days=AFTER_RETENTION)
    for name in KEY_KINDS:
        assert desk(server).retire(name, told=True) == 2

    ((_, number, _),) = answered(server).show_reidentified(in_flight.asked)
    assert number == OLD[0].person
    assert same(told(server), before)
    assert is_verified(server, "alfa", DraftKind.OWN_RECORDS, signers_before)
    send_sealed(server, "beta", 4)
    server.run("checkpoint", "collect", "admit", "seal", "deliver")
    assert "csv/arrival.csv" in server.delivered("alfa", DraftKind.OWN_RECORDS)
    newest = kit(server, "beta")["allowed_signers"]
    assert is_verified(server, "beta", DraftKind.RECEIPT, newest)
    assert is_verified(server, "alfa", DraftKind.OWN_RECORDS, newest)
    assert same(told(server), before)
    old_vkey, exported = vkey_before.decode().strip(), server.root / "exported"
    export(open_log(server.folder), exported)
    assert (exported / "vkey").read_text().splitlines()[0] == old_vkey
    assert verify_alone(exported) == 0

    assert all(private(server, name) != old[name] for name in PAIRS)
    came_after = [content for path, content in sealed_files(server).items() if path not in sealed_before]
    ages = [key for name, key in old.items() if KEY_KINDS[name] is Kind.AGE]
    assert came_after
    assert not any(age.is_sealed_to(content, key) for content in came_after for key in ages)
    assert [path.name for path in server.folder.root.rglob(f"*{NEXT}.*")] == []


def test_a_kit_is_counted_until_a_person_says_that_all_were_told(server: Server) -> None:
    """A kit that is made after the draw holds the next half; how many institutions got none since is told."""
    desk(server).rotate("intake")
    server.run("admit")
    with pytest.raises(Refused, match="3 without a new kit"):
        desk(server).retire("intake")
    assert kit(server, "beta")["nokler/age.txt"].decode().strip() == keyring.recipient(keys_folder(server), "intake")
    with pytest.raises(Refused, match="2 without a new kit"):
        desk(server).retire("intake")
    assert desk(server).retire("intake", told=True) == 2


def test_what_was_collected_under_the_old_key_is_waited_for(server: Server) -> None:
    """A drop that is not admitted yet, and may be sealed to the old half of a kit, keeps that key."""
    desk(server).rotate("intake")
    assert refusal(server, "intake") == "R_KEY_NEEDED"
    server.run("admit")
    assert desk(server).retire("intake", told=True) == 2
    assert outcomes(server) == ["admitted", "lent"]


def test_nothing_changes_while_a_job_is_at_work(server: Server) -> None:
    """A job that runs sees one key from its beginning to its end: neither command goes on beside it."""
    with durable.lock(server.folder.locks / f"give_back@{REGISTRY}.lock"):
        with pytest.raises(Refused, match="R_AT_WORK"):
            desk(server).rotate("drafts")
    assert keyring.next_public(keys_folder(server), "drafts") is None
    desk(server).rotate("viewing")
    with durable.lock(server.folder.locks / f"release@{REGISTRY}.lock"):
        assert refusal(server, "viewing") == "R_AT_WORK"


def test_a_job_without_the_next_private_half_does_not_run(server: Server) -> None:
    """What is sealed to a key that the opener was not handed waits, instead of being rejected."""
    desk(server).rotate("quarantine")
    following = keys_folder(server) / f"quarantine{NEXT}.key"
    content = following.read_bytes()
    following.unlink()
    with pytest.raises(Halt, match="H_NEXT_KEY_MISSING"):
        server.run("admit")
    with pytest.raises(Halt, match="H_KEY_MISSING"):
        desk(server).rotate("quarantine")
    findings = {one.what: one.well for one in examine(server.folder, read_settings(server.folder.settings))}
    assert (findings["key kar/quarantine"], findings["key kar/drafts"]) == (False, True)
    durable.write(following, content)
    server.run("admit")
    assert outcomes(server) == ["admitted", "lent"]


def test_a_request_that_nobody_signs_can_be_cancelled(in_flight: InFlight) -> None:
    """It would keep the old key of `rights` for ever; what a job may have begun cannot be cancelled."""
    server = in_flight.server
    rotation = desk(server).rotate("rights")
    server.run("rights")
    assert refusal(server, "rights") == "R_KEY_NOT_MOVED"
    with pytest.raises(Refused, match="R_REQUEST_BEGUN"):
        server.desk.cancel_request(rotation)
    server.desk.cancel_request(in_flight.asked)
    with pytest.raises(Refused, match="R_REQUEST_CLOSED"):
        server.desk.cancel_request(in_flight.asked)
    server.run("rights")
    assert desk(server).retire("rights") == 2
    requests = server.folder.registry(REGISTRY).folder(Folder.REQUESTS)
    assert not list(requests.glob("*.age"))


def test_a_key_that_a_job_named_in_the_log_is_never_vouched_for(server: Server) -> None:
    """Every job can write to the log; a line that names a key which is none of the server's stops the signing."""
    digest = key_digest(bytes(32))
    server.wiring("give_back").acts.note("log.key", "key", "audit-sign", digests={"vkey": digest})
    with pytest.raises(Halt, match="H_LOG_KEY"):
        server.run("checkpoint")
    # As its remedy says: two people look, and the log is set aside with the line that no key will vouch for.
    stand_still(server.folder, "H_LOG_KEY", "", utc_now())
    settings = read_settings(server.folder.settings)
    text = state_why(server.folder, settings).text()
    recover(server.folder, settings, sshsig.sign(text, server.lead, SIGNATURE_NAMESPACE), utc_now())
    server.run("checkpoint")


def test_the_old_signing_key_vouches_for_the_next_before_it_goes(server: Server) -> None:
    """Until a checkpoint by the old one covers the line that names the next, the old one is not retired."""
    desk(server).rotate("audit-sign")
    with pytest.raises(Refused, match="R_KEY_IN_ROTATION"):
        desk(server).rotate("audit-sign")
    assert refusal(server, "audit-sign") == "R_KEY_NEEDED"
    server.run("checkpoint")
    assert desk(server).retire("audit-sign") == 2
    server.run("checkpoint", "destroy", "checkpoint")
    assert len((server.folder.outbox / "vkey").read_text().splitlines()) == 2


def test_a_destroyed_loan_is_not_wrapped_again(server: Server) -> None:
    """A key that is put back beside its grave stays as it is, under a key that goes; nobody is given it."""
    keys = Keystore(server.folder.registry(REGISTRY).folder(Folder.LOAN_KEYS))
    kept = keys.get(OPEN_LOAN)
    keys.bury(OPEN_LOAN)
    path = server.folder.registry(REGISTRY).folder(Folder.LOAN_KEYS) / f"{OPEN_LOAN}.age"
    path.write_bytes(kept)
    desk(server).rotate("loans")
    server.run("link")
    assert path.read_bytes() == kept
    assert desk(server).retire("loans") == 2
    server.run("destroy")
    assert not path.exists()
    assert find_loan(server.control, REGISTRY, OPEN_LOAN).state is LoanState.DESTROYED


def test_wrapping_anew_can_be_killed_anywhere(server: Server, forks: Forks) -> None:
    """Killed at any fifth effect of `link`, the loan's key opens; run again, it opens with the next key alone."""
    server.run("link", "destroy")  # the answered loan is used and gone
    request_id = desk(server).rotate("loans")
    lies = server.folder.registry(REGISTRY).folder(Folder.LOAN_KEYS)
    store = Keystore(lies)
    public = find_loan(server.control, REGISTRY, OPEN_LOAN).public_key
    with server.undone():
        whole = forks.run(Request(str(server.folder.root), "link"))
    assert whole.code == 0, whole.output
    for effect in range(1, len(whole.effects) + 1, 5):
        with server.undone():
            assert forks.run(Request(str(server.folder.root), "link", at=effect)).killed
            both = Keyring(keys_folder(server), frozenset({"loans"})).opening("loans")
            assert age.recipient_of(unwrap_identity(store.get(OPEN_LOAN), *both)) == public
            server.run("link")
            assert find_request(server.control, request_id).state is RequestState.DONE
            assert desk(server).retire("loans") == 2
            assert age.recipient_of(unwrap_identity(store.get(OPEN_LOAN), private(server, "loans"))) == public
            assert {path.name for path in lies.iterdir()} == {f"{USED_LOAN}.destroyed", f"{OPEN_LOAN}.age"}


@pytest.mark.parametrize("name", ["drafts", "quarantine", "rights"])
def test_the_end_of_waiting_can_be_killed_anywhere(in_flight: InFlight, forks: Forks, name: str) -> None:
    """Killed at the effects of closing its request, the rotation of a key is done by the next run, and once."""
    server, job = in_flight.server, MOVED_BY[name]
    settle(in_flight)
    server.run("destroy", days=AFTER_RETENTION)
    server.run("checkpoint", "seal")  # the certificates
    request_id = desk(server).rotate(name)
    with server.undone():
        whole = forks.run(Request(str(server.folder.root), job))
    assert whole.code == 0, whole.output
    for effect in range(max(1, len(whole.effects) - 13), len(whole.effects) + 1, 3):
        with server.undone():
            assert forks.run(Request(str(server.folder.root), job, at=effect)).killed
            server.run(job)
            assert find_request(server.control, request_id).state is RequestState.DONE
            log = server.wiring(job).log
            closed = [one for one in log.entries(Act.REQUEST_CLOSE) if one.object_id == request_id]
            assert sum(one.phase in (Phase.DONE, Phase.RECOVERED) for one in closed) == 1
            assert desk(server).retire(name) == 2


def settle(in_flight: InFlight) -> None:
    """Let everything that is in flight arrive."""
    server = in_flight.server
    server.run("admit")
    (rows,) = server.releases(DraftKind.OWN_RECORDS)
    server.desk.decide_release(rows.release_id, ReleaseState.APPROVED)
    server.desk.approve_request(in_flight.asked, server.sign(in_flight.asked))
    server.run("checkpoint", "rights", "seal")
    answered(server).show_reidentified(in_flight.asked)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        *[("bundle-sign", 9), ("audit-sign", 11), ("viewing", 15), ("drafts", 17)],
        *(pytest.param(name, 1, marks=[pytest.mark.long]) for name in KEY_KINDS),
    ],
)
def test_both_commands_can_be_killed_anywhere(in_flight: InFlight, forks: Forks, name: str, step: int) -> None:
    """After a kill every job's keys load and what is sealed opens; typed again, all is as if there had been no kill."""
    server = in_flight.server
    settle(in_flight)
    if name == "quarantine":
        server.run("destroy", days=AFTER_RETENTION)
    folder = keys_folder(server, name)
    files = {path.name for path in folder.iterdir()}
    first = keyring.public(folder, name) if name in PAIRS else ""
    for command in ("rotate", "retire"):
        request = Request(str(server.folder.root), command, key=name)
        with server.undone():
            whole = forks.run(request)
        assert whole.code == 0, whole.output
        for effect in range(1, len(whole.effects) + 1, step):
            with server.undone():
                assert forks.run(Request(str(server.folder.root), command, key=name, at=effect)).killed
                everything_opens(server)
                finish(server, name)
                everything_opens(server)
                assert told_by_the_log(server, name) == {Act.KEY_DRAW, Act.KEY_RETIRE}
                assert registered(folder)[name].version == 2
                kept = {f"{name}.earlier.pub"} if name in KEPT_FOR_THE_OLD else set()
                assert {path.name for path in folder.iterdir()} == files | kept
                assert earlier_halves(folder, name) == ((first,) if kept else ())
                server.run("checkpoint")
        assert forks.run(request).code == 0
        if command == "rotate":
            server.run("checkpoint", *([MOVED_BY[name]] if name in MOVED_BY else []))


def told_by_the_log(server: Server, name: str) -> set[str]:
    """The acts on a key that took effect, by the log; none is left open."""
    log = server.wiring("checkpoint").log
    assert log.unresolved(COMMAND_LINE, REGISTRY) == []
    asked = {one.seq: one.act for one in log.entries(Act.KEY_DRAW, Act.KEY_RETIRE) if one.object_id == name}
    ended = [one for one in log.entries(Act.KEY_DRAW, Act.KEY_RETIRE) if one.phase in (Phase.DONE, Phase.RECOVERED)]
    return {asked[one.intent_seq] for one in ended if one.intent_seq in asked}


def finish(server: Server, name: str) -> None:
    """Type on after a kill, as the standing of the key and the refusals say."""
    if registered(keys_folder(server, name))[name].version == 1:
        try:
            desk(server).rotate(name)
        except Refused as why:
            assert why.code == "R_KEY_IN_ROTATION"  # noqa: PT017  it may be, or not, by the place of the kill
        server.run("checkpoint", *([MOVED_BY[name]] if name in MOVED_BY else []))
    try:
        desk(server).retire(name, told=True)
    except Refused as why:
        assert why.code == "R_KEY_NOT_ROTATING"  # noqa: PT017  the same


def everything_opens(server: Server) -> None:
    """Every job's keys load, and what is sealed to any key now opens with what its holder has."""
    for job in JOBS:
        wiring = server.wiring(job)
        assert "keys" in repr(wiring.keys) + repr(wiring.server_keys)
    for name in PAIRS:
        half = keyring.recipient(keys_folder(server, name), name)
        held = Keyring(keys_folder(server, name), frozenset({name}))
        if KEY_KINDS[name] is Kind.AGE:
            assert age.open(age.seal(b"new", [half]), *held.opening(name)) == b"new"
        elif KEY_KINDS[name] in (Kind.AGE, Kind.OPENPGP):
            assert openpgp.open_with_any(openpgp.seal(b"new", half), held.opening(name), limit=99) == b"new"
