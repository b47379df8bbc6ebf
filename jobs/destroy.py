"""A loan used or past its day, and drops past their retention → nothing, and for a loan a certificate.

Destroying the key is the deletion: every copy, also one that an airlock or a backup kept, is ciphertext to it. A
restored older copy of the server brings a loan back as a row without its key; it goes before anything else runs.
"""

import hashlib
from datetime import date, datetime, timedelta
from pathlib import Path

from enclave import durable
from enclave.airlock.collect import unpack
from enclave.airlock.rules import peek
from enclave.audit.acts import Open
from enclave.audit.record import Phase
from enclave.control.drops import Drop, drops_of, expire_drop, find_drop
from enclave.control.loans import Loan, close_loan, derived_of, loans_of
from enclave.control.releases import cancel_certificate, cancel_subjects, propose, releases_of
from enclave.control.requests import Request, close_request, requests_of
from enclave.crypto.keystore import Keystore
from enclave.errors import Rejected
from enclave.flow import Act, DropState, LoanState, ReleaseState, RequestState
from enclave.grants import Access, Folder
from enclave.linkage.certificate import certificate
from enclave.linkage.destroy import Copy
from enclave.linkage.destroy import destroy as destroy_copies
from enclave.model.draft import Draft, Kind, NamedDraft
from enclave.model.loan import Destruction
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
        durable.sweep(wiring.path(Folder.LOAN_KEYS, Access.WRITE))
        loans = [loan for loan in loans_of(wiring.control, wiring.registry) if _must_go(loan, wiring)]
        for loan in loans:
            _destroy_loan(wiring, loan)
        for drop in _too_late(wiring):
            _expire_lent(wiring, drop)
        _bury_what_came_back(wiring)
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
    match loan.state:
        case LoanState.LINKED:
            return True
        case LoanState.OPEN:
            return past or asked or _is_keyless(wiring, loan)
        case LoanState.REQUESTED:
            return _keys(wiring).is_buried(loan.loan_id)
        case LoanState.DESTROYED:
            return _is_unproven(wiring, loan)


def _is_unproven(wiring: Wiring, loan: Loan) -> bool:
    """Whether the certificate waits for a proof that no log gives: the destruction stood in one that was set aside."""
    waiting = releases_of(wiring.control, wiring.registry, ReleaseState.APPROVED)
    return any(
        one.kind is Kind.CERTIFICATE
        and one.subject == loan.loan_id
        and datetime.fromisoformat(one.proposed_at) < wiring.log.began
        for one in waiting
    )


def _keys(wiring: Wiring) -> Keystore:
    return wiring.keystore(Folder.LOAN_KEYS, Access.WRITE)


def _is_keyless(wiring: Wiring, loan: Loan) -> bool:
    """Whether an open loan has no key: it was destroyed, and an older copy of control.db was put back since."""
    return _keys(wiring).is_buried(loan.loan_id) or not _keys(wiring).has(loan.loan_id)


def _too_late(wiring: Wiring) -> list[Drop]:
    """Lenders' files that were collected while their loan was being destroyed: ciphertext that nothing opens."""
    gone = {loan.loan_id for loan in loans_of(wiring.control, wiring.registry, LoanState.DESTROYED)}
    return [drop for drop in drops_of(wiring.control, wiring.registry, DropState.LENT) if drop.loan_id in gone]


def _asked(wiring: Wiring) -> tuple[Request, ...]:
    """Requests to destroy a loan before its day."""
    filed = requests_of(wiring.control, wiring.registry, RequestState.FILED)
    return tuple(request for request in filed if request.kind == "destroy_loan")


def _destroy_loan(wiring: Wiring, loan: Loan) -> None:
    """Destroy, verify, certify, and only then call it destroyed; killed anywhere, all of it is done again.

    What was destroyed under another log is verified and certified anew, so that the log in use can prove it.
    """
    before = None if loan.destroyed_at is None else datetime.fromisoformat(loan.destroyed_at)
    at = before or wiring.now
    lent = [drop for drop in drops_of(wiring.control, wiring.registry) if drop.loan_id == loan.loan_id]
    # Of a destruction that was killed the log has the intent; of one that happened before a restore it has not.
    came_back = before is None and _is_keyless(wiring, loan) and not _was_begun(wiring, loan)
    with wiring.acts.act(Act.LOAN_DESTROY, "loan", loan.loan_id, case_number=loan.case_number) as act:
        folder = wiring.path(Folder.LOANS, Access.WRITE)
        # The digests come from the control database, so that a second attempt certifies the same files.
        copies = [
            Copy(f"loans/{drop.drop_uuid}", folder / f"{drop.drop_uuid}.drop", drop.stored_sha256) for drop in lent
        ]
        listed = {copy.path for copy in copies}
        more = [path for path in _files_without_a_row(wiring, loan.loan_id) if path not in listed]
        copies += [_unlisted(path) for path in more]
        done = destroy_copies(
            loan.loan_id,
            _keys(wiring),
            copies,
            in_clear=_first_columns(wiring, loan),
            managed=_managed(wiring),
            backups=_manifests_of_backups(wiring),
            recipient=loan.public_key,
            due=loan.due,
            today=at.date(),
            airlock_copies_left=sum(drop.airlock_copy for drop in lent),
            came_back=came_back,
        )
        act.add(files=len(copies), looked_through=done.residue.files, overdue_days=done.overdue_days)
        act.add(came_back=int(came_back))
        act.digests.update(key=done.key_fingerprint)
        named = _certified(wiring, loan, done, at, act)
        with wiring.control.changing(act.position) as connection:
            if before is None:
                close_loan(connection, loan, at, done.overdue_days)
            else:
                cancel_certificate(connection, wiring.registry, loan.loan_id, "certified_anew")
            # The lender is not told whom it would have been asked about.
            cancel_subjects(connection, wiring.registry, _orders_of(wiring, loan), "loan_destroyed")
            for drop in lent:
                if drop.state is DropState.LENT:
                    expire_drop(connection, drop.drop_uuid)
            if named is not None:
                propose(
                    connection,
                    wiring.registry,
                    named,
                    subject=loan.loan_id,
                    needs_person=policy_of(named.kind).needs_person,
                    at=wiring.now,
                )


