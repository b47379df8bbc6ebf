"""Every parser of bytes that somebody else wrote, each as one function of bytes, with a small corpus made by code.

`read` answers nothing: it returns, or raises one of `expected`, or it has a fault. What a parser takes must also hold
together, so each function compares what came out with what the bytes say. Property tests and `make fuzz` share them.
"""

import base64
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from openpyxl import Workbook

from enclave.airlock import rules
from enclave.airlock.collect import pack, unpack
from enclave.audit import checkpoint, signed_note, verify
from enclave.crypto import openpgp, sshsig
from enclave.crypto.aes_zip import open_plain
from enclave.crypto.allowed_signers import format_allowed_signers, parse_allowed_signers
from enclave.crypto.names import is_plain_name
from enclave.crypto.secret import Secret
from enclave.crypto.zip_directory import Limits, read_directory
from enclave.demo.nettskjema_form import definition_of, written
from enclave.errors import Halt, Rejected
from enclave.intake import form_definition as forms
from enclave.intake.open import read_inner_manifest, read_manifest
from enclave.intake.read import TextTable, read
from enclave.intake.rules import RULES
from enclave.intake.spreadsheet import read_spreadsheet
from enclave.model.drop import PlainFile, SealedDrop
from tests.crypto.zip_writer import DEFLATED, Member, build
from tests.intake.drops import FILES, inner, outer
from tests.intake.forms import ARRIVAL, GOOD, file_of

FORM_NUMBER = "123456"
SIZE = 4096
"""The largest input that is tried; every structure fits many times."""


@dataclass(frozen=True)
class Parser:
    """One parser: what reads, what may come out instead of a value, valid inputs, and how often `make fuzz` tries."""

    read: Callable[[bytes], None]
    expected: tuple[type[Exception], ...]
    seeds: Callable[[], Iterator[bytes]]
    runs: int


def _agree(*, holds: bool) -> None:
    if not holds:
        raise AssertionError("the parser took what does not hold together")


# --- The manifests ----------------------------------------------------------------------------------------------------


def _manifest(content: bytes) -> None:
    """What the airlock's look and the strict reading say of one manifest is the same."""
    seen = rules.peek(content)
    manifest = read_manifest(content)
    _agree(holds=seen.whole and seen.payload_size == manifest.payload_size)
    _agree(holds=(seen.payload_sha256, seen.recipient_kid) == (manifest.payload_sha256, manifest.recipient_kid))
    _agree(holds=(seen.drop_id, seen.seq) == (str(manifest.drop_id), manifest.seq))


def _manifests() -> Iterator[bytes]:
    for changes in ({}, {"seq": 4}, {"supersedes": "00000000-0000-4000-8000-000000000001"}, {"format": "age"}):
        yield json.dumps(outer(b"payload", **changes)).encode()
    yield json.dumps(outer(b"payload"), indent=2).encode()


def _inner_manifest(content: bytes) -> None:
    manifest = read_inner_manifest(content)
    _agree(holds=all(is_plain_name(file.name) or file.name.endswith(".") for file in manifest.files if file.name))


def _inner_manifests() -> Iterator[bytes]:
    yield json.dumps(inner(FILES)).encode()
    yield json.dumps(inner([*FILES, PlainFile("discharge.csv", b"a;b\r\n1;2\r\n")]), indent=1).encode()
    yield json.dumps({**inner(FILES), "files": [{**inner(FILES)["files"][0], "rows": 2}]}).encode()


# --- ZIP --------------------------------------------------------------------------------------------------------------

SMALL = Limits(entries=8, total=1 << 20, ratio_from=1 << 10)


def _zip_directory(content: bytes) -> None:
    """The first byte says whether encryption is asked for; entries lie in order inside the archive, none in another."""
    archive = content[1:]
    entries = read_directory(archive, SMALL, encrypted=bool(content[:1] > b"\x7f"))
    ranges = sorted((entry.start, entry.end) for entry in entries)
    _agree(holds=all(0 <= start <= end <= len(archive) for start, end in ranges))
    _agree(holds=all(end <= start for (_, end), (start, _) in pairwise(ranges)))
    _agree(holds=all(is_plain_name(entry.name) for entry in entries))
    _agree(holds=sum(entry.size for entry in entries) <= SMALL.total)


def _zip_content(content: bytes) -> None:
    """What comes out of a plain ZIP is what its directory says, and what the standard library reads too."""
    files = open_plain(content, SMALL)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _agree(holds=[(file.name, file.content) for file in files] == [
            (name, archive.read(name)) for name in archive.namelist()
        ])  # fmt: skip


