"""A loan that is carried in by hand and has rows without a usable number: three passes, and a person's decision."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from enclave.cli import client
from enclave.cli.main import app
from enclave.control.drops import drops_of
from enclave.control.loans import Loan, find_loan
from enclave.control.releases import releases_of
from enclave.crypto import age, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import LoanState
from enclave.founding import CONFIG
from enclave.grants import Folder
from enclave.model.draft import Kind
from enclave.model.loan import LoanAgreement
from enclave.settings import read_settings
from enclave.terminal.loan_desk import LoanDesk
from enclave.terminal.status import look
from enclave.wiring import open_log, utc_now
from jobs import link as link_job
from tests.jobs.clinics import CLOSED, ELSEWHERE, LENDER, OLD, REGISTRY, TODAY, Server
from tests.kills.forks import Forks, Request

LOAN = "nav-2026"
MODEL = Path(__file__).parents[1] / "linkage" / "model.json"
DECLARED = """
keys = [["birth_date", "family_name", "place"]]

[[loans.identifiers]]
name = "birth_date"
kind = "date"
ours = "birth_date"

[[loans.identifiers]]
name = "family_name"
kind = "text"
ours = "arrival.occupation"

[[loans.identifiers]]
name = "place"
kind = "text"
ours = "arrival.education"

[loans.probabilistic]
version = "test-1"
model = "nav.json"
accept_above = 0.9
review_above = 0.2

[[loans.variables]]
"""
HEADER = "person_id;month;aap;birth_date;family_name;place;caseworker"
TRADE, SCHOOL = "=1+1 murer", "primary"
MONTHS = [f"{year}-{month:02}" for year in (CLOSED, CLOSED + 1) for month in range(1, 13)]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose loans may be linked without numbers, with admitted rows and an open loan."""
    root = tmp_path_factory.mktemp("uncertain")
    definition = root / "definition"
    shutil.copytree(CONFIG / "registries" / REGISTRY, definition)
    written = (definition / "registry.toml").read_text(encoding="utf-8")
    (definition / "registry.toml").write_text(written.replace("\n[[loans.variables]]\n", DECLARED, 1), encoding="utf-8")
    shutil.copy(MODEL, definition / "nav.json")
    with Forks() as forks:
        server = Server(root, forks, definition)
        server.send()
        agreement = LoanAgreement(
            LOAN, REGISTRY, LENDER, "linkage", "2026/1", ("aap",), TODAY + timedelta(days=30),
            "artikkel 9 nr. 2 bokstav j", "alle med opphold de siste fem år",
        )  # fmt: skip
        server.desk.open_loan(agreement, "nav", TODAY)
        server.run("link")
        yield server


@pytest.fixture
def server(opened: Server) -> Iterator[Server]:
    """The server, put back as it was after each test."""
    with opened.undone():
        yield opened


def desk(server: Server) -> LoanDesk:
    """The terminal."""
    return LoanDesk(server.folder, read_settings(server.folder.settings), REGISTRY)


def the_loan(server: Server) -> Loan:
    """The loan as the control database has it."""
    return find_loan(server.control, REGISTRY, LOAN)


def born(person: str) -> str:
    """What a synthetic number (month + 80) tells."""
    return f"19{person[4:6]}-{int(person[2:4]) - 80:02}-{person[:2]}"


def rows(*who: tuple[str, str, str, str]) -> list[str]:
    """Two years of months for each (number, birth date, name, place)."""
    return [f"{number};{month};ja;{day};{name};{place};Enhet 1" for number, day, name, place in who for month in MONTHS]


GOOD = rows(
    (OLD[0].person, born(OLD[0].person), TRADE, SCHOOL),
    ("", born(OLD[1].person), TRADE.upper(), SCHOOL),
    ("123", born(OLD[2].person), "snekker", SCHOOL),
    (ELSEWHERE.person, born(ELSEWHERE.person), TRADE, SCHOOL),
    ("", "1911-11-11", "somebody", "elsewhere"),
)


def carried_in(
    server: Server, lines: list[str], *, header: str = HEADER, key: str = "", signed_by: Secret | None = None
) -> Path:
    """A sealed loan file, as its lender hands it over on a stick."""
    clear = server.root / "clear" / f"stick-{utc_now().timestamp()}"
    clear.mkdir(parents=True)
    (clear / "benefits.csv").write_text("\r\n".join([header, *lines]), encoding="utf-8")
    submission = client.Submission(REGISTRY, LENDER, LOAN, datetime.now(UTC), 1)
    signer = signed_by or server.keys[LENDER]
    return client.seal(clear, clear.parent, submission, sign_key=signer, recipient=key or the_loan(server).public_key)


