"""A road to walk: a founded server, a real OpenSSH airlock, four institutions and a lender, synthetic people.

`found_road` makes the working folder and enters the institutions; `Road.job` runs one job as the process that it is in
production, confined as its row says; `Road.enclave` runs one command. `drops_of_2024` writes what the institutions
type: arrivals and discharges of 2024 and their follow-ups. `walk` takes a road from the drops to the delivered bundles.
Everything that a job or command said is kept in `Road.said`.
"""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

from enclave.cli import client
from enclave.control.database import Control
from enclave.control.drops import Drop, drops_of
from enclave.control.loans import find_loan
from enclave.control.releases import Release, releases_of
from enclave.crypto import keyring
from enclave.crypto.secret import Secret
from enclave.flow import ReleaseState
from enclave.folders import RegistryFolder, WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.grants import Passphrases
from enclave.model.loan import LoanAgreement
from enclave.registry.definition import Definition
from enclave.registry.load import load
from enclave.settings import read_settings
from enclave.terminal.desk import Letter
from enclave.terminal.loan_desk import LoanDesk
from tests.identity.numbers import synthetic
from tests.servers.sshd import Sshd, new_key

REPOSITORY = Path(__file__).parents[2]
REGISTRY = "kar"
SENDERS = ("airen", "boren", "ceren", "deren")
LENDER = "nav"
LOAN = "nav-2026"
BENEFITS = ("aap", "disability_pension", "sick_pay")
SIZES = {"airen": 30, "boren": 40, "ceren": 30, "deren": 40}
"""Courses of each institution; a quarter of them have no follow-up."""

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Said:
    """What one process printed, and how it ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str


@dataclass
class Road:
    """One server with its airlock. `keys` are the signing keys of the institutions and of the project lead."""

    folder: WorkingFolder
    sshd: Sshd
    keys: Mapping[str, Path]
    letters: Mapping[str, Letter]
    said: list[Said] = field(default_factory=list)

    @property
    def lies(self) -> RegistryFolder:
        """Where the registry's files lie."""
        return self.folder.registry(REGISTRY)

    @property
    def control(self) -> Control:
        """The control database, as the command line sees it."""
        return Control(self.folder.control)

    @property
    def desk(self) -> LoanDesk:
        """The data processor's terminal, in this process."""
        return LoanDesk(self.folder, read_settings(self.folder.settings), REGISTRY)

    def run(self, command: Sequence[str], *, typed: str = "", environment: Mapping[str, str] | None = None) -> Said:
        """Run a process to its end and keep what it said."""
        done = subprocess.run(
            command, input=typed, capture_output=True, text=True, check=False, timeout=120, cwd=REPOSITORY,
            env=environment,
        )  # fmt: skip
        said = Said(tuple(command), done.returncode, done.stdout, done.stderr)
        self.said.append(said)
        return said

    def job_command(self, name: str) -> list[str]:
        """The command that the scheduler runs for a job."""
        command = [sys.executable, "-m", "jobs", "run", name]
        return [*command, "--registry", REGISTRY, "--config", str(self.folder.settings)]

    def job(self, name: str, *, under: Sequence[str] = ()) -> Said:
        """Run one job as a process, `under` a tracing program if one is named."""
        return self.run([*under, *self.job_command(name)])

    def jobs(self, *names: str) -> None:
        """Run jobs that must all end well."""
        for name in names:
            said = self.job(name)
            assert said.code == 0, (name, said.out, said.err)

    def enclave(self, *words: str, typed: str = "") -> Said:
        """Run one command of the command line on this server."""
        command = [sys.executable, "-m", "enclave", "--config", str(self.folder.settings)]
        return self.run([*command, *words], typed=typed)

    def drops(self) -> tuple[Drop, ...]:
        """Every drop that the server knows."""
        return drops_of(self.control, REGISTRY)

    def releases(self, *states: ReleaseState) -> tuple[Release, ...]:
        """The ledger."""
        return releases_of(self.control, REGISTRY, *states)

    def seal(self, institution: str, files: Mapping[str, bytes], out: Path, seq: int | None = None) -> Path:
        """Make a drop folder with our own client, for tests that are not about how a drop is made."""
        source = out / f"clear-{len(list(out.iterdir())) if out.exists() else 0}"
        source.mkdir(parents=True)
        for name, content in files.items():
            (source / name).write_bytes(content)
        submission = client.Submission(
            REGISTRY, institution, self.letters[institution].inbound_key_id, datetime.now(UTC), seq
        )
        signing = Secret(self.keys[institution].read_bytes())
        return client.seal(source, out, submission, sign_key=signing, passphrase=self.letters[institution].inbound)

    def seal_loan(self, content: bytes, out: Path, *, recipient: str = "") -> Path:
        """Make a lender's drop folder for the open loan, or to another `recipient` than the loan's key."""
        source = out / "clear"
        source.mkdir(parents=True)
        (source / "benefits.csv").write_bytes(content)
        submission = client.Submission(REGISTRY, LENDER, LOAN, datetime.now(UTC))
        signing = Secret(self.keys[LENDER].read_bytes())
        key = recipient or find_loan(self.control, REGISTRY, LOAN).public_key
        return client.seal(source, out, submission, sign_key=signing, recipient=key)

    def place(self, institution: str, drop: Path, name: str = "") -> Path:
        """Put a drop folder into an institution's `in/` at once, as a finished upload stands there."""
        target = self.sshd.root / institution / "in" / (name or drop.name)
        shutil.copytree(drop, target, symlinks=True)
        self.sshd.own(target)
        return target

    def delivered(self, institution: str, box: str) -> list[Path]:
        """The packages in one of an institution's boxes at the airlock."""
        return sorted((self.sshd.root / institution / "out" / box).glob("bundle_*.zip"))

    def opened(self, institution: str, package: Path) -> dict[str, bytes]:
        """The files of a delivered package, opened with our own client."""
        files = client.open(package.read_bytes(), self.letters[institution].outbound)
        return {file.name: file.content for file in files}

    def open_loan(self) -> None:
        """Enter the loan, and let the job `link` make its key."""
        due = date.today() + timedelta(days=30)  # noqa: DTZ011  a day is all that a due date has
        agreement = LoanAgreement(LOAN, REGISTRY, LENDER, "linkage", "2026/1", BENEFITS, due)
        self.desk.open_loan(agreement, "nav", date.today())  # noqa: DTZ011
        self.jobs("link")

    def approve_all(self) -> None:
        """Approve everything that waits for one person; the national pages wait for two."""
        for release in (one for one in self.releases(ReleaseState.PROPOSED) if one.recipient):
            self.desk.decide_release(release.release_id, ReleaseState.APPROVED)

    def lead_signs(self, text: bytes, folder: Path) -> Path:
        """The project lead's SSHSIG over a text, made with stock ssh-keygen; answers the signature's file."""
        folder.mkdir(exist_ok=True)
        (folder / "text").write_bytes(text)
        (folder / "text.sig").unlink(missing_ok=True)
        ssh_sign(folder / "text", self.keys["lead"], "request@enclave")
        return folder / "text.sig"


