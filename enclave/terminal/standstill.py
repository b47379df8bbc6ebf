"""A server in which nothing moves: the locks of every job and of every command, held while its files are copied."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from enclave import durable
from enclave.errors import Halt, Refused, explain
from enclave.flow import COMMAND_LINE
from enclave.folders import WorkingFolder
from enclave.settings import Settings

explain(
    "R_AT_WORK",
    "A job or another command was at work all the time.",
    "Try again; with `enclave pause` no new job starts, and those that run end by themselves.",
)

_BETWEEN_TRIES = 0.5  # seconds


@contextmanager
def at_a_standstill(
    folder: WorkingFolder, settings: Settings, jobs: Iterable[str], *, patience: timedelta = timedelta(0)
) -> Iterator[None]:
    """Hold the locks of these jobs and of the command line, in every registry; Refused R_AT_WORK after `patience`.

    All or none at a time: a job that waits for others while it holds its own is never waited for with one of theirs.
    """
    names = [f"{who}@{registry}.lock" for registry in sorted(settings.registries) for who in (*jobs, COMMAND_LINE)]
    last_try = time.monotonic() + patience.total_seconds()
    while True:
        with ExitStack() as held:
            try:
                for name in names:
                    held.enter_context(durable.lock(folder.locks / name))
            except Halt as busy:
                if time.monotonic() >= last_try:
                    raise Refused("R_AT_WORK", place=busy.place) from None
            else:
                yield
                return
        time.sleep(_BETWEEN_TRIES)
