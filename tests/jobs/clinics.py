"""Two clinics and a lender of a test server, with courses placed around today, and what the jobs made for them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from uuid import uuid4

from enclave import durable
from enclave.cli import client
from enclave.control.database import Control
from enclave.control.institutions import Role
from enclave.control.releases import Release, releases_of
from enclave.control.requests import SIGNATURE_NAMESPACE, find_request
from enclave.crypto import age, sshsig
from enclave.crypto.keyring import Keyring
from enclave.crypto.secret import Secret
from enclave.demo.airlock import make_folders
from enclave.flow import ReleaseState
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.grants import Folder
from enclave.model.draft import Draft, Kind
from enclave.registry.load import load
from enclave.release.drafts import open_draft
from enclave.settings import read_settings
from enclave.terminal.desk import Letter
from enclave.terminal.loan_desk import LoanDesk
from enclave.terminal.recovery import recover, state_why
from enclave.wiring import Wiring, utc_now
from jobs.drafts import find_draft
from tests.identity.numbers import synthetic
from tests.jobs.working import wired
from tests.kills.forks import Ended, Forks, Request

REGISTRY = "kar"
TODAY = datetime.now(UTC).date()
CLOSED = TODAY.year - 2
"""The newest year of arrivals whose period is closed."""
LENDER = "nav"


@dataclass(frozen=True)
class Course:
    """One course at one clinic."""

    clinic: str
    reference: str
    person: str
    end: date

    def arrival(self) -> dict[str, object]:
        """Its arrival form."""
        arrived = (self.end - timedelta(days=23)).isoformat()
        return {
            "person_id": self.person,
            "course_id": self.reference,
            "consent_date": arrived,
            "arrival_date": arrived,
            "sex": "female",
            "education": "primary",
            "occupation": "=1+1 murer",
            "diagnosis_group": "mental",
            "work_ability": 3,
            "employed": "ja",
            "sick_leave": "none",
            "benefits_none": 1,
        }

    def discharge(self) -> dict[str, object]:
        """Its discharge form."""
        return {
            "person_id": self.person,
            "course_id": self.reference,
            "end_date": self.end.isoformat(),
            "completion": "completed",
            "work_ability": 4,
        }


def someone(number: int) -> str:
    """The national number of the n-th person."""
    return synthetic(date(1960 + number, 3, 1 + number), number)


def days_ago(days: int) -> date:
    """A day before today."""
    return TODAY - timedelta(days=days)


OLD = [Course("alfa", f"Old-{n}", someone(n), date(CLOSED, 5, 2 + n)) for n in range(4)]
OPEN = Course("alfa", "Open-1", someone(10), date(TODAY.year - 1, 6, 20))
DUE = Course("alfa", "Due-1", someone(11), days_ago(213))
LATE = Course("alfa", "Late-1", someone(12), days_ago(300))
NAMED = Course("alfa", someone(14), someone(13), days_ago(300))
"""A course whose reference is a national number."""
SHARED = Course("beta", "Shared-1", someone(0), date(CLOSED, 9, 9))
"""Another clinic's course of a person whom alfa has too."""
ELSEWHERE = Course("beta", "Elsewhere-1", someone(15), date(CLOSED, 9, 20))
COURSES = (*OLD, OPEN, DUE, LATE, NAMED, SHARED, ELSEWHERE)


class InProcess:
    """Runs jobs in this process, unconfined: for tests of what a job does, not of how it dies."""

    def run(self, request: Request) -> Ended:
        """Run one job to its end."""
        folder = WorkingFolder(Path(request.root))
        wiring = wired(folder, request.job, days=request.days)
        getattr(import_module(f"jobs.{request.job}"), request.job)(wiring)
        wiring.close()
        return Ended(0, (), "")


