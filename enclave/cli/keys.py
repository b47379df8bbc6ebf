"""`enclave key`: which keys there are, how old, and their rotation. No key is ever shown."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from enclave.cli.session import Json, open_session, say, show
from enclave.crypto.secret import Secret
from enclave.terminal.escrow import EscrowDesk
from enclave.terminal.key_desk import KeyDesk, keys_of
from enclave.terminal.key_needs import MOVED_BY
from enclave.wiring import utc_now

app = typer.Typer(no_args_is_help=True, help="Keys and their rotation.")
Name = Annotated[str, typer.Argument(help="A key of `enclave key list`.")]
COLUMNS = ["registry", "key", "kind", "version", "drawn", "due", "standing"]


@app.command("list")
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """List every key with its version, age and standing."""
    session = open_session(context)
    show(COLUMNS, map(vars, keys_of(session.folder, session.settings, utc_now().date())), as_json=as_json)


@app.command()
def check(context: typer.Context, as_json: Json = False) -> None:
    """List the keys that somebody must see to; exit code 1 if there are any."""
    session = open_session(context)
    found = [one for one in keys_of(session.folder, session.settings, utc_now().date()) if not one.is_well]
    show(COLUMNS, map(vars, found), as_json=as_json)
    raise typer.Exit(1 if found else 0)


@app.command()
def rotate(
    context: typer.Context,
    name: Name,
    case_number: Annotated[str, typer.Option(help="The case in the archive.")] = "",
) -> None:
    """Draw the next key; from now on everything new is sealed to it, and both open."""
    session = open_session(context)
    request_id = KeyDesk(session.folder, session.settings, session.registry).rotate(name, case_number)
    if request_id:
        say(f"filed as request {request_id}; run `enclave job run {MOVED_BY[name]}`, then `enclave key retire {name}`")
    else:
        say(f"drawn; when nobody needs the old one any more, `enclave key retire {name}` (keys/README says when)")


@app.command()
def retire(
    context: typer.Context,
    name: Name,
    told: Annotated[bool, typer.Option("--told", help="Everybody outside was given the next public half.")] = False,
) -> None:
    """Put the next key in the old one's place once nothing needs the old one, which is overwritten."""
    session = open_session(context)
    version = KeyDesk(session.folder, session.settings, session.registry).retire(name, told=told)
    say(f"{name} is now version {version}; copy it to the offline media; older backups need the old one")


@app.command()
def ceremony(
    context: typer.Context, papers: Annotated[Path, typer.Argument(help="A new folder for the three shares.")]
) -> None:
    """Draw the master key and write its three shares, each for another person's paper."""
    session = open_session(context)
    for path in EscrowDesk(session.folder, session.settings, session.registry).ceremony(papers):
        say(f"print {path}, give it to one person, and `shred -u` it")


@app.command()
def escrow(
    context: typer.Context, out: Annotated[Path, typer.Argument(help="A new file for the backup media.")]
) -> None:
    """Seal the keys that no data can do without to the master key; after each rotation anew."""
    session = open_session(context)
    EscrowDesk(session.folder, session.settings, session.registry).escrow(out)
    say(f"sealed {out}; the older one opens nothing that was moved to a new key")


@app.command()
def restore(
    context: typer.Context,
    escrowed: Annotated[Path, typer.Argument(help="A file of `enclave key escrow`.")],
    into: Annotated[Path, typer.Argument(help="A new folder for the keys.")],
) -> None:
    """Open escrowed keys with two people's shares, read without echo or from standard input, a line each."""
    session = open_session(context)
    two = (_asked("first share"), _asked("second share"))
    names = EscrowDesk(session.folder, session.settings, session.registry).restore(escrowed, two, into)
    say(f"opened {', '.join(names)} into {into}; compare, move what is missing into keys/, and shred the folder")


def _asked(what: str) -> Secret:
    typed = getpass.getpass(f"{what} (not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    return Secret(typed.strip().encode())
