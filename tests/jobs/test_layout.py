"""Packages laid out in several processes: the same bytes, in order, and no process that outlives the job."""

import os
import signal
from pathlib import Path

import pytest

from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import policy_for
from enclave.errors import Halt
from jobs.layout import WORTH_A_PROCESS, Package, lay_out_all
from tests.analysis.kar import kar, made_up, tables_of


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    """Twice what makes a second process worth its start: one small table for each institution, over and over."""
    shown = []
    for recipient in ("alfa", "beta", "gamma"):
        made = tuple(one for one in tables_of(made_up(2)) if (one.recipient, one.table) == (recipient, "completion"))
        safe = suppress_together(made, kar(), "institution", policy_for(kar()))
        shown.append(Package(safe, f"Klinikk {recipient}", ()))
    return [shown[at % len(shown)] for at in range(2 * WORTH_A_PROCESS)]


def children() -> list[int]:
    """The processes that this one has started and not yet waited for."""
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


def test_the_bytes_are_the_same_however_many_processes_make_them(packages: list[Package]) -> None:
    """Law 8: each package has the files that it has when one process makes them all, in its own place."""
    alone = list(lay_out_all(packages, kar(), processes=1))
    before = children()

    together = list(lay_out_all(packages, kar(), processes=2))

    assert [[(file.name, file.content) for file in one] for one in together] == [
        [(file.name, file.content) for file in one] for one in alone
    ]
    assert len({one[0].content for one in together}) == 3
    assert children() == before


def test_a_process_that_dies_ends_the_job_and_every_other_process(packages: list[Package]) -> None:
    """The job halts with a code that says what to look for; nothing that it started goes on."""
    before = children()
    made = lay_out_all(packages, kar(), processes=2)
    next(made)
    started = [pid for pid in children() if pid not in before]
    assert len(started) == 2
    for pid in started:
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(Halt, match="H_LAYOUT"):
        list(made)

    assert children() == before
