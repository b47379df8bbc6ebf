"""`enclave audit`: the log."""

from pathlib import Path
from typing import Annotated

import typer

from enclave import durable
from enclave.audit.export import export as export_log
from enclave.audit.export import prove as prove_line
from enclave.cli.session import Json, open_session, say, show
from enclave.wiring import open_log

app = typer.Typer(no_args_is_help=True, help="The audit log.")
COLUMNS = ["seq", "ts", "actor", "act", "phase", "object_kind", "object_id", "reason", "counts"]


@app.command("show")
def show_log(
    context: typer.Context,
    last: Annotated[int, typer.Option(help="How many of the newest records.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the newest records; none holds a value of anybody's record."""
    entries = list(open_log(open_session(context).folder).entries())
    show(COLUMNS, [entry.model_dump(mode="json") for entry in entries[-last:]], as_json=as_json)


@app.command()
def verify(context: typer.Context) -> None:
    """Verify the whole log against its chain, its key and its newest checkpoint."""
    log = open_log(open_session(context).folder)
    size, root = log.head()
    say(f"{size} records verified, root {root.hex()}")


@app.command()
def export(context: typer.Context, folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
    """Copy log, checkpoints, key and the stand-alone verifier into a folder for an auditor."""
    export_log(open_log(open_session(context).folder), folder)
    say(f"exported to {folder}")
    say("verify in that folder with: python verify.py log.jsonl --checkpoints checkpoints --vkey vkey")


@app.command()
def prove(
    context: typer.Context,
    seq: Annotated[int, typer.Argument(help="The sequence number of a record.")],
    out: Annotated[Path, typer.Option(help="New file for the proof.")],
) -> None:
    """Write the proof that one record is in the log under a signed checkpoint."""
    durable.write_new(out, prove_line(open_log(open_session(context).folder), seq))
    say(f"proof written to {out}")
