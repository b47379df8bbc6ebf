"""Result packages laid out side by side, a share of them in each of several processes: drawing is most of `release`.

A child is started from the job's own confinement and is handed tables after disclosure control, by pipe; it opens no
key, database or file of the server, and its memory is as private as the job's. When the job is killed its pipes close,
and it ends; it leaves nothing behind, for it writes nothing.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from enclave import __version__
from enclave.errors import Halt, explain
from enclave.model.draft import DraftFile
from enclave.model.table import ReleasableTable
from enclave.registry.definition import Definition
from enclave.report.results import result_files
from jobs.confine import keep_memory_private

explain(
    "H_LAYOUT",
    "A process that lays out result packages ended before it was done.",
    "Look whether memory ran out; the next run makes the packages that are missing.",
)

WORTH_A_PROCESS = 4
"""A process starts in about the time that it takes to lay out one package."""


@dataclass(frozen=True)
class Package:
    """What one institution is shown for one period, and how the loans behind it met the registry."""

    tables: tuple[ReleasableTable, ...]
    recipient_name: str
    link_rates: tuple[tuple[str, int], ...]


def lay_out_all(
    packages: Sequence[Package], definition: Definition, *, processes: int | None = None
) -> Iterator[tuple[DraftFile, ...]]:
    """The files of each package, in order; with so many processes, or as many as there are processors.

    The bytes are the same however many there are. Halt H_LAYOUT where a process ends too soon.
    """
    count = min(processes or len(os.sched_getaffinity(0)), len(packages) // WORTH_A_PROCESS)
    if count < 2:
        yield from (_files(package, definition) for package in packages)
        return
    children = [_Child() for _ in range(count)]
    try:
        for place, child in enumerate(children):
            child.hand((definition, packages[place::count]))
        for place in range(len(packages)):
            yield children[place % count].take()
    finally:
        for child in children:
            child.end()


def _files(package: Package, definition: Definition) -> tuple[DraftFile, ...]:
    return result_files(
        package.tables,
        definition,
        recipient_name=package.recipient_name,
        code_version=__version__,
        link_rates=package.link_rates,
    )


class _Child:
    """One process: it is handed its packages at once, and answers them one by one while the job writes the others'."""

    def __init__(self) -> None:
        isolated = ["-I"] if sys.flags.isolated else []
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and our own words
            [sys.executable, *isolated, "-B", "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback could quote a number that is withheld elsewhere
        )

    def hand(self, work: tuple[Definition, Sequence[Package]]) -> None:
        try:
            with _opened(self._process.stdin) as inbound:
                pickle.dump(work, inbound)
        except BrokenPipeError:
            raise Halt("H_LAYOUT") from None

    def take(self) -> tuple[DraftFile, ...]:
        try:
            files: tuple[DraftFile, ...] = pickle.load(_opened(self._process.stdout))  # noqa: S301  our own child's
        except (EOFError, pickle.UnpicklingError):
            raise Halt("H_LAYOUT") from None
        return files

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            _opened(stream).close()


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("not a pipe")
    return stream


def main() -> None:
    """Lay out what standard input holds, and write each package's files to standard output."""
    keep_memory_private()
    work: tuple[Definition, Sequence[Package]] = pickle.load(sys.stdin.buffer)  # noqa: S301  the job's, by its own pipe
    definition, packages = work
    for package in packages:
        pickle.dump(_files(package, definition), sys.stdout.buffer)
        sys.stdout.buffer.flush()
