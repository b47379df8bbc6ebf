"""Senders of a test server whose jobs run in this process, at whatever time a test says."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from enclave import durable
from enclave.cli import client
from enclave.control.database import Control
from enclave.control.drops import Drop, drops_of
from enclave.control.releases import Release, releases_of
from enclave.crypto import sshsig
from enclave.crypto.keyring import Keyring
from enclave.crypto.secret import Secret
from enclave.demo.airlock import make_folders
from enclave.flow import DropState
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.grants import Folder
from enclave.model.draft import Draft, Kind
from enclave.registry.load import load
from enclave.release.drafts import open_draft
from enclave.settings import read_settings
from enclave.terminal.desk import Letter
from enclave.terminal.registrar import Registrar
from jobs.admit import admit
from jobs.checkpoint import checkpoint
from jobs.collect import collect
from jobs.deliver import deliver
from jobs.drafts import find_draft
from jobs.rights import rights
from jobs.seal import seal
from tests.identity.numbers import synthetic
from tests.jobs.working import wired

REGISTRY = "kar"
JOBS = {
    step.__name__: step for step in (collect, admit, rights, checkpoint, seal, deliver)
}  # not every job returns counts of the same names
SENDER, OTHER = "alfa", "beta"


@dataclass
class Senders:
    """A founded server, its institutions' keys and letters, and their folders at the airlock."""

    root: Path
    folder: WorkingFolder
    lead: Secret
    keys: dict[str, Secret] = field(default_factory=dict)
    letters: dict[str, Letter] = field(default_factory=dict)

    @property
    def control(self) -> Control:
        """The control database."""
        return Control(self.folder.control)

    @property
    def registrar(self) -> Registrar:
        """The terminal."""
        return Registrar(self.folder, read_settings(self.folder.settings), REGISTRY)

    def add(self, *institutions: str) -> None:
        """Add senders with keys and folders of their own."""
        registrar = self.registrar
        for name in institutions:
            make_folders(self.root / "airlock", name)
            self.keys[name], public = sshsig.new_key(name)
            self.letters[name] = registrar.add_institution(name, name.title(), "sender", public)

    def send(
        self,
        institution: str,
        rows: Iterable[dict[str, object]] | None = None,
        *,
        seq: int | None = None,
        key: Secret | None = None,
        passphrase: tuple[str, Secret] | None = None,
    ) -> Path:
        """Leave a drop with arrivals at the airlock; `key` and `passphrase` (id, words) in place of the first ones."""
        clear = self.root / "clear" / str(len(list((self.root / "clear").glob("*"))))
        clear.mkdir(parents=True)
        written = [arrival(1, f"{institution}-1")] if rows is None else list(rows)
        (clear / "arrival.csv").write_bytes(csv_of(written))
        letter = self.letters[institution]
        kid, words = passphrase or (letter.inbound_key_id, letter.inbound)
        submission = client.Submission(REGISTRY, institution, kid, datetime.now(UTC), seq)
        incoming = self.root / "airlock" / institution / "in"
        sealed = client.seal(clear, incoming, submission, sign_key=key or self.keys[institution], passphrase=words)
        shutil.rmtree(clear)
        clear.mkdir()
        return sealed

    def run(self, *jobs: str, after: timedelta = timedelta()) -> dict[str, int]:
        """Run jobs, each to its end, this long after now; answers what the last one counted."""
        counts: dict[str, int] = {}
        for job in jobs:
            counts = JOBS[job](wired(self.folder, job, datetime.now(UTC) + after))
        return counts

    def drops(self, institution: str) -> list[Drop]:
        """An institution's drops in the order in which they were taken."""
        theirs = [drop for drop in drops_of(self.control, REGISTRY) if drop.sender == institution]
        return sorted(theirs, key=lambda drop: drop.collected_at)

    def outcomes(self, institution: str) -> list[str]:
        """What became of an institution's drops: `admitted`, or the code."""
        return [drop.reason or str(DropState(drop.state)) for drop in self.drops(institution)]

    def releases(self, kind: Kind, institution: str = SENDER) -> list[Release]:
        """An institution's releases of a kind."""
        known = releases_of(self.control, REGISTRY)
        return [one for one in known if (one.kind, one.recipient) == (kind, institution)]

    def answer(self, drop: Drop, kind: Kind) -> dict[str, bytes]:
        """The files of one answer to a drop, opened with the viewing key."""
        (release,) = (one for one in self.releases(kind, drop.sender) if one.subject == drop.drop_uuid)
        return {file.name: file.content for file in self.draft(release).files}

    def draft(self, release: Release) -> Draft:
        """What a release would say, opened with the viewing key."""
        lies = self.folder.registry(REGISTRY)
        viewing = Keyring(lies.keys, frozenset({"viewing"})).get("viewing")
        return open_draft(durable.read(find_draft(lies.folder(Folder.DRAFTS), release.draft_sha256)), viewing)

    def receipt(self, drop: Drop) -> dict[str, object]:
        """The receipt of a drop as a program reads it."""
        read: dict[str, object] = json.loads(self.answer(drop, Kind.RECEIPT)["kvittering.json"])
        return read


def arrival(person: int, reference: str, **changed: object) -> dict[str, object]:
    """A person's arrival without fault, before what is `changed`."""
    return {
        "person_id": someone(person),
        "course_id": reference,
        "consent_date": "2024-01-02",
        "arrival_date": "2024-02-05",
        "sex": "female",
        "diagnosis_group": "mental",
        "work_ability": 5,
        **changed,
    }


def someone(number: int) -> str:
    """The national number of the n-th person."""
    return synthetic(datetime(1960 + number % 40, 3, 1 + number % 27, tzinfo=UTC).date(), number // 1080)


def csv_of(rows: Iterable[dict[str, object]]) -> bytes:
    """An arrival file."""
    names = ["person_id", "course_id", *load(CONFIG / "registries" / REGISTRY).definition.form("arrival").columns()]
    blank = {column: 0 for column in names if column.startswith("benefits_")}
    lines = [";".join(names), *(";".join(str({**blank, **row}.get(each, "")) for each in names) for row in rows)]
    return "\r\n".join(lines).encode()


def new_server(root: Path, **limits: int) -> Senders:
    """A new server without institutions; `limits` are those of its senders."""
    lead, lead_public = sshsig.new_key("lead")
    values: dict[str, str | int | float] = {
        "server": "enclave-1",
        "mode": "test",
        "kind": "folder",
        "folder": str(root / "airlock"),
        "project_lead": lead_public,
    }
    (root / "clear").mkdir(parents=True)
    folder = found(Founding(root / "working", REGISTRY, CONFIG / "registries" / REGISTRY, values, "person:tester"))
    if limits:
        text = folder.settings.read_text(encoding="utf-8")
        for name, value in limits.items():
            text = "\n".join(f"{name} = {value}" if line.startswith(f"{name} =") else line for line in text.split("\n"))
        folder.settings.write_text(text, encoding="utf-8")
    return Senders(root, folder, lead)
