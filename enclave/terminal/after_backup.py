"""What was done after a backup, by the log, and what of it nobody but the log knows once the backup is put back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from pydantic import ValidationError

from enclave import durable
from enclave.audit.log import FileLog
from enclave.audit.record import Phase, Position, StoredEntry
from enclave.control.database import Control
from enclave.errors import Refused, explain
from enclave.flow import ACTS, Act, Evidence
from enclave.folders import WorkingFolder
from enclave.terminal.backup_set import LOG, Manifest, measure

explain(
    "R_BACKUP_OF_OTHERS",
    "This backup is another server's, or one that this server's log does not know.",
    "Take one that `enclave audit show` has as `backup.make`; on a new machine begin with that server's enclave.toml.",
)

ASKED_BY_PEOPLE = (
    *(Act.PERSON_WITHDRAW, Act.PERSON_MERGE, Act.PERSON_SPLIT, Act.REQUEST_FILE, Act.RECIPIENT_KEY),
    *(Act.INSTITUTION_ADD, Act.INSTITUTION_AGREE, Act.INSTITUTION_ROTATE, Act.INSTITUTION_REVOKE),
    *(Act.INSTITUTION_LETTER, Act.INSTITUTION_KIT, Act.FORM_DECIDE, Act.RELEASE_DECIDE),
    *(Act.LOAN_REVIEW, Act.LOAN_RECEIVE, Act.LOAN_LINK),
)
"""What is told when it was done after the backup and is undone: it has to be done again, or is lost."""


@dataclass(frozen=True)
class Lost:
    """Something that was done after the backup and must be done again by a person."""

    act: str
    object_kind: str
    object_id: str
    case_number: str
    done_at: str


def recorded_since(folder: WorkingFolder, log: FileLog, manifest: Manifest) -> tuple[StoredEntry, ...]:
    """What was recorded after the backup; Refused R_BACKUP_OF_OTHERS where no log of ours goes on from the backup's.

    That is the log in use, or one that was set aside whole, as `recover` and a new machine do.
    """
    kept = manifest.find(LOG)
    if kept is None:
        raise Refused("R_BACKUP_OF_OTHERS")
    lines, ours = log.lines(), (kept.size, kept.sha256)
    if measure(folder.root / LOG, kept.size) == ours:
        since = _read(islice(lines, manifest.log_lines, None))
    else:
        aside = [path for path in sorted(folder.root.glob("audit-*/log.jsonl")) if measure(path, kept.size) == ours]
        if not aside:
            raise Refused("R_BACKUP_OF_OTHERS")
        with durable.opened(aside[0]) as older:
            before = _read(islice(older, manifest.log_lines, None))
        if not before:
            # It came out of this backup, or was cut there: it cannot know the backup, and the two people vouch for it.
            return _read(lines)
        since = (*before, *_read(lines))
    if not any(entry.act == Act.BACKUP_MAKE and entry.object_id == manifest.sha256 for entry in since):
        raise Refused("R_BACKUP_OF_OTHERS")
    return since


def _read(lines: Iterable[bytes]) -> tuple[StoredEntry, ...]:
    """Lines of a log up to its end, or to where one that was set aside is damaged."""
    found = []
    for line in lines:
        try:
            found.append(StoredEntry.model_validate_json(line))
        except ValidationError:
            break
    return tuple(found)


def ids_of(since: Iterable[StoredEntry], act: Act) -> frozenset[str]:
    """What an act was done to."""
    return frozenset(entry.object_id for entry in since if entry.act == act and is_done(entry))


def forgotten(since: Iterable[StoredEntry], control: Control) -> Iterator[StoredEntry]:
    """Acts that were done after the backup and of which what bears witness to them knows nothing any more."""
    for entry in since:
        if not is_done(entry) or entry.intent_seq is None or entry.act not in set(Act):
            continue
        put_back = ACTS[Act(entry.act)].evidence in (Evidence.VAULT, Evidence.REGISTRY)
        if put_back or not control.has_act(Position(entry.log, entry.intent_seq)):
            yield entry


def lost_by_people(since: Iterable[StoredEntry], control: Control, filed_again: frozenset[str]) -> tuple[Lost, ...]:
    """What people asked for and is undone, but for the requests that are filed again."""
    asked = [one for one in forgotten(since, control) if one.act in ASKED_BY_PEOPLE]
    done = {one.object_id for one in asked if one.act != Act.REQUEST_FILE} | filed_again
    return tuple(
        Lost(one.act, one.object_kind, one.object_id, one.case_number, one.ts)
        for one in asked
        if one.object_id not in filed_again and (one.act != Act.REQUEST_FILE or one.object_id not in done)
    )


def is_done(entry: StoredEntry) -> bool:
    """Whether a line says that its act took effect."""
    return entry.phase in (Phase.DONE, Phase.RECOVERED)
