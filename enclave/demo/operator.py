"""The simulated operator: types `enclave …` commands, each a process of its own, and shows them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from enclave.errors import Halt, explain

explain(
    "H_DEMO",
    "A command of the demo did not end as it should; its last lines stand above.",
    "Delete the demo's folder and run it again; if it fails again, report the command as a bug.",
)

TAIL = 15  # lines
COMMAND_SECONDS = 900  # many times what a busy machine needs


class Operator:
    """The person at the terminal of one server; `console` is what a newcomer reads."""

    def __init__(self, config: Path, console: Console) -> None:
        self.config = config
        self._console = console

    def run(self, *words: str, typed: str = "", ends: tuple[int, ...] = (0,)) -> str:
        """Run `enclave WORDS` with `typed` on standard input; answers its output, or Halt H_DEMO."""
        settings = () if words[0] == "init" else ("--config", str(self.config))
        self.say(f"  $ enclave {' '.join(words)}")
        return self._process([sys.executable, "-m", "enclave", *settings, *words], typed, ends)

    def listing(self, *words: str) -> list[dict[str, Any]]:
        """Run a listing with `--json` and answer its rows."""
        rows: list[dict[str, Any]] = json.loads(self.run(*words, "--json"))
        return rows

    def python(self, *words: str) -> str:
        """Run a Python file without this program's libraries, as an auditor would."""
        self.say(f"  $ python {' '.join(words)}")
        return self._process([sys.executable, "-I", "-S", *words], "", (0,))

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, style="dim" if text.startswith("  $") else None)

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """One stage of the road: its title before, its seconds after."""
        self._console.print(f"▸ {title}", style="bold")
        started = time.monotonic()
        yield
        self._console.print(f"  done in {time.monotonic() - started:.1f} s", style="green")

    def _process(self, command: list[str], typed: str, ends: tuple[int, ...]) -> str:
        done = subprocess.run(  # noqa: S603 - our own commands, no shell
            command, input=typed, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        if done.returncode not in ends:
            for line in (*done.stdout.splitlines()[-TAIL:], *done.stderr.splitlines()[-TAIL:]):
                self.say(f"  ! {line}")
            raise Halt("H_DEMO", place=f"exit code {done.returncode}")
        return done.stdout
