"""An open loan and registry rows → finished tables and a linkage report. Borrowed rows exist in memory only.

The lender's list of people is ordered here too, since only this job may both read for linkage and name people to a
lender: two people have asked for it, and it is sealed to the lender before anything is written.

The tables are suppressed and checked against earlier releases here, before they are kept: what is kept never tells
who contributed. After that only `destroy` is left for the loan.
"""

import hashlib
from dataclasses import asdict
from datetime import datetime

from enclave import durable
from enclave.airlock.collect import unpack
from enclave.analysis.borrowed import loan_share_table
from enclave.audit.record import Position
from enclave.audit.record import Purpose as Why
from enclave.control.drops import Drop, count_attempt, drops_of, forget_attempts, refuse_lent
from enclave.control.institutions import Institution, find_institution
from enclave.control.loans import Loan, find_loan, finish_loan, keep_review, loans_of, open_loan
from enclave.control.releases import propose, released_tables, releases_of
from enclave.control.requests import Request, close_request
from enclave.crypto import age
from enclave.crypto.keystore import unwrap_identity, wrap_identity
from enclave.crypto.zip_directory import Limits
from enclave.disclosure.difference import PUBLIC, Released, check_against_ledger
from enclave.disclosure.policy import policy_for
from enclave.disclosure.suppress import suppress
from enclave.errors import CODES, Refused, Rejected, explain
from enclave.flow import ATTEMPTS_BEFORE_REJECTION, Act, DropState, LoanState, RequestState
from enclave.grants import Access, Folder
from enclave.identity.resolve import Resolver
from enclave.identity.rules import Mode
from enclave.linkage.lineage import lineage
from enclave.linkage.link import Linked
from enclave.linkage.link import link as link_rows
from enclave.linkage.loan import new_loan_key, open_loan_file
from enclave.linkage.probable import Uncertain
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.model.table import ReleasableTable
from enclave.registry.definition import Loan as LoanKind
from enclave.registry.definition import LoanShareTable
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.release.loan_order import order_files
from enclave.second_person import verify_second_person
from enclave.store.write import StateMovedError, content_of
from enclave.wiring import Wiring
from jobs.drafts import sweep_drafts, write_draft
from jobs.old_keys import go_on, is_under
from jobs.orders import require_as_signed, whom_to_ask_about
from jobs.periods import closed_periods
from jobs.registered import registered_people
from jobs.requested import answer, to_carry_out

explain(
    "E_LOAN_CRASHED",
    "Opening this borrowed file ended the program three times.",
    "Make the file anew, in smaller parts if it is very large, and send it again.",
    nb=(
        "Åpning av lånefilen stanset programmet tre ganger.",
        "Lag filen på nytt, mindre hvis den er svært stor, og send den igjen.",
    ),
)

explain(
    "R_LOAN_REVIEW",
    "Some of a loan's links are uncertain, and a person has yet to judge them.",
    "See `enclave loan review ID`; decide each kind with --accept or --reject, then run the job `link` again.",
)

MOST_LOAN_BYTES = 4 << 30
ORDER = "loan_order"


def link(wiring: Wiring) -> dict[str, int]:
    """Make keys for requested loans and link those that are answered; answers how many of each."""
    sweep_drafts(wiring, (release.draft_sha256 for release in releases_of(wiring.control, wiring.registry)))
    # `destroy` waits, and is waited for: a loan is not destroyed while it is linked.
    with durable.lock(wiring.folder.locks / f"loans@{wiring.registry}.lock", wait=True):
        durable.sweep(wiring.path(Folder.LOAN_KEYS, Access.WRITE))
        keys = wiring.keystore(Folder.LOAN_KEYS, Access.WRITE)
        requested = [
            # One that is buried was destroyed before an older copy of control.db was put back: `destroy` closes it.
            loan
            for loan in loans_of(wiring.control, wiring.registry, LoanState.REQUESTED)
            if not keys.is_buried(loan.loan_id)
        ]
        for loan in requested:
            _make_key(wiring, loan)
        open_loans = loans_of(wiring.control, wiring.registry, LoanState.OPEN)
        linked = [loan for loan in open_loans if _link_loan(wiring, loan)]
        asked = to_carry_out(wiring, ORDER, Kind.LOAN_ORDER)
        ordered = [request for request in asked if _answer_order(wiring, request)]
        go_on(wiring, "loans", _rewrap_keys)
    return {"opened": len(requested), "linked": len(linked), "ordered": len(ordered)}


def _rewrap_keys(wiring: Wiring) -> int:
    """Wrap the key of every open loan to the next key of this job; answers 0, for none is left under the old one.

    The lock that destruction waits for is held: no key that is destroyed meanwhile comes back.
    """
    keys, (old, following) = wiring.keystore(Folder.LOAN_KEYS, Access.WRITE), wiring.keys.opening("loans")
    for loan in loans_of(wiring.control, wiring.registry, LoanState.OPEN):
        if keys.is_buried(loan.loan_id) or not keys.has(loan.loan_id):
            continue  # `destroy` ends it
        with wiring.acts.act(Act.LOAN_REWRAP, "loan", loan.loan_id, case_number=loan.case_number) as act:
            if is_under(keys, loan.loan_id, old):
                identity = unwrap_identity(keys.get(loan.loan_id), old)
                keys.rewrap(loan.loan_id, wrap_identity(identity, age.recipient_of(following)))
            # A crash here leaves the key under the next key, which opens too; it is recorded by the next run.
            with wiring.control.changing(act.position):
                pass
    return 0


