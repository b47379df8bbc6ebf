"""What every command starts from: the working folder, its settings, and the registry that is meant."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
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
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in listed:
        table.add_row(*(clean("" if value is None else str(value)) for value in row.values()))
    console().print(table)


def console() -> Console:
    """The terminal, without markup: what is printed may come from outside."""
    return Console(file=sys.stdout, markup=False, highlight=False, soft_wrap=not sys.stdout.isatty())


def clean(text: str) -> str:
    """A text without characters that could steer a terminal."""
    return CONTROL_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", text)


def say(text: str) -> None:
    """Print one line."""
    console().print(clean(text))
