"""The command `enclave`: groups its commands and turns every error into its text and exit code."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from enclave.errors import EnclaveError

SERVER = ("init", "run", "pause", "status", "doctor", "recover", "backup", "restore", "demo")
"""The commands at the top level; they are the module `server`'s."""
GROUPS = {
    "job": "jobs_",
    "drop": "drops",
    "institution": "institutions",
    "loan": "loans",
    "extract": "extracts",
    "release": "releases",
    "person": "persons",
    "request": "requests",
    "key": "keys",
    "audit": "audit",
    "registry": "registries",
    "client": "client",
}
"""The groups of commands, and the module of each."""


class _Commands(TyperGroup):
    """Loads the module of the command that was called and no other, so that each starts half a second sooner."""

    def __init__(self, **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]
        # Typer suggests these names where a person mistypes one.
        self.commands = dict.fromkeys(self.list_commands(None), TyperCommand(None))

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - typer names it
        """Every command and group, in the order of the help."""
        return [*SERVER, *GROUPS]

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:  # noqa: ARG002 - as above
        """The command or group of this name, if there is one."""
        if cmd_name not in self.commands:
            return None
        group = get_group(import_module(f"enclave.cli.{GROUPS.get(cmd_name, 'server')}").app)
        if cmd_name in SERVER:
            return cast("TyperCommand", group.commands[cmd_name])
        group.name = cmd_name
        return group


app = typer.Typer(
    cls=_Commands,
    name="enclave",
    help="A batch server for sensitive registry data. Start with `enclave demo DIR` or `enclave init DIR`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def choose(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option("--config", envvar="ENCLAVE_CONFIG", help="The server's enclave.toml.")
    ] = Path("enclave.toml"),
    registry: Annotated[str, typer.Option("--registry", help="Which registry, where there are several.")] = "",
) -> None:
    """Choose the server and the registry of a command."""
    context.obj = {"config": str(config), "registry": registry}


def main() -> None:
    """Run one command; its exit code is 0 done, 1 waits for a person, 2 usage, 3 refused, 4 halted."""
    try:
        app()
    except EnclaveError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
