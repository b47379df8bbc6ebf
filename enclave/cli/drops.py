"""`enclave drop`: what institutions sent, and what became of it."""

from typing import Annotated

import typer

from enclave.cli.session import Json, open_session, show
from enclave.control.database import Control
from enclave.control.drops import drops_of, find_drop
from enclave.control.releases import releases_of
from enclave.errors import Refused, explain

explain("R_DROP_UNKNOWN", "There is no such drop.", "See `enclave drop list`.")

app = typer.Typer(no_args_is_help=True, help="Drops and their states.")
COLUMNS = ["drop_uuid", "sender", "state", "reason", "door", "attempts", "size", "collected_at", "settled_at"]


@app.command("list")
def list_drops(context: typer.Context, as_json: Json = False) -> None:
    """List every drop with its state and, where it was rejected, why."""
    session = open_session(context)
    drops = drops_of(Control(session.folder.control), session.registry)
    show(COLUMNS, map(vars, drops), as_json=as_json)


@app.command("show")
def show_drop(context: typer.Context, drop_uuid: Annotated[str, typer.Argument()], as_json: Json = False) -> None:
    """Show one drop and its answers; the faults themselves are in its sealed feedback, for its sender."""
    session = open_session(context)
    control = Control(session.folder.control)
    drop = find_drop(control, drop_uuid)
    if drop is None:
        raise Refused("R_DROP_UNKNOWN")
    answers = [
        f"{release.kind}: {release.state}"
        for release in releases_of(control, session.registry)
        if release.subject == drop_uuid
    ]
    facts = {**vars(drop), "answers": ", ".join(answers)}
    show(["fact", "value"], [{"fact": name, "value": value} for name, value in facts.items()], as_json=as_json)