def _archives(*, encrypted: bool) -> Iterator[bytes]:
    one = Member(encrypted=encrypted)
    for members in (
        (one,),
        (one, Member(name=b"b.csv", encrypted=encrypted, method=DEFLATED)),
        (Member(encrypted=encrypted, descriptor=b"PK\x07\x08"), Member(name=b"c.csv", encrypted=encrypted)),
        (Member(encrypted=encrypted, zip64_local=True, zip64_central=True),),
        (Member(encrypted=encrypted, more_local_extra=struct.pack("<HHBI", 0x5455, 5, 1, 0)),),
    ):
        yield build(*members)
    yield build(one, wide={})


def _directories() -> Iterator[bytes]:
    for archive in _archives(encrypted=True):
        yield b"\xff" + archive
    for archive in _archives(encrypted=False):
        yield b"\x00" + archive


MESSAGE = b"kanari"

# --- OpenPGP messages -------------------------------------------------------------------------------------------------

PGP_KEY, PGP_PUBLIC = openpgp.new_key("fuzz")
PGP_ARMOUR = b"-----BEGIN PGP MESSAGE-----\n\n%s-----END PGP MESSAGE-----\n"


def _openpgp_framing(content: bytes) -> None:
    """Packets, or, after a zero byte, packets that are armoured here: what is whole is so to its last byte."""
    packets = _pgp_packets(content)
    if openpgp.is_whole(_pgp_message(content)) and packets[:1] >= b"\x80":
        _agree(holds=openpgp.is_whole(packets))
        _agree(holds=not openpgp.is_whole(packets[:-1]) and not openpgp.is_whole(packets + b"\0"))


def _openpgp(content: bytes) -> None:
    """The same messages, opened by the library."""
    openpgp.open(_pgp_message(content), PGP_KEY, limit=1 << 16)


def _pgp_packets(content: bytes) -> bytes:
    return content[1:] if content[:1] == b"\0" else content


def _pgp_message(content: bytes) -> bytes:
    return PGP_ARMOUR % base64.encodebytes(content[1:]) if content[:1] == b"\0" else content


def _openpgp_messages() -> Iterator[bytes]:
    armoured = openpgp.seal(MESSAGE, PGP_PUBLIC)
    packets = base64.b64decode(b"".join(armoured.split(b"\n\n")[1].split(b"\n")[:-2]).split(b"=")[0] + b"==")
    yield armoured
    yield armoured.replace(b"\n", b"\r\n")
    yield packets
    yield b"\0" + packets
    # Each way to write a length: of one octet, of the old format's two and four, of five, and in parts.
    for length in (b"\xc1\x03", b"\x85\x00\x03", b"\x86\x00\x00\x00\x03", b"\xc1\xff\x00\x00\x00\x03"):
        session_key = length + b"abc"
        yield session_key + b"\xd2\x04data"
        yield session_key + b"\xd2\xe2four\x02da"
        yield session_key + b"\xd2\xe2four\xc0\x00" + bytes(192)


# --- Signatures, signers, checkpoints ---------------------------------------------------------------------------------

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SIGN_KEY, SIGN_PUBLIC = sshsig.new_key("fuzz")
SIGNERS = (sshsig.AllowedSigner("klinikk-a", SIGN_PUBLIC, ("drop@kar",)),)
ARMOR = b"-----BEGIN SSH SIGNATURE-----\n%s\n-----END SSH SIGNATURE-----\n"


def _sshsig(content: bytes) -> None:
    """An armored signature, or, after a zero byte, the blob that is to be armored: so that its fields are reached."""
    armored = ARMOR % base64.b64encode(content[1:]) if content[:1] == b"\0" else content
    signer = sshsig.verify(MESSAGE, armored, SIGNERS, "klinikk-a", "drop@kar", AT)
    _agree(holds=signer is SIGNERS[0])


def _signatures() -> Iterator[bytes]:
    for namespace in ("drop@kar", "loan@kar"):
        armored = sshsig.sign(MESSAGE, SIGN_KEY, namespace)
        yield armored
        yield armored.replace(b"\n", b"\r\n")
        yield b"\0" + base64.b64decode(b"".join(armored.split(b"\n")[1:-2]))


