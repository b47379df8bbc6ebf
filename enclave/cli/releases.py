"""`enclave release`: what may leave, what waits for a decision, what has left."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from enclave import durable
from enclave.cli.session import Json, open_session, say, show
from enclave.control.database import Control
from enclave.control.releases import PUBLIC, find_release, releases_of, tables_of
from enclave.crypto.keyring import Keyring
from enclave.flow import ReleaseState
from enclave.grants import Folder
from enclave.release.drafts import open_draft
from enclave.release.ledger import contents_of
from jobs.drafts import find_draft

app = typer.Typer(no_args_is_help=True, help="The ledger of releases.")
ReleaseId = Annotated[str, typer.Argument(help="An id of `enclave release list`.")]


@app.command("list")
def list_releases(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what waits for a person.")] = False,
    as_json: Json = False,
) -> None:
    """List releases with their recipients and states."""
    session = open_session(context)
    states = (ReleaseState.PROPOSED,) if waiting else ()
    found = releases_of(Control(session.folder.control), session.registry, *states)
    show(
        ["release_id", "kind", "recipient", "state", "registry_state", "proposed_at", "decided_by"],
        map(vars, found),
        as_json=as_json,
    )


@app.command("show")
def show_release(
    context: typer.Context,
    release_id: ReleaseId,
    text: Annotated[bool, typer.Option("--text", help="Print exactly what the project lead signs.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the national pages here, to look at before deciding.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show one release and what its draft holds, opened with the viewing key."""
    session = open_session(context)
    control = Control(session.folder.control)
    release = find_release(control, release_id)
    if text:
        sys.stdout.buffer.write(release.signed_text(tables_of(control, release_id)))
        return
    rows = [{"fact": name, "value": value} for name, value in vars(release).items()]
    rows += [{"fact": "table", "value": f"{table} {period}"} for table, period in tables_of(control, release_id)]
    lies = session.folder.registry(session.registry)
    path = find_draft(lies.folder(Folder.DRAFTS), release.draft_sha256)
    if path.exists():
        draft = open_draft(durable.read(path), *Keyring(lies.keys, frozenset({"viewing"})).opening("viewing"))
        if out is not None and release.recipient == PUBLIC:
            # Only what is meant for everyone is ever written in the clear.
            durable.make_folder(out)
            for page in draft.files:
                durable.write(out / page.name, page.content)
        rows += [{"fact": "holds", "value": f"{file.name} ({file.size} bytes)"} for file in contents_of(draft)]
    show(["fact", "value"], rows, as_json=as_json)


@app.command()
def approve(
    context: typer.Context,
    release_ids: Annotated[list[str], typer.Argument(help="One or more ids of `enclave release list --waiting`.")],
    signature: Annotated[
        Path | None, typer.Option(help="The project lead's SSHSIG over the text of the national pages' release.")
    ] = None,
) -> None:
    """Approve releases, each an act of its own; the job `seal` seals each to its recipient.

    National pages, whose recipient is nobody, take the project lead's signature.
    """
    desk = open_session(context).desk
    signed = b"" if signature is None else signature.read_bytes()
    for release_id in release_ids:
        desk.decide_release(release_id, ReleaseState.APPROVED, signed)
        say(f"approved {release_id}")


@app.command()
def withhold(context: typer.Context, release_id: ReleaseId) -> None:
    """Withhold a release; its draft is destroyed, and `release` may make a new one."""
    open_session(context).desk.decide_release(release_id, ReleaseState.WITHHELD)
    say("withheld")