def typed(*words: str) -> Result:
    """A command, as it is typed at the terminal."""
    return CliRunner().invoke(app, list(words))


def records(server: Server, act: str, phase: str = "done") -> list[object]:
    """Records of an act in the log."""
    return [one for one in open_log(server.folder).entries() if (one.act, one.phase) == (act, phase)]


def test_a_loan_carried_in_is_linked_in_three_passes_after_a_persons_decision(server: Server) -> None:
    """By number, by declared key, and by the model once a person has judged its uncertain kind; nothing is in clear."""
    loan_id = desk(server).receive_loan(carried_in(server, GOOD))
    server.run("link")

    assert (loan_id, the_loan(server).state) == (LOAN, LoanState.OPEN)
    (waiting,) = (one for one in look(server.folder, REGISTRY, utc_now()).waiting if one.what == f"loan {LOAN}")
    assert waiting.needs_person
    assert "loan review" in waiting.why
    server.run("link")  # it waits, and is not opened again
    assert len(records(server, "loan.link", "failed")) == 1
    assert [drop.attempts for drop in drops_of(server.control, REGISTRY) if drop.loan_id] == [0]
    kinds = the_loan(server).review
    assert kinds is not None
    assert [(one["kind"], one["pairs"]) for one in kinds] == [
        ("birth_date: the same; family_name: another; place: the same", 1)
    ]

    command = ["--config", str(server.folder.settings), "loan", "review", LOAN]
    assert "still" not in typed(*command).output
    assert "all decided" in typed(*command, "--accept", "1").output
    with pytest.raises(Refused, match="R_LOAN_KINDS"):
        desk(server).review_loan(LOAN, accept=[1], reject=[])
    server.run("link")

    linked = the_loan(server)
    assert linked.state is LoanState.LINKED
    report = json.loads(json.dumps(linked.report))
    assert report["passes"] == [
        ["national_number", 2], ["key_birth_date_family_name_place", 1], ["probabilistic", 1]
    ]  # fmt: skip
    assert (report["linked_persons"], report["invalid_ids"], report["dropped_columns"]) == (4, 1, 1)
    assert (report["probabilistic"]["sample"], report["probabilistic"]["strangers"]) == (1, 1)
    assert report["probabilistic"]["model_version"] == "test-1"
    (decided,) = records(server, "loan.review", "intent")
    assert (decided.counts["accepted"], decided.counts["pairs_accepted"]) == (1, 1)  # type: ignore[attr-defined]
    assert decided.case_number == "2026/1"  # type: ignore[attr-defined]
    assert server.holds("snekker", "caseworker", "Enhet 1", born(OLD[2].person), OLD[0].person) == []

    typed("--config", str(server.folder.settings), "status")
    page = (server.folder.pages / f"{REGISTRY}-linkage-{LOAN}.html").read_text(encoding="utf-8")
    for said in ("probabilistic", "hidden", "By institution", "artikkel 9", "standardised difference", "test-1"):
        assert said in page


def test_killed_anywhere_a_person_is_asked_once(server: Server) -> None:
    """Killed at every third effect of `link` and run again, the same kinds wait for a person, and nothing is linked."""
    desk(server).receive_loan(carried_in(server, GOOD))
    request = Request(str(server.folder.root), "link")

    def asked() -> tuple[object, ...]:
        drops = [(drop.state, drop.reason) for drop in drops_of(server.control, REGISTRY) if drop.loan_id]
        return the_loan(server).state, the_loan(server).review, drops, len(releases_of(server.control, REGISTRY))

    with server.undone():
        whole = server.forks.run(request)
        expected = asked()
    assert expected[1]
    for at in range(1, len(whole.effects) + 1, 3):
        with server.undone():
            assert server.forks.run(replace(request, at=at)).killed
            server.run("link")
            assert asked() == expected, whole.effects[at - 1]
            assert server.holds("snekker", OLD[0].person) == []