def _signers(content: bytes) -> None:
    """A list that is taken is written again as a list that says the same."""
    signers = parse_allowed_signers(content.decode("utf-8", "replace"))
    _agree(holds=parse_allowed_signers(format_allowed_signers(signers)) == tuple(signers) or not signers)


def _signer_lists() -> Iterator[bytes]:
    key = SIGN_PUBLIC.rsplit(" ", 1)[0]
    yield format_allowed_signers(SIGNERS).encode()
    yield f'# a comment\n\na-1 namespaces="drop@kar,loan@kar",valid-after="20260101Z" {key} note\n'.encode()
    yield f'b namespaces="x" valid-after="202601010000Z" valid-before="20270101000000Z" {key}\n'.encode()


ORIGIN = "enclave/demo/log"
SEED = Secret(b"s" * 32)
VKEY = signed_note.vkey_of(ORIGIN, signed_note.public_key_of(SEED))


def _checkpoint(content: bytes) -> None:
    """A signed note, or, after a zero byte, the text of one that is signed here: so that the text is reached."""
    note = _signed(content[1:]) if content[:1] == b"\0" else content
    head = checkpoint.verify(note, VKEY)
    _agree(holds=checkpoint.sign(head.origin, head.size, head.root, SEED).split(b"\n\n")[0] in note)


def _signed(text: bytes) -> bytes:
    made = checkpoint.sign(ORIGIN, 1, bytes(32), SEED)
    stem = text.rstrip(b"\n") + b"\n"
    value = checkpoint_signature(stem)
    return stem + b"\n" + made.split(b"\n\n")[1].rsplit(b" ", 1)[0] + b" " + value + b"\n"


def checkpoint_signature(text: bytes) -> bytes:
    """The key id and signature over any text, in base64."""
    private = signed_note._private(SEED)
    key_id = signed_note._key_id(ORIGIN, signed_note.public_key_of(SEED))
    return base64.b64encode(key_id + private.sign(text))


def _notes() -> Iterator[bytes]:
    note = checkpoint.sign(ORIGIN, 7, bytes(range(32)), SEED)
    yield note
    yield note + "\u2014 witness AAAAAAAA\n".encode()
    yield b"\0" + note.split(b"\n\n")[0]


def _audit_line(content: bytes) -> None:
    """One line of an exported log, as the auditor's stand-alone program reads it."""
    verify.read_line(content)


def _audit_lines() -> Iterator[bytes]:
    run = "4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d"
    line: dict[str, object] = {
        "act": "drop.take", "actor": "job:collect", "boot": run, "case_number": "2026/1", "counts": {"kib": 4},
        "digests": {"content": "0" * 64}, "intent_seq": None, "job": "collect", "log": run, "mono": 1,
        "object_id": run, "object_kind": "drop", "phase": "intent", "prev": "0" * 64, "purpose": "", "reason": "",
        "registry": "kar", "run": run, "seq": 2, "ts": "2026-11-23T02:00:01.000000Z", "v": 1,
    }  # fmt: skip
    for changes in ({}, {"phase": "done", "intent_seq": 1}):
        yield json.dumps({**line, **changes}, sort_keys=True, separators=(",", ":")).encode()


# --- Files of forms ---------------------------------------------------------------------------------------------------


def _whole(table: TextTable) -> None:
    """Every row that was delivered stands in the frame or has a fault, its own or the file's."""
    narrow = sum(fault.rule == "row_width" for fault in table.faults)
    _agree(holds=table.frame.height <= table.delivered)
    _agree(holds=table.refused or table.frame.height + narrow + _misfits(table) == table.delivered)
    _agree(holds=all(fault.rule in RULES for fault in table.faults))


def _misfits(table: TextTable) -> int:
    return len({fault.row for fault in table.faults if fault.rule == "type"})


def _csv(content: bytes) -> None:
    _whole(read(content, ARRIVAL))


def _csv_files() -> Iterator[bytes]:
    yield file_of({}, {"score": "11"}, {"occupation": '"en; to"'})
    yield b"\xef\xbb\xbf" + file_of({"arrival_date": "2024-03-01"}, {}, end="\n")
    yield file_of({}).decode().encode("latin-1")
    yield file_of({}).replace(b";", b"\t")
    yield file_of({"person_id": "abc", "weight": "1e5", "sex": "x"}, header=tuple(reversed(GOOD)))


PARTS = ("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels",
         "xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/sharedStrings.xml")  # fmt: skip


