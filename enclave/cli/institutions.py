"""`enclave institution`: who sends, lends and receives."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from enclave import durable
from enclave.cli.session import Json, open_session, say, show
from enclave.control.database import Control
from enclave.control.institutions import Role, institutions_of
from enclave.wiring import utc_now

if TYPE_CHECKING:
    from enclave.desk import Letter
    from enclave.reception import Reception

app = typer.Typer(no_args_is_help=True, help="Senders, lenders, recipients and their keys.")


@app.command()
def add(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="Lower-case id, as its folder at the airlock is named.")],
    name: Annotated[str, typer.Option(help="The institution's own name.")],
    key: Annotated[Path, typer.Option(help="Its OpenSSH Ed25519 public key file.")],
    letter: Annotated[
        Path | None, typer.Option(help="New file for the passphrases as JSON, for a program; people get the letter.")
    ] = None,
    role: Annotated[str, typer.Option(help="sender, lender, auditor or researcher.")] = "sender",
    age_key: Annotated[
        Path | None, typer.Option(help="A lender's public age key file; lists of people are sealed to it.")
    ] = None,
) -> None:
    """Add an institution. Its passphrases are drawn here and shown once: with --letter, or by `institution letter`."""
    if role not in ("sender", "lender", "auditor", "researcher"):
        raise typer.BadParameter("is not sender, lender, auditor or researcher", param_hint="--role")
    session = open_session(context)
    opens_with = age_key.read_text(encoding="utf-8").strip() if age_key else ""
    drawn = session.desk.add_institution(
        institution_id,
        name,
        cast("Role", role),
        key.read_text(encoding="utf-8"),
        opens_with,
        shown=letter is not None,
    )
    if letter is None:
        say(f"added; make its paper letter with `enclave institution letter {institution_id} FILE.html`")
    else:
        durable.write_new(letter, letter_text(drawn).encode())
        say(f"added; its passphrases are in {letter}")


def letter_text(letter: "Letter") -> str:
    """The passphrases as JSON, for a program that seals and opens."""
    return (
        "{"
        f'"institution": "{letter.institution_id}", "inbound_key_id": "{letter.inbound_key_id}", '
        f'"inbound": "{letter.inbound.reveal().decode()}", "outbound": "{letter.outbound.reveal().decode()}"'
        "}\n"
    )


@app.command("kit")
def write_kit(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="The institution that the kit is for.")],
    out: Annotated[Path, typer.Argument(help="New folder for the kit.")],
) -> None:
    """Write what an institution needs to send and receive: guide, scripts, sample forms, our public key. No secret."""
    written = _reception(context).write_kit(institution_id, out, today=utc_now().date())
    say(f"{len(written.files)} files are in {out}; it holds no secret, so any road to the institution will do")


@app.command("letter")
def write_letter(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="The institution that the letter is for.")],
    out: Annotated[Path, typer.Argument(help="New HTML file, to print and delete.")],
    renew: Annotated[bool, typer.Option("--renew", help="Draw new passphrases; the old ones stop working.")] = False,
) -> None:
    """Write an institution's passphrases as a page to print, once."""
    _reception(context).write_letter(institution_id, out, today=utc_now().date(), renew=renew)
    say(f"open {out} in a browser, print it on paper, then run: shred -u {out}")
    if renew:
        say("the id of its passphrase has changed: make a new kit too, the scripts in the old one name the old id")


@app.command("mail")
def show_mail(
    context: typer.Context, which: Annotated[str, typer.Argument(help="startpakke, brev or paaminnelse.")]
) -> None:
    """Print a ready-made e-mail to institutions, in Norwegian; none says that something has arrived."""
    from enclave.release.mail import Mail

    if which not in set(Mail):
        raise typer.BadParameter("is not startpakke, brev or paaminnelse", param_hint="which")
    text = _reception(context).mail(Mail(which))
    for line in (f"Emne: {text.subject}", "", *text.body.splitlines()):
        say(line)


def _reception(context: typer.Context) -> "Reception":
    from enclave.reception import Reception

    session = open_session(context)
    return Reception(session.folder, session.settings, session.registry)


@app.command()
def rows(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="An institution that sends.")],
    case_number: Annotated[str, typer.Option(help="The case in the archive.")],
) -> None:
    """Ask for an institution's own rows under its own references; the job `give_back` drafts them for approval."""
    request_id = open_session(context).desk.give_back_rows(institution_id, case_number)
    say(f"filed as request {request_id}; run `enclave job run give_back`, then `enclave release list --waiting`")


@app.command("list")
def list_institutions(context: typer.Context, as_json: Json = False) -> None:
    """List the institutions with their roles and public keys."""
    session = open_session(context)
    known = institutions_of(Control(session.folder.control), session.registry)
    show(
        ["institution_id", "name", "role", "inbound_key_id", "signing_key", "age_key", "added_at"],
        map(vars, known),
        as_json=as_json,
    )
