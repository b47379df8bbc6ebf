"""Approved drafts, receipts and feedback → sealed and signed files in the outbox; the national pages → their folder.

The package is opened again as its recipient would open it, and compared, before it is entered in the ledger.
"""

import hashlib
from dataclasses import replace

from enclave import __version__, durable
from enclave.audit import checkpoint as checkpoints
from enclave.audit import tree
from enclave.audit.record import Phase, leaf_hash
from enclave.control.releases import (
    Release,
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
    "H_DRAFT_ALTERED",
    "A draft is not the one that was approved.",
    "Nothing was sealed. Find out who wrote to drafts/, then `enclave recover`.",
)


def seal(wiring: Wiring) -> dict[str, int]:
    """Seal everything that is approved; answers how many packages. Drafts that will never leave are destroyed."""
    durable.sweep(wiring.path(Folder.OUTBOX, Access.WRITE))
    keep_site(wiring)
    approved = releases_of(wiring.control, wiring.registry, ReleaseState.APPROVED)
    counts = {"sealed": 0, "refused": 0, "without_proof_yet": 0}
    for release in approved:
        proof = destruction_proof(wiring, release) if release.kind is Kind.CERTIFICATE else ()
        if release.kind is Kind.CERTIFICATE and not proof:
            counts["without_proof_yet"] += 1
            continue
        try:
            _seal_one(wiring, release, proof)
            counts["sealed"] += 1
        except Refused:
            # Recorded as failed, with its reason: what one recipient cannot be given does not hold up the others.
            counts["refused"] += 1
    for release in releases_of(wiring.control, wiring.registry, ReleaseState.CANCELLED, ReleaseState.WITHHELD):
        durable.shred(find_draft(wiring.path(Folder.DRAFTS, Access.WRITE), release.draft_sha256))
    return counts


def _seal_one(wiring: Wiring, release: Release, proof: tuple[DraftFile, ...]) -> None:
    note = wiring.log.newest_checkpoint()
    if note is None:
        raise Halt("H_NO_CHECKPOINT")
    if policy_of(release.kind).needs_person and release.release_id not in _decided(wiring):
        raise Halt("H_NOT_DECIDED", place=release.release_id)
    digests = {"draft": release.draft_sha256}
    if is_public(release):
        with wiring.acts.act(Act.RELEASE_SEAL, "release", release.release_id, digests=digests) as act:
            act.add(files=publish(wiring, release, note, act.position))
        return
    with wiring.acts.act(Act.RELEASE_SEAL, "release", release.release_id, digests=digests) as act:
        path = find_draft(wiring.path(Folder.DRAFTS, Access.READ), release.draft_sha256)
        ciphertext = durable.read(path) if path.exists() else b""
        if hashlib.sha256(ciphertext).hexdigest() != release.draft_sha256:
            raise Halt("H_DRAFT_ALTERED")
        drafted = open_draft(ciphertext, wiring.keys.get("drafts"))
        draft = admit_to_release(
            replace(drafted, files=(*drafted.files, *proof)),
            recipient=release.recipient,
            institutions=wiring.institution_ids,
        )
        size = checkpoints.verify(note, wiring.log.vkey).size
        inner = assemble(
            draft,
            bundle_id=release.package,
            checkpoint=note,
            code_version=__version__,
            consistency=_consistency(wiring, release.recipient, size),
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
            mark_sealed(connection, release.release_id, hashes, checkpoint_size=size, at=wiring.now)


def _decided(wiring: Wiring) -> frozenset[str]:
    """The releases that a person approved, by the log: whoever only edits the control database approves nothing."""
    asked: dict[int, str] = {}
    decided = set()
    for entry in wiring.log.entries():
        if entry.act == Act.RELEASE_DECIDE and entry.phase is Phase.INTENT and entry.counts.get("approved") == 1:
            asked[entry.seq] = entry.object_id
        elif entry.intent_seq in asked and entry.phase in (Phase.DONE, Phase.RECOVERED):
            decided.add(asked[entry.intent_seq])
    return frozenset(decided)


def _consistency(wiring: Wiring, recipient: str, size: int) -> Consistency | None:
    """The proof that the log only grew since the checkpoint that this recipient was given last."""
    older = last_checkpoint_size(wiring.control, wiring.registry, recipient)
    if older is None:
        return None
    leaves = [leaf_hash(line.rstrip(b"\n")) for line in wiring.log.lines()][:size]
    return Consistency(older, tuple(part.hex() for part in tree.consistency_proof(leaves, older)))
