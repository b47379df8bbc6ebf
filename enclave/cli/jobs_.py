"""`enclave job`: the jobs, when they run, and one of them now."""

from datetime import datetime
from typing import Annotated

import typer

from enclave.cli.session import Json, open_session, show
from enclave.control.database import Control
from enclave.control.runs import runs_of
from enclave.wiring import utc_now
from jobs.road import run_as_process
from jobs.schedule import JOBS
from jobs.scheduler import next_time

app = typer.Typer(no_args_is_help=True, help="The jobs of the road.")


@app.command("list")
def list_jobs(context: typer.Context, as_json: Json = False) -> None:
    """List the jobs in road order, with their last and next run."""
    session = open_session(context)
    control = Control(session.folder.control)
    rows = []
    for name, job in JOBS.items():
        runs = runs_of(control, session.registry, name)
        last = runs[-1] if runs else None
        started = datetime.fromisoformat(last.started_at) if last else utc_now()
        rows.append(
            {
                "job": name,
                "last": last.started_at if last else "",
                "outcome": (last.outcome or "did not end") if last else "never ran",
                "next": next_time(session.settings, name, max(started, utc_now())).isoformat(),
                "does": f"{job.takes} → {job.gives}",
            }
        )
    show(["job", "last", "outcome", "next", "does"], rows, as_json=as_json)


@app.command("run")
def run(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Jobs of `enclave job list`, in this order.")],
) -> None:
    """Run a job now, or several in turn, each as a process of its own, until one does not end well."""
    session = open_session(context)
    for name in names:
        code = run_as_process(session.folder, name, session.registry)
        if code:
            raise typer.Exit(code)
