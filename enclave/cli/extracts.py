"""`enclave extract`: de-identified individual data lent to research, from the agreement to the confirmed deletion."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enclave import durable
from enclave.cli.session import Json, Session, open_session, say, show
from enclave.control.database import Control
from enclave.control.extracts import extracts_of
from enclave.model.extract import ExtractTerms
from enclave.wiring import utc_now

if TYPE_CHECKING:
    from enclave.terminal.extract_desk import ExtractDesk

app = typer.Typer(no_args_is_help=True, help="De-identified data lent to research.")

CONFIRMATION_LIMIT = 20_000_000  # bytes


@app.command("open")
def open_extract(
    context: typer.Context,
    extract_id: Annotated[str, typer.Argument(help="A new id, such as uttrekk-2026-1.")],
    project: Annotated[str, typer.Option(help="The project's name, one line; it is published.")],
    purpose: Annotated[str, typer.Option(help="What it is lent for, one line; it is published.")],
    legal_basis: Annotated[str, typer.Option(help="What allows it, with the document's number.")],
    recipient: Annotated[str, typer.Option(help="The project's institution id.")],
    variables: Annotated[str, typer.Option(help="FORM.VARIABLE, with commas between.")],
    case_number: Annotated[str, typer.Option(help="The agreement's case number.")],
    first: Annotated[str, typer.Option(help="The first day of arrival that is lent, ISO.")],
    last: Annotated[str, typer.Option(help="The last day of arrival that is lent, ISO.")],
    due: Annotated[str, typer.Option(help="The day by which the project deletes it, ISO.")],
) -> None:
    """Ask for an extract; the project lead signs the request, `release` makes and seals it."""
    desk = _extract_desk(open_session(context))
    request_id = desk.open_extract(
        ExtractTerms(
            extract_id,
            project,
            purpose,
            legal_basis,
            recipient,
            desk.age_key_of(recipient),
            case_number,
            tuple(sorted({name.strip() for name in variables.split(",")})),
            *(date.fromisoformat(day) for day in (first, last, due)),
        )
    )
    say(f"filed as request {request_id}; the project lead signs what `request show {request_id} --text` prints,")
    say("`request approve` takes the signature, and the job `release` makes and seals the extract")


@app.command("list")
def list_extracts(context: typer.Context, as_json: Json = False) -> None:
    """List what is lent to whom until when, and what was."""
    session = open_session(context)
    today = utc_now().date()
    columns = ["extract_id", "state", "recipient", "project", "due", "overdue", "case_number", "lent_at", "closed_at"]
    rows = [
        {**vars(one.terms), **vars(one), "overdue": one.is_overdue(today)}
        for one in extracts_of(Control(session.folder.control), session.registry)
    ]
    show(columns, rows, as_json=as_json)


@app.command()
def close(
    context: typer.Context,
    extract_id: Annotated[str, typer.Argument(help="An id of `enclave extract list`.")],
    confirmation: Annotated[
        Path, typer.Option(help="The project's written confirmation of deletion; its digest is kept.")
    ],
    case_number: Annotated[str, typer.Option(help="The case in the archive.")],
) -> None:
    """Enter the project's confirmation that the data are deleted."""
    content = durable.read(confirmation, limit=CONFIRMATION_LIMIT)
    request_id = _extract_desk(open_session(context)).close_extract(extract_id, content, case_number)
    say(f"filed as request {request_id}; run `enclave job run release`")


def _extract_desk(session: Session) -> "ExtractDesk":
    from enclave.terminal.extract_desk import ExtractDesk

    return ExtractDesk(session.folder, session.settings, session.registry)
