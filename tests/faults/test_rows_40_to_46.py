"""Rows 40–46 of the fault matrix: what stands in the files, what comes back out of them, and the server's own keys."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from enclave import durable
from enclave.control.drops import Drop
from enclave.errors import Halt
from enclave.flow import DropState
from enclave.model.draft import Kind
from enclave.wiring import open_log
from jobs.admit import admit
from tests.faults.judged import assert_nothing_left
from tests.faults.site import ATTACKER, HONEST, Making, Site
from tests.flow.road import csv_of, read_csv
from tests.identity.numbers import number
from tests.intake.test_spreadsheet_door import RELATIONS, SHEET, repacked, replaced, saved

ROW = 2
"""The first row below the header."""


def answered(site: Site, **files: bytes) -> tuple[Drop, list[dict[str, str]]]:
    """A sound drop of these files is admitted, and the honest one behind it; answers it with its feedback's lines."""
    named = {name.replace("_csv", ".csv").replace("_xlsx", ".xlsx"): content for name, content in files.items()}
    site.send(Making(named, method="Copy"))
    site.send(Making(site.planter.file(rows=1), HONEST))
    theirs, honest = site.walk()
    assert (theirs.sender, theirs.state) == (ATTACKER, DropState.ADMITTED)
    assert (honest.sender, honest.state) == (HONEST, DropState.ADMITTED)
    assert site.reason(theirs) == ""
    return theirs, read_csv(site.answer(theirs, Kind.FEEDBACK)["tilbakemelding.csv"])


def faults(lines: Sequence[dict[str, str]]) -> set[tuple[str, str]]:
    """What feedback says, as (row, rule)."""
    return {(line["Rad"], line["Regel"]) for line in lines}


def of_drop(site: Site, drop: Drop) -> int:
    """How many rows of the registry come from a drop."""
    return sum(drop.drop_uuid in row for rows in site.rows().values() for row in rows)


# --- 40: workbooks ----------------------------------------------------------------------------------------------------


def workbook_of(site: Site) -> bytes:
    """A right workbook of one new person."""
    made = Workbook()
    sheet = made.worksheets[0]
    assert isinstance(sheet, Worksheet)
    for line in csv_of("arrival", [site.planter.row()]).decode().splitlines():
        sheet.append(line.split(";"))
    return saved(made)


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<!DOCTYPE sst [<!ENTITY a0 "ha">{ENTITIES}]>'.encode()
LINK = b'<Relationship Id="z" Type="http://x/externalLinkPath" Target="file:///etc/passwd" TargetMode="External"/>'


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"xl/sharedStrings.xml": LAUGHS + b"<sst><si><t>&a9;</t></si></sst>"}, "workbook_unreadable"),
        ({RELATIONS: replaced(b"</Relationships>", LINK + b"</Relationships>")}, "workbook_active"),
        ({"xl/vbaProject.bin": b"macro"}, "workbook_active"),
        ({SHEET: replaced(b'r="B1"', b'r="AAAAB1"')}, "workbook_unreadable"),
        ({SHEET: replaced(b'<row r="2"', b'<row hidden="1" r="2"')}, "workbook_hidden"),
        ({"xl/workbook.xml": replaced(b'state="visible"', b'state="hidden"')}, "workbook_hidden"),
    ],
    ids=["billion laughs", "external link", "macro", "a column beyond the millionth", "hidden row", "hidden sheet"],
)
def test_row_40_hostile_workbooks_are_refused(site: Site, changes: dict[str, bytes], rule: str) -> None:
    """The file is refused by a rule of its own, no row of it is stored, and the sender hears which rule."""
    drop, lines = answered(site, arrival_xlsx=repacked(workbook_of(site), changes))

    assert rule in {line["Regel"] for line in lines}
    assert of_drop(site, drop) == 0
    assert_nothing_left(site)


def test_row_40_a_million_columns_are_refused(site: Site) -> None:
    """A row as wide as the format allows is refused before a library sees it."""
    cells = "".join(f'<c r="{letters(n)}1"><v>1</v></c>' for n in range(1, 16_385))
    wide = f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">{cells}</row></sheetData></worksheet>'  # noqa: E501
    drop, lines = answered(site, arrival_xlsx=repacked(workbook_of(site), {SHEET: wide.encode()}))

    assert {line["Regel"] for line in lines} == {"workbook_too_large"}
    assert of_drop(site, drop) == 0


def letters(column: int) -> str:
    """A column as a spreadsheet names it."""
    named = ""
    while column:
        column, rest = divmod(column - 1, 26)
        named = chr(65 + rest) + named
    return named


# --- 41: text files ---------------------------------------------------------------------------------------------------


