"""The whole road as `enclave run --once` starts it, killed with all its processes at moments that nobody chose."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enclave import durable
from jobs.confine import temporary_of
from jobs.schedule import JOBS
from tests.kills.forks import ENVIRONMENT, ROOT
from tests.kills.projection import differences, project
from tests.kills.road import REGISTRY, Road, begin, canaries, everybody_sends, open_a_loan, people_decide

SEED = 20
ROUNDS = 20
"""Each round is killed twice, once before and once after people decided: more often, and a drop may be rejected."""

PHASES: tuple[Callable[[Road], None], ...] = (lambda _: None, people_decide)
"""What people do before each walk of the road; what they sent lies at the airlock from the beginning."""


def walk(road: Road, killed_after: float | None = None) -> float:
    """`enclave run --once`, in a process group that is killed after some seconds; answers how long it ran."""
    command = [sys.executable, "-m", "enclave", "--config", str(road.folder.settings), "run", "--once"]
    environment = {**os.environ, **ENVIRONMENT}
    begun = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as server:
        try:
            output, _ = server.communicate(timeout=killed_after)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            output, _ = server.communicate()
    killed = server.returncode == -signal.SIGKILL
    assert killed or server.returncode in (0, 1), output.decode(errors="replace")
    assert not any(canary in output for canary in canaries())
    for path in road.folder.locks.glob("*.lock"):
        with durable.lock(path, wait=True):
            pass  # whoever held it is gone
    return time.monotonic() - begun


def require_nothing_in_clear(road: Road) -> None:
    """No canary in any file that the jobs left."""
    folders = [road.folder.root, *(temporary_of(road.folder, road.settings, job, REGISTRY) for job in JOBS)]
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(canary in content for canary in canaries()), f"in clear: {path.name}"


@pytest.fixture
def road() -> Iterator[Road]:
    """A server with an open loan, and drops at its airlock that were sealed once, kept as `begun`."""
    root = Path(tempfile.mkdtemp(prefix="random-kills-", dir="/dev/shm"))
    road = begin(root)
    try:
        open_a_loan(road)
        walk(road)
        everybody_sends(road)
        road.keep("begun")
        yield road
    finally:
        for folder in (root, *(temporary_of(road.folder, road.settings, job, REGISTRY) for job in JOBS)):
            shutil.rmtree(folder, ignore_errors=True)


def walk_all(road: Road, moments: list[float]) -> tuple[list[dict[str, Any]], list[float]]:
    """What the road has come to after each phase, killed once at its moment if any, and how long its last walk took."""
    road.restore("begun")
    ends, lasted = [], []
    for number, before in enumerate(PHASES):
        before(road)
        for moment in moments[number : number + 1]:
            walk(road, moment)
            require_nothing_in_clear(road)
        lasted.append(walk(road))
        require_nothing_in_clear(road)
        ends.append(_of_every_walk(project(road)))
    return ends, lasted


def _of_every_walk(end: dict[str, Any]) -> dict[str, Any]:
    """An end without what each collection draws anew: keys, so the digests in a certificate; ids, so what is signed.

    That there is a certificate, and a signature, is still in it; `test_kills.py` compares what they say.
    """
    parts = {
        part: {name: [] if name.startswith("certificate") else held for name, held in end[part].items()}
        for part in ("drafts", "packages")
    }
    signed = [re.sub(r'"signature": "[^"]+"', '"signature": true', row) for row in end["control"]["release_"]]
    return {**end, **parts, "control": {**end["control"], "release_": signed}}


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_road_killed_at_any_moment_ends_as_if_it_had_not_been(road: Road) -> None:
    """Scheduler and job die together wherever they are; the next `run --once` ends as one that was never killed."""
    expected, lasted = walk_all(road, [])
    chosen = random.Random(SEED)
    for number in range(ROUNDS):
        moments = [chosen.uniform(0, seconds) for seconds in lasted]
        found, _ = walk_all(road, moments)
        told = [one for pair in zip(expected, found, strict=True) for one in differences(*pair)]
        assert not told, f"round {number}, killed after {moments} seconds: {'; '.join(told)[:2000]}"
