"""Fuzz every parser, one after another: `python -m tests.fuzz [PARSER …] [--runs N] [--write]`, which is `make fuzz`.

Coverage-guided, with atheris and libFuzzer: a crash, an untyped error, a minute or 2 GiB for one input is a
finding, which stops that parser with exit code 1 and leaves the input in `fuzz-findings/`. `--write` puts the figures
into docs/hostile-input.md.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import BLOCK
from tests.fuzz.parsers import PARSERS, SIZE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "hostile-input.md"
FINDINGS = ROOT / "fuzz-findings"
DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)")
HEADER = "| parser | executions | seconds | edges covered | inputs kept | findings |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Outcome:
    """What one parser's run came to; `finding` is what the program said last where something was found."""

    parser: str
    executions: int
    seconds: float
    edges: int
    kept: int
    finding: str

    def row(self) -> str:
        """A line of the table."""
        cells = (self.parser, f"{self.executions:,}", f"{self.seconds:.0f}", self.edges, self.kept)
        return f"| {' | '.join(str(cell).replace(',', ' ') for cell in cells)} | {'1' if self.finding else '0'} |"


def fuzz(name: str, runs: int) -> Outcome:
    """Try one parser `runs` times, from its own small corpus, with a fixed seed."""
    FINDINGS.mkdir(exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as corpus:
        options = [f"-runs={runs}", f"-max_len={SIZE}", "-timeout=60", "-rss_limit_mb=2048", "-seed=1", "-verbosity=1",
                   f"-artifact_prefix={FINDINGS}/{name}-"]  # fmt: skip
        command = [sys.executable, "-m", "tests.fuzz.one", name, corpus, *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    told = DONE.search(done.stderr)
    executions, edges, _, kept = (int(number) for number in told.groups()) if told else (0, 0, 0, 0)
    finding = "" if told and done.returncode == 0 else done.stderr[-3000:]
    return Outcome(name, executions, time.monotonic() - started, edges, kept, finding)


def main(arguments: Sequence[str]) -> int:
    """Fuzz the parsers that are named, or all; answers 1 where one has a finding."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz")
    asked.add_argument("parsers", nargs="*", choices=[*PARSERS, []], default=[])
    asked.add_argument("--runs", type=int, default=0)
    asked.add_argument("--write", action="store_true")
    given = asked.parse_args(arguments)
    outcomes = []
    print(HEADER, flush=True)
    for name in given.parsers or PARSERS:
        outcome = fuzz(name, given.runs or PARSERS[name].runs)
        print(outcome.row(), outcome.finding, flush=True)
        outcomes.append(outcome)
    if given.write:
        text = PAGE.read_text(encoding="utf-8")
        table = "\n".join([HEADER, *(outcome.row() for outcome in outcomes)])
        PAGE.write_text(_with_table(text, table), encoding="utf-8")
    return 1 if any(outcome.finding for outcome in outcomes) else 0


def _with_table(text: str, table: str) -> str:
    return BLOCK.sub(lambda match: f"{match[1]}{table}\n{match[3]}" if match["name"] == "fuzz" else match[0], text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
