"""Approved national pages → the site's folder, in the clear: the one release that has no recipient and no key.

The ledger's commit decides; the pages follow, and are compared with the ledger at each run and written again where
they differ. So a page that was not approved, or was approved and cancelled, is never there.
"""

import hashlib
from pathlib import Path

from enclave import durable
from enclave.audit.checkpoint import verify
from enclave.audit.record import Position
from enclave.control.releases import (
    Release,
    is_approved,
    mark_delivered,
    mark_sealed,
    newest_site,
    tables_of,
)
from enclave.disclosure.difference import PUBLIC
from enclave.errors import Halt, Refused, explain
from enclave.grants import Access, Folder
from enclave.model.draft import Draft
from enclave.release.drafts import open_draft
from enclave.release.gate import admit as admit_to_release
from enclave.release.site import signed_pages
from enclave.second_person import verify_second_person
from enclave.wiring import Wiring
from jobs.drafts import find_draft

explain(
    "H_SITE_DRAFT",
    "The national pages cannot be made again as they were published: their draft or checkpoint is gone or altered, or "
    "the key that they were sealed to or signed with was rotated since.",
    "Nothing was written. Restore site/, or drafts/ and audit/checkpoints/, from a backup, then `enclave recover`.",
)

SHOWN_TO_ALL = 0o644


def is_public(release: Release) -> bool:
    """Whether a release is for everyone, so that it is published and not sealed."""
    return release.recipient == PUBLIC


def publish(wiring: Wiring, release: Release, note: bytes, intent: Position) -> int:
    """Publish one approved site; answers how many files.

    Refused where the second person's signature does not fit, or the release was withheld or cancelled meanwhile.
    """
    text = release.signed_text(tables_of(wiring.control, release.release_id))
    verify_second_person(wiring.settings, text, release.signature.encode(), wiring.now)
    pages = _pages(wiring, release, _draft(wiring, release, "H_DRAFT_ALTERED"), note)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in pages}
    with wiring.control.changing(intent) as connection:
        if not is_approved(connection, release.release_id):
            raise Refused("R_NO_LONGER_APPROVED")
        size = verify(note, wiring.log.vkey).size
        mark_sealed(connection, release.release_id, hashes, checkpoint_size=size, at=wiring.now)
        mark_delivered(connection, release.release_id, wiring.now)
    # A crash here leaves pages that the ledger calls published and that are not there; the next run writes them.
    _write(wiring.path(Folder.SITE, Access.WRITE), pages)
    return len(pages)


def keep_site(wiring: Wiring) -> None:
    """Put the site's folder right: it holds the newest published pages, and nothing else."""
    folder = wiring.path(Folder.SITE, Access.WRITE)
    newest = newest_site(wiring.control, wiring.registry)
    sealed = {} if newest is None else dict(newest.sealed or {})
    if newest is None or durable.digests(folder) == sealed:
        _remove_others(folder, sealed)
        return
    note = dict(wiring.log.checkpoints()).get(newest.checkpoint_size or 0, b"")
    draft = _draft(wiring, newest, "H_SITE_DRAFT")
    pages = _pages(wiring, newest, draft, note)
    if {name: hashlib.sha256(content).hexdigest() for name, content in pages} != sealed:
        raise Halt("H_SITE_DRAFT", place=newest.release_id)
    _write(folder, pages)


def _draft(wiring: Wiring, release: Release, code: str) -> Draft:
    """The draft of a release, if it is the one that was approved, through the gate."""
    path = find_draft(wiring.path(Folder.DRAFTS, Access.READ), release.draft_sha256)
    ciphertext = durable.read(path) if path.exists() else b""
    if hashlib.sha256(ciphertext).hexdigest() != release.draft_sha256:
        raise Halt(code, place=release.release_id)
    try:
        draft = open_draft(ciphertext, *wiring.keys.opening("drafts"))
    except Halt:
        raise Halt(code, place=release.release_id) from None
    return admit_to_release(draft, recipient=PUBLIC, institutions=wiring.institution_ids)


def _pages(wiring: Wiring, release: Release, draft: Draft, note: bytes) -> tuple[tuple[str, bytes], ...]:
    return signed_pages(draft, package=release.package, checkpoint=note, sign_key=wiring.keys.get("bundle-sign"))


def _write(folder: Path, pages: tuple[tuple[str, bytes], ...]) -> None:
    for name, content in pages:
        durable.write(folder / name, content, mode=SHOWN_TO_ALL)
    _remove_others(folder, dict.fromkeys(name for name, _ in pages))


def _remove_others(folder: Path, keep: dict[str, str] | dict[str, None]) -> None:
    for path in folder.iterdir():
        if path.name not in keep:
            durable.remove(path)
