"""Hostile files, each at the largest that is let in: what `measure.py` leaves at the airlock, one after another.

`HOSTILE` names each with the members of its payload, or with the changed files of its folder, and how it must end.
Everything is stored, not deflated, for a container's own limits would stop most of it earlier.
"""

import io
import random
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from benchmarks.identity import numbers
from tests.crypto.zip_writer import DEFLATED, Member, build
from tests.faults.site import DEFINITION
from tests.faults.test_rows_16_to_34 import many_entries
from tests.intake.test_spreadsheet_door import RELATIONS, SHEET, book, repacked

MIB = 1 << 20
ROOM = 63 * MIB
"""What a file may weigh so that the payload around it is still let in."""
FORM = DEFINITION.form("arrival")
HEADER = [str(FORM.person_id), FORM.reference, *FORM.columns()]
HEAD = (";".join(HEADER) + "\r\n").encode()
MAIN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
END = b"</sheetData></worksheet>"

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Hostile:
    """One hostile drop: its payload's members, or its whole payload, or its manifest; and the reason it ends with.

    `reason` is the drop's code; "" for a drop that is admitted with `rule` among its file's faults.
    """

    reason: str = ""
    rule: str = ""
    members: Callable[[], Files] = dict
    payload: Callable[[], bytes] | None = None
    manifest: Callable[[bytes], bytes] = field(default=lambda content: content)
    signature: Callable[[bytes], bytes] = field(default=lambda content: content)
    inner: Callable[[], bytes] | None = None
    envelope: str = "aes-zip"


def csv_file(body: Callable[[], bytes], rule: str) -> Hostile:
    """An arrival.csv with the right header above a body."""
    return Hostile(rule=rule, members=lambda: {"arrival.csv": HEAD + body()})


def workbook(parts: Callable[[], Mapping[str, bytes]], rule: str) -> Hostile:
    """An arrival.xlsx that is right but for some parts."""
    return Hostile(rule=rule, members=lambda: {"arrival.xlsx": stored(repacked(book({}), parts()))})


