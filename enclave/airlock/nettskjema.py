"""The Nettskjema airlock: TSD's tree `KEYID/FORM/SUBMISSION.{json,csv}.asc`, which we read and never write.

Nothing is renamed or removed there, so what was taken is remembered in our own ledger. The names are claims of whoever
writes the tree. A submission's number could lead to a person, so no type here shows one in its repr.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from enclave.airlock.descriptors import FILE, FOLDER, exactly, identity, opened
from enclave.errors import Refused, explain
from enclave.model.drop import DefinitionManifest, SealedDrop, SubmissionManifest

explain(
    "R_SUBMISSIONS_AWAY",
    "The folder that TSD fills with submissions is missing, is not a folder, or is closed to the server.",
    "Check that it is mounted, and `submissions` in enclave.toml; TSD makes it with the project's first form.",
)
explain(
    "E_SUBMISSION_KEY",
    "A folder of submissions is named for another key than the server's own.",
    "Give `keys/REGISTRY/nettskjema.pub` to Nettskjema; what is encrypted to another key can only be opened with that.",
    nb=("Innsendinger ligger under en annen nøkkel enn registerets.", "Bruk registerets nøkkel i Nettskjema."),
)
explain(
    "E_SUBMISSION_FORM",
    "Submissions of a form that enclave.toml does not map to one of the registry's.",
    "Add a section `nettskjema.forms.NUMBER` to enclave.toml; the submissions wait and are taken then.",
    nb=(
        "Nettskjemaet er ikke koblet til et skjema i registeret.",
        "Databehandleren kobler skjemaet; innsendingene venter.",
    ),
)
explain(
    "E_SUBMISSION_ATTACHMENT",
    "Attachments, which are never taken.",
    "Take the attachment question out of the form.",
    nb=("Vedlegg tas ikke imot.", "Ta spørsmålet om vedlegg ut av skjemaet."),
)
explain(
    "E_SUBMISSION_NAME",
    "Names in the tree of submissions that nothing there should have, or links and other things that are no files.",
    "Find out who else writes to the folder.",
    nb=("Filnavnet er ikke slik Nettskjema navngir innsendinger.", "Ta kontakt med databehandleren."),
)
explain(
    "E_SUBMISSION_SIZE",
    "Submissions larger than `submission_bytes`.",
    "Look at the form: text answers of this size are no answers. Or raise the limit in enclave.toml.",
    nb=("Innsendingen er større enn avtalt grense.", "Forkort fritekstsvarene."),
)
explain(
    "E_SUBMISSION_GROWING",
    "Submissions that have not yet looked the same in two runs, or are not whole yet.",
    "None is needed: they are taken when they are whole.",
    nb=("Innsendingen er ikke hel ennå.", "Vent til den er ferdig levert."),
)
explain(
    "E_SUBMISSION_INCOMPLETE",
    "Submissions that have lain for longer than the server waits without both of their files being one whole message.",
    "Ask whoever runs the import; they are taken as soon as both files are whole.",
    nb=("Innsendingen har ligget ufullstendig for lenge.", "Ta kontakt med databehandleren."),
)

MOST_NAMES = 1_000_000  # names that are looked at in one form's folder; the rest waits
_KEY = re.compile(r"[0-9A-F]{16}", re.ASCII)
_FORM = re.compile(r"[0-9]{1,12}", re.ASCII)
_SUBMISSION = re.compile(r"([0-9]{1,18})\.(json|csv)\.asc", re.ASCII)
_ATTACHMENT = re.compile(r"[0-9]+[-_].*", re.ASCII | re.DOTALL)
_DEFINITION = re.compile(r"form[A-Za-z0-9._-]{0,80}\.json\.asc", re.ASCII)


@dataclass(frozen=True, repr=False)
class Submission:
    """One submission in the tree; `facts` are size and time of its JSON and CSV file, "-" for one that is missing."""

    key: str
    form: str
    number: int
    facts: str

    @property
    def name(self) -> str:
        """What tells it from every other."""
        return f"{self.key}/{self.form}/{self.number}"

    @property
    def is_pair(self) -> bool:
        """Whether both files are there, and neither is empty."""
        return all(part not in ("-", "") and not part.startswith("0.") for part in self.facts.split(" "))


@dataclass(frozen=True, repr=False)
class DefinitionFile:
    """What a form asks, in one of perhaps several files; `facts` as a submission's, "" for what cannot be taken."""

    key: str
    form: str
    file: str
    facts: str

    @property
    def name(self) -> str:
        """What tells it from every other, and from every submission."""
        return f"{self.key}/{self.form}/{self.file}"