@pytest.mark.parametrize("decision", ["rejected", "never made"])
def test_without_a_persons_yes_an_uncertain_link_is_none(server: Server, decision: str) -> None:
    """Rejected, the rest is linked without it; never judged, the loan is destroyed on its day, unused."""
    desk(server).receive_loan(carried_in(server, GOOD))
    server.run("link")
    if decision == "rejected":
        desk(server).review_loan(LOAN, accept=[], reject=[1])
        server.run("link")
        report = json.loads(json.dumps(the_loan(server).report))
        assert report["passes"][2] == ["probabilistic", 0]
    else:
        server.run("destroy", days=40)
        assert (the_loan(server).state, the_loan(server).report) == (LoanState.DESTROYED, None)


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("E_SENDER", "another lender's signature"),
        ("E_AGE_KEY", "another loan's key"),
        ("E_LOAN_EMPTY", "no rows"),
        ("E_LOAN_HEADER", "other variables"),
        ("E_LOAN_CONFLICT", "two answers for one month"),
    ],
)
def test_a_loan_file_that_cannot_be_used_is_answered_and_the_next_one_is_taken(
    server: Server, code: str, wrong: str
) -> None:
    """The lender is told why; the loan stays open, nothing is kept, and a good file after it is linked."""
    named = GOOD[: len(MONTHS)]
    bad = {
        "another lender's signature": lambda: carried_in(server, GOOD, signed_by=sshsig.new_key("ssb")[0]),
        "another loan's key": lambda: carried_in(server, GOOD, key=age.new_identity()[1]),
        "no rows": lambda: carried_in(server, []),
        "other variables": lambda: carried_in(server, GOOD, header=HEADER.replace("aap", "income")),
        "two answers for one month": lambda: carried_in(server, [*named, named[0].replace(";ja;", ";nei;")]),
    }
    desk(server).receive_loan(bad[wrong]())
    server.run("link")

    assert the_loan(server).state is LoanState.OPEN
    assert [drop.reason for drop in drops_of(server.control, REGISTRY) if drop.loan_id] == [code]
    (notice,) = (one for one in releases_of(server.control, REGISTRY) if one.kind is Kind.NOTICE)
    assert notice.recipient == LENDER
    assert server.holds("snekker", OLD[0].person) == []

    desk(server).receive_loan(carried_in(server, named))
    server.run("link")
    assert the_loan(server).state is LoanState.LINKED


def test_what_is_no_sealed_loan_file_is_not_received(server: Server, tmp_path: Path) -> None:
    """Rows in clear, an unknown loan, a link, a file twice, a loan whose day is past or that is destroyed."""
    good = carried_in(server, GOOD)
    with pytest.raises(Refused, match="R_LOAN_FILE"):
        desk(server).receive_loan(tmp_path)
    in_clear = tmp_path / "clear"
    shutil.copytree(good, in_clear)
    (in_clear / "payload.age").write_text("person_id;month;aap\n")
    linked = tmp_path / "linked"
    shutil.copytree(good, linked)
    (linked / "payload.age").unlink()
    (linked / "payload.age").symlink_to(good / "payload.age")
    other = tmp_path / "other"
    shutil.copytree(good, other)
    (other / "manifest.json").write_bytes((good / "manifest.json").read_bytes().replace(b"nav-2026", b"nav-1999"))
    for folder in (in_clear, linked, other):
        with pytest.raises(Refused, match="R_LOAN_FILE"):
            desk(server).receive_loan(folder)
    desk(server).receive_loan(good)
    with pytest.raises(Refused, match="R_LOAN_RECEIVED"):
        desk(server).receive_loan(good)
    desk(server).destroy_loan(LOAN, "2026/2")
    server.run("destroy")
    with pytest.raises(Refused, match="R_LOAN_FILE"):
        desk(server).receive_loan(good)
    assert list(server.folder.registry(REGISTRY).folder(Folder.LOANS).iterdir()) == []


def test_who_withdraws_while_link_runs_is_in_no_table(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state moved since people were read: nothing of this run is kept, and the next links without the person."""
    desk(server).receive_loan(carried_in(server, GOOD[: len(MONTHS)]))
    making = link_job.loan_share_table

    def meanwhile(*given: object, **named: object) -> object:
        monkeypatch.undo()
        server.withdraw(OLD[0].person)
        return making(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(link_job, "loan_share_table", meanwhile)
    assert link_job.link(server.wiring("link"))["linked"] == 0
    (failed,) = records(server, "loan.link", "failed")
    assert failed.reason == "R_STATE_MOVED"  # type: ignore[attr-defined]
    assert the_loan(server).state is LoanState.OPEN
    assert server.wiring("link").registry_reader.tables(finished=True) == ()

    server.run("link")

    report = json.loads(json.dumps(the_loan(server).report))
    assert (report["linked_persons"], report["unknown_ids"]) == (0, 1)
