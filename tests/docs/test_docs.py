"""What the documents say is so: generated blocks, named tests, and every command of the guides."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from enclave.cli.main import app
from enclave.crypto import age, sshsig
from enclave.crypto.keyring import KEY_KINDS
from tests.docs.blocks import with_blocks

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATOR = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [README, OPERATOR], ids=["README", "operator"])
def test_generated_blocks_are_what_the_tables_say(text: str) -> None:
    """Pictures and tables of the guides are those of flow.py and schedule.py; `python -m tests.docs.blocks` mends."""
    assert with_blocks(text) == text


def test_every_test_that_readme_names_exists() -> None:
    """A promise stands beside a test that is there."""
    named = set(re.findall(r"tests/[a-z_/]+\.py", README))

    assert named
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []


def test_every_file_that_a_guide_links_to_exists() -> None:
    """No link of README leads nowhere."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)

    assert links
    assert sorted(link for link in links if not (ROOT / link).exists()) == []


def test_every_make_target_that_readme_names_exists() -> None:
    """`make X` in README is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make ([a-z-]+)", README))

    assert named >= {"demo", "test", "test-long", "lint"}
    assert sorted(name for name in named if not re.search(rf"(?m)^{name}:", makefile)) == []


def test_keys_readme_names_every_key() -> None:
    """keys/README tells of every key that a server has."""
    text = (ROOT / "keys" / "README").read_text(encoding="utf-8")

    assert sorted(name for name in KEY_KINDS if not re.search(rf"(?m)^  (REGISTRY/)?{name} ", text)) == []


EVERY_CODE = """
import importlib, pkgutil
import enclave, jobs
for package in (enclave, jobs):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from enclave.errors import CODES
print(len(CODES))
print(*(code for code, told in CODES.items() if not (told.text and told.remedy)))
print(*(code for code, told in CODES.items() if code.startswith("E_") and not (told.text_nb and told.remedy_nb)))
"""


def test_every_code_has_a_text_and_a_remedy() -> None:
    """Whoever meets a code is told what it means and what to do; a sender's codes are told in Norwegian too."""
    done = subprocess.run([sys.executable, "-c", EVERY_CODE], capture_output=True, text=True, cwd=ROOT)

    known, untold, untranslated = done.stdout.splitlines()
    assert int(known) > 100
    assert (untold, untranslated) == ("", "")


def test_every_command_of_readme_runs(tmp_path: Path) -> None:
    """The block of commands in README can be typed from top to bottom."""
    block = README.split("## Commands")[1].split("```sh\n")[1].split("```")[0]

    _type(block.replace("/srv/kar", str(tmp_path / "kar")), ROOT)


def test_every_command_of_the_operators_guide_runs(tmp_path: Path) -> None:
    """The blocks of commands in docs/operator.md can be typed from top to bottom."""
    for name in ("lead", "klinikk", "universitet"):
        (tmp_path / f"{name}.pub").write_text(sshsig.new_key(name)[1] + "\n", encoding="utf-8")
    (tmp_path / "universitet.age").write_text(age.new_identity()[1] + "\n", encoding="utf-8")

    _type("".join(re.findall(r"```sh\n(.*?)```", OPERATOR, re.DOTALL)), tmp_path)


def test_every_command_that_the_operators_guide_names_exists() -> None:
    """What stands in the text, as the linkage week does, is a command of the program, with options that it has."""
    program = get_command(app)
    for said in re.findall(r"`enclave ([^`]+)`", OPERATOR):
        words = said.replace("\n", " ").split()
        command: Any = program
        while words and words[0] in getattr(command, "commands", ()):
            command = command.get_command(None, words.pop(0))
        options = {name for one in (*command.params, *program.params) for name in one.opts}
        assert not hasattr(command, "commands"), said
        assert {word for word in words if word.startswith("--")} <= options, said


def _type(block: str, folder: Path) -> None:
    """Run each line as a shell would; exit code 1 means that something waits for a person, which is no fault."""
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    program = f"{shlex.quote(sys.executable)} -m enclave"
    typed = [line for line in lines if line]
    assert typed
    for line in typed:
        command = re.sub(r"(^|\| )enclave ", lambda match: f"{match[1]}{program} ", line)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1), f"{line}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
