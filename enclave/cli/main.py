"""The command `enclave`: groups its commands and turns every error into its text and exit code."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from enclave.cli import audit, drops, institutions, jobs_, keys, loans, persons, registries, releases, requests, server
from enclave.cli.client import app as client
from enclave.errors import EnclaveError

app = typer.Typer(
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


server.add_to(app)
app.add_typer(jobs_.app, name="job")
app.add_typer(drops.app, name="drop")
app.add_typer(institutions.app, name="institution")
app.add_typer(loans.app, name="loan")
app.add_typer(releases.app, name="release")
app.add_typer(persons.app, name="person")
app.add_typer(requests.app, name="request")
app.add_typer(keys.app, name="key")
app.add_typer(audit.app, name="audit")
app.add_typer(registries.app, name="registry")
app.add_typer(client, name="client")


def main() -> None:
    """Run one command; its exit code is 0 done, 1 waits for a person, 2 usage, 3 refused, 4 halted."""
    try:
        app()
    except EnclaveError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