@dataclass(frozen=True, repr=False)
class Found:
    """What lies in the tree: submissions by form and number, definitions by form and file, and what is not taken.

    `untaken` says how many names are not taken, by code.
    """

    submissions: tuple[Submission, ...]
    definitions: tuple[DefinitionFile, ...]
    untaken: Mapping[str, int]


class SubmissionTree:
    """The tree below `root`, reached by descriptors that follow no link."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def look(self, keys: Collection[str], forms: Collection[str], limit: int) -> Found:
        """What lies there for our own keys and the mapped forms; nothing is opened. Refused R_SUBMISSIONS_AWAY."""
        seen = _Seen()
        with self._folder() as root:
            for name in _names(root):
                # TSD's own copy lies in `.tsd`; what is hidden is nobody's delivery.
                if name.startswith("."):
                    continue
                if name in keys:
                    _look_at_forms(root, name, forms, limit, seen)
                else:
                    seen.untaken["E_SUBMISSION_KEY" if _KEY.fullmatch(name) else "E_SUBMISSION_NAME"] += 1
        return Found(
            tuple(sorted(seen.submissions, key=lambda one: (one.form, one.number, one.key))),
            tuple(sorted(seen.definitions, key=lambda one: (one.form, one.file, one.key))),
            dict(seen.untaken),
        )

    def read(self, submission: Submission, limit: int) -> tuple[bytes, bytes] | None:
        """The JSON and the CSV file of a submission, as they were seen; None where they are not so any more."""
        with self._folder(submission.key, submission.form) as folder:
            try:
                both = [_read(f"{submission.number}.{kind}.asc", folder, limit) for kind in ("json", "csv")]
            except OSError:
                return None  # gone, closed or made a link since it was listed
        if " ".join(facts for _, facts in both) != submission.facts:
            return None
        (json, _), (csv, _) = both
        return (json or b"", csv or b"")

    def read_definition(self, definition: DefinitionFile, limit: int) -> bytes | None:
        """A form's definition as it was seen; None where it is not so any more."""
        with self._folder(definition.key, definition.form) as folder:
            try:
                content, facts = _read(definition.file, folder, limit)
            except OSError:
                return None
        return content if facts == definition.facts else None

    @contextmanager
    def _folder(self, *parts: str) -> Iterator[int]:
        descriptor = -1
        try:
            descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in parts:
                parent, descriptor = descriptor, -1
                try:
                    descriptor = os.open(part, FOLDER, dir_fd=parent)
                finally:
                    os.close(parent)
        except OSError:
            raise Refused("R_SUBMISSIONS_AWAY") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def as_drop(drop_uuid: str, door: str, submission: Submission, json: bytes, csv: bytes) -> SealedDrop:
    """A submission as it goes to quarantine: both files as they came, and what their names said. Nobody signed it."""
    manifest = SubmissionManifest(form=submission.form, submission=submission.number, json_size=len(json))
    return SealedDrop(drop_uuid, door, manifest.model_dump_json().encode(), b"", json + csv)


def as_definition(drop_uuid: str, sender: str, definition: DefinitionFile, content: bytes) -> SealedDrop:
    """A form's definition as it goes to quarantine; whose it is stands in our own ledger. Nobody signed it."""
    manifest = DefinitionManifest(form=definition.form)
    return SealedDrop(drop_uuid, sender, manifest.model_dump_json().encode(), b"", content)


@dataclass(repr=False)
class _Seen:
    """What one look has found so far."""

    submissions: list[Submission] = field(default_factory=list)
    definitions: list[DefinitionFile] = field(default_factory=list)
    untaken: Counter[str] = field(default_factory=Counter)


