"""What every command starts from: the working folder, its settings, and the registry that is meant."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from enclave.errors import Refused, explain
from enclave.folders import WorkingFolder
from enclave.settings import Settings, read_settings

if TYPE_CHECKING:  # it loads the databases' libraries, which a listing has no use for
    from enclave.terminal.desk import Desk

explain(
    "R_WHICH_REGISTRY",
    "This server has several registries, or not the one that was named.",
    "Name one of the sections of enclave.toml with --registry.",
)

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+\d\d:\d\d")
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d)?")
LONGEST_WORD, NARROWEST_PROSE, WIDEST = 64, 24, 1000
"""Characters: beyond the first a text without a space is folded too, and none is folded to less than the second."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Config = Annotated[Path, typer.Option("--config", envvar="ENCLAVE_CONFIG", help="The server's enclave.toml.")]
RegistryName = Annotated[str, typer.Option("--registry", help="Which registry, where there are several.")]


@dataclass(frozen=True)
class Session:
    """One command's view of a server."""

    folder: WorkingFolder
    settings: Settings
    registry: str

    @property
    def desk(self) -> "Desk":
        """The terminal's acts; halts while the server is halted."""
        from enclave.terminal.desk import Desk

        return Desk(self.folder, self.settings, self.registry)


def open_session(context: typer.Context) -> Session:
    """The server that --config and --registry of this call name."""
    asked: dict[str, str] = context.find_root().obj or {}
    path = Path(asked.get("config", "enclave.toml"))
    settings = read_settings(path)
    registry = asked.get("registry", "") or next(iter(settings.registries))
    if registry not in settings.registries or (not asked.get("registry") and len(settings.registries) > 1):
        raise Refused("R_WHICH_REGISTRY")
    return Session(WorkingFolder(path.resolve().parent), settings, registry)


def show(columns: Sequence[str], rows: Iterable[Mapping[str, object]], *, as_json: bool) -> None:
    """Print a listing as a table for people or as JSON for programs, without control characters."""
    listed = [{column: row[column] for column in columns} for row in rows]
    if as_json:
        print(json.dumps(listed, ensure_ascii=False, default=str))
        return
    told = [[_told(value) for value in row.values()] for row in listed]
    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        prose = any(" " in row[place] or len(row[place]) > LONGEST_WORD for row in told)
        prose &= not all(MOMENT.fullmatch(row[place]) for row in told)
        least = NARROWEST_PROSE if prose else max(len(column), *(len(row[place]) for row in told), 0)
        table.add_column(column.replace("_", " "), no_wrap=not prose, overflow="fold", min_width=least)
    for row in told:
        table.add_row(*row)
    terminal = console()
    # An id or a day that is folded can be neither read nor copied: rather a line that is too long.
    needed = Measurement.get(terminal, terminal.options.update(max_width=WIDEST), table).minimum
    terminal.width = max(terminal.width, needed)
    terminal.print(table)


def _told(value: object) -> str:
    """A value as people read it, a time to its minute in UTC; without control characters."""
    text = clean("" if value is None else str(value))
    if TIME.fullmatch(text):
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M}"
    return text


def console() -> Console:
    """The terminal, without markup: what is printed may come from outside."""
    return Console(file=sys.stdout, markup=False, highlight=False, soft_wrap=not sys.stdout.isatty())


def clean(text: str) -> str:
    """A text without characters that could steer a terminal."""
    return CONTROL_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", text)


def say(text: str) -> None:
    """Print one line."""
    console().print(clean(text))