def test_row_41_honest_dialects_are_read(site: Site) -> None:
    """With and without BOM, either line end, quoted fields, decimal commas: every row is stored."""
    rows = [site.planter.row(), site.planter.row()]
    rows[0]["occupation"] = '"sveiser; lærling"'
    crlf = csv_of("arrival", rows)
    for content in (b"\xef\xbb\xbf" + crlf, csv_of("arrival", [site.planter.row()]).replace(b"\r\n", b"\n")):
        drop, lines = answered(site, arrival_csv=content)
        assert lines == []
        assert of_drop(site, drop) == content.count(b"\n") - 1
    year = {"report_year": "2024", "reported_date": "2025-02-01", "arr_patients": "40", "mean_age": "44,5"}
    _, lines = answered(site, institution_csv=csv_of("institution", [year, year | {"mean_age": "44,5 år"}]))
    assert [row for row, rule in sorted(faults(lines)) if rule == "type"] == ["3"]
    assert_nothing_left(site)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.replace("\r\n", "\r\næ", 1).encode("cp850"), ("2", "encoding")),
        (lambda text: text.encode("utf-16"), ("", "encoding")),
        (lambda text: text.replace(";", "|").encode(), ("1", "delimiter")),
        (lambda text: text.replace("fritekst", "fri\0tekst", 1).encode(), ("2", "control_character")),
        (lambda text: text.replace("fritekst", '"fri"tekst', 1).encode(), ("2", "unreadable")),
        (lambda text: text.replace("fritekst", "x" * 2_000_000, 1).encode(), ("2", "unreadable")),
        (lambda text: text.replace("\r\n", ";;;\r\n").replace(";;;\r\n", "\r\n", 1).encode(), ("2", "row_width")),
    ],
    ids=["an old code page", "UTF-16", "another delimiter", "NUL", "quotes", "a very long line", "too many fields"],
)
def test_row_41_other_dialects_are_refused_by_row(site: Site, change: object, expected: tuple[str, str]) -> None:
    """What is not the declared dialect is refused; the answer tells the row and the rule, and no value."""
    content = change(csv_of("arrival", [site.planter.row()]).decode())  # type: ignore[operator]
    drop, lines = answered(site, arrival_csv=content)

    assert expected in faults(lines)
    assert of_drop(site, drop) == 0
    told = b"".join(site.answer(drop, Kind.FEEDBACK).values()).decode("utf-8", "replace")
    person = site.planter.planted[-2]
    assert not any(word in told for word in (person.person_id, person.name, person.text))
    assert_nothing_left(site)


# --- 42: texts that become formulas -----------------------------------------------------------------------------------


def test_row_42_what_looks_like_a_formula_stays_text(site: Site) -> None:
    """The sender's own numbers come back as typed: a text in the workbook, and in CSV behind an apostrophe."""
    typed = ["=cmd|' /C calc'!A0", "@SUM(1+1)", "+4722004411", "-2+3", "\uff1d1+1"]
    rows = [site.planter.row(course_id=reference, work_ability="99") for reference in typed]
    drop, lines = answered(site, arrival_csv=csv_of("arrival", rows))

    book = load_workbook(io.BytesIO(site.answer(drop, Kind.FEEDBACK)["tilbakemelding.xlsx"]))
    cells = [row[2] for row in book["Feil"].iter_rows(min_row=2)]
    assert [cell.value for cell in cells] == typed
    assert {cell.data_type for cell in cells} == {"s"}
    assert [line["Forløpsnummer"] for line in lines] == [f"'{reference}" for reference in typed]


# --- 43, 44: national numbers -----------------------------------------------------------------------------------------


