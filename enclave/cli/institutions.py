"""`enclave institution`: who sends, lends and receives."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from enclave import durable
from enclave.cli.session import Json, open_session, say, show
from enclave.control.agreements import Language, agreements_of
from enclave.control.database import Control
from enclave.control.institutions import Role, institutions_of
from enclave.control.sender_keys import keys_of
from enclave.wiring import utc_now

if TYPE_CHECKING:
    from enclave.terminal.desk import Letter
    from enclave.terminal.reception import Reception
    from enclave.terminal.registrar import Registrar

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


@app.command()
def agree(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="The institution that the agreement is with.")],
    valid_from: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="Its first day.")],
    valid_to: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Its last day.")],
    may_send_unsigned: Annotated[
        bool, typer.Option("--may-send-unsigned", help="It may place single ZIP files by hand, without a signature.")
    ] = False,
    language: Annotated[str, typer.Option(help="Of its feedback: nb, en, or sv where the registry has it.")] = "nb",
) -> None:
    """Enter an agreement. Outside its days nothing that the institution sends is opened, and no release is sealed."""
    _registrar(context).agree(
        institution_id,
        valid_from.date(),
        valid_to.date(),
        may_send_unsigned=may_send_unsigned,
        language=cast("Language", language),
    )
    say(f"agreed with {institution_id} from {valid_from.date()} to {valid_to.date()}")


@app.command()
def rotate(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="The institution whose key changes.")],
    key: Annotated[Path | None, typer.Option(help="Its new OpenSSH Ed25519 public key file.")] = None,
    letter: Annotated[
        Path | None, typer.Option(help="New HTML file: draw a new passphrase to send with, and write its letter.")
    ] = None,
    overlap_days: Annotated[int, typer.Option(help="How many days the older one still holds.")] = 30,
    recipient_key: Annotated[
        Path | None, typer.Option(help="A lender's new age key file; two people change it.")
    ] = None,
    case_number: Annotated[str, typer.Option(help="The case in the archive, for --recipient-key.")] = "",
) -> None:
    """Take a new key of an institution into use; what was collected while the older one held is still taken."""
    chosen = [one for one in (key, letter, recipient_key) if one is not None]
    if len(chosen) != 1:
        raise typer.BadParameter("give one of --key, --letter and --recipient-key")
    registrar = _registrar(context)
    if recipient_key is not None:
        public = recipient_key.read_text(encoding="utf-8").strip()
        request_id = registrar.ask_for_recipient_key(institution_id, public, case_number)
        say(f"filed as request {request_id}; it waits for the project lead's signature, see `enclave request show`")
        return
    if key is not None:
        public = key.read_text(encoding="utf-8")
        last = registrar.rotate_signing_key(institution_id, public, overlap_days=overlap_days)
    else:
        out = cast("Path", letter)
        last = registrar.rotate_passphrase(institution_id, out, utc_now().date(), overlap_days=overlap_days)
        say(f"open {out} in a browser, print it on paper, then run: shred -u {out}")
        say("make a new kit too: the scripts in the old one name the old passphrase")
    say(f"the older one holds until {last:%Y-%m-%d %H:%M} UTC")


@app.command()
def revoke(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="The institution whose key it is.")],
    key: Annotated[str, typer.Argument(help="SHA256:… of a signing key, or the id of a passphrase.")],
) -> None:
    """Take a key out of use at once, also for what was collected and is not admitted yet."""
    revoked = _registrar(context).revoke(institution_id, key)
    say(f"revoked {key}; let the institution make a new one (`enclave institution rotate`)")
    if revoked.kind == "passphrase":
        say("the letter was seen: `enclave institution letter ID OUT --renew` draws both of its passphrases anew")


@app.command("keys")
def list_keys(
    context: typer.Context,
    institution_id: Annotated[str, typer.Argument(help="Only this institution.")] = "",
    as_json: Json = False,
) -> None:
    """List the keys that institutions sign and seal with, and when each holds."""
    from enclave.terminal.registrar import name_of

    session = open_session(context)
    known = keys_of(Control(session.folder.control), session.registry)
    rows = [{**vars(one), "key": name_of(one)} for one in known if institution_id in ("", one.institution_id)]
    show(["institution_id", "kind", "key", "valid_from", "valid_to", "revoked_at"], rows, as_json=as_json)


def _registrar(context: typer.Context) -> "Registrar":
    from enclave.terminal.registrar import Registrar

    session = open_session(context)
    return Registrar(session.folder, session.settings, session.registry)


def _reception(context: typer.Context) -> "Reception":
    from enclave.terminal.reception import Reception

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
    """List the institutions with their roles, their newest keys, and how long the agreement with each goes on."""
    session = open_session(context)
    control = Control(session.folder.control)
    ends = {one.institution_id: one.valid_to for one in agreements_of(control, session.registry)}
    known = [
        {**vars(one), "agreed_until": ends.get(one.institution_id) or "further notice"}
        for one in institutions_of(control, session.registry)
    ]
    show(
        ["institution_id", "name", "role", "agreed_until", "inbound_key_id", "signing_key", "age_key", "added_at"],
        known,
        as_json=as_json,
    )