class Server:
    """A founded server: its road, the second person's key, and the lender's."""

    def __init__(
        self, root: Path, forks: Forks | InProcess, definition: Path = CONFIG / "registries" / REGISTRY
    ) -> None:
        self.lead, lead_public = sshsig.new_key("lead")
        self.lender_key, self.lender_public = age.new_identity()
        self.forks = forks
        self.root = root
        live = self.live
        values: dict[str, str | int | float] = {"server": "enclave-1", "mode": "test", "kind": "folder"}
        values |= {"folder": str(live / "airlock"), "project_lead": lead_public}
        self.folder = found(Founding(live / "working", REGISTRY, definition, values, "person:tester"))
        self.keys: dict[str, Secret] = {}
        self.letters: dict[str, Letter] = {}
        roles: dict[str, Role] = {"alfa": "sender", "beta": "sender", "gamma": "sender", LENDER: "lender"}
        for name, role in roles.items():
            make_folders(live / "airlock", name)
            self.keys[name], public = sshsig.new_key(name)
            opens = self.lender_public if role == "lender" else ""
            self.letters[name] = self.desk.add_institution(name, f"Klinikk {name}", role, public, opens)

    @property
    def live(self) -> Path:
        """What the jobs work on: `working/` and `airlock/`."""
        return self.root / "live"

    @property
    def desk(self) -> LoanDesk:
        """The terminal."""
        return LoanDesk(self.folder, read_settings(self.folder.settings), REGISTRY)

    @property
    def control(self) -> Control:
        """The control database."""
        return Control(self.folder.control)

    def send(self) -> None:
        """Both clinics send what they have, and it is admitted."""
        for clinic in ("alfa", "beta"):
            theirs = [one for one in COURSES if one.clinic == clinic]
            forms = {"arrival": [one.arrival() for one in theirs], "discharge": [one.discharge() for one in theirs]}
            self.seal_drop(clinic, forms, seq=1)
        self.run("checkpoint", "collect", "admit")

    def seal_drop(self, clinic: str, forms: dict[str, list[dict[str, object]]], seq: int) -> None:
        """Seal a drop as a clinic would, into its folder at the airlock."""
        clear = self.root / "clear" / f"{clinic}-{seq}"
        clear.mkdir(parents=True)
        definition = load(CONFIG / "registries" / REGISTRY).definition
        for name, rows in forms.items():
            names = ["person_id", "course_id", *definition.form(name).columns()]
            blank = {column: 0 for column in names if column.startswith("benefits_")}
            lines = [";".join(names)]
            lines += [";".join(str({**blank, **row}.get(each, "")) for each in names) for row in rows]
            (clear / f"{name}.csv").write_text("\r\n".join(lines), encoding="utf-8")
        letter = self.letters[clinic]
        submission = client.Submission(REGISTRY, clinic, letter.inbound_key_id, datetime.now(UTC), seq)
        incoming = self.live / "airlock" / clinic / "in"
        client.seal(clear, incoming, submission, sign_key=self.keys[clinic], passphrase=letter.inbound)

    def run(self, *jobs: str, days: int = 0) -> None:
        """Run jobs, each to its end."""
        for job in jobs:
            ended = self.forks.run(Request(str(self.folder.root), job, days=days))
            assert ended.code == 0, (job, ended.output)

    def withdraw(self, person: str) -> None:
        """A person withdraws, and the job carries it out."""
        self.desk.withdraw(Secret(person.encode()), "2026/9")
        self.run("rights")

    def releases(self, kind: Kind, *states: ReleaseState) -> list[Release]:
        """Releases of a kind, in any or these states."""
        return [one for one in releases_of(self.control, REGISTRY, *states) if one.kind is kind]

    def draft(self, release: Release) -> Draft:
        """What a release would say, opened with the viewing key."""
        lies = self.folder.registry(REGISTRY)
        viewing = Keyring(lies.keys, frozenset({"viewing"})).get("viewing")
        return open_draft(durable.read(find_draft(lies.folder(Folder.DRAFTS), release.draft_sha256)), viewing)

    def delivered(self, institution: str, kind: Kind) -> dict[str, bytes]:
        """What an institution finds in its newest package of a kind, opened with the passphrase of its letter."""
        theirs = [one for one in self.releases(kind, ReleaseState.DELIVERED) if one.recipient == institution]
        release = theirs[-1]
        box = self.live / "airlock" / institution / "out" / "bundles"
        (name,) = (name for name in release.sealed or {} if name.endswith(".zip"))
        opened = client.open((box / name).read_bytes(), self.letters[institution].outbound)
        return {file.name: file.content for file in opened}

    def sign(self, request_id: str, key: Secret | None = None) -> bytes:
        """Somebody's signature over a request, the project lead's where nobody is named."""
        text = find_request(self.control, request_id).signed_text()
        return sshsig.sign(text, key or self.lead, SIGNATURE_NAMESPACE)

    def lose_the_log(self) -> None:
        """The audit folder is gone, and two people let the server begin a new log."""
        shutil.rmtree(self.folder.audit)
        settings = read_settings(self.folder.settings)
        text = state_why(self.folder, settings).text()
        recover(self.folder, settings, sshsig.sign(text, self.lead, SIGNATURE_NAMESPACE), utc_now())

    def wiring(self, job: str) -> Wiring:
        """The wiring of a job in this process."""
        return wired(self.folder, job)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What happens inside is forgotten afterwards."""
        kept = self.root / "kept" / str(uuid4())
        shutil.copytree(self.live, kept, symlinks=True)
        try:
            yield
        finally:
            shutil.rmtree(self.live)
            kept.rename(self.live)

    def holds(self, *texts: str) -> list[str]:
        """Files of server and airlock in whose bytes one of these texts stands."""
        wanted = [text.encode() for text in texts]
        files = sorted(path for path in self.live.rglob("*") if path.is_file())
        return [path.name for path in files if any(text in path.read_bytes() for text in wanted)]
