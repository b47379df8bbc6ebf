"""`enclave request`: what the command line asked of the jobs, and what waits for the second person."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from enclave.cli.session import Json, open_session, say, show
from enclave.control.database import Control
from enclave.control.requests import find_request, requests_of

app = typer.Typer(no_args_is_help=True, help="Requests and approvals.")
RequestId = Annotated[str, typer.Argument(help="An id of `enclave request list`.")]


@app.command("list")
def list_requests(context: typer.Context, as_json: Json = False) -> None:
    """List every request with its state."""
    session = open_session(context)
    found = requests_of(Control(session.folder.control), session.registry)
    show(
        ["request_id", "kind", "state", "reason", "filed_by", "filed_at", "closed_at"],
        map(vars, found),
        as_json=as_json,
    )


@app.command("show")
def show_request(
    context: typer.Context,
    request_id: RequestId,
    text: Annotated[bool, typer.Option("--text", help="Print exactly what the second person signs.")] = False,
    as_json: Json = False,
) -> None:
    """Show one request; an identity in it stays sealed to the job `rights`."""
    session = open_session(context)
    request = find_request(Control(session.folder.control), request_id)
    if text:
        sys.stdout.buffer.write(request.signed_text())
        return
    show(["fact", "value"], [{"fact": name, "value": value} for name, value in vars(request).items()], as_json=as_json)


@app.command()
def cancel(context: typer.Context, request_id: RequestId) -> None:
    """Close a request that waits for the project lead's signature and will not get it."""
    open_session(context).desk.cancel_request(request_id)
    say("cancelled")


@app.command()
def approve(
    context: typer.Context,
    request_id: RequestId,
    signature: Annotated[Path, typer.Option(help="The project lead's SSHSIG over the request's text.")],
) -> None:
    """Hand in the second person's signature over a request."""
    open_session(context).desk.approve_request(request_id, signature.read_bytes())
    say("approved")
