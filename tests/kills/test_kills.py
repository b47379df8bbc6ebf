"""Whatever job is killed, wherever: run again, it ends as if nothing had been, and it never left a word in clear."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from enclave.audit.record import Phase
from enclave.control.database import Control
from enclave.control.drops import drops_of, find_drop
from enclave.control.releases import releases_of
from enclave.flow import ACTS, COMMAND_LINE, Act, DropState
from enclave.halted import lift_halt
from enclave.model.draft import Kind
from enclave.settings import read_settings
from enclave.wiring import open_log
from jobs.confine import temporary_of
from jobs.road import command_of
from jobs.schedule import JOBS
from tests.kills.forks import ROOT, Ended, Forks, Request
from tests.kills.projection import differences, project
from tests.kills.road import REGISTRY, STEPS, Road, Step, begin, canaries

KILLED_ELSEWHERE = {
    ("admit", Act.DIGEST_DRAFT): "tests/jobs/test_nettskjema.py",
    ("admit", Act.FORM_KEEP): "tests/jobs/test_form_definitions.py",
    ("rights", Act.PERSON_MERGE): "tests/jobs/test_merge.py",
    ("rights", Act.PERSON_SPLIT): "tests/jobs/test_merge.py",
    ("rights", Act.ROWS_MERGE): "tests/jobs/test_merge.py",
    ("rights", Act.ROWS_SPLIT): "tests/jobs/test_merge.py",
    ("rights", Act.PERSON_REIDENTIFY): "tests/jobs/test_reidentification.py",
    ("link", Act.LOAN_ASK): "tests/jobs/test_loan_uncertain.py",
    ("release", Act.EXTRACT_DRAFT): "tests/jobs/test_extract.py",
    ("release", Act.REQUEST_CLOSE): "tests/jobs/test_extract.py",
    ("rights", Act.RECIPIENT_KEY): "tests/jobs/test_loan_order.py",
    ("link", Act.LOAN_REWRAP): "tests/jobs/test_key_rotation.py",
    ("admit", Act.REQUEST_CLOSE): "tests/jobs/test_key_rotation.py",
    ("seal", Act.RELEASE_ASK): "tests/jobs/test_seal.py",
    ("seal", Act.REQUEST_CLOSE): "tests/jobs/test_key_rotation.py",
    ("rights", Act.VAULT_REKEY): "tests/jobs/test_rotation.py",
    ("rights", Act.REGISTRY_REKEY): "tests/jobs/test_rotation.py",
}
"""Acts that are not on the road, and the tests that kill them."""
CANARIES = canaries()
NAMES = [step.name for step in STEPS]
FIRST = {step.job: step.name for step in reversed(STEPS)}
"""The first step of each job: the ordinary suite kills it twice, and a later step of the same job once."""

SWEPT = [pytest.param(name, marks=pytest.mark.long) for name in NAMES]
"""Every step, for the sweeps that take hours: workers share them, each on a road of its own."""


@dataclass(frozen=True)
class Walked:
    """The road, walked once without a kill: what each job came to, and how many effects it had on the way."""

    road: Road
    forks: Forks
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    effects: dict[str, tuple[str, ...]] = field(default_factory=dict)
    done: set[tuple[str, str]] = field(default_factory=set)
    """(job, act) of everything that was done on the way"""

    def run(
        self, step: Step, *, at: int | None = None, poison: str = "", call: str = "", room: int | None = None
    ) -> Ended:
        """Run the job of a step on what lies there, perhaps to its death; whatever it leaves holds nothing in clear."""
        ended = self.forks.run(Request(str(self.road.folder.root), step.job, at, step.days, poison, call, room))
        self.require_nothing_in_clear(step, ended.output.encode())
        return ended

    def require_nothing_in_clear(self, step: Step, output: bytes) -> None:
        """No canary in any file of the working folder, nor of the job's temporary folder, nor in what it printed."""
        temporary = self.temporary(step)
        for folder in (self.road.folder.root, temporary):
            for path in (path for path in folder.rglob("*") if path.is_file()):
                assert not _canaries_in(path.read_bytes()), f"in clear: {path.name}"
                assert not _canaries_in(str(path).encode()), "in clear in a name"
        assert not _canaries_in(output), "in clear in what the job printed"

    def temporary(self, step: Step) -> Path:
        """Where the libraries of a step's job put temporary files."""
        return temporary_of(self.road.folder, read_settings(self.road.folder.settings), step.job, REGISTRY)

    def restore(self, step: Step) -> None:
        """Put everything back to where it was before a step, the temporary folder that no job may unname included."""
        self.road.restore(step.name)
        shutil.rmtree(self.temporary(step), ignore_errors=True)

    def kill(self, step: Step, at: int) -> str:
        """Kill a job at one effect, run it again, and answer what is wrong then; "" where all is as it must be."""
        self.restore(step)
        place = self.effects[step.name][at - 1] if at <= len(self.effects[step.name]) else f"{at}"
        try:
            died = self.run(step, at=at)
            assert died.killed, f"ended with {died.code} before it was killed: {died.output}"
            self.require_same_end(step)
        except AssertionError as wrong:
            return f"{step.name} killed at {place}: {wrong}"
        return ""

    def kill_in_the_kernel(self, step: Step, call: str, at: int) -> str | None:
        """Kill a job at its `at`-th system call of a kind, as `kill` does; None where it survives."""
        self.restore(step)
        try:
            died = self.run(step, at=at, call=call)
            if not died.killed:
                assert died.code == 0, f"ended with {died.code}: {died.output}"
                return None
            self.require_same_end(step)
        except AssertionError as wrong:
            return f"{step.name} killed at {call} {at}: {wrong}"
        return ""

    def fill(self, step: Step, room: int) -> str | None:
        """Run a job on a disk with so many KiB left, as `kill` does; None where they are enough."""
        self.restore(step)
        try:
            ended = self.run(step, room=room)
            if ended.code != 0:
                assert (ended.code, "H_DISK_FULL" in ended.output) == (4, True), (
                    f"ended with {ended.code}: {ended.output}"
                )
            self.require_same_end(step)
        except AssertionError as wrong:
            return f"{step.name} with {room} KiB left: {wrong}"
        return None if ended.code == 0 else ""

    def require_same_end(self, step: Step) -> None:
        """Run the job of a step to its end: it ends as the run that was never killed."""
        again = self.run(step)
        assert again.code == 0, f"run again it ends with {again.code}: {again.output}"
        found = project(self.road)
        told = differences(self.ends[step.name], found)
        assert not told, "; ".join(told)[:2000]