def found_road(
    sshd: Sshd,
    root: Path,
    *,
    database: str = "",
    vault_database: str = "",
    like: Road | None = None,
    settings: Callable[[str], str] = str,
) -> Road:
    """Found a server whose airlock is `sshd`, with its institutions entered.

    `like` gives the new server the signing keys and passphrases of another, so that it takes the same sealed files;
    `settings` changes the text of enclave.toml.
    """
    root.mkdir(parents=True, exist_ok=True)
    keys = dict(like.keys) if like else _new_keys(root / "signing")
    values: dict[str, str | int | float] = {
        "server": "flow-1",
        "mode": "test",
        "project_lead": keys["lead"].with_suffix(".pub").read_text().strip(),
        "host": sshd.host,
        "port": sshd.port,
        "user": sshd.server.login,
        "database": database,
        "vault_database": vault_database,
    }
    folder = found(Founding(root / "working", REGISTRY, CONFIG / "registries" / REGISTRY, values, "person:root"))
    lies = folder.registry(REGISTRY)
    sshd.authorise(sshd.server, keyring.public(lies.keys, "airlock-login"))
    lies.known_hosts.write_text(sshd.known_hosts)
    lies.known_hosts.chmod(0o600)
    folder.settings.write_text(settings(folder.settings.read_text()))
    desk = LoanDesk(folder, read_settings(folder.settings), REGISTRY)
    letters = {}
    for institution in (*SENDERS, LENDER):
        role = "lender" if institution == LENDER else "sender"
        public = keys[institution].with_suffix(".pub").read_text()
        letters[institution] = desk.add_institution(institution, institution.title(), role, public)
    if like is not None:
        letters = dict(like.letters)
        for which in Passphrases:
            for file in like.lies.passphrases(which).iterdir():
                (lies.passphrases(which) / file.name).write_bytes(file.read_bytes())
    return Road(folder, sshd, keys, letters)


