"""Running one job as a process of its own: confined first, then proved, then let loose; the only broad `except`.

Order: settings → private memory → lock → Landlock → log verified → own unresolved intents resolved → the job.
A crash anywhere leaves an open intent and a run without an end; the next run of the same job takes it from there.
"""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from enclave import durable
from enclave.audit.acts import Acts
from enclave.audit.chain import HALT
from enclave.audit.log import FileLog
from enclave.audit.record import Phase
from enclave.control.database import Control
from enclave.control.runs import Run, begin_run, end_run
from enclave.errors import EnclaveError, Halt, Refused, explain
from enclave.flow import Act
from enclave.folders import WorkingFolder
from enclave.halted import ONLY_THIS_RUN, halt_until_recovered, require_not_halted, stand_still
from enclave.settings import Settings, read_settings
from enclave.wiring import Wiring, open_log
from jobs.confine import confine, keep_memory_private, temporary_folder
from jobs.confinement import confinement_of, make_missing_journals
from jobs.evidence import happened
from jobs.schedule import JOBS

explain("R_JOB_UNKNOWN", "There is no such job.", "See `enclave job list`.")
explain("R_REGISTRY_UNKNOWN", "This server has no such registry.", "Its registries are the sections of enclave.toml.")
explain(
    "H_UNEXPECTED",
    "A job ended by a mistake in the program.",
    "The next run takes up where this one stopped. Report the module and line in the operational log as a bug.",
)

log = structlog.get_logger()


def run_job(folder: WorkingFolder, name: str, registry: str, *, now: datetime | None = None) -> int:
    """Run one job now and answer the process's exit code; every error is told on stderr and in the operational log."""
    try:
        settings = read_settings(folder.settings)
        outcome = _run_locked(folder, settings, name, registry, now or datetime.now(UTC))
    except EnclaveError as error:
        return _told(error, name, registry)
    except (OSError, SQLAlchemyError) as mistake:
        # A disk or database that failed around the job, where no run is entered yet or its end could not be.
        return _told(_halt_of(mistake, name), name, registry)
    return outcome


def _told(error: EnclaveError, name: str, registry: str) -> int:
    print(error, file=sys.stderr)  # noqa: T201  the person at the terminal reads it; it holds no data
    log.error("job did not run", job=name, registry=registry, code=error.code)
    return error.exit_code


def _run_locked(folder: WorkingFolder, settings: Settings, name: str, registry: str, now: datetime) -> int:
    if name not in JOBS:
        raise Halt("R_JOB_UNKNOWN")
    if registry not in settings.registries:
        raise Halt("R_REGISTRY_UNKNOWN")
    job = JOBS[name]
    require_not_halted(folder)
    keep_memory_private()
    with (
        durable.lock(folder.locks / f"{name}@{registry}.lock"),
        temporary_folder(folder, settings, name, registry) as temporary,
    ):
        make_missing_journals(job, folder, registry)
        confined = confine(confinement_of(job, folder, settings, registry, temporary))
        if not confined:
            log.warning("this kernel has no Landlock: only the unit's sandbox confines the job", job=name)
        control = Control(folder.control)
        audit = _verified_log(folder, control, now)
        run = Run(str(uuid4()), name, registry, now.isoformat(), None, None, "")
        begin_run(control, run)
        acts = Acts(audit, job=name, registry=registry, run=run.run_id, actor=f"job:{name}")
        wiring = Wiring(job, folder, settings, registry, control, acts, audit, now)
        try:
            resolve_own_intents(wiring)
            counts = _step(name)(wiring)
            wiring.close()
        except Halt as halt:
            _note_end(control, run, "halted", halt.code)
            if halt.code not in ONLY_THIS_RUN:
                # The mark below is a file that can be removed; the log remembers, unless it is the log that is damaged.
                with suppress(Halt):
                    acts.note(HALT, "job", name, reason=halt.code)
            halt_until_recovered(folder, halt, now)
            raise
        except EnclaveError as error:
            _note_end(control, run, "refused", error.code)
            raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as mistake:  # noqa: BLE001  the one place: a mistake of ours ends the job, not the server
            # Also what is no Exception: the panic of a Rust library, whose text may quote a value.
            unexpected = _halt_of(mistake, name)
            _note_end(control, run, "failed", unexpected.code)
            log.error("job failed", job=name, registry=registry, error=type(mistake).__name__, at=_place_of(mistake))
            raise unexpected from None
        end_run(control, run.run_id, outcome="ok", reason="", at=datetime.now(UTC))
    log.info("job done", job=name, registry=registry, **counts)
    return 0


def _verified_log(folder: WorkingFolder, control: Control, now: datetime) -> FileLog:
    """The audit log, if all of it stands; otherwise nothing runs any more until two people have looked."""
    try:
        audit = open_log(folder)
        newest = control.newest_act(audit.log_id)
        if newest is not None:
            # A log that was cut together with its checkpoints is still shorter than what was done under it.
            audit.require(newest)
    except Halt as halt:
        halt_until_recovered(folder, halt, now)
        raise
    if code := audit.halt():
        # The mark was removed, but not by two people: the log remembers, and the mark stands again.
        stand_still(folder, code, "", now)
        raise Halt("H_STOPPED", place=code)
    return audit


def resolve_own_intents(wiring: Wiring) -> None:
    """Ask the evidence of every intent that a killed run of this job left open, and record the answer.

    The lock of this job is held, so no living run owns these intents.
    """
    for intent in wiring.log.unresolved(wiring.job.name, wiring.registry):
        try:
            found = happened(Act(intent.act), intent, wiring)
        except Refused:
            # One institution's folder cannot be asked now. Its intent stays open for the next run; the others go on.
            continue
        wiring.acts.resolve(intent, Phase.RECOVERED if found else Phase.ABANDONED)


def _step(name: str) -> Callable[[Wiring], dict[str, int]]:
    # Each job's module is imported by the job that runs: `collect` never loads a database driver it has no use for.
    function: Callable[[Wiring], dict[str, int]] = getattr(import_module(f"jobs.{name}"), name)
    return function


def _note_end(control: Control, run: Run, outcome: str, reason: str) -> None:
    """Enter why a run ended; where that cannot be written it stays without an end, as if it had been killed."""
    with suppress(Halt, SQLAlchemyError):
        end_run(control, run.run_id, outcome=outcome, reason=reason, at=datetime.now(UTC))


def _halt_of(mistake: BaseException, name: str) -> Halt:
    if durable.is_full(mistake):
        return Halt("H_DISK_FULL", place=name)
    return Halt("H_UNEXPECTED", place=f"{name}: {type(mistake).__name__} at {_place_of(mistake)}")


def _place_of(mistake: BaseException) -> str:
    """Module and line of the innermost frame that is ours: never the exception's text, which could hold data."""
    frames = [frame for frame in traceback.extract_tb(mistake.__traceback__) if "site-packages" not in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