def _certified(wiring: Wiring, loan: Loan, done: Destruction, at: datetime, act: Open) -> NamedDraft | None:
    """The certificate as a draft for the lender; none for a loan to whose key nobody was ever told to seal."""
    if loan.state is LoanState.REQUESTED:
        return None
    files = certificate(
        done,
        loan.agreement,
        at,
        act.position,
        derived=derived_of(wiring.control, wiring.registry, loan.loan_id),
        snapshots_until=_snapshots_until(wiring),
    )
    draft = admit_to_release(
        Draft(Kind.CERTIFICATE, wiring.registry, loan.lender, 0, "", files),
        recipient=loan.lender,
        institutions=wiring.institution_ids,
    )
    named = write_draft(wiring, draft)
    act.digests.update(certificate=named.sha256)
    return named


def _was_begun(wiring: Wiring, loan: Loan) -> bool:
    return any(
        entry.act == Act.LOAN_DESTROY and entry.object_id == loan.loan_id and entry.phase is not Phase.INTENT
        for entry in wiring.log.entries()
    )


def _managed(wiring: Wiring) -> list[tuple[str, Path]]:
    """Every folder that jobs hand things over in, the log and control.db; keys and databases are no job's to read."""
    folders = [(which.value, wiring.path(which, Access.READ)) for which in Folder]
    return [*folders, ("audit", wiring.folder.audit), ("control.db", wiring.folder.control)]


def _manifests_of_backups(wiring: Wiring) -> list[tuple[str, Path]]:
    """The manifest of every backup that the log knows as made, by its digest, and where it is kept."""
    made = wiring.log.entries(Act.BACKUP_MAKE)
    digests = dict.fromkeys(one.object_id for one in made if one.phase in (Phase.DONE, Phase.RECOVERED))
    return [(sha256, wiring.folder.backup_manifests / f"{sha256}.json") for sha256 in digests]


def _first_columns(wiring: Wiring, loan: Loan) -> str:
    """How a line of this kind of loan would begin in clear; "" where the definition knows the kind no more."""
    kinds = {kind.id: kind for kind in wiring.definition.definition.loans}
    return f"{kinds[loan.kind].person_id};{kinds[loan.kind].month};" if loan.kind in kinds else ""


def _snapshots_until(wiring: Wiring) -> date | None:
    days = wiring.settings.snapshot_days
    return None if days is None else wiring.now.date() + timedelta(days=days)


def _files_without_a_row(wiring: Wiring, *loan_ids: str) -> list[Path]:
    """Lenders' files for these loans that no living row names: left by a kill, or put back from somewhere."""
    found = []
    for path in sorted(wiring.path(Folder.LOANS, Access.WRITE).glob("*.drop")):
        drop = find_drop(wiring.control, path.stem)
        if drop is not None and drop.state is DropState.LENT:
            continue
        try:
            named = peek(unpack(durable.read(path)).manifest).recipient_kid
        except Rejected:
            continue
        if named in loan_ids:
            found.append(path)
    return found


def _unlisted(path: Path) -> Copy:
    return Copy(f"loans/{path.stem}", path, hashlib.sha256(durable.read(path)).hexdigest())


def _bury_what_came_back(wiring: Wiring) -> None:
    """Destroy keys and files of loans that are destroyed or that nobody knows: somebody put a copy back."""
    keys, loans = _keys(wiring), {loan.loan_id: loan for loan in loans_of(wiring.control, wiring.registry)}
    gone = [name for name, loan in loans.items() if loan.state is LoanState.DESTROYED]
    back = {name for name in keys.names() if name not in loans or name in gone}
    files = {name: _files_without_a_row(wiring, name) for name in {*gone, *back}}
    for name in sorted({*back, *(name for name, paths in files.items() if paths)}):
        with wiring.acts.act(Act.LOAN_DESTROY, "loan", name) as act:
            act.add(came_back=1, files=len(files[name]))
            keys.bury(name)
            for path in files[name]:
                durable.remove(path)
            with wiring.control.changing(act.position):
                pass  # the position alone: nothing else changes, for the loan is destroyed


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
