"""`enclave registry`: definitions."""

from pathlib import Path
from typing import Annotated

import typer

from enclave.cli.session import open_session, say

app = typer.Typer(no_args_is_help=True, help="Registry definitions.")
Definition = Annotated[Path, typer.Argument(help="A folder with registry.toml and forms/.")]


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

    loaded = load(folder) if folder else open_session(context).desk.definition_in_force()
    durable.make_folder(out)
    for file in codebook(loaded.definition, loaded.sha256):
        durable.write(out / file.name, file.content, mode=0o644)
        say(f"wrote {out / file.name}")


@app.command()
def apply(context: typer.Context, folder: Definition) -> None:
    """Ask for a definition to be put in force; it may only add to the one before. The job `rights` does it."""
    request_id = open_session(context).desk.apply_definition(folder)
    say(f"filed as request {request_id}; run `enclave job run rights`")


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
