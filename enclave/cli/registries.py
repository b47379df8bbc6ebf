"""`enclave registry`: definitions, the registry's own and those of its forms at Nettskjema."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enclave.cli.session import Json, Session, open_session, say, show

if TYPE_CHECKING:
    from enclave.terminal.definition_desk import DefinitionDesk
    from enclave.terminal.form_desk import FormDesk

app = typer.Typer(no_args_is_help=True, help="Registry definitions.")
Definition = Annotated[Path, typer.Argument(help="A folder with registry.toml and forms/.")]
DeliveredIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of `enclave registry forms`.")]
FORM_COLUMNS = ["id", "form", "state", "why", "removed", "recoded", "added", "dated", "kept_at", "decided_by"]


@app.command()
def check(folder: Definition) -> None:
    """Check a definition and list every mistake with file, key and remedy."""
    from enclave.registry.load import DefinitionHalt, load

    try:
        loaded = load(folder)
    except DefinitionHalt as halt:
        for mistake in halt.mistakes:
            say(str(mistake))
        raise typer.Exit(halt.exit_code) from None
    definition = loaded.definition
    say(f"{definition.id} {definition.version}: {len(definition.forms)} forms, sha256 {loaded.sha256}")


@app.command()
def document(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="A folder for kodebok.html and kodebok.xlsx; it is made where missing.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="A definition that is not in force, as config/registries/kar.")
    ] = None,
) -> None:
    """Write the codebook of the definition in force, or of one in a folder, as a page and a workbook."""
    from enclave import durable
    from enclave.registry.load import load
    from enclave.report.codebook import codebook

    loaded = load(folder) if folder else _definition_desk(open_session(context)).definition_in_force()
    durable.make_folder(out)
    for file in codebook(loaded.definition, loaded.sha256):
        durable.write(out / file.name, file.content, mode=0o644)
        say(f"wrote {out / file.name}")


@app.command()
def apply(context: typer.Context, folder: Definition) -> None:
    """Ask for a definition to be put in force; it may only add to the one before. The job `rights` does it."""
    request_id = _definition_desk(open_session(context)).apply_definition(folder)
    say(f"filed as request {request_id}; run `enclave job run rights`")


def _definition_desk(session: Session) -> "DefinitionDesk":
    from enclave.terminal.definition_desk import DefinitionDesk

    return DefinitionDesk(session.folder, session.settings, session.registry)


@app.command()
def news(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file like config/registries/kar/news.toml.")],
) -> None:
    """Put the words and news of the national pages in force; the next site that says them is held for approval."""
    from enclave import durable
    from enclave.report.news import read_words

    content = file.read_bytes()
    words = read_words(content)
    durable.write(open_session(context).desk.lies.pages, content)
    say(f"{len(words.news)} news; run `enclave job run release`")


@app.command()
def forms(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that hold submissions back.")] = False,
    as_json: Json = False,
) -> None:
    """List what the forms at Nettskjema ask, version by version, and what was decided about each."""
    from enclave.control.database import Control
    from enclave.control.form_definitions import definitions_of

    session = open_session(context)
    rows = [
        {**vars(one), "id": one.drop_uuid, "why": one.reason}
        for one in definitions_of(Control(session.folder.control), session.registry)
        if one.state == "waiting" or not waiting
    ]
    show(FORM_COLUMNS, rows, as_json=as_json)


@app.command()
def form(
    context: typer.Context,
    delivered_id: Annotated[str, typer.Argument(metavar="ID", help="An id of `enclave registry forms`.")],
    as_json: Json = False,
) -> None:
    """Show what a version of a form removed, recoded and added; of the first version, all that it asks."""
    found = _form_desk(open_session(context)).changes_by(delivered_id)
    show(["what", "question", "part", "code", "was", "now"], map(vars, found), as_json=as_json)


@app.command()
def approve(context: typer.Context, delivered_ids: DeliveredIds) -> None:
    """Let the submissions that wait for these versions of forms go on."""
    _form_desk(open_session(context)).approve_forms(delivered_ids)
    say("approved; the next `admit` takes what waited")


@app.command()
def refuse(context: typer.Context, delivered_ids: DeliveredIds) -> None:
    """Have the submissions that wait for these versions of forms rejected, and their senders told."""
    _form_desk(open_session(context)).refuse_forms(delivered_ids)
    say("refused; what comes now waits until the mended form is delivered")


def _form_desk(session: Session) -> "FormDesk":
    from enclave.terminal.form_desk import FormDesk

    return FormDesk(session.folder, session.settings, session.registry)
