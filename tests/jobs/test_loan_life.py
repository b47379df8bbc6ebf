"""Law 5: a loan's key is made by `link`, and destroyed by `destroy` – when asked, and when its day is past."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from enclave.audit.record import Position
from enclave.control.database import Control
from enclave.control.institutions import Institution, add_institution
from enclave.control.loans import find_loan, open_loan, request_loan
from enclave.control.releases import releases_of
from enclave.control.requests import requests_of
from enclave.control.tables import loan
from enclave.crypto import sshsig
from enclave.crypto.keystore import Keystore
from enclave.errors import Refused
from enclave.flow import LoanState, ReleaseState, RequestState
from enclave.folders import WorkingFolder
from enclave.grants import Folder
from enclave.model.draft import Kind
from enclave.model.loan import LoanAgreement
from enclave.settings import read_settings
from enclave.terminal.doctor import examine
from enclave.terminal.loan_desk import LoanDesk
from enclave.terminal.status import look
from tests.identity.numbers import synthetic
from tests.jobs.working import founded

TODAY = datetime.now(UTC).date()


@pytest.fixture
def server(tmp_path: Path) -> WorkingFolder:
    """A server that knows a lender."""
    folder = founded(tmp_path / "working")
    key = sshsig.new_key("nav")[1]
    with Control(folder.control).changing(Position("an earlier log", 1)) as connection:
        add_institution(connection, Institution("kar", "nav", "NAV", "lender", key, "nav-1", "2026-01-01"))
    return folder


def agreed(due: date) -> LoanAgreement:
    """A loan of one benefit."""
    return LoanAgreement("nav-2026", "kar", "nav", "linkage", "2026/1", ("aap",), due)


def run(server: WorkingFolder, *words: str) -> str:
    """Run a job or a command and answer what it printed."""
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def job(server: WorkingFolder, name: str) -> None:
    """Run one job."""
    run(server, "jobs", "run", name, "--registry", "kar", "--config", str(server.settings))


def test_a_loan_is_destroyed_when_asked_and_certified(server: WorkingFolder) -> None:
    """Its key exists from `link` to `destroy`; the certificate says so, waits for nobody, and can be read here."""
    desk, control = LoanDesk(server, read_settings(server.settings), "kar"), Control(server.control)
    keys = Keystore(server.registry("kar").folder(Folder.LOAN_KEYS))
    desk.open_loan(agreed(TODAY + timedelta(days=30)), "nav", TODAY)
    assert find_loan(control, "kar", "nav-2026").state is LoanState.REQUESTED
    job(server, "link")
    opened = find_loan(control, "kar", "nav-2026")
    assert (opened.state, keys.names()) == (LoanState.OPEN, ("nav-2026",))
    assert opened.public_key.startswith("age1")

    desk.destroy_loan("nav-2026", "2026/2")
    job(server, "destroy")

    destroyed = find_loan(control, "kar", "nav-2026")
    assert (destroyed.state, destroyed.overdue_days, keys.names()) == (LoanState.DESTROYED, 0, ())
    (certificate,) = releases_of(control, "kar")
    assert (certificate.kind, certificate.recipient, certificate.state) == (
        Kind.CERTIFICATE,
        "nav",
        ReleaseState.APPROVED,
    )
    assert [request.state for request in requests_of(control, "kar")] == [RequestState.DONE]
    printed = run(server, "enclave", "--config", str(server.settings), "loan", "certificate", "nav-2026")
    assert "SLETTESERTIFIKAT" in printed
    with pytest.raises(Refused, match="R_LOAN_STATE"):
        desk.destroy_loan("nav-2026", "2026/3")


def test_a_loan_past_its_day_is_destroyed_and_its_lateness_recorded(server: WorkingFolder) -> None:
    """The server was off when the day passed: the next `destroy` does it, nobody having asked."""
    control = Control(server.control)
    with control.changing(Position("an earlier log", 2)) as connection:
        request_loan(connection, agreed(TODAY - timedelta(days=3)), "nav")
    job(server, "link")

    job(server, "destroy")

    destroyed = find_loan(control, "kar", "nav-2026")
    assert destroyed.state is LoanState.DESTROYED
    assert destroyed.overdue_days in (3, 4)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"lender": "nobody"}, "nav"),
        ({"variables": ("aap", "income")}, "nav"),
        ({"variables": ()}, "nav"),
        ({"due": TODAY}, "nav"),
        ({}, "ssb"),
    ],
)
def test_a_loan_that_fits_nothing_is_refused(server: WorkingFolder, change: dict[str, object], kind: str) -> None:
    """An unknown lender, a variable or kind outside the definition, no variable, a day that is not ahead."""
    desk = LoanDesk(server, read_settings(server.settings), "kar")
    facts = {**vars(agreed(TODAY + timedelta(days=30))), **change}

    with pytest.raises(Refused):
        desk.open_loan(LoanAgreement(**facts), kind, TODAY)  # type: ignore[arg-type]


def test_a_loans_id_is_never_used_twice(server: WorkingFolder) -> None:
    """A second loan of the same id is refused; its act is recorded as failed."""
    desk = LoanDesk(server, read_settings(server.settings), "kar")
    agreement = agreed(TODAY + timedelta(days=30))
    desk.open_loan(agreement, "nav", TODAY)

    with pytest.raises(Refused, match="R_LOAN_EXISTS"):
        desk.open_loan(agreement, "nav", TODAY)


def test_a_loan_that_is_not_used_is_reminded_of_before_its_day(server: WorkingFolder) -> None:
    """Until two weeks before its day it only stands there; then `status` and `doctor` ask a person, and after it."""
    control, settings = Control(server.control), read_settings(server.settings)
    with control.changing(Position("an earlier log", 2)) as connection:
        request_loan(connection, agreed(TODAY + timedelta(days=15)), "nav")
    with control.changing(Position("an earlier log", 3)) as connection:
        open_loan(connection, find_loan(control, "kar", "nav-2026"), "age1something")

    def told(days: int) -> tuple[bool, str]:
        now = datetime.now(UTC) + timedelta(days=days)
        (waiting,) = (one for one in look(server, "kar", now).waiting if one.what == "loan nav-2026")
        return waiting.needs_person, waiting.why

    assert told(0) == (False, f"due {TODAY + timedelta(days=15)}")
    assert told(1)[0]
    assert "is destroyed in 14 days" in told(1)[1]
    assert told(16)[0]
    assert "run `destroy` now" in told(16)[1]
    (finding,) = (one for one in examine(server, settings) if "nav-2026" in one.what)
    assert finding.well
    with control.noting() as connection:
        connection.execute(update(loan).values(due=TODAY + timedelta(days=14)))
    (finding,) = (one for one in examine(server, settings) if "nav-2026" in one.what)
    assert (finding.well, "destroyed unused" in finding.remedy) == (False, True)


@pytest.mark.parametrize("words", ["x" * 201, "two\nlines", f"om {synthetic(date(1980, 1, 1))} bare"])
def test_what_is_no_short_line_is_no_legal_basis(server: WorkingFolder, words: str) -> None:
    """Legal basis and population are short printable lines, in which no national number stands; it is not repeated."""
    command = [
        "loan",
        "open",
        "nav-2026",
        "--kind",
        "nav",
        "--lender",
        "nav",
        "--variables",
        "aap",
        "--case-number",
        "1",
    ]
    due = (TODAY + timedelta(days=30)).isoformat()
    for option in ("--legal-basis", "--population"):
        done = subprocess.run(
            [sys.executable, "-m", "enclave", "--config", str(server.settings), *command, "--due", due, option, words],
            capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, "R_LOAN_WORDS" in done.stderr, words in done.stderr) == (3, True, False)
