"""`enclave person`: the rights of people. A number is read without echo or from standard input, never an argument."""

import getpass
import sys
from typing import Annotated

import typer

from enclave.cli.session import open_session, say
from enclave.crypto.secret import Secret

app = typer.Typer(no_args_is_help=True, help="Withdrawal and, later, the other rights.")


# A number that was typed as an argument must reach our own refusal: the usage error would repeat it on the screen.
@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def withdraw(
    context: typer.Context, case_number: Annotated[str, typer.Option(help="The case in the archive.")]
) -> None:
    """File the withdrawal of a person's consent; the job `rights` carries it out."""
    if context.args:
        raise typer.BadParameter("a number is never an argument: it is asked for, or read from standard input")
    desk = open_session(context).desk
    typed = getpass.getpass("national number (not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    request_id = desk.withdraw(Secret(typed.strip().encode()), case_number)
    say(f"filed as request {request_id}; run `enclave job run rights`")
