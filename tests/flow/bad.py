"""Bad drops, one for each way in which the server rejects a drop or a row, full of words that must be found nowhere.

Each drop is made from people whom a `Planter` draws: nobody's number, reference, name or text is used twice, so that a
search tells which drop leaked. `BAD_DROPS` are rejected whole, each with its code; `FAULTY_FILES` are admitted with
faults. Senders take turns, because one sender's drops of one run have a cap.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

from enclave.crypto import aes_zip, sshsig
from enclave.crypto.secret import Secret
from enclave.model.drop import PlainFile
from tests.flow.road import REGISTRY, SENDERS, Road, csv_of, definition
from tests.identity.numbers import synthetic

DROP_BYTES = 300_000
"""The payload limit of these roads, so that an oversize drop is small enough to make."""


@dataclass(frozen=True)
class Planted:
    """A person with words that occur nowhere else."""

    person_id: str
    course_id: str
    name: str
    text: str

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that must be found nowhere."""
        return (self.person_id, self.course_id, self.name, self.text)


@dataclass
class Planter:
    """Draws people of one series; `planted` are all of them."""

    series: int
    planted: list[Planted] = field(default_factory=list)

    def draw(self) -> Planted:
        """One more person."""
        n = len(self.planted)
        person = Planted(
            synthetic(date(1971 + n // 27 % 20, 3, 1 + n % 27), 200 + self.series),
            f"KNR{self.series}X{n:05d}Q",
            f"Kanarine Fugleng{self.series}x{n:05d}",
            f"fritekst{self.series}x{n:05d}ord",
        )
        self.planted.append(person)
        return person

    def row(self, person: Planted | None = None, **changed: str) -> dict[str, str]:
        """An arrival without fault, before what is `changed`."""
        person = person or self.draw()
        return {
            "person_id": person.person_id,
            "course_id": person.course_id,
            "consent_date": "2024-01-02",
            "arrival_date": "2024-02-05",
            "sex": "female",
            "diagnosis_group": "mental",
            "occupation": person.text,
            "work_ability": "5",
        } | changed

    def discharge(self, person: Planted | None = None, **changed: str) -> dict[str, str]:
        """A discharge without fault, if its course's arrival is known, before what is `changed`."""
        person = person or self.draw()
        return {
            "person_id": person.person_id,
            "course_id": person.course_id,
            "end_date": "2024-03-05",
            "completion": "completed",
            "work_ability": "6",
        } | changed

    def answer(self, person: Planted | None = None, **changed: str) -> dict[str, str]:
        """A 12-month follow-up without fault, if its course's arrival is known, before what is `changed`."""
        person = person or self.draw()
        return {
            "person_id": person.person_id,
            "course_id": person.course_id,
            "response_date": "2025-03-05",
            "work_ability": "7",
        } | changed

    def file(self, rows: int = 2) -> dict[str, bytes]:
        """A good arrival.csv of new people."""
        return {"arrival.csv": csv_of("arrival", [self.row() for _ in range(rows)])}

    def courses(self, rows: int) -> dict[str, bytes]:
        """Good files of new people: arrival, discharge and both follow-ups."""
        people = [self.draw() for _ in range(rows)]
        return {
            "arrival.csv": csv_of("arrival", [self.row(person) for person in people]),
            "discharge.csv": csv_of("discharge", [self.discharge(person) for person in people]),
            "follow_up_6.csv": csv_of(
                "follow_up_6", [self.answer(person, response_date="2024-09-05") for person in people]
            ),
            "follow_up_12.csv": csv_of("follow_up_12", [self.answer(person) for person in people]),
        }

    @property
    def words(self) -> list[str]:
        """Every planted word."""
        return [word for person in self.planted for word in person.words]


@dataclass
class Making:
    """How a drop is made; a bad drop changes one thing. `payload` makes the sealed content of the members."""

    road: Road
    sender: str
    files: Mapping[str, bytes]
    drop_id: UUID = field(default_factory=uuid4)
    outer: dict[str, object] = field(default_factory=dict)
    inner: dict[str, object] = field(default_factory=dict)
    inner_text: bytes | None = None
    more_members: Sequence[PlainFile] = ()
    passphrase: Secret | None = None
    after_sealing: Callable[[bytes], bytes] = bytes
    after_signing: Callable[[bytes], bytes] = bytes
    signer: str = ""
    namespace: str = f"drop@{REGISTRY}"
    signed: bytes | None = None

    def members(self) -> list[PlainFile]:
        """The members of the payload."""
        kid = self.road.letters[self.sender].inbound_key_id
        inner = {
            "drop_id": str(self.drop_id),
            "sender": self.sender,
            "recipient_kid": kid,
            "files": [
                {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
                for name, content in self.files.items()
            ],
        } | self.inner
        text = json.dumps(inner).encode() if self.inner_text is None else self.inner_text
        manifest = [PlainFile("manifest.json", text)] if text else []
        return [*manifest, *(PlainFile(name, content) for name, content in self.files.items()), *self.more_members]

    def write(self, folder: Path) -> Path:
        """Write the drop folder; answers its path."""
        passphrase = self.passphrase or self.road.letters[self.sender].inbound
        payload = self.after_sealing(aes_zip.seal_archive(self.members(), passphrase))
        outer = {
            "v": 1,
            "registry": REGISTRY,
            "drop_id": str(self.drop_id),
            "sender": self.sender,
            "created_at": "2026-02-01T08:00:00Z",
            "recipient_kid": self.road.letters[self.sender].inbound_key_id,
            "format": "aes-zip",
            "payload_sha256": hashlib.sha256(payload).hexdigest(),
            "payload_size": len(payload),
        } | self.outer
        manifest = json.dumps(outer).encode()
        key = Secret(self.road.keys[self.signer or self.sender].read_bytes())
        signature = sshsig.sign(self.signed if self.signed is not None else manifest, key, self.namespace)
        drop = folder / str(self.drop_id)
        drop.mkdir(parents=True)
        (drop / "manifest.json").write_bytes(manifest)
        (drop / "manifest.json.sig").write_bytes(signature)
        (drop / "payload.zip").write_bytes(self.after_signing(payload))
        return drop


def _flip(content: bytes) -> bytes:
    """Flip one bit in the first member's ciphertext."""
    at = 30 + int.from_bytes(content[26:28], "little") + int.from_bytes(content[28:30], "little") + 40
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _append_plain(name: str, text: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        target = io.BytesIO(content)
        with zipfile.ZipFile(target, "a") as opened:
            opened.writestr(name, text)
        return target.getvalue()

    return change


def _rename_once(content: bytes) -> bytes:
    return content.replace(b"arrival.csv", b"arrivel.csv", 1)


def _rename_twice(content: bytes) -> bytes:
    return content.replace(b"arrival.csv", b"arrivel.csv")


Build = Callable[[Road, str, Planter, Path], None]


def _made(**changes: object) -> Build:
    """A drop that differs from a good one in `changes`; a callable takes the planter and answers the change."""

    def build(road: Road, sender: str, planter: Planter, work: Path) -> None:
        made = {name: change(planter) if name.startswith("with_") else change for name, change in changes.items()}  # type: ignore[operator]
        made = {name.removeprefix("with_"): change for name, change in made.items()}
        files = made.pop("files", None) or planter.file()
        road.place(sender, Making(road, sender, files, **made).write(work))  # type: ignore[arg-type]

    return build


def _placed(change: Callable[[Path, Planter], str | None]) -> Build:
    """A good drop whose folder at the airlock is changed; `change` answers a new name for it, if it is to have one."""

    def build(road: Road, sender: str, planter: Planter, work: Path) -> None:
        drop = Making(road, sender, planter.file()).write(work)
        name = change(drop, planter)
        placed = road.place(sender, drop, name or "")
        road.sshd.own(placed)

    return build


def _loose(road: Road, sender: str, planter: Planter, work: Path) -> None:
    person = planter.draw()
    loose = road.sshd.root / sender / "in" / f"{person.person_id}.csv"
    loose.write_bytes(csv_of("arrival", [planter.row(person)]))
    road.sshd.own(loose)


def _link(road: Road, sender: str, planter: Planter, work: Path) -> None:
    target = work / f"target-{planter.draw().person_id}"
    target.mkdir(parents=True)
    (target / "manifest.json").write_bytes(planter.draw().name.encode())
    link = road.sshd.root / sender / "in" / "linked-drop"
    link.symlink_to(target)
    road.sshd.own(link)


def _link_inside(drop: Path, planter: Planter) -> None:
    payload = drop / "payload.zip"
    kept = drop.with_name(f"{drop.name}-{planter.draw().person_id}")
    payload.rename(kept)
    payload.symlink_to(kept)


def _more(drop: Path, planter: Planter) -> None:
    (drop / f"{planter.draw().person_id}.txt").write_bytes(planter.draw().name.encode())


def _oversize(drop: Path, planter: Planter) -> None:
    with (drop / "payload.zip").open("ab") as payload:
        payload.write(planter.draw().name.encode() + os.urandom(DROP_BYTES))


BAD_DROPS: Mapping[str, tuple[str, Build]] = {
    "signed with another sender's key": ("E_SENDER", _made(signer="deren")),
    "signature over something else": ("E_SIG", _made(signed=b"{}")),
    "signature for a loan": ("E_NAMESPACE", _made(namespace=f"loan@{REGISTRY}")),
    "manifest with a word too many": (
        "E_MANIFEST",
        _made(with_outer=lambda planter: {"comment": planter.draw().name}),
    ),
    "for another registry": ("E_REGISTRY", _made(outer={"registry": "kvarus"})),
    "in another sender's name": ("E_OWNER", _made(outer={"sender": "deren"})),
    "another format": ("E_FORMAT", _made(outer={"format": "openpgp"})),
    "another key id": ("E_KID", _made(with_outer=lambda planter: {"recipient_kid": planter.draw().course_id})),
    "altered after signing": ("E_DIGEST", _made(after_signing=_flip)),
    "altered before signing": ("E_TAG", _made(after_sealing=_flip)),
    "wrong passphrase": ("E_PASSPHRASE", _made(passphrase=Secret(b"QQQQQ-WWWWW-EEEEE-RRRRR-TTTTT-2"))),
    "cut in the middle": ("E_TRUNC", _made(after_sealing=lambda content: content[: len(content) // 2])),
    "not a ZIP": ("E_FORMAT", _made(with_after_sealing=lambda planter: lambda _: planter.draw().name.encode() * 9)),
    "a plaintext entry appended": (
        "E_UNENCRYPTED",
        _made(with_after_sealing=lambda planter: _append_plain(f"{planter.draw().person_id}.csv", planter.draw().name)),
    ),
    "no manifest inside": ("E_INNER_MANIFEST", _made(inner_text=b"")),
    "a manifest inside that is no JSON": (
        "E_INNER_MANIFEST",
        _made(with_inner_text=lambda planter: f'{{"name": "{planter.draw().name}"'.encode()),
    ),
    "a manifest inside of another drop": ("E_BINDING", _made(inner={"drop_id": str(UUID(int=1))})),
    "a file that the manifest does not list": (
        "E_FILES",
        _made(
            with_more_members=lambda planter: (
                PlainFile(f"{planter.draw().person_id}.csv", planter.draw().text.encode()),
            )
        ),
    ),
    "a file that differs from the manifest": (
        "E_FILE_DIGEST",
        _made(
            inner={"files": [{"name": "arrival.csv", "sha256": "0" * 64, "size": 1}]},
        ),
    ),
    "a file renamed in one ZIP header": ("E_CONTAINER", _made(after_sealing=_rename_once)),
    "a file renamed in both ZIP headers": ("E_FILES", _made(after_sealing=_rename_twice)),
    "a file named by a number": (
        "E_FORM_UNKNOWN",
        _made(with_files=lambda planter: {f"{planter.draw().person_id}.csv": planter.draw().name.encode()}),
    ),
    "a form as CSV and as a workbook": (
        "E_FORM_UNKNOWN",
        _made(with_files=lambda planter: planter.file() | {"arrival.xlsx": planter.draw().name.encode()}),
    ),
    "a ZIP in the ZIP": (
        "E_NESTED",
        _made(
            with_files=lambda planter: {
                "arrival.zip": aes_zip.pack_plain([PlainFile("arrival.csv", planter.draw().name.encode())])
            }
        ),
    ),
    "a folder named by a person": (
        "E_DROP_NAME",
        _placed(lambda _, planter: f"{planter.draw().person_id} {planter.draw().name}"),
    ),
    "a link for a folder": ("E_DROP_KIND", _link),
    "a link for a payload": ("E_DROP_KIND", _placed(_link_inside)),
    "a file without a folder": ("E_DROP_KIND", _loose),
    "a file too many in the folder": ("E_DROP_CONTENT", _placed(_more)),
    "a payload above the limit": ("E_DROP_SIZE", _placed(_oversize)),
}
"""What is wrong → (code, how to place it at the airlock)."""


def _rows(planter: Planter, **changed: str) -> bytes:
    return csv_of("arrival", [planter.row(**changed), planter.row()])


def _wrong_columns(planter: Planter) -> bytes:
    person = planter.draw()
    return f"navn;{person.person_id};course_id\r\n{person.name};{person.text};{person.course_id}\r\n".encode()


def _every_rule(planter: Planter) -> bytes:
    """Rows that break each rule of a row, with planted words wherever a text can stand."""
    draw = planter.draw
    changes = [
        {"work_ability": draw().name}, {"work_ability": draw().person_id}, {"health": "1e5"}, {"health": "-1"},
        {"sex": draw().name}, {"arrival_date": draw().text}, {"arrival_date": "2024-02-30"}, {"arrival_date": ""},
        {"occupation": f"spurt {draw().person_id} selv"}, {"occupation": draw().text * 9}, {"employed": draw().name},
        {"occupation": f'=HYPERLINK("{draw().text}")'}, {"occupation": f"{draw().name}\x07\x1b[31m"},
        {"consent_date": ""}, {"consent_date": "2025-02-01"}, {"work_ability": "#REF!"},
        {"person_id": draw().person_id[:10]}, {"person_id": "01017012345"}, {"person_id": draw().name},
        {"person_id": ""}, {"course_id": ""}, {"course_id": draw().person_id}, {"arrival_date": "2010-01-01"},
        {"sick_leave": "partial", "sick_leave_percent": "100"}, {"position_percent": "50", "employed": "nei"},
        {"benefits_none": "1", "benefits_aap": "1"}, {"benefits_aap": draw().name},
    ]  # fmt: skip
    twice = planter.row()
    same_person = planter.draw()
    rows = [planter.row(**change) for change in changes]
    rows += [twice, twice, twice | {"work_ability": "9"}]
    rows += [planter.row(same_person), planter.row(same_person, course_id=draw().course_id)]
    lines = csv_of("arrival", rows)
    return lines + f"{draw().person_id};{draw().name}\r\n".encode()


def _between_forms(planter: Planter) -> dict[str, bytes]:
    """Rows that are wrong because of another form's: without an arrival, before it, before discharge, out of order."""
    draw = planter.draw
    known = [draw() for _ in range(12)]
    stranger, refused = draw(), draw()
    arrivals = [planter.row(person) for person in known] + [planter.row(refused, work_ability="44")]
    discharges = [
        planter.discharge(known[0], end_date="2023-01-01"), planter.discharge(known[1], end_date="2025-06-01"),
        planter.discharge(known[2], completion=draw().name), planter.discharge(known[3], days_attended="0"),
        planter.discharge(known[4], end_date=draw().text), planter.discharge(stranger), planter.discharge(refused),
        planter.discharge(known[5]), planter.discharge(known[6]), planter.discharge(known[7]),
        planter.discharge(known[8], person_id=known[9].person_id), planter.discharge(course_id=draw().course_id),
    ]  # fmt: skip
    half = [planter.answer(known[7], response_date="2024-09-05")]
    answers = [
        planter.answer(known[5], response_date="2024-02-20"), planter.answer(known[6], response_date="2024-01-01"),
        planter.answer(known[7], response_date="2024-08-01"), planter.answer(stranger), planter.answer(refused),
        planter.answer(known[10], work_ability=draw().name), planter.answer(known[11], response_date=draw().person_id),
    ]  # fmt: skip
    return {
        "arrival.csv": csv_of("arrival", arrivals),
        "discharge.csv": csv_of("discharge", discharges),
        "follow_up_6.csv": csv_of("follow_up_6", half),
        "follow_up_12.csv": csv_of("follow_up_12", answers),
    }


def _about_the_institution(planter: Planter) -> dict[str, bytes]:
    """The yearly forms, which know of no person, with planted words in every column."""
    return {
        f"{form}.csv": csv_of(
            form,
            [
                dict.fromkeys(definition().form(form).columns(), word)
                for word in (planter.draw().person_id, planter.draw().name, planter.draw().text)
            ],
        )
        for form in ("institution", "arr_course")
    }


def _no_discharge_columns(planter: Planter) -> dict[str, bytes]:
    """A discharge whose file has the arrival's columns."""
    return {"discharge.csv": csv_of("arrival", [planter.row()])}


FAULTY_FILES: Mapping[str, Callable[[Planter], bytes | dict[str, bytes]]] = {
    "UTF-16": lambda planter: _rows(planter).decode().encode("utf-16"),
    "an old code page": lambda planter: (
        _rows(planter, occupation=f"bær {planter.draw().text}").decode().encode("cp850")
    ),
    "cut UTF-8": lambda planter: _rows(planter) + "æ".encode()[:1],
    "NUL": lambda planter: _rows(planter, occupation=f"{planter.draw().text}\0{planter.draw().name}"),
    "unpaired quote": lambda planter: _rows(planter, occupation=f'"{planter.draw().text}'),
    "quote inside": lambda planter: _rows(planter, occupation=f'"{planter.draw().text}"x"'),
    "bars": lambda planter: _rows(planter).replace(b";", b"|"),
    "wrong columns": _wrong_columns,
    "no rows": lambda _: b"",
    "every rule of a row": _every_rule,
    "every rule between forms": _between_forms,
    "words about people in the yearly forms": _about_the_institution,
    "another form's columns": _no_discharge_columns,
}
"""What is wrong → an arrival.csv's content, or all files; the drop itself is sound, so it is admitted with faults."""


def place_bad_drops(road: Road, planter: Planter, work: Path) -> dict[str, tuple[str, str, frozenset[str]]]:
    """Place every bad drop; answers for each: its sender, its code, and the SHA-256 of what was placed, if known."""
    placed = {}
    for number, (what, (code, build)) in enumerate(BAD_DROPS.items()):
        # Never `deren`, in whose name and with whose key some are forged.
        sender = SENDERS[number % 3]
        before = set(_digests(road, sender))
        build(road, sender, planter, work / f"bad-{number}")
        placed[what] = (sender, code, frozenset(set(_digests(road, sender)) - before))
    return placed


def _digests(road: Road, sender: str) -> dict[str, str]:
    """Content digest → name of each whole drop folder in a sender's `in/`, as the server computes it."""
    found = {}
    for folder in (road.sshd.root / sender / "in").iterdir():
        parts = [folder / name for name in ("manifest.json", "manifest.json.sig", "payload.zip")]
        if not folder.is_symlink() and all(part.is_file() and not part.is_symlink() for part in parts):
            found[hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()] = folder.name
    return found


def place_faulty_files(road: Road, planter: Planter, work: Path) -> dict[str, str]:
    """Place every sound drop with a faulty file, all by `deren`; answers its content digest → what is wrong."""
    placed = {}
    for number, (what, make) in enumerate(FAULTY_FILES.items()):
        made = make(planter)
        files = made if isinstance(made, dict) else {"arrival.csv": made}
        drop = Making(road, "deren", files).write(work / f"faulty-{number}")
        before = set(_digests(road, "deren"))
        road.place("deren", drop)
        (digest,) = set(_digests(road, "deren")) - before
        placed[digest] = what
    return placed


def smaller_limit(settings: str) -> str:
    """enclave.toml with the payload limit of these roads."""
    return settings.replace("drop_bytes = 67108864", f"drop_bytes = {DROP_BYTES}")