def stored(package: bytes) -> bytes:
    """The same package without compression."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    return target.getvalue()


def honest_rows(count: int, size: int = ROOM) -> bytes:
    """Sound arrivals of as many different synthetic people, at most `size` bytes."""
    drawn = random.Random(1)
    answers = dict.fromkeys(HEADER, "")
    lines, length = [], 0
    for n, person_id in enumerate(numbers(count)):
        answers |= {
            "person_id": person_id, "course_id": f"K-{n}", "consent_date": "2024-01-02",
            "arrival_date": "2024-02-05", "sex": drawn.choice(("female", "male")), "diagnosis_group": "mental",
            "work_ability": str(drawn.randrange(11)), "occupation": f"yrke {n}",
        }  # fmt: skip
        lines.append(";".join(answers.values()))
        length += len(lines[-1]) + 2
        if length > size:
            break
    return "\r\n".join(lines).encode()


def filled(piece: bytes, size: int = ROOM) -> bytes:
    """As many copies of a piece as fit."""
    return piece * (size // len(piece))


def rows_of_cells(count: int, cell: bytes, width: int = 50) -> bytes:
    """A sheet of that many equal cells."""
    row = b"<row>" + cell * width + b"</row>"
    return MAIN + row * (count // width) + END


def texts(count: int) -> bytes:
    """A table of that many shared texts."""
    main = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    return main + b"".join(b"<si><t>%d</t></si>" % n for n in range(count)) + b"</sst>"


LYING = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8AAAAA\n-----END SSH SIGNATURE-----"
LAUGHS = b'<!DOCTYPE x [<!ENTITY a0 "ha">' + b"".join(
    b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12)
) + b"]>"  # fmt: skip


def bomb_that_says_so() -> bytes:
    """A gigabyte of zeros in a megabyte, as the header says."""
    return build(Member(b"arrival.csv", bytes(64 * MIB), method=DEFLATED, size=1 << 30))


def bomb_at_the_limits(size: int = ROOM) -> bytes:
    """Lines that deflate as well as is let through."""
    drawn = random.Random(2)
    blocks = (drawn.randbytes(5) + b";" * 900 + b"\r\n" for _ in range(size // 907))
    return b"".join(blocks)


def many_recipients() -> bytes:
    """An age file whose header names people without end."""
    stanza = b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n"
    return b"age-encryption.org/v1\n" + filled(stanza) + b"--- " + b"A" * 43 + b"\n" + bytes(64)


def many_parts() -> bytes:
    """A binary message whose encrypted packet comes in parts of one byte each, and never ends."""
    session = b"\xc1\x5e\x03" + bytes(93)
    return session + b"\xd2" + b"\xe0\x01" * (ROOM // 2)


HOSTILE: Mapping[str, Hostile] = {
    "manifest of 200 MB": Hostile("E_DROP_SIZE", manifest=lambda _: b" " * 200_000_000),
    "manifest of 60 000 brackets": Hostile("E_MANIFEST", manifest=lambda _: b"[" * 60_000),
    "manifest with a number of 60 000 digits": Hostile("E_MANIFEST", manifest=lambda _: b'{"v":%s}' % (b"9" * 60_000)),
    "signature with lying lengths": Hostile("E_SIG", signature=lambda _: LYING),
    "payload above the limit": Hostile("E_DROP_SIZE", payload=lambda: bytes(65 * MIB)),
    "ZIP of 65 000 entries": Hostile("E_ENTRIES", payload=lambda: many_entries(65_000)),
    "ZIP bomb of a gigabyte": Hostile("E_BOMB", payload=bomb_that_says_so),
    "ZIP that opens to the most that is let through": csv_file(bomb_at_the_limits, "encoding"),
    "age file that opens to the most that is let through": replace(
        csv_file(bomb_at_the_limits, "encoding"), envelope="age"
    ),
    "age file with a header of half a million recipients": Hostile("E_AGE", payload=many_recipients, envelope="age"),
    "OpenPGP message that opens to the most that is let through": replace(
        csv_file(lambda: bomb_at_the_limits(45 * MIB), "encoding"), envelope="openpgp"
    ),
    "OpenPGP message in 33 million parts": Hostile("E_OPENPGP_FORM", payload=many_parts, envelope="openpgp"),
    "manifest inside of 60 MiB": Hostile("E_INNER_MANIFEST", inner=lambda: filled(b"[")),
    "CSV, as large as is let in, of honest rows": csv_file(lambda: honest_rows(1_000_000), "too_many_rows"),
    "CSV of one line": csv_file(lambda: filled(b"x"), "unreadable"),
    "CSV of 20 million short rows": csv_file(lambda: filled(b"a\r\n"), "too_many_rows"),
    "CSV of lines of a million columns": Hostile(
        rule="header_unknown", members=lambda: {"arrival.csv": filled(b";" * 999_999 + b"x\r\n")}
    ),
    "CSV of NULs": csv_file(lambda: filled(b"\0" * 70_000 + b"\r\n"), "row_width"),
    "CSV of quotation marks": csv_file(lambda: filled(b'"' * 80_000 + b"\r\n"), "row_width"),
    "CSV of signs of four bytes": csv_file(
        lambda: filled("\U0001f9ea".encode() * 9 + b";" * (len(HEADER) - 1) + b"\r\n"), "too_many_rows"
    ),
    "CSV with a fault in every field": csv_file(
        lambda: (b";".join([b"x"] * len(HEADER)) + b"\r\n") * (4_000_000 // len(HEADER) - 1), "too_many_faults"
    ),
    "XLSX of 490 000 cells": workbook(lambda: {SHEET: rows_of_cells(490_000, b"<c><v>1</v></c>")}, "header_unknown"),
    "XLSX of 2 million tags that mean nothing": workbook(
        lambda: {SHEET: MAIN + b"<x/>" * 1_990_000 + END}, "empty_file"
    ),
    "XLSX of tags beyond the limit": workbook(
        lambda: {SHEET: MAIN + filled(b"<x/>", 60 * MIB) + END}, "workbook_too_large"
    ),
    "XLSX of a million columns": workbook(
        lambda: {SHEET: MAIN + b"<row>" + b"<c><v>1</v></c>" * 490_000 + b"</row>" + END}, "workbook_too_large"
    ),
    "XLSX of 499 000 shared texts": workbook(lambda: {"xl/sharedStrings.xml": texts(499_000)}, "header_missing"),
    "XLSX of a third of a million rows": workbook(
        lambda: {SHEET: rows_of_cells(330_000, b"<c><v>1</v></c>", width=1)}, "header_unknown"
    ),
    "XLSX of one text in a thousand cells": workbook(
        lambda: {
            "xl/sharedStrings.xml": texts(0).replace(b"</sst>", b"<si><t>" + b"x" * 32_000 + b"</t></si></sst>"),
            SHEET: rows_of_cells(490_000, b'<c t="s"><v>0</v></c>'),
        },
        "workbook_too_large",
    ),
    "XLSX with billion laughs": workbook(
        lambda: {"xl/sharedStrings.xml": LAUGHS + b"<sst><si><t>&a11;</t></si></sst>"}, "workbook_unreadable"
    ),
    "XLSX nested a million deep": workbook(lambda: {SHEET: MAIN + b"<x>" * 1_000_000}, "workbook_too_large"),
    "XLSX of one tag with 5 million attributes": workbook(
        lambda: {SHEET: MAIN + b"<x " + b"".join(b'a%d="" ' % n for n in range(5_000_000)) + b"/>" + END},
        "workbook_too_large",
    ),
    "XLSX of one text of 60 MiB": workbook(
        lambda: {SHEET: MAIN + b"<row><c><v>" + filled(b"1", 60 * MIB) + b"</v></c></row>" + END}, "workbook_too_large"
    ),
    "XLSX with relations of 190 000 tags": workbook(
        lambda: {RELATIONS: b"<Relationships>" + b"<x/>" * 190_000 + b"</Relationships>"}, "workbook_sheets"
    ),
}