def _new_keys(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    for name in (*SENDERS, LENDER, "lead"):
        new_key(folder / name)
    return {name: folder / name for name in (*SENDERS, LENDER, "lead")}


# --- People ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """One course as its institution typed it; `later` is the work ability at 12 months, or None.

    `number` tells the courses of all institutions apart, and what was typed of the things that no field names.
    """

    number: int
    person_id: str
    course_id: str
    arrival: date
    end: date
    work_ability: int
    later: int | None


@cache
def courses(institution: str) -> tuple[Course, ...]:
    """The courses of one institution in 2024: the same each time, no person in two institutions."""
    base = SENDERS.index(institution) * 100
    return tuple(
        Course(
            number=n,
            person_id=synthetic(date(1960 + n % 35, 1 + n % 12, 1 + n % 28), base % 97 + n % 3),
            course_id=f"{institution[:2].upper()}-{n:04d}",
            arrival=date(2024, 1 + n % 9, 5),
            end=date(2024, 1 + n % 9, 25),
            work_ability=(n * 7) % 11,
            later=None if n % 4 == 0 else min(10, (n * 7) % 11 + n % 3),
        )
        for n in range(base, base + SIZES[institution])
    )


@cache
def definition() -> Definition:
    """The shipped definition."""
    return load(CONFIG / "registries" / REGISTRY).definition


def csv_of(form: str, rows: Rows) -> bytes:
    """A form's file with all its columns; what a row does not name is empty."""
    wanted = definition().form(form)
    header = [name for name in (wanted.person_id, wanted.reference) if name]
    header += wanted.columns()
    assert all(row.keys() <= set(header) for row in rows), "a column that the form does not have is tested nowhere"
    lines = [header, *([row.get(name, "") for name in header] for row in rows)]
    return "".join(";".join(line) + "\r\n" for line in lines).encode()


def work_row(number: int, later: int) -> dict[str, str]:
    """What is asked about work, sick leave and benefits at each time point; `later` counts them from arrival."""
    percent = (0, 50, 100)[(number + later) % 3]
    sick_leave = ("full", "partial", "none")[(number + later) % 3]
    receives = {"sick_pay": sick_leave != "none", "aap": number % 5 == later, "disability_pension": number % 7 == later}
    columns = [name for name in definition().form("arrival").columns() if name.startswith("benefits_")]
    answers = {name: str(int(receives.get(name.removeprefix("benefits_"), False))) for name in columns}
    return {
        "employed": "ja",
        "work_participation_percent": str(percent),
        "sick_leave": sick_leave,
        "sick_leave_percent": str(100 - percent) if sick_leave != "none" else "",
        **answers,
        "benefits_none": str(int(not any(receives.values()))),
    }


def arrival_row(course: Course) -> dict[str, str]:
    """A course's arrival as it is typed."""
    return {
        "person_id": course.person_id,
        "course_id": course.course_id,
        "consent_date": "2024-01-02",
        "arrival_date": course.arrival.isoformat(),
        "sex": "female" if course.work_ability % 2 else "male",
        "education": "vocational",
        "diagnosis_group": "mental",
        "work_ability": str(course.work_ability),
        **work_row(course.number, 0),
    }


def discharge_row(course: Course) -> dict[str, str]:
    """A course's discharge as it is typed."""
    return {
        "person_id": course.person_id,
        "course_id": course.course_id,
        "end_date": course.end.isoformat(),
        "completion": ("completed", "partly", "interrupted")[course.number % 3],
        "days_attended": "15",
        "work_ability": str(min(10, course.work_ability + 1)),
        **work_row(course.number, 1),
    }


def follow_up_row(course: Course, months: int = 12) -> dict[str, str]:
    """A course's follow-up after 6 or 12 months as it is typed."""
    due = course.end.replace(year=2025) if months == 12 else course.end + timedelta(days=183)
    return {
        "person_id": course.person_id,
        "course_id": course.course_id,
        "response_date": due.isoformat(),
        "work_ability": str(course.later),
        **work_row(course.number, 2 if months == 6 else 3),
    }


def files_of(institution: str) -> dict[str, bytes]:
    """What one institution sends: the four forms of its courses."""
    mine = courses(institution)
    answered = [course for course in mine if course.later is not None]
    return {
        "arrival.csv": csv_of("arrival", [arrival_row(course) for course in mine]),
        "discharge.csv": csv_of("discharge", [discharge_row(course) for course in mine]),
        "follow_up_6.csv": csv_of("follow_up_6", [follow_up_row(c, 6) for c in answered if c.number % 3]),
        "follow_up_12.csv": csv_of("follow_up_12", [follow_up_row(course) for course in answered]),
    }


def loan_rows() -> Rows:
    """What the lender holds: 24 months of benefits for everybody, and for people whom no institution has."""
    strangers = [synthetic(date(1955, 6, 6), n) for n in range(5)]
    people = [course.person_id for institution in SENDERS for course in courses(institution)]
    months = [f"{year}-{month:02d}" for year in (2024, 2025) for month in range(1, 13)]
    return [
        {
            "person_id": person,
            "month": month,
            "sick_pay": str(int((n + m) % 3 == 0)),
            "aap": str(int((n * 5 + m) % 4 == 1)),
            "disability_pension": str(int(n % 5 == 2)),
        }
        for n, person in enumerate([*people, *strangers])
        for m, month in enumerate(months)
    ]


def loan_csv(rows: Rows) -> bytes:
    """The lender's file."""
    return "".join(";".join(line) + "\r\n" for line in [list(rows[0]), *(row.values() for row in rows)]).encode()


# --- Walking --------------------------------------------------------------------------------------------------------


def walk(road: Road, work: Path, *, withdrawn: str) -> None:
    """From drops that stand at the airlock to bundles that are delivered: every job, a loan, a withdrawal."""
    road.jobs("checkpoint", "collect", "admit")
    road.open_loan()
    road.place(LENDER, road.seal_loan(loan_csv(loan_rows()), work / "loan"))
    road.jobs("collect", "link", "destroy")
    filed = road.enclave("person", "withdraw", "--case-number", "2026/77", typed=f"{withdrawn}\n")
    assert filed.code == 0, filed
    road.jobs("rights", "analyse", "release")
    road.approve_all()
    road.jobs("checkpoint", "seal", "deliver", "checkpoint")


# --- Stock tools ----------------------------------------------------------------------------------------------------


def seven_zip(*words: str, folder: Path) -> None:
    """Run 7-Zip, which must succeed."""
    done = subprocess.run(["7z", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def ssh_sign(file: Path, key: Path, namespace: str) -> None:
    """Sign a file with `ssh-keygen -Y sign`; the signature is FILE.sig."""
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(file)],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def ssh_verify(file: Path, allowed_signers: Path, principal: str, namespace: str) -> bool:
    """Whether `ssh-keygen -Y verify` accepts FILE.sig over FILE."""
    words = ["ssh-keygen", "-Y", "verify", "-f", str(allowed_signers), "-I", principal, "-n", namespace]
    with file.open("rb") as content:
        done = subprocess.run([*words, "-s", f"{file}.sig"], stdin=content, capture_output=True, check=False)
    return done.returncode == 0


def make_drop(road: Road, institution: str, files: Mapping[str, bytes], out: Path, drop_id: str, seq: int) -> Path:
    """Make a drop as a sender without our client does: json, hashlib, 7-Zip and ssh-keygen."""
    clear, drop = out / f"{drop_id}-clear", out / drop_id
    clear.mkdir(parents=True)
    drop.mkdir()
    inner = {
        "drop_id": drop_id,
        "sender": institution,
        "recipient_kid": road.letters[institution].inbound_key_id,
        "files": [
            {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for name, content in files.items()
        ],
    }
    for name, content in {"manifest.json": json.dumps(inner).encode(), **files}.items():
        (clear / name).write_bytes(content)
    passphrase = road.letters[institution].inbound.reveal().decode()
    payload = drop / "payload.zip"
    seven_zip("a", "-tzip", "-mem=AES256", f"-p{passphrase}", str(payload), ".", folder=clear)
    outer = {
        "v": 1,
        "registry": REGISTRY,
        "drop_id": drop_id,
        "sender": institution,
        "seq": seq,
        "created_at": "2026-02-01T08:00:00+01:00",
        "recipient_kid": road.letters[institution].inbound_key_id,
        "format": "aes-zip",
        "payload_sha256": hashlib.sha256(payload.read_bytes()).hexdigest(),
        "payload_size": payload.stat().st_size,
    }
    (drop / "manifest.json").write_text(json.dumps(outer, indent=2))
    ssh_sign(drop / "manifest.json", road.keys[institution], f"drop@{REGISTRY}")
    return drop


def upload(road: Road, institution: str, drop: Path) -> None:
    """Upload a drop folder with OpenSSH's sftp: under a temporary name, renamed when all is there."""
    name = drop.name
    batch = [f"mkdir in/{name}.part"]
    batch += [f"put {file} in/{name}.part/{file.name}" for file in sorted(drop.iterdir())]
    batch += [f"rename in/{name}.part in/{name}"]
    done = road.sshd.sftp(road.sshd.institutions[institution], "\n".join(batch) + "\n")
    assert done.returncode == 0, done.stderr


def read_csv(content: bytes) -> list[dict[str, str]]:
    """A CSV file of ours as a spreadsheet reads it."""
    assert content.startswith(b"\xef\xbb\xbf"), "a file for institutions starts with a BOM"
    return list(csv.DictReader(content.decode("utf-8-sig").splitlines(), delimiter=";"))