def test_row_43_a_number_in_a_wrong_place_goes_nowhere(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """In a free text, the name of a file or a folder, for a code: refused, and in no file, log or word printed."""
    person = site.planter.draw()
    rows = [
        site.planter.row(occupation=f"selv {person.person_id}"),
        site.planter.row(sex=person.person_id),
        site.planter.row(course_id=person.person_id, work_ability="99"),
    ]
    drop, lines = answered(site, arrival_csv=csv_of("arrival", rows))

    assert {rule for _, rule in faults(lines)} == {"identity_in_text", "code_unknown", "above_maximum"}
    assert of_drop(site, drop) == 0
    site.send(Making({f"{person.person_id}.csv": b"x"}))
    site.place(site.make(Making(site.planter.file(rows=1))), name=f"{person.person_id} ny")
    site.send(Making(site.planter.file(rows=1), HONEST))
    assert sorted(drop.reason for drop in site.walk()) == ["", "E_DROP_NAME", "E_FORM_UNKNOWN"]
    assert_nothing_left(site, [person.person_id])
    assert person.person_id not in "".join(capfd.readouterr())


BORN = date(1980, 5, 6)
NUMBERS = {
    "a synthetic number, +80": (number(BORN, 31, month_added=80), ""),
    "a synthetic number, +65": (number(BORN, 32, month_added=65), ""),
    "a synthetic number, +40, or an H-number": (number(BORN, 33, month_added=40), ""),
    "a synthetic D-number": (number(BORN, 34, month_added=80, day_added=40), ""),
    "a real number": (number(BORN, 35), "id_real_in_test"),
    "a real D-number": (number(BORN, 36, day_added=40), "id_real_in_test"),
    "wrong control digits": (number(BORN, 37, month_added=80)[:-1] + "x", "id_malformed"),
    "ten digits": (number(BORN, 38, month_added=80)[1:], "id_lost_zero"),
    "no date": ("99999999999", "id_control_digits"),
}


def test_row_44_numbers_are_told_apart_counted_and_never_logged(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """Synthetic kinds are taken in a test folder; each other kind is refused by its rule; the log holds counts only."""
    rows = [site.planter.row(person_id=text) for text, _ in NUMBERS.values()]
    drop, lines = answered(site, arrival_csv=csv_of("arrival", rows))

    expected = {(str(n), rule) for n, (_, rule) in enumerate(NUMBERS.values(), start=ROW) if rule}
    assert faults(lines) == expected
    accepted = len(NUMBERS) - len(expected)
    assert of_drop(site, drop) == accepted
    done = ("drop.settle", "done", drop.drop_uuid)
    settled = [
        entry.counts
        for entry in open_log(site.folder).entries()
        if (entry.act, entry.phase.value, entry.object_id) == done
    ]
    assert [(counts["accepted"], counts["rejected"]) for counts in settled] == [(accepted, len(expected))]
    assert_nothing_left(site, [text for text, _ in NUMBERS.values()])
    assert not any(text in "".join(capfd.readouterr()) for text, _ in NUMBERS.values())


# --- 45, 46: keys and databases ---------------------------------------------------------------------------------------


@contextmanager
def replaced_by(path: Path, content: bytes | None) -> Iterator[None]:
    """A file of the server is another one, or gone, for a while."""
    kept = path.read_bytes()
    mode = path.stat().st_mode & 0o777
    path.unlink()
    if content is not None:
        durable.write_new(path, content, mode=mode)
    try:
        yield
    finally:
        durable.write(path, kept, mode=mode)


@pytest.fixture
def waiting(site: Site) -> Iterator[Site]:
    """A server with a drop in quarantine, which is admitted once the server is whole again."""
    site.send(Making(site.planter.file(rows=1)))
    site.collect()
    before = site.rows()
    yield site
    assert site.rows() == before
    assert [drop.attempts for drop in site.drops() if drop.state is DropState.COLLECTED] == [0]
    assert admit(site.wiring("admit")) == {
        "admitted": 1,
        "rejected": 0,
        "replayed": 0,
        "digests": 0,
        "under_old_key": 0,
    }


WRONG_KEYS = {
    "missing": (None, "H_KEY_MISSING"),
    "too short": (b"ab" * 31 + b"\n", "H_KEY_WRONG"),
    "too long": (b"ab" * 33 + b"\n", "H_KEY_WRONG"),
    "a placeholder": (b"00" * 32 + b"\n", "H_KEY_WRONG"),
    "another one": (bytes(range(32)).hex().encode() + b"\n", "H_VAULT_KEY"),
}


def test_row_45_without_its_right_keys_the_vault_does_not_open(waiting: Site) -> None:
    """A missing, shortened, lengthened, blank or other key halts before a drop is opened; what was stored stays."""
    for name in ("vault-index", "vault-data"):
        path = waiting.folder.private_keys("kar") / f"{name}.key"
        for key, code in WRONG_KEYS.values():
            with replaced_by(path, key), pytest.raises(Halt, match=code):
                admit(waiting.wiring("admit"))


def test_row_46_a_wrong_key_a_damaged_page_or_a_missing_file_halts(waiting: Site) -> None:
    """The registry opens with its own key, whole, or not at all; a journal that is missing is no loss, for it is empty.

    There is no write-ahead log: after each commit a database is whole in one file, so that its copy is a backup.
    """
    lies = waiting.folder.registry("kar")
    for key, database in (("registry-db", lies.database), ("vault-db", lies.vault)):
        path = waiting.folder.private_keys("kar") / f"{key}.key"
        whole = database.read_bytes()
        pages = [whole[at : at + 4096] for at in range(0, len(whole), 4096)]
        damaged = b"".join([pages[0], *(page[:200] + bytes([page[200] ^ 1]) + page[201:] for page in pages[1:])])
        damages = [
            (path, bytes(range(32)).hex().encode() + b"\n", "H_DB_KEY"),
            (database, whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "H_DB_KEY"),
            (database, damaged, "H_DB_KEY|H_VAULT"),
            (database, b"", "H_DB_MISSING"),
            (database, None, "H_DB_MISSING"),
        ]
        for place, content, code in damages:
            with replaced_by(place, content), pytest.raises(Halt, match=code):
                admit(waiting.wiring("admit"))
        journal = database.with_name(f"{database.name}-journal")
        if journal.exists():
            assert journal.read_bytes() == b""
            journal.unlink()
