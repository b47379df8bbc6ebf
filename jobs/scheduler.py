"""`enclave run`: the scheduler. It holds no key; it starts each due job as a process of its own.

The run table remembers what ran, not the scheduler: after a stop, every job whose time passed meanwhile runs once.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from enclave import durable
from enclave.control.database import Control
from enclave.control.runs import last_run
from enclave.errors import Halt
from enclave.folders import WorkingFolder
from enclave.halted import PAUSED, require_not_halted
from enclave.settings import Settings
from jobs.road import run_as_process
from jobs.schedule import JOBS


def run_scheduler(folder: WorkingFolder, settings: Settings) -> None:
    """Run until stopped. First what was missed, in road order: loans past due are destroyed before all else."""
    with durable.lock(folder.locks / "server.lock"):
        require_not_halted(folder)
        for registry, name in missed_jobs(folder, settings, datetime.now(UTC)):
            run_as_process(folder, name, registry)
        build_scheduler(folder, settings).start()


def missed_jobs(folder: WorkingFolder, settings: Settings, now: datetime) -> list[tuple[str, str]]:
    """(registry, job) of every job whose time has passed since it last ran, or that never ran; in road order."""
    control = Control(folder.control)
    missed = []
    for registry in sorted(settings.registries):
        for name in JOBS:
            last = last_run(control, registry, name)
            due = None if last is None else next_time(settings, name, datetime.fromisoformat(last.started_at))
            if due is None or due <= now:
                missed.append((registry, name))
    return missed


def next_time(settings: Settings, name: str, after: datetime) -> datetime:
    """When a job is due next after a time."""
    due: datetime | None = trigger_of(settings, name).get_next_fire_time(after, after)
    if due is None:
        raise Halt("H_SETTINGS", place=f"schedule.{name}")
    return due.astimezone(UTC)


def trigger_of(settings: Settings, name: str) -> CronTrigger:
    """A job's crontab line, its own or from enclave.toml, in the server's time zone."""
    line = settings.schedule.get(name, JOBS[name].every)
    try:
        return CronTrigger.from_crontab(line, timezone=ZoneInfo(settings.time_zone))
    except ValueError:
        raise Halt("H_SETTINGS", place=f"enclave.toml: schedule.{name}") from None


def build_scheduler(folder: WorkingFolder, settings: Settings) -> BlockingScheduler:
    """Every job of every registry in an in-memory store: late runs are run once, never twice at a time."""
    unknown = sorted(set(settings.schedule) - set(JOBS))
    if unknown:
        raise Halt("H_SETTINGS", place=f"enclave.toml: schedule.{unknown[0]}")
    scheduler = BlockingScheduler(
        jobstores={"default": MemoryJobStore()},
        executors={"default": ThreadPoolExecutor(max_workers=2)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone=ZoneInfo(settings.time_zone),
    )
    for registry in sorted(settings.registries):
        for name in JOBS:
            scheduler.add_job(
                run_unless_paused,
                trigger_of(settings, name),
                args=(folder, name, registry),
                id=f"{name}@{registry}",
            )
    return scheduler


def run_unless_paused(folder: WorkingFolder, name: str, registry: str) -> int:
    """Run one job, unless a person paused the server or it was halted."""
    if (folder.locks / PAUSED).exists():
        return 0
    require_not_halted(folder)
    return run_as_process(folder, name, registry)
