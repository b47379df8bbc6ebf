"""What was done after a backup, by the log, and what of it nobody but the log knows once the backup is put back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from enclave import durable
from enclave.audit.log import FileLog
from enclave.audit.record import Phase, Position, StoredEntry
from enclave.control.database import Control
from enclave.control.restored import Undone
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


@dataclass(frozen=True)
class Restored:
    """What a restore did, and what it could not bring back."""

    made_at: str
    undone: Undone
    lost: tuple[Lost, ...]
    unknown_drops: int
    """drops that were taken since, and of which nothing is left"""
    unknown_releases: int
    """packages that left since, and of which the ledger knows nothing"""
    log_began_anew: bool
    """whether the log ends with the backup, so that nobody knows what else was lost"""
    other_keys: tuple[str, ...]
    """keys of another version than what came back, or is done again, is opened with"""
    elsewhere: tuple[str, ...]
    """databases that are PostgreSQL's and must be put back there"""

    @property
    def needs_person(self) -> bool:
        """Whether something is left that no job does."""
        left = (self.lost, self.unknown_drops, self.unknown_releases, self.other_keys, self.elsewhere)
        return any(left) or self.log_began_anew

    def told(self) -> tuple[str, ...]:
        """What a person must know, a line each."""
        undone = self.undone
        lines = [f"put back to {self.made_at}; the server is paused"]
        lines += [f"{undone.drops_again} drops are admitted again from quarantine"] * bool(undone.drops_again)
        lines += [f"{undone.drops_lost} drops are gone; `admit` asks their senders for them"] * bool(undone.drops_lost)
        if undone.definitions_again:
            lines.append("a definition is put in force again: run `rights` before any other job")
        lines += [f"{undone.cancelled} drafts are cancelled and made anew"] * bool(undone.cancelled)
        if self.unknown_drops:
            lines.append(f"{self.unknown_drops} drops were taken since, and nobody knows whose: ask every institution")
        if self.unknown_releases:
            lines.append(f"{self.unknown_releases} packages left since and are not in the ledger: see the guide")
        if self.log_began_anew:
            lines.append("the log ends with the backup, and a new one began: what was done since is not known")
        lines += [
            f"{key} is of another version now than in the backup: see the guide before a job runs"
            for key in self.other_keys
        ]
        lines += [f"{database} is PostgreSQL's: put it back there before a job runs" for database in self.elsewhere]
        lines += ["to be done again by a person:"] * bool(self.lost)
        return tuple(lines)


def has_log_of(folder: WorkingFolder, manifest: Manifest) -> bool:
    """Whether the log in use, or one that was set aside whole, begins with the backup's."""
    return any(_begins_with(path, manifest) for path in (folder.root / LOG, *_aside(folder)))


def _aside(folder: WorkingFolder) -> list[Path]:
    return sorted(folder.root.glob("audit-*/log.jsonl"))


def _begins_with(log: Path, manifest: Manifest) -> bool:
    kept = manifest.log
    return log.exists() and measure(log, kept.size) == (kept.size, kept.sha256)


def recorded_since(folder: WorkingFolder, log: FileLog, manifest: Manifest) -> tuple[StoredEntry, ...]:
    """What was recorded after the backup; Refused R_BACKUP_OF_OTHERS where the log that goes on from it has it not."""
    if _begins_with(folder.root / LOG, manifest):
        since = _read(islice(log.lines(), manifest.log_lines, None))
    else:
        with durable.opened(next(path for path in _aside(folder) if _begins_with(path, manifest))) as older:
            before = _read(islice(older, manifest.log_lines, None))
        since = (*before, *_read(log.lines()))
        if not before:
            # It came out of the backup, or was cut there: it cannot know of it, and the two people vouch for that.
            return since
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
