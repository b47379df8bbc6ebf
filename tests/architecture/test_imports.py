"""The walls of the house: who may import whom."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY, imports_of, modules

LINT = Path(sys.executable).with_name("lint-imports")
IMPURE = {"os", "socket", "time", "random", "secrets", "sqlalchemy", "pathlib", "subprocess", "tempfile", "sqlite3"}
BREACHES = {
    "enclave/store/rules.py": "import enclave.intake.rules",
    "enclave/control/drops.py": "import enclave.wiring",
    "enclave/crypto/age.py": "import enclave.audit.log",
    "enclave/report/view.py": "import enclave.model.identified",
    "enclave/analysis/change.py": "import enclave.store.write",
    "enclave/wiring.py": "import jobs.schedule\nimport apscheduler",
    "jobs/seal.py": "import enclave.store.engines",
    "enclave/cli/client.py": "import polars",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the tree in a folder."""
    command = [str(LINT), "--no-cache", "--config", str(REPOSITORY / ".importlinter")]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_every_import_contract_is_kept() -> None:
    """Layers, independent stages, identities, adapters, readers, scheduler and client hold as .importlinter says."""
    told = lint(REPOSITORY)

    assert told.returncode == 0, told.stdout


def test_a_breach_of_any_contract_is_seen(tmp_path: Path) -> None:
    """Each contract breaks when one line is added that it forbids."""
    for package in ("enclave", "jobs"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, line in BREACHES.items():
        with (tmp_path / path).open("a") as module:
            module.write(f"\n{line}\n")

    told = lint(tmp_path).stdout

    assert "0 kept" in told
    assert f"{len(contracts())} broken" in told


def test_every_module_has_its_layer() -> None:
    """Nothing directly in `enclave` stands outside the layers."""
    layers = contracts()["importlinter:contract:layers"]["layers"].replace("|", " ").replace(":", " ").split()
    there = {path.stem for path in (REPOSITORY / "enclave").iterdir() if path.suffix == ".py" or is_package(path)}

    assert {f"enclave.{name}" for name in there - {"__init__"}} | {"jobs"} == set(layers)


def is_package(path: Path) -> bool:
    """Whether a path is a package."""
    return (path / "__init__.py").is_file()


def contracts() -> dict[str, dict[str, str]]:
    """The contracts of .importlinter."""
    parser = ConfigParser()
    parser.read(REPOSITORY / ".importlinter")
    return {name: dict(parser[name]) for name in parser.sections() if name.startswith("importlinter:contract:")}


@pytest.mark.parametrize("path", [path for path in modules() if path.endswith("rules.py")])
def test_rules_are_pure(path: str) -> None:
    """A stage's rules reach no file, clock, chance, process or database."""
    roots = {name.split(".")[0] for name in imports_of(modules()[path])}

    assert not roots & IMPURE


def test_there_are_rules_to_judge() -> None:
    """Five stages keep rules of their own."""
    assert len([path for path in modules() if path.endswith("/rules.py")]) >= 5


def test_the_auditors_program_needs_only_the_standard_library() -> None:
    """An auditor runs `verify.py` without installing, or trusting, anything of ours."""
    roots = {name.split(".")[0] for name in imports_of(modules()["enclave/audit/verify.py"])}

    assert roots <= sys.stdlib_module_names


def test_only_command_line_and_demo_call_jobs() -> None:
    """Nothing else in `enclave` knows that there are jobs."""
    callers = {
        path
        for path, module in modules().items()
        if path.startswith("enclave/") and any(name.split(".")[0] == "jobs" for name in imports_of(module))
    }

    assert {path.split("/")[1] for path in callers} <= {"cli", "demo"}


def test_no_package_imports_anything_by_itself() -> None:
    """Every `__init__` holds a docstring and constants, so that a job loads no library it has no use for."""
    assert {path for path, module in modules().items() if path.endswith("__init__.py") and imports_of(module)} == set()