def _make_key(wiring: Wiring, loan: Loan) -> None:
    """The private half exists in the keystore only, wrapped to the key of this job, and in no backup."""
    with wiring.acts.act(Act.LOAN_OPEN, "loan", loan.loan_id, case_number=loan.case_number) as act:
        identity, recipient = new_loan_key()
        keys = wiring.keystore(Folder.LOAN_KEYS, Access.WRITE)
        # A killed run may have left a key that was never told to anybody: it goes.
        keys.destroy(loan.loan_id)
        keys.put(loan.loan_id, wrap_identity(identity, wiring.public_key("loans")))
        with wiring.control.changing(act.position) as connection:
            open_loan(connection, loan, recipient)


def _answer_order(wiring: Wiring, request: Request) -> bool:
    """Make the list that a signed request asks for; without a signature it waits, with a wrong one it is refused."""
    if not request.signature:
        return False
    try:
        verify_second_person(wiring.settings, request.signed_text(), request.signature.encode(), wiring.now)
        loan = find_loan(wiring.control, wiring.registry, request.parameters["loan_id"])
        lender = find_institution(wiring.control, wiring.registry, loan.lender)
        require_as_signed(request, loan, lender, wiring.now.date())
        _order(wiring, request, loan, lender)
    except Refused as why:
        if why.code != "R_STATE_MOVED" and request.state is RequestState.FILED:
            with wiring.acts.act(Act.REQUEST_CLOSE, "request", request.request_id) as act:
                with wiring.control.changing(act.position) as connection:
                    close_request(connection, request.request_id, RequestState.REFUSED, reason=why.code, at=wiring.now)
        return False
    return True


def _order(wiring: Wiring, request: Request, loan: Loan, lender: Institution) -> None:
    why, case, about = Why.LINKAGE, loan.case_number, request.request_id
    with wiring.acts.act(Act.LOAN_ORDER, "request", about, purpose=why, case_number=case) as act:
        kind, state = _kind(wiring, loan), wiring.registry_reader.current_state()
        wanted = whom_to_ask_about(wiring, kind, state)
        act.add(numbers=len(wanted.numbers))
        files = order_files(
            wanted,
            loan.agreement,
            wiring.definition.definition,
            kind,
            age_key=lender.age_key,
            answer_key=loan.public_key,
        )
        draft = admit_to_release(
            Draft(Kind.LOAN_ORDER, wiring.registry, loan.lender, state, wiring.definition.sha256, files),
            recipient=loan.lender,
            institutions=wiring.institution_ids,
        )
        named = write_draft(wiring, draft)
        act.digests.update(draft=named.sha256)
        answer(wiring, request, named, state, act.position)


def _link_loan(wiring: Wiring, loan: Loan) -> bool:
    """Link the lender's first usable file; a file that cannot be used is answered and waits for destruction."""
    if loan.due < wiring.now.date():
        return False  # `destroy` comes first; nothing borrowed is read past its day
    if loan.review is not None and any("accepted" not in kind for kind in loan.review):
        return False  # a person has yet to judge its uncertain links
    lent = [drop for drop in drops_of(wiring.control, wiring.registry, DropState.LENT) if drop.loan_id == loan.loan_id]
    for drop in lent:
        if drop.reason:
            continue
        try:
            return _link_file(wiring, loan, drop)
        except Rejected as why:
            _refuse(wiring, loan, drop, why.code)
    return False


def _link_file(wiring: Wiring, loan: Loan, drop: Drop) -> bool:
    """Link one file as of one state of the registry; False where it has to be linked once more."""
    if drop.attempts >= ATTEMPTS_BEFORE_REJECTION:
        raise Rejected("E_LOAN_CRASHED")
    why, case = Why.LINKAGE, loan.case_number
    kind, state = _kind(wiring, loan), wiring.registry_reader.current_state()
    linked = None
    try:
        with wiring.acts.act(Act.LOAN_LINK, "loan", loan.loan_id, purpose=why, case_number=case) as act:
            # Counted before it is opened: a file that ends the program must not do so at every run, before other loans.
            with wiring.control.changing(act.position) as connection:
                count_attempt(connection, drop.drop_uuid)
            linked = _linked(wiring, loan, kind, drop, state)
            act.add(rows=linked.linkage.loan_rows, linked=linked.linkage.linked_persons)
            _require_decided(linked)
            tables = _finished(wiring, kind, linked, state)
            # Before anything is kept: what would tell of single people halts here.
            made = [(table, hashlib.sha256(content_of(table).encode()).hexdigest()) for table in tables]
            derived = lineage(made, loan.loan_id, drop.content_digest)
            _keep(wiring, tables, act.position, state)
    except Refused as refused:
        if refused.code not in ("R_LOAN_REVIEW", "R_STATE_MOVED"):
            raise
        with wiring.control.noting() as connection:
            forget_attempts(connection, drop.drop_uuid)
        if linked is not None and linked.undecided:
            _ask_a_person(wiring, loan, linked.undecided)
        return False
    # A crash here leaves finished tables of a loan that counts as open; it is linked once more, with the same result.
    with wiring.acts.act(Act.LOAN_FINISH, "loan", loan.loan_id, purpose=why, case_number=case) as act:
        with wiring.control.changing(act.position) as connection:
            finish_loan(connection, loan, asdict(linked.linkage), derived)
    return True