def _canaries_in(content: bytes) -> list[bytes]:
    return [canary for canary in CANARIES if canary in content]


@pytest.fixture(scope="module")
def walked() -> Iterator[Walked]:
    """The road in memory (tmpfs), walked once; a kill does not lose what is written, so a disk would only be slower."""
    root = Path(tempfile.mkdtemp(prefix="kills-", dir="/dev/shm"))
    leftovers: set[Path] = {root}
    try:
        with Forks() as forks:
            walked = Walked(begin(root), forks)
            # A confined job empties its temporary folder, but may not remove its name.
            leftovers |= {walked.temporary(step) for step in STEPS}
            for step in STEPS:
                step.before(walked.road)
                walked.road.keep(step.name)
                shutil.rmtree(walked.temporary(step), ignore_errors=True)
                ended = walked.run(step)
                assert ended.code == 0, ended.output
                walked.ends[step.name] = project(walked.road)
                walked.effects[step.name] = ended.effects
            log = open_log(walked.road.folder)
            walked.done.update((entry.job, entry.act) for entry in log.entries() if entry.phase is Phase.DONE)
            yield walked
    finally:
        for folder in leftovers:
            shutil.rmtree(folder, ignore_errors=True)


def test_every_job_and_every_act_of_a_job_is_on_the_road(walked: Walked) -> None:
    """A new job or act needs a step in which it is done, or nobody would kill it there."""
    assert {step.job for step in STEPS} == set(JOBS)
    by_jobs = {(job, act) for act, rule in ACTS.items() for job in rule.done_by if job != COMMAND_LINE}
    missing = {(job, act) for job, act in by_jobs if (job, str(act)) not in walked.done}
    assert missing <= KILLED_ELSEWHERE.keys(), sorted(missing)
    assert all("killed" in (ROOT / test).read_text(encoding="utf-8") for test in KILLED_ELSEWHERE.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_job_killed_at_some_effect_ends_as_if_it_had_not_been(walked: Walked, name: str) -> None:
    """A kill half way, and the first time also at the very end, leaves nothing behind once the job has run again."""
    step, last = STEPS[NAMES.index(name)], len(walked.effects[name])
    wrong = [walked.kill(step, at) for at in ([last // 2, last] if FIRST[step.job] == name else [last // 2])]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("checkpoint", "half of a write durable.py:_write_temporary for checkpoint.py"),
        ("collect", "half of a write durable.py:_write_temporary for keystore.py:put"),
        ("collect", "half of a write durable.py:_write_temporary for quarantine.py:put"),
        ("collect", "rename folder.py:claim"),
        ("admit", "after commit database.py:_writing for examine.py:examine"),
        ("admit", "after commit engines.py:transaction for write.py:settle"),
        ("link", "after commit engines.py:transaction for write.py:keep_tables"),
        ("release", "after commit engines.py:transaction for write.py:name_drafts"),
        ("deliver", "link durable.py:_name_new"),
    ],
)
def test_a_job_killed_where_it_once_did_not_recover_or_may_not_tear_recovers(
    walked: Walked, name: str, effect: str
) -> None:
    """Between two halves of one thing – content and name, commit and what is told of it – a kill tears nothing."""
    step = STEPS[NAMES.index(name)]
    places = [at for at, place in enumerate(walked.effects[name], 1) if place.partition(" ")[2].startswith(effect)]
    assert places
    # Each of the drops that are claimed is another case; of the rest the first and the last.
    chosen = places if "claim" in effect else sorted({places[0], places[-1]})
    wrong = [walked.kill(step, at) for at in chosen]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SWEPT)
def test_a_job_killed_at_every_effect_ends_as_if_it_had_not_been(walked: Walked, name: str) -> None:
    """A kill at effect 1, 2, 3 … until the job survives: the end is always the one of the run without a kill."""
    step = STEPS[NAMES.index(name)]
    wrong = [walked.kill(step, at) for at in range(1, len(walked.effects[name]) + 1)]
    walked.restore(step)
    survived = walked.run(step, at=len(walked.effects[name]) + 1)
    assert survived.code == 0, "there are effects that the run without a kill did not have"
    assert not any(wrong), "\n".join(filter(None, wrong))


IN_A_COMMIT = {
    "admit": ("pwrite64", 60),  # in the vault or registry
    "rights": ("fdatasync", 20),
    "analyse": ("pwrite64", 30),
}
"""At which system call the ordinary suite kills a job in the middle of a commit; the others in the control database."""


@pytest.mark.parametrize("job", FIRST)
def test_a_job_killed_inside_a_commit_ends_as_if_it_had_not_been(walked: Walked, job: str) -> None:
    """A kill between two writes of one commit leaves a journal, which the next run, confined, plays back."""
    call, at = IN_A_COMMIT.get(job, ("pwrite64", 12))
    assert walked.kill_in_the_kernel(STEPS[NAMES.index(FIRST[job])], call, at) == ""


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
@pytest.mark.parametrize("name", SWEPT)
def test_a_job_killed_at_every_write_of_its_databases_ends_as_if_it_had_not_been(
    walked: Walked, name: str, call: str
) -> None:
    """A kill after the first, second, third … write or flush of a database: the end is always the same."""
    step, at, wrong = STEPS[NAMES.index(name)], 1, []
    while (told := walked.kill_in_the_kernel(step, call, at)) is not None:
        wrong.append(told)
        at += 1
    assert at > 1
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize(
    ("name", "call", "at"), [("collect", "rename", 6), ("admit", "fdatasync", 24), ("seal", "fsync", 9)]
)
def test_a_process_killed_as_it_is_started_by_the_scheduler_ends_as_if_it_had_not_been(
    walked: Walked, name: str, call: str, at: int
) -> None:
    """The same holds for a fresh `python -m jobs run`, in which nothing is wrapped."""
    step = STEPS[NAMES.index(name)]
    walked.road.restore(name)
    kill = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={at}"]
    command = command_of(walked.road.folder.settings, step.job, REGISTRY)
    died = subprocess.run(["strace", "-f", "-o", "/dev/null", *kill, *command], cwd=ROOT, capture_output=True)
    assert died.returncode == -signal.SIGKILL
    walked.require_nothing_in_clear(step, died.stdout + died.stderr)
    walked.require_same_end(step)


@pytest.mark.parametrize(("name", "room"), [("rights", 0), ("admit", 60), ("seal", 8), ("seal", 60)])
def test_a_job_on_a_full_disk_says_so_and_goes_on_when_there_is_room(walked: Walked, name: str, room: int) -> None:
    """Wherever the disk is full, in a file, the log or a database, the job stops and nothing is half done for ever."""
    assert walked.fill(STEPS[NAMES.index(name)], room) == ""


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", SWEPT)
def test_a_job_on_a_disk_full_at_any_write_goes_on_when_there_is_room(walked: Walked, name: str) -> None:
    """With 0, 4, 8 … KiB left until the job has enough: the end is always the one of the run with room."""
    step, room, wrong = STEPS[NAMES.index(name)], 0, []
    while (told := walked.fill(step, room)) is not None:
        wrong.append(told)
        room += 4
    assert not any(wrong), "\n".join(filter(None, wrong))


def test_a_log_that_cannot_be_flushed_stops_the_job_and_the_server(walked: Walked) -> None:
    """After EIO nothing more is recorded, so nothing more is done, until two people have looked at the disk."""
    step = STEPS[NAMES.index("rights")]
    walked.restore(step)
    folder = walked.road.folder
    log = folder.audit / "log.jsonl"
    before = len(log.read_bytes().splitlines())
    fails = ["-P", str(log), "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=3"]
    command = ["strace", "-f", "-o", "/dev/null", *fails, *command_of(folder.settings, step.job, REGISTRY)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True)
    assert (ended.returncode, b"H_LOG_WRITE" in ended.stderr) == (4, True), ended.stderr
    assert len(log.read_bytes().splitlines()) == before + 3
    assert b"H_STOPPED" in walked.run(step).output.encode()
    lift_halt(folder)
    walked.require_same_end(step)


def test_the_third_crash_on_a_drop_rejects_it_and_the_next_is_taken(walked: Walked) -> None:
    """A drop that ends the program each time it is opened holds up nobody, and is answered in the end."""
    step = STEPS[NAMES.index("admit")]
    walked.restore(step)
    control = Control(walked.road.folder.control)
    poison = drops_of(control, REGISTRY, DropState.COLLECTED)[0]
    assert (poison.sender, poison.stated_seq) == ("alfa", 1)
    for attempts in (1, 2, 3):
        assert walked.run(step, poison=poison.drop_uuid).killed
        assert find_drop(control, poison.drop_uuid) == replace(poison, attempts=attempts)
    others = [drop for drop in drops_of(control, REGISTRY) if drop.sender == "beta"]
    assert {drop.state for drop in others} == {DropState.ADMITTED, DropState.REJECTED}
    assert walked.run(step, poison=poison.drop_uuid).code == 0
    settled = {drop.drop_uuid: drop for drop in drops_of(control, REGISTRY) if drop.loan_id is None}
    assert settled[poison.drop_uuid].state is DropState.REJECTED
    assert settled[poison.drop_uuid].reason == "E_CRASHED"
    assert not [drop for drop in settled.values() if drop.state is DropState.COLLECTED]
    receipts = [one.subject for one in releases_of(control, REGISTRY) if one.kind is Kind.RECEIPT]
    assert sorted(receipts) == sorted(settled)
    # The drop after it, of the same sender, is taken as it is: its rows are then the first of their courses.
    (after,) = (drop for drop in settled.values() if drop.sender == "alfa" and drop.stated_seq == 2)
    assert after.state is DropState.ADMITTED
    project(walked.road)
