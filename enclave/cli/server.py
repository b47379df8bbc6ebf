"""`enclave init, run, pause, status, doctor, recover, backup, restore, demo`: the server as a whole.

What only one command needs is imported by it: the others start half a second sooner.
"""

from pathlib import Path
from typing import Annotated

import typer

from enclave import durable
from enclave.cli.pages import write_pages
from enclave.cli.session import Json, open_session, say, show
from enclave.halted import PAUSED
from enclave.terminal.doctor import Finding, examine
from enclave.terminal.status import look
from enclave.wiring import utc_now
from jobs.confine import landlock_version
from jobs.road import run_once
from jobs.scheduler import run_scheduler

app = typer.Typer(help="The server as a whole: these stand at the top level.")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    registry: Annotated[str, typer.Option("--registry", help="Id of a shipped registry, or of --definition.")] = "kar",
    definition: Annotated[
        Path | None, typer.Option(help="Folder of the definition, if it is not a shipped one.")
    ] = None,
    server: Annotated[str, typer.Option(help="Name of this server, the origin of its audit log.")] = "enclave-1",
    mode: Annotated[str, typer.Option(help="test or production.")] = "test",
    project_lead: Annotated[
        Path | None, typer.Option(help="The project lead's OpenSSH Ed25519 public key file.")
    ] = None,
    host: Annotated[str, typer.Option(help="The SFTP airlock's host.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The SFTP airlock's port.")] = 22,
    user: Annotated[str, typer.Option(help="The server's login at the airlock.")] = "enclave",
    database: Annotated[str, typer.Option(help="postgresql+psycopg://… instead of SQLCipher.")] = "",
    vault_database: Annotated[str, typer.Option(help="postgresql+psycopg://… of another database and role.")] = "",
) -> None:
    """Make a working folder: settings, keys, log, empty databases. Refuses to overwrite."""
    from enclave.founding import CONFIG, Founding, found
    from enclave.terminal.desk import acting_person

    values: dict[str, str | int | float] = {
        "server": server,
        "mode": mode,
        "project_lead": "" if project_lead is None else project_lead.read_text(encoding="utf-8").strip(),
        "host": host,
        "port": port,
        "user": user,
        "database": database,
        "vault_database": vault_database,
    }
    source = definition or CONFIG / "registries" / registry
    made = found(Founding(folder, registry, source, values, f"person:{acting_person()}"))
    say(f"made {made.root}")
    say(f"next: pin the airlock's host key in {made.registry(registry).known_hosts}, register the key")
    say(f"{made.registry(registry).keys / 'airlock-login.pub'} there, then `enclave institution add`")


@app.command()
def run(
    context: typer.Context, once: Annotated[bool, typer.Option("--once", help="Every job once, in road order.")] = False
) -> None:
    """Run the scheduler, or with --once every job once; the log is checkpointed first and last."""
    session = open_session(context)
    if not once:
        run_scheduler(session.folder, session.settings)
        return
    code = run_once(session.folder, session.settings, lambda name, registry, code: say(f"{registry}: {name} → {code}"))
    write_pages(session.folder, session.settings)
    raise typer.Exit(code)


@app.command()
def pause(
    context: typer.Context, off: Annotated[bool, typer.Option("--off", help="Let jobs start again.")] = False
) -> None:
    """Start no new jobs until `enclave pause --off`; running ones end by themselves."""
    folder = open_session(context).folder
    if off:
        durable.remove(folder.locks / PAUSED)
        say("jobs start again")
    else:
        durable.write(folder.locks / PAUSED, b"")
        say("paused")


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """Say what waits, for whom, since when and why; exit code 1 if something waits for a person."""
    session = open_session(context)
    seen = look(session.folder, session.registry, utc_now())
    if not as_json:
        if seen.halted:
            say(f"HALTED: {seen.halted}; see `enclave recover`")
        for what, counted in (("drops", seen.drops), ("rejected", seen.rejected), ("releases", seen.releases)):
            say(f"{what}: " + (", ".join(f"{number} {name}" for name, number in counted) or "none"))
    show(["what", "who", "since", "why"], map(vars, seen.waiting), as_json=as_json)
    write_pages(session.folder, session.settings)
    raise typer.Exit(1 if seen.needs_person else 0)


@app.command()
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Look at everything that a run needs; exit code 1 if something is missing."""
    session = open_session(context)
    findings = (
        *examine(session.folder, session.settings),
        Finding("the kernel has Landlock", landlock_version() > 0, "Run jobs under the shipped systemd units only."),
    )
    rows = [
        {"what": one.what, "well": "yes" if one.well else "NO", "remedy": "" if one.well else one.remedy}
        for one in findings
    ]
    show(["what", "well", "remedy"], rows, as_json=as_json)
    raise typer.Exit(0 if all(one.well for one in findings) else 1)


@app.command("recover")
def recover_server(
    context: typer.Context,
    signature: Annotated[
        Path | None, typer.Option(help="The project lead's SSHSIG (namespace request@enclave) over the statement.")
    ] = None,
) -> None:
    """Without --signature print the statement to be signed; with it let the server run again."""
    from enclave.terminal.recovery import recover, state_why

    session = open_session(context)
    if signature is None:
        typer.echo(state_why(session.folder, session.settings).text().decode(), nl=False)
        raise typer.Exit(1)
    statement = recover(session.folder, session.settings, signature.read_bytes(), utc_now())
    say(f"recovered from {statement.code}")


@app.command()
def backup(
    context: typer.Context, folder: Annotated[Path, typer.Argument(help="A new folder for the two sealed files.")]
) -> None:
    """Seal everything but keys and keystore to two offline keys, while no job is at work."""
    from enclave.terminal.backup import back_up

    session = open_session(context)
    made = back_up(session.folder, session.settings, folder)
    say(f"backup {made.manifest}")
    for path in made.files:
        say(f"sealed {path}")
    for database in made.elsewhere:
        say(f"not in it: {database}, which is PostgreSQL's; dump it while the server is paused, and seal it likewise")


@app.command("restore")
def restore_backup(
    context: typer.Context,
    registry_tar: Annotated[Path, typer.Argument(help="The registry's set, opened where its key is.")],
    vault_tar: Annotated[Path, typer.Argument(help="The vault's set, opened where its key is.")],
    signature: Annotated[
        Path | None, typer.Option(help="The project lead's SSHSIG (namespace request@enclave) over the statement.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Without --signature print the statement to be signed; with it put the databases back to a backup."""
    from enclave.terminal.restore import open_sets, restore, statement

    session = open_session(context)
    sets = open_sets(registry_tar, vault_tar)
    if signature is None:
        typer.echo(statement(session.folder, session.settings, sets).decode(), nl=False)
        raise typer.Exit(1)
    done = restore(session.folder, session.settings, sets, signature.read_bytes())
    if not as_json:
        for line in done.told():
            say(line)
    show(["act", "object_kind", "object_id", "case_number", "done_at"], map(vars, done.lost), as_json=as_json)
    raise typer.Exit(1 if done.needs_person else 0)


@app.command()
def demo(folder: Annotated[Path, typer.Argument(help="A new folder for everything the demo leaves.")]) -> None:
    """Walk the whole road on synthetic people over an embedded SFTP airlock."""
    from enclave.demo.walk import walk

    walk(folder)
