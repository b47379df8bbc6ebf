"""What ends a job in the middle – a lender's file, a panic, a closed folder – ends no other job and tells no value."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enclave.audit.record import Position
from enclave.control.database import Control
from enclave.control.drops import add_drop, find_drop
from enclave.control.institutions import Institution, add_institution
from enclave.control.releases import releases_of
from enclave.control.runs import runs_of
from enclave.crypto import sshsig
from enclave.errors import Refused
from enclave.flow import Act, DropState
from enclave.folders import WorkingFolder
from enclave.halted import halt_mark
from enclave.model.draft import Kind
from enclave.model.loan import LoanAgreement
from enclave.settings import read_settings
from enclave.terminal.loan_desk import LoanDesk
from jobs import link as linking
from jobs import runner
from tests.control.test_control import a_drop
from tests.jobs.working import PLANTED, founded, wired

UUID = "00000000-0000-4000-8000-000000000001"
CANARY = "kanarifugl"
TODAY = datetime.now(UTC).date()
PANIC = f"""
import sys
from pathlib import Path
import jobs.analyse
from enclave.folders import WorkingFolder
from jobs.runner import run_job

class PanicException(BaseException):
    pass

def analyse(wiring):
    raise PanicException("{CANARY}")

jobs.analyse.analyse = analyse
sys.exit(run_job(WorkingFolder(Path(sys.argv[1])), "analyse", "kar"))
"""


@pytest.fixture
def server(tmp_path: Path) -> WorkingFolder:
    """A server that knows a lender."""
    folder = founded(tmp_path / "working")
    key = sshsig.new_key("nav")[1]
    with Control(folder.control).changing(Position("an earlier log", 1)) as connection:
        add_institution(connection, Institution("kar", "nav", "NAV", "lender", key, "nav-1", "2026-01-01"))
    for planted in folder.root.rglob(PLANTED):
        planted.unlink()
    return folder


def test_a_lenders_file_that_ends_the_program_is_refused_the_fourth_time(
    server: WorkingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened three times, then answered like any other unusable file; the loan stays open for a better one."""
    agreement = LoanAgreement("nav-2026", "kar", "nav", "linkage", "2026/1", ("aap",), TODAY + timedelta(days=9))
    LoanDesk(server, read_settings(server.settings), "kar").open_loan(agreement, "nav", TODAY)
    linking.link(wired(server, "link"))
    control = Control(server.control)
    with control.changing(Position("an earlier log", 2)) as connection:
        add_drop(connection, a_drop(UUID, sender="nav", state=DropState.LENT, loan_id="nav-2026"))

    def killed(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(linking, "_linked", killed)
    for _ in range(3):
        with pytest.raises(MemoryError):
            linking.link(wired(server, "link"))

    assert linking.link(wired(server, "link")) == {"opened": 0, "linked": 0, "ordered": 0}

    drop = find_drop(control, UUID)
    assert drop is not None
    assert (drop.reason, drop.state) == ("E_LOAN_CRASHED", DropState.LENT)
    assert [(one.kind, one.recipient) for one in releases_of(control, "kar")] == [(Kind.NOTICE, "nav")]


def test_a_panic_of_a_library_is_told_without_its_text(server: WorkingFolder) -> None:
    """A Rust library's panic is no Exception: its run ends as failed, nothing is halted, and no value is printed."""
    command = [sys.executable, "-c", PANIC, str(server.root)]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 4
    assert "H_UNEXPECTED" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert [(run.outcome, run.reason) for run in runs_of(Control(server.control))] == [("failed", "H_UNEXPECTED")]
    assert halt_mark(server) is None


def test_an_intent_whose_place_cannot_be_asked_does_not_hold_up_the_job(
    server: WorkingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipient whose folder is closed leaves its own delivery's intent open; the others are resolved."""
    work = wired(server, "deliver")
    for release_id in (UUID, UUID.replace("1", "2")):
        with pytest.raises(MemoryError), work.acts.act(Act.RELEASE_DELIVER, "release", release_id):
            raise MemoryError

    def happened(_: Act, intent: object, __: object) -> bool:
        if getattr(intent, "object_id", "") == UUID:
            raise Refused("R_AIRLOCK_FOLDER")
        return True

    monkeypatch.setattr(runner, "happened", happened)

    runner.resolve_own_intents(work)

    assert [intent.object_id for intent in work.log.unresolved("deliver", "kar")] == [UUID]
