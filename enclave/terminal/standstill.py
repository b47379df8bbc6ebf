"""A server in which nothing moves: the locks of every job, held while files are copied or keys change."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from enclave import durable
from enclave.errors import Halt, Refused, explain
from enclave.flow import DOERS
from enclave.folders import WorkingFolder

explain(
    "R_AT_WORK",
    "A job or another command is at work, and this is done only while none is.",
    "Type it again when the job has ended; with `enclave pause` no new one starts.",
)

_BETWEEN_TRIES = 0.5  # seconds


@contextmanager
def at_a_standstill(
    folder: WorkingFolder, registries: Iterable[str], *, also: Iterable[str] = (), patience: timedelta = timedelta(0)
) -> Iterator[None]:
    """Hold the locks of every job, and of whoever else is named, in these registries.

    Refused R_AT_WORK where that was not possible for all of `patience`.
    All or none at a time: a job that waits for others while it holds its own is never waited for with one of theirs.
    """
    names = [f"{who}@{registry}.lock" for registry in sorted(registries) for who in (*DOERS, *also)]
    last_try = time.monotonic() + patience.total_seconds()
    while True:
        with ExitStack() as held:
            try:
                for name in names:
                    held.enter_context(durable.lock(folder.locks / name))
            except Halt as busy:
                if busy.code != "H_LOCKED":
                    raise
                if time.monotonic() >= last_try:
                    raise Refused("R_AT_WORK", place=busy.place) from None
            else:
                yield
                return
        time.sleep(_BETWEEN_TRIES)
