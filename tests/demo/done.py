"""What a demo that was run has left."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.demo.oracle import Registry, registry_of, rows_of

INSTITUTIONS = ("air", "haugland", "hernes", "hysnes", "muritunet", "nkarr", "valnesfjord")
CLOSED = ("2023", "2024")
LIMIT_SECONDS = 900  # many times what an idle machine needs


@dataclass(frozen=True)
class Done:
    """A demo that was run: its folder, what it printed, its summary, and what its registry must hold."""

    folder: Path
    printed: str
    summary: dict[str, Any]
    registry: Registry
    withdrawn: set[str]


def walked(factory: pytest.TempPathFactory) -> Done:
    """The demo as a newcomer runs it, once for all tests of a session."""
    return _walked_in(factory.getbasetemp() / "demo-out")


@cache
def _walked_in(folder: Path) -> Done:
    run = subprocess.run(
        [sys.executable, "-m", "enclave", "demo", str(folder)],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return left_in(folder, run.stdout + run.stderr)


def left_in(folder: Path, printed: str) -> Done:
    """What a demo left in its folder."""
    persons = rows_of(folder / "persons.csv")
    withdrawn = {row["person_id"] for row in persons if row["what_happened"].startswith("withdrawn")}
    summary = json.loads((folder / "summary.json").read_text())
    return Done(folder, printed, summary, registry_of(folder, withdrawn), withdrawn)