def _xlsx(content: bytes) -> None:
    """The first byte says which part of a right workbook the rest replaces; from 128 on the rest is the whole file."""
    if not content:
        return
    which, rest = content[0], content[1:]
    _whole(read_spreadsheet(rest if which >= 128 else _replaced(PARTS[which % len(PARTS)], rest), ARRIVAL))


def _replaced(name: str, content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for part, whole in WORKBOOK_PARTS.items():
            archive.writestr(part, content if part == name else whole)
    return target.getvalue()


def _workbook_parts() -> dict[str, bytes]:
    made = Workbook()
    sheet = made.worksheets[0]
    sheet.append(list(GOOD))
    sheet.append([*GOOD.values()])
    sheet.append([7 if name == "score" else True if name == "employed" else None for name in GOOD])
    content = io.BytesIO()
    made.save(content)
    with zipfile.ZipFile(content) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name in PARTS}
    texts = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>female</t></si></sst>'
    return {**parts, "xl/sharedStrings.xml": parts.get("xl/sharedStrings.xml", texts)}


WORKBOOK_PARTS = _workbook_parts()


def _workbooks() -> Iterator[bytes]:
    for number, name in enumerate(PARTS):
        yield bytes([number]) + WORKBOOK_PARTS[name]
    yield b"\xff" + _replaced("", b"")


# --- What a form at Nettskjema asks ---------------------------------------------------------------------------------


def _form_definition(content: bytes) -> None:
    """What is read is kept as something that says the same, without a place that stands twice or a hidden character."""
    definition = forms.read_definition(content, FORM_NUMBER)
    _agree(holds=forms.points_of(definition.content) == tuple(sorted(definition.points)))
    _agree(holds=len({point.place for point in definition.points}) == len(definition.points))
    _agree(holds=all(text.isprintable() for point in definition.points for text in vars(point).values()))
    _agree(holds=forms.changes(definition.points, definition.points) == ())


def _form_definitions() -> Iterator[bytes]:
    made = datetime(2024, 9, 2, tzinfo=UTC)
    short = ARRIVAL.model_copy(update={"variables": ARRIVAL.variables[:3]})
    yield written(definition_of(short, FORM_NUMBER, "institution", {"1": "a", "2": "b"}, made))
    question = {"externalQuestionId": "q", "text": "Q", "answerOptions": [{"answerOptionId": 1, "text": "Ja"}]}
    element = {"elementType": "RADIO", "questions": [question]}
    legacy = {"formId": int(FORM_NUMBER), "pages": [{"elements": [element]}]}
    yield json.dumps({"definition": legacy, "form_id": int(FORM_NUMBER), "type": "codebook"}).encode()


# --- What lies in quarantine ------------------------------------------------------------------------------------------


def _quarantine(content: bytes) -> None:
    _agree(holds=pack(unpack(content)) == content)


def _packed_drops() -> Iterator[bytes]:
    yield pack(SealedDrop("4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d", "klinikk-a", b"{}", b"sig", b"payload"))


OWN, LIBRARY = 1_000_000, 50_000
"""How often `make fuzz` tries a byte parser of our own, and one that works through a library."""

PARSERS: Mapping[str, Parser] = {
    "manifest": Parser(_manifest, (Rejected,), _manifests, OWN),
    "zip_directory": Parser(_zip_directory, (Rejected,), _directories, OWN),
    "openpgp_framing": Parser(_openpgp_framing, (), _openpgp_messages, OWN),
    "sshsig": Parser(_sshsig, (Rejected,), _signatures, OWN),
    "checkpoint": Parser(_checkpoint, (Halt,), _notes, OWN),
    "json": Parser(_inner_manifest, (Rejected,), _inner_manifests, LIBRARY),
    "openpgp": Parser(_openpgp, (Rejected,), _openpgp_messages, LIBRARY),
    "csv": Parser(_csv, (), _csv_files, LIBRARY),
    "xlsx": Parser(_xlsx, (), _workbooks, LIBRARY),
    "form_definition": Parser(_form_definition, (Rejected,), _form_definitions, LIBRARY),
    "zip_content": Parser(_zip_content, (Rejected,), lambda: _archives(encrypted=False), LIBRARY),
    "signers": Parser(_signers, (Halt,), _signer_lists, LIBRARY),
    "audit_line": Parser(_audit_line, (verify.WrongError,), _audit_lines, LIBRARY),
    "quarantine": Parser(_quarantine, (Rejected,), _packed_drops, LIBRARY),
}
