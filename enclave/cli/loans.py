"""`enclave loan`: borrowed data, from the agreement to the certificate."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enclave import durable
from enclave.cli.session import Json, Session, open_session, say, show
from enclave.control.database import Control
from enclave.control.loans import find_loan, loans_of
from enclave.control.releases import releases_of
from enclave.crypto.keyring import Keyring
from enclave.errors import Refused, explain
from enclave.grants import Folder
from enclave.model.draft import Kind
from enclave.model.loan import LoanAgreement
from enclave.release.drafts import open_draft
from enclave.release.leaks import could_leak
from enclave.wiring import utc_now
from jobs.drafts import find_draft

if TYPE_CHECKING:  # it loads the databases' libraries, which a listing has no use for
    from enclave.terminal.loan_desk import LoanDesk

explain(
    "R_LOAN_WORDS",
    "Legal basis and population are one printable line each, of at most 200 characters, without a national number.",
    "Write shortly what the agreement says; never anything about one person.",
)
explain(
    "R_NO_CERTIFICATE",
    "There is no certificate of this loan here.",
    "It is written when the loan is destroyed; see `enclave loan list`.",
)

app = typer.Typer(no_args_is_help=True, help="Loans of individual data.")
LONGEST_LINE = 200  # characters


@app.command("open")
def open_loan(
    context: typer.Context,
    loan_id: Annotated[str, typer.Argument(help="A new id, such as nav-2026.")],
    kind: Annotated[str, typer.Option(help="Which loan of the registry's definition.")],
    lender: Annotated[str, typer.Option(help="The lender's institution id.")],
    variables: Annotated[str, typer.Option(help="The agreed variables, with commas between.")],
    case_number: Annotated[str, typer.Option(help="The agreement's case number.")],
    due: Annotated[str, typer.Option(help="The day by which the loan is destroyed, ISO.")],
    legal_basis: Annotated[str, typer.Option(help="What allows it, as the agreement says.")] = "",
    population: Annotated[str, typer.Option(help="Whom it is about, as the agreement says.")] = "",
) -> None:
    """Enter a loan. The job `link` makes its key; `loan show` then prints what the lender seals to."""
    session = open_session(context)
    agreement = LoanAgreement(
        loan_id,
        session.registry,
        lender,
        "linkage",
        case_number,
        tuple(sorted(name.strip() for name in variables.split(","))),
        date.fromisoformat(due),
        _line(legal_basis),
        _line(population),
    )
    _loan_desk(session).open_loan(agreement, kind, utc_now().date())
    say("entered; run `enclave job run link` to make its key")


def _line(text: str) -> str:
    if len(text) > LONGEST_LINE or not text.isprintable() or could_leak(text):
        raise Refused("R_LOAN_WORDS")
    return text.strip()


@app.command()
def order(context: typer.Context, loan_id: Annotated[str, typer.Argument(help="A loan that is not used yet.")]) -> None:
    """Ask for the list of people that a lender needs; the project lead signs the request, `link` seals the list."""
    request_id = _loan_desk(open_session(context)).order_loan(loan_id)
    say(f"filed as request {request_id}; the project lead signs what `request show {request_id} --text` prints,")
    say("`request approve` takes the signature, and the job `link` makes and seals the list")


@app.command("list")
def list_loans(context: typer.Context, as_json: Json = False) -> None:
    """List every loan with its state and due date."""
    session = open_session(context)
    loans = loans_of(Control(session.folder.control), session.registry)
    show(
        ["loan_id", "state", "lender", "due", "case_number", "destroyed_at", "overdue_days"],
        map(vars, loans),
        as_json=as_json,
    )


@app.command("show")
def show_loan(context: typer.Context, loan_id: str, as_json: Json = False) -> None:
    """Show one loan: its public key for the lender, and how its rows met the registry."""
    session = open_session(context)
    loan = find_loan(Control(session.folder.control), session.registry, loan_id)
    show(["fact", "value"], [{"fact": name, "value": value} for name, value in vars(loan).items()], as_json=as_json)


@app.command()
def receive(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A lender's sealed drop: manifest, its signature, and payload.age.")],
) -> None:
    """Take a loan file that was carried in by hand, sealed to its loan's own key; `link` judges and links it."""
    loan_id = _loan_desk(open_session(context)).receive_loan(folder)
    say(f"received for {loan_id}; run `enclave job run link`")


@app.command()
def review(
    context: typer.Context,
    loan_id: str,
    accept: Annotated[list[int] | None, typer.Option(help="A kind of link to take, by its number.")] = None,
    reject: Annotated[list[int] | None, typer.Option(help="A kind of link not to take, by its number.")] = None,
    as_json: Json = False,
) -> None:
    """List a loan's uncertain links by kind – which columns agree how well, how many pairs – or decide kinds."""
    session = open_session(context)
    if accept or reject:
        left = _loan_desk(session).review_loan(loan_id, accept=accept or (), reject=reject or ())
        say(f"{left} kinds are still undecided" if left else "all decided; run `enclave job run link`")
        return
    kinds = find_loan(Control(session.folder.control), session.registry, loan_id).review or ()
    words = {None: "undecided", True: "accepted", False: "rejected"}
    rows = [
        {"number": number, **kind, "decision": words[bool(kind["accepted"]) if "accepted" in kind else None]}
        for number, kind in enumerate(kinds, start=1)
    ]
    show(["number", "kind", "pairs", "probability", "decision"], rows, as_json=as_json)


def _loan_desk(session: Session) -> "LoanDesk":
    from enclave.terminal.loan_desk import LoanDesk

    return LoanDesk(session.folder, session.settings, session.registry)


@app.command()
def destroy(
    context: typer.Context, loan_id: str, case_number: Annotated[str, typer.Option(help="The case in the archive.")]
) -> None:
    """Ask for a loan to be destroyed before its day; the job `destroy` does it and writes the certificate."""
    request_id = _loan_desk(open_session(context)).destroy_loan(loan_id, case_number)
    say(f"filed as request {request_id}; run `enclave job run destroy`")


@app.command()
def certificate(context: typer.Context, loan_id: str) -> None:
    """Print the certificate of a destroyed loan, opened with the viewing key; its lender got it signed."""
    session = open_session(context)
    lies = session.folder.registry(session.registry)
    found = [
        release
        for release in releases_of(Control(session.folder.control), session.registry)
        if release.kind is Kind.CERTIFICATE and release.subject == loan_id
    ]
    path = find_draft(lies.folder(Folder.DRAFTS), found[0].draft_sha256) if found else None
    if path is None or not path.exists():
        raise Refused("R_NO_CERTIFICATE")
    draft = open_draft(durable.read(path), *Keyring(lies.keys, frozenset({"viewing"})).opening("viewing"))
    for file in draft.files:
        if file.name.endswith(".txt"):
            for line in file.content.decode("utf-8-sig").splitlines():
                say(line)
