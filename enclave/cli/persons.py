"""`enclave person`: the rights of people. A number is read without echo or from standard input, never an argument."""

import getpass
import sys
from datetime import datetime
from typing import Annotated

import typer

from enclave.cli.session import open_session, say
from enclave.crypto.secret import Secret
from enclave.terminal.reidentification import ReidentificationDesk, Why

app = typer.Typer(no_args_is_help=True, help="Withdrawal, merges and splits and, later, the other rights.")

# A number that was typed as an argument must reach our own refusal: the usage error would repeat it on the screen.
NO_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}
CaseNumber = Annotated[str, typer.Option(help="The case in the archive.")]
Issuer = Annotated[str, typer.Option(help="The institution that gave an H-number; it means nobody without it.")]
NEXT = "the project lead signs `enclave request show ID --text`; then `enclave request approve` and `job run rights`"


@app.command(context_settings=NO_ARGUMENTS)
def withdraw(context: typer.Context, case_number: CaseNumber, issuer: Issuer = "") -> None:
    """File the withdrawal of a person's consent; the job `rights` carries it out."""
    _refuse_arguments(context)
    desk = open_session(context).desk
    request_id = desk.withdraw(_asked("national number"), case_number, issuer=issuer)
    say(f"filed as request {request_id}; run `enclave job run rights`")


@app.command(context_settings=NO_ARGUMENTS)
def merge(
    context: typer.Context,
    case_number: CaseNumber,
    issuer: Issuer = "",
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="The population register knows both numbers as one person's.")
    ] = False,
) -> None:
    """File that two numbers are one person's: first the number that stays, then the one that is merged into it."""
    _refuse_arguments(context)
    desk = open_session(context).desk
    stays, merged = _asked("the number that stays"), _asked("the number that is merged into it")
    request_id = desk.merge(stays, merged, case_number, issuer=issuer, confirmed=confirmed)
    say(f"filed as request {request_id}; {NEXT}")


@app.command(context_settings=NO_ARGUMENTS)
def split(context: typer.Context, case_number: CaseNumber, issuer: Issuer = "") -> None:
    """File that a number which was merged is another person's after all; nothing of either is lost."""
    _refuse_arguments(context)
    desk = open_session(context).desk
    request_id = desk.split(_asked("the number that was merged"), case_number, issuer=issuer)
    say(f"filed as request {request_id}; {NEXT}")


@app.command(context_settings=NO_ARGUMENTS)
def reidentify(
    context: typer.Context,
    case_number: CaseNumber,
    purpose: Annotated[Why, typer.Option(help="What somebody is to be named for.")],
    legal_basis: Annotated[str, typer.Option(help="A code, such as gdpr-9-2-h.")],
    most: Annotated[int, typer.Option(help="The largest number of people.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The last day on which it may be shown.")],
) -> None:
    """File to name who stands behind pseudonyms, read from standard input, a line each; two people, shown once."""
    _refuse_arguments(context)
    session = open_session(context)
    desk = ReidentificationDesk(session.folder, session.settings, session.registry)
    lines = [line.strip() for line in sys.stdin if line.strip()]
    request_id = desk.reidentify(lines, purpose, legal_basis, case_number, most=most, until=until.date())
    say(f"filed as request {request_id}; {NEXT}, then `person reidentified {request_id}`")


@app.command()
def reidentified(
    context: typer.Context, request_id: Annotated[str, typer.Argument(help="An id of `enclave request list`.")]
) -> None:
    """Show once who stands behind the pseudonyms of a request; the log says so first."""
    session = open_session(context)
    desk = ReidentificationDesk(session.folder, session.settings, session.registry)
    for pseudonym, number, kind in desk.show_reidentified(request_id):
        say(f"{pseudonym}  {number}  {kind}")


def _refuse_arguments(context: typer.Context) -> None:
    if context.args:
        raise typer.BadParameter("a number is never an argument: it is asked for, or read from standard input")


def _asked(what: str) -> Secret:
    typed = getpass.getpass(f"{what} (not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    return Secret(typed.strip().encode())
