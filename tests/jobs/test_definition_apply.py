"""A definition only grows: `registry apply` files it, `rights` puts it in force, and nothing is ever taken away."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from enclave.control.database import Control
from enclave.control.requests import requests_of
from enclave.control.runs import current_definition
from enclave.flow import RequestState
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG
from enclave.registry.load import load
from tests.jobs.working import founded

VARIABLE = """
[[variables]]
name = "smoker"
kind = "boolean"
label = { nb = "Røyker", en = "Smoker" }
valid_from = 2026-01-01
"""


@pytest.fixture
def server(tmp_path: Path) -> WorkingFolder:
    """A new server on the shipped KAR."""
    return founded(tmp_path / "working")


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the shipped definition, to be changed."""
    return Path(shutil.copytree(CONFIG / "registries" / "kar", tmp_path / "kar"))


def apply(server: WorkingFolder, definition: Path) -> RequestState:
    """File a definition, run `rights`, and answer what became of the request."""
    settings = str(server.settings)
    for words in (
        ("enclave", "--config", settings, "registry", "apply", str(definition)),
        ("jobs", "run", "rights", "--registry", "kar", "--config", settings),
    ):
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return requests_of(Control(server.control), "kar")[-1].state


def test_an_added_variable_is_put_in_force_and_kept_by_its_hash(server: WorkingFolder, changed: Path) -> None:
    """The new definition is the current one, and the old one stays beside it."""
    old = current_definition(Control(server.control), "kar")
    form = changed / "forms" / "arrival.toml"
    form.write_text(form.read_text(encoding="utf-8") + VARIABLE, encoding="utf-8")

    assert apply(server, changed) is RequestState.DONE

    new = current_definition(Control(server.control), "kar")
    assert new == load(changed).sha256 != old
    kept = {path.stem for path in server.registry("kar").definitions.glob("*.json")}
    assert kept == {old, new}
    assert apply(server, changed) is RequestState.DONE


def test_a_removed_variable_is_refused(server: WorkingFolder, changed: Path) -> None:
    """Nothing that rows were stored under disappears; the old definition stays in force."""
    old = current_definition(Control(server.control), "kar")
    form = changed / "forms" / "arrival.toml"
    text = form.read_text(encoding="utf-8")
    start = text.index('[[variables]]\nname = "health"')
    form.write_text(text[:start] + text[text.index("[[variables]]", start + 5) :], encoding="utf-8")

    assert apply(server, changed) is RequestState.REFUSED

    assert current_definition(Control(server.control), "kar") == old
