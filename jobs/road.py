"""`run --once`: every job once, in road order, each as a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from enclave import durable
from enclave.folders import WorkingFolder
from enclave.halted import halt_mark
from enclave.settings import Settings
from jobs.schedule import ROAD

JOB_TIMEOUT_SECONDS = 6 * 3600


def run_once(folder: WorkingFolder, settings: Settings, tell: Callable[[str, str, int], None]) -> int:
    """Run the road for every registry; answers the gravest exit code.

    A halt that waits for two people ends it; a job that failed by itself does not hold up the jobs after it.

    `tell(job, registry, exit_code)` is called after each job. Holds the server's lock: a second server exits.
    """
    gravest = 0
    with durable.lock(folder.locks / "server.lock"):
        for registry in sorted(settings.registries):
            for name in ROAD:
                code = run_as_process(folder, name, registry)
                tell(name, registry, code)
                gravest = max(gravest, code)
                if halt_mark(folder) is not None:
                    return gravest
    return gravest


def run_as_process(folder: WorkingFolder, name: str, registry: str) -> int:
    """Run one job in a fresh process and answer its exit code; one that was killed or hung counts as halted."""
    try:
        finished = subprocess.run(  # noqa: S603  our own interpreter and our own words
            command_of(folder.settings, name, registry),
            stdin=subprocess.DEVNULL,
            timeout=JOB_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 4
    return finished.returncode if finished.returncode >= 0 else 4


def command_of(settings_file: Path, name: str, registry: str) -> list[str]:
    """The command that runs one job; holds nothing secret."""
    return [sys.executable, "-m", "jobs", "run", name, "--registry", registry, "--config", str(settings_file)]
