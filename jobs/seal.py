"""Approved drafts, receipts and feedback → sealed and signed files in the outbox; the national pages → their folder.

The package is opened again as its recipient would open it, and compared, before it is entered in the ledger.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from enclave import __version__, durable
from enclave.audit import checkpoint as checkpoints
from enclave.audit.record import Phase, leaf_hash
from enclave.audit.tree import Tree
from enclave.control.releases import (
    Release,
    ask_again,
    is_approved,
    last_checkpoint_size,
    mark_sealed,
    releases_of,
)
from enclave.errors import Halt, Refused, explain
from enclave.flow import Act, ReleaseState
from enclave.grants import Access, Folder, Passphrases
from enclave.model.draft import DraftFile, Kind
from enclave.release.bundle import Consistency, assemble, reopen_and_compare
from enclave.release.bundle import seal as seal_package
from enclave.release.drafts import open_draft
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.wiring import Wiring
from jobs.drafts import find_draft
from jobs.old_keys import drafts_left, go_on
from jobs.proofs import destruction_proof
from jobs.publish import is_public, keep_site, publish

explain(
    "H_NO_CHECKPOINT",
    "There is no checkpoint of the audit log yet, and no package leaves without one.",
    "Run the job `checkpoint`, then `seal` again.",
)
explain(
    "H_NOT_DECIDED",
    "The ledger calls a release approved, but the audit log knows of nobody who approved it.",
    "Nothing was sealed. Find out who wrote to control.db, then `enclave recover`.",
)
explain(
    "R_BEING_DECIDED",
    "A person's approval is not closed in the log: its command is still running, or was killed.",
    "Nothing was sealed. The next command at the terminal closes it, and the next run of `seal` goes on.",
)
explain(
    "H_DRAFT_ALTERED",
    "A draft is not the one that was approved.",
    "Nothing was sealed. Find out who wrote to drafts/, then `enclave recover`.",
)


@dataclass(frozen=True)
class _Told:
    """What the log tells a run: its newest checkpoint, the lines that it covers, and the decisions of people."""

    note: bytes
    size: int
    tree: Tree
    decided: frozenset[str]
    being_decided: frozenset[str]


def seal(wiring: Wiring) -> dict[str, int]:
    """Seal everything that is approved; answers how many packages. Drafts that will never leave are destroyed."""
    durable.sweep(wiring.path(Folder.OUTBOX, Access.WRITE))
    keep_site(wiring)
    approved = releases_of(wiring.control, wiring.registry, ReleaseState.APPROVED)
    counts = {"sealed": 0, "refused": 0, "held": 0, "without_proof_yet": 0, "asked_again": 0}
    if approved:
        told = _told_by_the_log(wiring)
    for release in approved:
        if _is_of_another_log(wiring, release, told):
            # Who approved it stood in a log that two people set aside since; nothing leaves on the word of a database.
            with wiring.acts.act(Act.RELEASE_ASK, "release", release.release_id) as act:
                with wiring.control.changing(act.position) as connection:
                    if is_approved(connection, release.release_id):
                        ask_again(connection, release.release_id)
                        counts["asked_again"] += 1
            continue
        if not _is_agreed(wiring, release):
            # It stays approved, and `status` tells why; an agreement that is renewed lets it go on.
            counts["held"] += 1
            continue
        proof = destruction_proof(wiring, release) if release.kind is Kind.CERTIFICATE else ()
        if release.kind is Kind.CERTIFICATE and not proof:
            counts["without_proof_yet"] += 1
            continue
        try:
            _seal_one(wiring, release, told, proof)
            counts["sealed"] += 1
        except Refused:
            # Recorded as failed, with its reason: what one recipient cannot be given does not hold up the others.
            counts["refused"] += 1
    for release in releases_of(wiring.control, wiring.registry, ReleaseState.CANCELLED, ReleaseState.WITHHELD):
        durable.shred(find_draft(wiring.path(Folder.DRAFTS, Access.WRITE), release.draft_sha256))
    counts["under_old_key"] = go_on(wiring, "drafts", drafts_left)
    return counts


def _is_of_another_log(wiring: Wiring, release: Release, told: _Told) -> bool:
    """Whether a person approved this before the log in use began, which therefore knows nothing of it."""
    known = told.decided | told.being_decided
    if not policy_of(release.kind).needs_person or release.release_id in known or release.decided_at is None:
        return False
    return datetime.fromisoformat(release.decided_at) < wiring.log.began


def _is_agreed(wiring: Wiring, release: Release) -> bool:
    """Whether this kind may go to this recipient today; receipts and certificates answer also who has no agreement."""
    if not release.recipient or not policy_of(release.kind).needs_agreement:
        return True
    return wiring.agreement(release.recipient, wiring.now) is not None


def _told_by_the_log(wiring: Wiring) -> _Told:
    """Read once for all packages of a run: a long log read anew for each recipient would cost hours."""
    note = wiring.log.newest_checkpoint()
    if note is None:
        raise Halt("H_NO_CHECKPOINT")
    size = checkpoints.verify(note, wiring.log.vkey).size
    leaves = tuple(leaf_hash(line.rstrip(b"\n")) for line in islice(wiring.log.lines(), size))
    return _Told(note, size, Tree(leaves), *_decisions(wiring))


def _seal_one(wiring: Wiring, release: Release, told: _Told, proof: tuple[DraftFile, ...]) -> None:
    if policy_of(release.kind).needs_person and release.release_id not in told.decided:
        if release.release_id in told.being_decided:
            raise Refused("R_BEING_DECIDED")
        raise Halt("H_NOT_DECIDED", place=release.release_id)
    digests = {"draft": release.draft_sha256}
    if is_public(release):
        with wiring.acts.act(Act.RELEASE_SEAL, "release", release.release_id, digests=digests) as act:
            act.add(files=publish(wiring, release, told.note, act.position))
        return
    with wiring.acts.act(Act.RELEASE_SEAL, "release", release.release_id, digests=digests) as act:
        path = find_draft(wiring.path(Folder.DRAFTS, Access.READ), release.draft_sha256)
        ciphertext = durable.read(path) if path.exists() else b""
        if hashlib.sha256(ciphertext).hexdigest() != release.draft_sha256:
            raise Halt("H_DRAFT_ALTERED")
        drafted = open_draft(ciphertext, *wiring.keys.opening("drafts"))
        draft = admit_to_release(
            replace(drafted, files=(*drafted.files, *proof)),
            recipient=release.recipient,
            institutions=wiring.institution_ids,
        )
        inner = assemble(
            draft,
            bundle_id=release.package,
            checkpoint=told.note,
            code_version=__version__,
            consistency=_consistency(wiring, release.recipient, told),
        )
        sealed = seal_package(
            inner,
            wiring.passphrase(Passphrases.RECIPIENTS, release.recipient),
            sign_key=wiring.keys.get("bundle-sign"),
            registry=wiring.registry,
            bundle_id=release.package,
        )
        # The passphrase is read anew: what is compared is what the recipient holds.
        again = wiring.passphrase(Passphrases.RECIPIENTS, release.recipient)
        reopen_and_compare(sealed, again, recipient=release.recipient, inner=inner)
        outbox = wiring.path(Folder.OUTBOX, Access.WRITE)
        # A crash here leaves files under their final names that no ledger row names; they are sealed over again.
        hashes = {name: durable.write(outbox / name, content) for name, content in sealed.files()}
        act.digests.update(package=hashes[sealed.archive[0]])
        with wiring.control.changing(act.position) as connection:
            if not is_approved(connection, release.release_id):
                # A person withheld it, or a withdrawal cancelled it, while it was being sealed; nobody is given it.
                for name in hashes:
                    durable.remove(outbox / name)
                raise Refused("R_NO_LONGER_APPROVED")
            mark_sealed(connection, release.release_id, hashes, checkpoint_size=told.size, at=wiring.now)


def _decisions(wiring: Wiring) -> tuple[frozenset[str], frozenset[str]]:
    """The releases that a person approved by the log, and those whose decision has no outcome there yet.

    Whoever only edits the control database approves nothing.
    """
    asked: dict[int, str] = {}
    decided = set()
    for entry in wiring.log.entries(Act.RELEASE_DECIDE):
        if entry.phase is Phase.INTENT and entry.counts.get("approved") == 1:
            asked[entry.seq] = entry.object_id
        elif entry.intent_seq in asked:
            release_id = asked.pop(entry.intent_seq)
            if entry.phase in (Phase.DONE, Phase.RECOVERED):
                decided.add(release_id)
    return frozenset(decided), frozenset(asked.values())


def _consistency(wiring: Wiring, recipient: str, told: _Told) -> Consistency | None:
    """The proof that the log only grew since the checkpoint of it that this recipient was given last."""
    older = last_checkpoint_size(wiring.control, wiring.registry, recipient, since=wiring.log.began)
    if older is None:
        return None
    return Consistency(older, tuple(part.hex() for part in told.tree.consistency_proof(older)))
