"""A small process that has loaded everything and used nothing, and forks a child for each job that a test runs.

Polars and other libraries start threads at their first use, and a fork of a process with threads may hang; so this
process only imports. `python -m tests.kills.forks` reads one request for each line and answers when the child ended.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from enclave.model.drop import SealedDrop

if TYPE_CHECKING:
    from enclave.folders import WorkingFolder

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
CLONE_NEWNS = 0x00020000
DISK = "64m"
IDLE_THREADS = frozenset({"jemalloc_bg_thd", "polars-ooc-clea"})
"""Threads that Polars starts when it is imported: its allocator's, which knows forks, and one that never works here."""


@dataclass(frozen=True)
class Request:
    """Run `job` on the working folder `root`; die at effect `at`, or when the drop `poison` is opened.

    With `call` the kernel kills the child, through strace, when it makes that system call for the `at`-th time: also in
    the middle of a database's commit, where no Python runs. `days` sets the run's clock ahead. With `room` the folder
    that holds `root` lies on a disk of its own, which has this many KiB left. With `key` the job is the terminal's
    command `rotate` or `retire` on that key.
    """

    root: str
    job: str
    at: int | None = None
    days: int = 0
    poison: str = ""
    call: str = ""
    room: int | None = None
    key: str = ""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code (negative: the signal), the effects that passed, and all that it printed."""

    code: int
    effects: tuple[str, ...] = field(repr=False)
    output: str = field(repr=False)

    @property
    def killed(self) -> bool:
        """Whether the child killed itself."""
        return self.code == -signal.SIGKILL


class Forks:
    """The client's side: a running fork server."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.forks"],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, request: Request) -> Ended:
        """Run one job in a forked child, to its end or death."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asdict(request)) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return Ended(answer["code"], tuple(answer["effects"]), answer["output"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()  # the server reads its end, and ends
        self._server.wait(timeout=30)
        self._server.stdout.close()


def serve() -> None:
    """Answer requests until standard input ends."""
    for module in ("matplotlib.figure", "openpyxl", "pandas", "statsmodels.api", "scipy.stats", "sqlglot"):
        __import__(module)
    for path in sorted((ROOT / "jobs").glob("[a-z]*.py")):
        __import__(f"jobs.{path.stem}")
    for line in sys.stdin:
        if not IDLE_THREADS.issuperset(_other_threads()):
            raise RuntimeError("a library was used before the fork")
        sys.stdout.write(json.dumps(asdict(_fork(Request(**json.loads(line))))) + "\n")
        sys.stdout.flush()


def _other_threads() -> set[str]:
    tasks = Path("/proc/self/task")
    return {(task / "comm").read_text().strip() for task in tasks.iterdir() if task.name != str(os.getpid())}


def _fork(request: Request) -> Ended:
    told, tells = os.pipe()
    out, prints = os.pipe()
    waits, go = os.pipe()
    child = os.fork()
    if child == 0:
        for end in (told, out, go):
            os.close(end)
        os.read(waits, 1)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(prints, 1)
        os.dup2(prints, 2)
        code = 70
        try:
            code = _run(request, tells) if request.room is None else _run_on_small_disk(request, tells, request.room)
        finally:
            sys.stdout.flush()
            os._exit(code)
    for end in (tells, prints, waits):
        os.close(end)
    with _traced(child, request):
        os.close(go)
        # Both are far below the 64 KiB that a pipe holds, so that reading one after the other never stops the child.
        with os.fdopen(told) as effects, os.fdopen(out, errors="replace") as output:
            passed, printed = effects.read().splitlines(), output.read()
        status = os.waitpid(child, 0)[1]
    if request.room is not None:
        live = Path(request.root).parent
        shutil.rmtree(live)
        live.with_name("left").rename(live)
    return Ended(os.waitstatus_to_exitcode(status), tuple(passed), printed)


@contextmanager
def _traced(child: int, request: Request) -> Iterator[None]:
    if not request.call:
        yield
        return
    kill = f"inject={request.call}:signal=SIGKILL:when={request.at}"
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={request.call}", "-e", kill, "-p", str(child)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        if "attached" not in attached:
            raise RuntimeError(f"strace did not attach: {attached}")
        yield
        tracer.stderr.read()  # it ends when its last process does


def _run(request: Request, tells: int) -> int:
    from enclave.folders import WorkingFolder
    from jobs.__main__ import log_to_stdout
    from jobs.runner import run_job
    from tests.kills.deaths import Deaths

    log_to_stdout()
    write = os.write
    if request.poison:
        _poison(request.poison)
    if not request.call:
        Deaths(request.at, lambda effect: (write(tells, f"{effect}\n".encode()), None)[1]).arm()
    if request.key:
        return _at_terminal(WorkingFolder(Path(request.root)), request)
    now = datetime.now(UTC) + timedelta(days=request.days)
    return run_job(WorkingFolder(Path(request.root)), request.job, "kar", now=now)


def _at_terminal(folder: "WorkingFolder", request: Request) -> int:
    from enclave.settings import read_settings
    from enclave.terminal.key_desk import KeyDesk

    desk = KeyDesk(folder, read_settings(folder.settings), "kar")
    if request.job == "rotate":
        desk.rotate(request.key)
    else:
        desk.retire(request.key, told=True)
    return 0


def _run_on_small_disk(request: Request, tells: int, room: int) -> int:
    """Run the job on a copy of the folders, on a tmpfs that nobody else sees, and put what it left in their place."""
    live = Path(request.root).parent
    kept, left = live.with_name("before"), live.with_name("left")
    shutil.copytree(live, kept, symlinks=True)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(live)], check=True)
    shutil.copytree(kept, live, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(kept)
    filler = live / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(live).free - (room << 10))
    job = os.fork()
    if job == 0:
        code = 70
        try:
            code = _run(request, tells)
        finally:
            sys.stdout.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    filler.unlink()
    shutil.copytree(live, left, symlinks=True)
    return code


def _poison(drop_uuid: str) -> None:
    """Let this process die when it opens one drop."""
    examine: Any = import_module("jobs.examine")
    opening = examine.verify_and_open

    def deadly(sealed: SealedDrop, **more: object) -> object:
        if sealed.drop_uuid == drop_uuid:
            os.kill(os.getpid(), signal.SIGKILL)
        return opening(sealed, **more)

    examine.verify_and_open = deadly


if __name__ == "__main__":
    serve()
