"""The demo, run once for all tests of this folder as a newcomer runs it."""

import json
import subprocess
import sys

import pytest

from tests.demo.done import Done
from tests.demo.oracle import registry_of, rows_of

LIMIT_SECONDS = 560  # many times what an idle machine needs


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The demo, once for all tests of this folder."""
    folder = tmp_path_factory.mktemp("demo") / "demo-out"
    run = subprocess.run(
        [sys.executable, "-m", "enclave", "demo", str(folder)],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    persons = rows_of(folder / "persons.csv")
    withdrawn = {row["person_id"] for row in persons if row["what_happened"].startswith("withdrawn")}
    summary = json.loads((folder / "summary.json").read_text())
    return Done(folder, run.stdout + run.stderr, summary, registry_of(folder, withdrawn), withdrawn)