def _look_at_forms(root: int, key: str, forms: Collection[str], limit: int, seen: _Seen) -> None:
    """What lies of every mapped form; a folder that is a link, or is closed, is counted and not entered."""
    untaken = seen.untaken
    try:
        with opened(key, FOLDER, root) as of_key:
            for form in sorted(name for name in _names(of_key) if not name.startswith(".")):
                if _FORM.fullmatch(form) is None:
                    untaken["E_SUBMISSION_NAME"] += 1
                elif form in forms:
                    _look_at_form(of_key, key, form, limit, seen)
                else:
                    untaken["E_SUBMISSION_FORM"] += _count(of_key, form)
    except OSError:
        untaken["E_SUBMISSION_NAME"] += 1


def _look_at_form(of_key: int, key: str, form: str, limit: int, seen: _Seen) -> None:
    found: dict[int, dict[str, str]] = {}
    refused: set[int] = set()
    untaken = seen.untaken
    try:
        with opened(form, FOLDER, of_key) as folder:
            for name in _names(folder):
                match = _SUBMISSION.fullmatch(name)
                if _DEFINITION.fullmatch(name):
                    seen.definitions.append(_look_at_definition(name, folder, key, form, limit, untaken))
                elif match is None and not name.startswith("."):
                    untaken["E_SUBMISSION_ATTACHMENT" if _ATTACHMENT.fullmatch(name) else "E_SUBMISSION_NAME"] += 1
                if match is None:
                    continue
                number, code = int(match[1]), ""
                facts = _facts_of(name, folder)
                # A number that is written in two ways would be two submissions that no ledger can tell apart.
                if facts is None or match[1] != str(number):
                    code = "E_SUBMISSION_NAME"
                elif facts.st_size > limit:
                    code = "E_SUBMISSION_SIZE"
                else:
                    found.setdefault(number, {})[match[2]] = _facts(facts)
                if code:
                    refused.add(number)
                    untaken[code] += 1
    except OSError:
        untaken["E_SUBMISSION_NAME"] += 1
    seen.submissions += [
        Submission(key, form, number, f"{files.get('json', '-')} {files.get('csv', '-')}")
        for number, files in found.items()
        if number not in refused
    ]


def _look_at_definition(
    name: str, folder: int, key: str, form: str, limit: int, untaken: Counter[str]
) -> DefinitionFile:
    """A file that bears the name of a definition; one that cannot be taken is counted, and holds its form."""
    facts = _facts_of(name, folder)
    if facts is not None and facts.st_size <= limit:
        return DefinitionFile(key, form, name, _facts(facts))
    untaken["E_SUBMISSION_NAME" if facts is None else "E_SUBMISSION_SIZE"] += 1
    return DefinitionFile(key, form, name, "")


def _names(folder: int) -> Iterator[str]:
    with os.scandir(folder) as listing:
        for seen, entry in enumerate(listing):
            if seen >= MOST_NAMES:
                return
            yield entry.name


def _count(of_key: int, form: str) -> int:
    """How many files wait in the folder of a form that is not mapped; one, where it cannot be looked into."""
    try:
        with opened(form, FOLDER, of_key) as folder:
            return max(1, sum(_SUBMISSION.fullmatch(name) is not None for name in _names(folder)))
    except OSError:
        return 1


def _facts_of(name: str, folder: int) -> os.stat_result | None:
    """What is known of a regular file; None for anything else. TSD's copy may be a second name of the same file."""
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def _facts(facts: os.stat_result) -> str:
    return f"{facts.st_size}.{facts.st_mtime_ns}"


def _read(name: str, folder: int, limit: int) -> tuple[bytes | None, str]:
    """A file's content, None if it is too large or changed while it was read; and its facts."""
    with opened(name, FILE, folder) as descriptor:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or before.st_size > limit:
            return None, ""
        content = exactly(descriptor, before.st_size + 1)
        if len(content) != before.st_size or identity(before) != identity(os.fstat(descriptor)):
            return None, ""
        return content, _facts(before)
