"""The scheduler: what was missed runs once, nothing runs twice at a time, a second server exits."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from apscheduler.jobstores.memory import MemoryJobStore

from enclave import durable
from enclave.control.database import Control
from enclave.control.runs import Run, begin_run, end_run
from enclave.errors import Halt
from enclave.folders import WorkingFolder
from enclave.halted import halt_mark, halt_until_recovered, lift_halt
from enclave.settings import Settings, read_settings
from enclave.terminal.status import look
from jobs import road
from jobs.schedule import JOBS, ROAD
from jobs.scheduler import build_scheduler, missed_jobs, next_time, run_scheduler, run_unless_paused
from tests.jobs.working import founded

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def server(tmp_path: Path) -> WorkingFolder:
    """A new working folder."""
    return founded(tmp_path / "working")


@pytest.fixture
def settings(server: WorkingFolder) -> Settings:
    """Its settings."""
    return read_settings(server.settings)


def ran(server: WorkingFolder, job: str, at: datetime) -> None:
    """Note that a job ran and ended."""
    control = Control(server.control)
    begin_run(control, Run(f"{job}-{at}", job, "kar", at.isoformat(), None, None, ""))
    end_run(control, f"{job}-{at}", outcome="ok", reason="", at=at)


def test_after_a_stop_each_missed_job_runs_once_destruction_before_the_rest(
    server: WorkingFolder, settings: Settings
) -> None:
    """A week of missed runs is one run of each job, in road order: loans past due go before anything is collected."""
    for job in JOBS:
        ran(server, job, datetime(2026, 6, 24, tzinfo=UTC))

    missed = [name for _, name in missed_jobs(server, settings, NOON)]

    assert missed == list(JOBS)
    assert missed.index("destroy") < missed.index("collect")


def test_what_ran_since_its_time_is_not_missed(server: WorkingFolder, settings: Settings) -> None:
    """Jobs that are not due yet are left alone."""
    for job in JOBS:
        ran(server, job, NOON)

    assert missed_jobs(server, settings, NOON) == []


def test_times_are_those_of_the_servers_zone_also_when_the_clock_is_moved(settings: Settings) -> None:
    """`analyse` runs at three in Oslo: 01:00 UTC in summer, 02:00 in winter, once in the night of the change."""
    assert next_time(settings, "analyse", datetime(2026, 7, 1, tzinfo=UTC)).hour == 1
    assert next_time(settings, "analyse", datetime(2026, 12, 1, tzinfo=UTC)).hour == 2
    night = next_time(settings, "analyse", datetime(2026, 10, 24, 22, tzinfo=UTC))
    assert night == datetime(2026, 10, 25, 2, tzinfo=UTC)
    assert next_time(settings, "analyse", night) == datetime(2026, 10, 26, 2, tzinfo=UTC)


def test_the_scheduler_keeps_nothing_runs_nothing_twice_and_drops_nothing_late(
    server: WorkingFolder, settings: Settings
) -> None:
    """In-memory store, coalesced, one instance at a time, no misfire limit, explicit zone, every job of the road."""
    scheduler = build_scheduler(server, settings)

    assert {job.id for job in scheduler.get_jobs()} == {f"{name}@kar" for name in JOBS}
    assert isinstance(scheduler._jobstores["default"], MemoryJobStore) if scheduler._jobstores else True
    assert scheduler._job_defaults == {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    assert str(scheduler.timezone) == "Europe/Oslo"


def test_an_unknown_job_or_a_bad_line_in_the_schedule_halts(server: WorkingFolder, settings: Settings) -> None:
    """A typing mistake does not silently stop a job from running."""
    for schedule in ({"colect": "* * * * *"}, {"collect": "every day"}):
        with pytest.raises(Halt, match=r"H_SETTINGS .*schedule\.col"):
            build_scheduler(server, settings.model_copy(update={"schedule": schedule}))


def test_a_second_server_exits(server: WorkingFolder, settings: Settings) -> None:
    """Whoever holds the server's lock is the server."""
    with durable.lock(server.locks / "server.lock"):
        for start in (
            lambda: run_scheduler(server, settings),
            lambda: road.run_once(server, settings, lambda *_: None),
        ):
            with pytest.raises(Halt, match="H_LOCKED"):
                start()


def test_the_road_ends_where_a_job_halts(
    server: WorkingFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs run in road order; a halt that waits for two people ends it, a job that failed by itself does not."""
    walked: list[str] = []

    def run(folder: WorkingFolder, name: str, _registry: str) -> int:
        if name == "link":
            halt_until_recovered(folder, Halt("H_OUTSIDE_ROW"), NOON)
        return {"collect": 1, "admit": 4, "link": 4}.get(name, 0)

    monkeypatch.setattr(road, "run_as_process", run)

    code = road.run_once(server, settings, lambda name, _registry, _code: walked.append(name))

    assert code == 4
    assert walked == list(ROAD[: ROAD.index("link") + 1])


def test_a_job_that_hangs_is_ended_and_the_next_run_is_possible(
    server: WorkingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that waits for ever is killed when its time is over and counts as halted; it leaves no lock behind."""
    monkeypatch.setattr(road, "JOB_TIMEOUT_SECONDS", 6)
    with durable.lock(server.locks / "loans@kar.lock"):
        assert road.run_as_process(server, "destroy", "kar") == 4
    with durable.lock(server.locks / "destroy@kar.lock"):
        pass
    monkeypatch.undo()
    assert road.run_as_process(server, "destroy", "kar") == 0


def test_nothing_starts_while_paused_or_halted(server: WorkingFolder) -> None:
    """A pause is silent but in the status, a halt is told; recovery lifts it."""
    durable.write(server.locks / "paused", b"")
    assert run_unless_paused(server, "collect", "kar") == 0
    assert [one.why for one in look(server, "kar", datetime.now(UTC)).waiting] == ["paused: `enclave pause --off`"]
    durable.remove(server.locks / "paused")

    halt_until_recovered(server, Halt("H_OUTSIDE_ROW", place="somewhere"), NOON)
    with pytest.raises(Halt, match="H_STOPPED"):
        run_unless_paused(server, "collect", "kar")

    lift_halt(server)
    assert halt_mark(server) is None


def test_a_halt_that_passes_by_itself_leaves_no_mark(server: WorkingFolder) -> None:
    """What a person mends outside the server does not need two people."""
    halt_until_recovered(server, Halt("H_LOCKED"), NOON)

    assert halt_mark(server) is None
