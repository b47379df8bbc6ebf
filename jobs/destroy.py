"""A loan used or past its day, and drops past their retention → nothing, and for a loan a certificate.

Destroying the key is the deletion: every copy, also one that an airlock or a backup kept, is ciphertext to it.
"""

from datetime import datetime, timedelta

from enclave import durable
from enclave.control.drops import Drop, drops_of, expire_drop
from enclave.control.loans import Loan, close_loan, loans_of
from enclave.control.releases import cancel_subjects, propose, releases_of
from enclave.control.requests import Request, close_request, requests_of
from enclave.flow import Act, DropState, LoanState, RequestState
from enclave.grants import Access, Folder
from enclave.linkage.certificate import certificate
from enclave.linkage.destroy import Copy
from enclave.linkage.destroy import destroy as destroy_copies
from enclave.model.draft import Draft, Kind
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.wiring import Wiring
from jobs.drafts import sweep_drafts, write_draft

SETTLED = (DropState.ADMITTED, DropState.REJECTED, DropState.REPLAYED)


def destroy(wiring: Wiring) -> dict[str, int]:
    """Destroy what must no longer be; answers how many loans and drops."""
    sweep_drafts(wiring, (release.draft_sha256 for release in releases_of(wiring.control, wiring.registry)))
    # `link` waits, and is waited for: a loan is not linked while it is destroyed.
    with durable.lock(wiring.folder.locks / f"loans@{wiring.registry}.lock", wait=True):
        loans = [loan for loan in loans_of(wiring.control, wiring.registry) if _must_go(loan, wiring)]
        for loan in loans:
            _destroy_loan(wiring, loan)
        for drop in _too_late(wiring):
            _expire_lent(wiring, drop)
    for request in _asked(wiring):
        # A crash before this leaves a loan that is destroyed and a request that is still filed; it is closed next time.
        with wiring.acts.act(Act.REQUEST_CLOSE, "request", request.request_id) as act:
            with wiring.control.changing(act.position) as connection:
                close_request(connection, request.request_id, RequestState.DONE, reason="", at=wiring.now)
    drops = [drop for drop in drops_of(wiring.control, wiring.registry, *SETTLED) if _is_past_retention(drop, wiring)]
    for drop in drops:
        _expire(wiring, drop)
    return {"loans": len(loans), "drops": len(drops)}


def _must_go(loan: Loan, wiring: Wiring) -> bool:
    asked = any(request.parameters["loan_id"] == loan.loan_id for request in _asked(wiring))
    past = loan.due < wiring.now.date()
    return loan.state is LoanState.LINKED or (loan.state is LoanState.OPEN and (past or asked))


def _too_late(wiring: Wiring) -> list[Drop]:
    """Lenders' files that were collected while their loan was being destroyed: ciphertext that nothing opens."""
    gone = {loan.loan_id for loan in loans_of(wiring.control, wiring.registry, LoanState.DESTROYED)}
    return [drop for drop in drops_of(wiring.control, wiring.registry, DropState.LENT) if drop.loan_id in gone]


def _asked(wiring: Wiring) -> tuple[Request, ...]:
    """Requests to destroy a loan before its day."""
    filed = requests_of(wiring.control, wiring.registry, RequestState.FILED)
    return tuple(request for request in filed if request.kind == "destroy_loan")


def _destroy_loan(wiring: Wiring, loan: Loan) -> None:
    """Destroy, verify, certify, and only then call it destroyed; killed anywhere, all of it is done again."""
    lent = [drop for drop in drops_of(wiring.control, wiring.registry) if drop.loan_id == loan.loan_id]
    with wiring.acts.act(Act.LOAN_DESTROY, "loan", loan.loan_id, case_number=loan.case_number) as act:
        folder = wiring.path(Folder.LOANS, Access.WRITE)
        # The digests come from the control database, so that a second attempt certifies the same files.
        copies = [
            Copy(f"loans/{drop.drop_uuid}", folder / f"{drop.drop_uuid}.drop", drop.stored_sha256) for drop in lent
        ]
        done = destroy_copies(
            loan.loan_id,
            wiring.keystore(Folder.LOAN_KEYS, Access.WRITE),
            loan.loan_id,
            copies,
            recipient=loan.public_key,
            due=loan.due,
            today=wiring.now.date(),
            airlock_copies_left=sum(drop.airlock_copy for drop in lent),
        )
        draft = admit_to_release(
            Draft(
                Kind.CERTIFICATE,
                wiring.registry,
                loan.lender,
                0,
                "",
                certificate(done, loan.agreement, wiring.now, act.position),
            ),
            recipient=loan.lender,
            institutions=wiring.institution_ids,
        )
        named = write_draft(wiring, draft)
        act.add(files=len(copies), overdue_days=done.overdue_days)
        act.digests.update(key=done.key_fingerprint, certificate=named.sha256)
        with wiring.control.changing(act.position) as connection:
            close_loan(connection, loan, wiring.now, done.overdue_days)
            # The lender is not told whom it would have been asked about.
            cancel_subjects(connection, wiring.registry, _orders_of(wiring, loan), "loan_destroyed")
            for drop in lent:
                if drop.state is DropState.LENT:
                    expire_drop(connection, drop.drop_uuid)
            propose(
                connection,
                wiring.registry,
                named,
                subject=loan.loan_id,
                needs_person=policy_of(draft.kind).needs_person,
                at=wiring.now,
            )


def _orders_of(wiring: Wiring, loan: Loan) -> list[str]:
    asked = requests_of(wiring.control, wiring.registry)
    return [one.request_id for one in asked if one.kind == "loan_order" and one.parameters["loan_id"] == loan.loan_id]


def _expire_lent(wiring: Wiring, drop: Drop) -> None:
    with wiring.acts.act(Act.DROP_EXPIRE, "drop", drop.drop_uuid) as act:
        durable.remove(wiring.path(Folder.LOANS, Access.WRITE) / f"{drop.drop_uuid}.drop")
        with wiring.control.changing(act.position) as connection:
            expire_drop(connection, drop.drop_uuid)


def _is_past_retention(drop: Drop, wiring: Wiring) -> bool:
    kept = timedelta(days=wiring.definition.definition.retention_days)
    return drop.settled_at is not None and datetime.fromisoformat(drop.settled_at) + kept < wiring.now


def _expire(wiring: Wiring, drop: Drop) -> None:
    """Destroy a settled drop's key, then its ciphertext (law 12)."""
    with wiring.acts.act(Act.DROP_EXPIRE, "drop", drop.drop_uuid) as act:
        wiring.keystore(Folder.DROP_KEYS, Access.WRITE).destroy(drop.drop_uuid)
        durable.remove(wiring.path(Folder.QUARANTINE, Access.WRITE) / f"{drop.drop_uuid}.age")
        with wiring.control.changing(act.position) as connection:
            expire_drop(connection, drop.drop_uuid)
