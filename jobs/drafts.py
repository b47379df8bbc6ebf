"""Drafts at rest: each job has a folder of its own below `drafts/`, and removes there what nothing names any more."""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from enclave import durable
from enclave.grants import Access, Folder
from enclave.model.draft import Draft, NamedDraft
from enclave.release.drafts import seal_draft
from enclave.wiring import Wiring

WRITERS = ("admit", "destroy", "give_back", "link", "release")


def write_draft(wiring: Wiring, draft: Draft) -> NamedDraft:
    """Encrypt a draft to `seal` and to the viewing key and write it under its own hash; nothing names it yet."""
    sha256, ciphertext = seal_draft(draft, wiring.draft_readers())
    durable.write(_own_folder(wiring) / f"{sha256}.age", ciphertext)
    return NamedDraft(str(uuid4()), draft.kind, draft.recipient, sha256, draft.state, draft.tables)


def sweep_drafts(wiring: Wiring, named: Iterable[str]) -> None:
    """Remove drafts that a killed run of this job wrote and nothing names; what is named is published by now."""
    folder = _own_folder(wiring)
    durable.sweep(folder)
    keep = set(named)
    for path in folder.iterdir():
        if path.name.removesuffix(".age") not in keep:
            durable.remove(path)


def find_draft(folder: Path, sha256: str) -> Path:
    """Where a draft lies, whichever job wrote it; a path that does not exist where it is gone."""
    candidates = [folder / writer / f"{sha256}.age" for writer in WRITERS]
    return next((path for path in candidates if path.exists()), candidates[0])


def _own_folder(wiring: Wiring) -> Path:
    folder = wiring.path(Folder.DRAFTS, Access.WRITE) / wiring.job.name
    durable.make_folder(folder)
    return folder