def _require_decided(linked: Linked) -> None:
    if linked.undecided:
        raise Refused("R_LOAN_REVIEW")


def _keep(wiring: Wiring, tables: list[ReleasableTable], position: Position, state: int) -> None:
    try:
        wiring.registry_writer.keep_tables(tables, position, as_of=state)
    except StateMovedError:
        # Somebody has withdrawn, or rows came, since the people were read: the next run links without and with them.
        raise Refused("R_STATE_MOVED") from None


def _ask_a_person(wiring: Wiring, loan: Loan, undecided: tuple[Uncertain, ...]) -> None:
    with wiring.acts.act(Act.LOAN_ASK, "loan", loan.loan_id, case_number=loan.case_number) as act:
        act.add(kinds=len(undecided), pairs=sum(one.pairs for one in undecided))
        with wiring.control.changing(act.position) as connection:
            keep_review(connection, loan, [*(loan.review or ()), *map(asdict, undecided)])


def _kind(wiring: Wiring, loan: Loan) -> LoanKind:
    return {kind.id: kind for kind in wiring.definition.definition.loans}[loan.kind]


def _linked(wiring: Wiring, loan: Loan, kind: LoanKind, drop: Drop, state: int) -> Linked:
    """A lender's file, opened in memory and linked with the people whose rows may be read for it."""
    sealed = unpack(durable.read(wiring.path(Folder.LOANS, Access.READ) / f"{drop.drop_uuid}.drop"))
    keys = wiring.keystore(Folder.LOAN_KEYS, Access.READ)
    rows = open_loan_file(
        sealed.manifest,
        sealed.signature,
        sealed.payload,
        identity=unwrap_identity(keys.get(loan.loan_id), *wiring.keys.opening("loans")),
        agreement=loan.agreement,
        form=kind,
        signers=wiring.signers,
        at=datetime.fromisoformat(drop.collected_at),
        limits=Limits(entries=2, total=MOST_LOAN_BYTES),
    )
    resolver = Resolver(wiring.vault_reader, Mode(wiring.settings.mode), wiring.now.date())
    decisions = {str(one["kind"]): bool(one["accepted"]) for one in loan.review or () if "accepted" in one}
    return link_rows(
        rows,
        resolver,
        registered_people(wiring, kind, resolver, state),
        kind,
        scorer=wiring.scorer(kind),
        decisions=decisions,
    )


def _finished(wiring: Wiring, kind: LoanKind, linked: Linked, state: int) -> list[ReleasableTable]:
    """Every table of this loan and every closed period, after disclosure control: all that outlives the loan."""
    reader, loaded = wiring.registry_reader, wiring.definition
    released = [Released(*facts) for facts in released_tables(wiring.control, wiring.registry)]
    finished = []
    for period in closed_periods(wiring):
        for table in loaded.definition.tables:
            if not isinstance(table, LoanShareTable) or table.loan != kind.id:
                continue
            made = loan_share_table(
                reader,
                loaded.definition,
                table,
                linked.frame,
                period=period,
                state=state,
                definition_sha256=loaded.sha256,
            )
            shown = suppress(made, "public", policy_for(loaded.definition))
            finished.append(check_against_ledger(shown, released, recipient=PUBLIC))
    return finished


def _refuse(wiring: Wiring, loan: Loan, drop: Drop, code: str) -> None:
    """Tell the lender why its file cannot be used; nothing of the file is kept."""
    with wiring.acts.act(Act.LOAN_REFUSE, "drop", drop.drop_uuid, case_number=loan.case_number) as act:
        explanation = CODES[code]
        words = (explanation.text_nb or explanation.text, explanation.remedy_nb or explanation.remedy)
        text = "\r\n".join((f"Lån {loan.loan_id}: filen kan ikke brukes ({code}).", *words, ""))
        draft = admit_to_release(
            Draft(
                Kind.NOTICE,
                wiring.registry,
                loan.lender,
                0,
                wiring.definition.sha256,
                (DraftFile("melding.txt", text.encode()),),
            ),
            recipient=loan.lender,
            institutions=wiring.institution_ids,
        )
        named = write_draft(wiring, draft)
        with wiring.control.changing(act.position) as connection:
            refuse_lent(connection, drop.drop_uuid, code)
            propose(
                connection,
                wiring.registry,
                named,
                subject=drop.drop_uuid,
                needs_person=policy_of(draft.kind).needs_person,
                at=wiring.now,
            )
