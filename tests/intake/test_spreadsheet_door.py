"""Excel files at the door: the same rows as their CSV, and a fault for everything that a person cannot see."""

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from enclave.crypto import age, openpgp, sshsig
from enclave.founding import CONFIG
from enclave.intake import read as reading
from enclave.intake import spreadsheet, workbook
from enclave.intake.check import Checked, check
from enclave.intake.rules import FILE_RULES
from enclave.intake.spreadsheet import parts_of, read_file, read_spreadsheet
from enclave.model.drop import PlainFile
from enclave.registry.load import load
from enclave.release.kit import KitFor, kit
from enclave.spreadsheet import write_text
from tests.intake.forms import ARRIVAL, GOOD, REGISTRY

LOADED = load(CONFIG / "registries" / "kar")
KEYS = (sshsig.new_key("enclave")[1], age.new_identity()[1], openpgp.new_key("enclave")[1])
KIT = {
    file.name: file.content
    for file in kit(KitFor("kar", "muritunet", "Muritunet", "muritunet-1", *KEYS), LOADED, date(2026, 11, 23)).files
}
CANARY = "KANARI17912099997"
SHEET, BOOK, RELATIONS = "xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
MIDNIGHT = datetime(2024, 3, 1)  # noqa: DTZ001 – as a cell holds it
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
Change = Callable[[Worksheet], object]


def book(*rows: Mapping[str, Any], header: tuple[str, ...] = tuple(GOOD), change: Change | None = None) -> bytes:
    """A workbook of changes to the good row, made with openpyxl; `change` is done to its sheet last."""
    made = Workbook()
    sheet = made.worksheets[0]
    sheet.append(header)
    for number, changes in enumerate(rows, start=1):
        fields: dict[str, Any] = {**GOOD, "course_id": f"F-{number}", **changes}
        sheet.append([fields[name] for name in header])
    if change:
        change(sheet)
    return saved(made)


def saved(made: Workbook) -> bytes:
    """The file of a workbook, its texts shared as Excel writes them."""
    content = io.BytesIO()
    made.save(content)
    texts: list[str] = []

    def share(found: re.Match[str]) -> str:
        texts.append(found[2])
        return f'<c r="{found[1]}" t="s"><v>{len(texts) - 1}</v></c>'

    def shared(part: bytes) -> bytes:
        inline = r'<c r="([A-Z]+[0-9]+)"(?: s="[0-9]+")? t="inlineStr"><is>(<t[^>]*>[^<]*</t>)</is></c>'
        return re.sub(inline, share, part.decode()).encode()

    with_texts = repacked(content.getvalue(), {SHEET: shared})
    listed = f'<sst xmlns="{MAIN}">{"".join(f"<si>{text}</si>" for text in texts)}</sst>'.encode()
    relation = b'<Relationship Id="texts" Type="http://x/sharedStrings" Target="sharedStrings.xml"/>'
    override = (
        b'<Override PartName="/xl/sharedStrings.xml" '
        b'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
    )
    return repacked(
        with_texts,
        {
            "xl/sharedStrings.xml": listed,
            RELATIONS: replaced(b"</Relationships>", relation + b"</Relationships>"),
            "[Content_Types].xml": replaced(b"</Types>", override + b"</Types>"),
        },
    )


def repacked(content: bytes, changes: Mapping[str, Callable[[bytes], bytes] | bytes]) -> bytes:
    """The package with parts changed, or added."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        parts[name] = change if isinstance(change, bytes) else change(parts[name])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return target.getvalue()


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """A part with something in it replaced, which must be there."""

    def change(part: bytes) -> bytes:
        assert old in part
        return part.replace(old, new)

    return change


def judged(content: bytes) -> Checked:
    """A workbook of the small registry, read and judged."""
    return check(ARRIVAL, REGISTRY, read_spreadsheet(content, ARRIVAL), drop_uuid="0" * 36, sender="klinikk-a")


def told(content: bytes) -> list[tuple[int, str, str]]:
    """The (row, column, rule) of each fault."""
    return [(fault.row, fault.variable, fault.rule) for fault in judged(content).faults]


# --- What is taken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", LOADED.definition.forms, ids=lambda form: form.id)
def test_the_kits_workbook_says_what_its_csv_says(form: Any) -> None:
    """Of each form, the sample of the kit gives the same texts by both doors, and one row that is taken."""
    by_csv = read_file(PlainFile(f"{form.id}.csv", KIT[f"skjema/{form.id}.csv"]), form)
    by_excel = read_file(PlainFile(f"{form.id}.xlsx", KIT[f"skjema/{form.id}.xlsx"]), form)

    def texts(table: Any) -> list[tuple[str, ...]]:
        # 20,0 and 20 are one number, of which Excel keeps the shorter.
        return [tuple(str(text).removesuffix(",0") for text in row) for row in table.frame.iter_rows()]

    assert by_excel.faults == by_csv.faults == ()
    assert by_excel.frame.columns == by_csv.frame.columns
    assert texts(by_excel) == texts(by_csv)
    taken = [
        check(form, LOADED.definition, table, drop_uuid="0" * 36, sender="a").records.frame
        for table in (by_csv, by_excel)
    ]
    assert taken[0].height == 1
    assert taken[1].equals(taken[0])


def test_an_untouched_good_row_is_taken() -> None:
    """A workbook of texts alone is what the CSV of those texts is."""
    assert told(book({}, {})) == []
    assert judged(book({}, {})).records.frame["_row"].to_list() == [2, 3]


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("person_id", 17912099997, "17912099997"),
        ("person_id", 17912099997.0, "17912099997"),
        ("person_id", 1012099997, "1012099997"),
        ("employed", True, "ja"),
        ("employed", False, "nei"),
        ("employed", 1, "1"),
        ("employed", "TRUE", "ja"),
        ("employed", "Usann", "nei"),
        ("benefits_aap", True, "ja"),
        ("arrival_date", date(2024, 3, 1), "2024-03-01"),
        ("arrival_date", MIDNIGHT, "2024-03-01"),
        ("arrival_date", "01.03.2024", "01.03.2024"),
        ("weight", 81.5, "81,5"),
        ("weight", "81,5", "81,5"),
        ("weight", 81.1 + 0.2, "81,3"),
        ("weight", 81.0, "81"),
        ("score", 7, "7"),
        ("score", None, None),
        ("occupation", "=ikke formel", "=ikke formel"),
        ("occupation", "_x0041_", "_x0041_"),
    ],
)
def test_a_cell_is_what_its_csv_field_would_be(column: str, value: Any, text: str | None) -> None:
    """Numbers, yes and no, and dates become the texts that the CSV door takes."""

    def write(sheet: Worksheet) -> None:
        cell = sheet.cell(2, list(GOOD).index(column) + 1)
        write_text(cell, value) if isinstance(value, str) else setattr(cell, "value", value)

    table = read_spreadsheet(book({}, change=write), ARRIVAL)

    assert table.faults == ()
    assert table.frame[column].to_list() == [text or ""]


@pytest.mark.parametrize(
    ("column", "value", "number_format"),
    [
        ("course_id", MIDNIGHT, None),  # typed as 1-2
        ("occupation", date(2024, 2, 1), None),
        ("score", True, None),
        ("arrival_date", MIDNIGHT.replace(hour=12), None),
        ("arrival_date", time(12, 30), None),
        ("score", 1, "0 %"),  # shows 100 %
    ],
)
def test_a_cell_that_is_not_what_it_shows_refuses_its_row(column: str, value: Any, number_format: str | None) -> None:
    """What Excel made of an answer is not guessed back; the other rows are taken."""

    def write(sheet: Worksheet) -> None:
        cell = sheet.cell(2, list(GOOD).index(column) + 1, value)
        cell.number_format = number_format or cell.number_format

    result = judged(book({}, {}, change=write))

    assert [(fault.row, fault.variable, fault.rule) for fault in result.faults] == [(2, column, "type")]
    assert result.records.frame["_row"].to_list() == [3]
    assert (result.delivered, result.refused_rows) == (2, 1)


def test_an_error_of_a_formula_is_told_as_such() -> None:
    """A cell that says #N/A is an error word, not a text."""

    def write(sheet: Worksheet) -> None:
        cell = sheet.cell(2, list(GOOD).index("occupation") + 1, "#NUM!")
        cell.data_type = "e"

    assert told(book({}, change=write)) == [(2, "occupation", "undefined_literal")]


def test_rows_are_numbered_as_excel_shows_them() -> None:
    """Empty rows, also formatted ones and one of blanks, are passed over and counted."""

    def write(sheet: Worksheet) -> None:
        sheet.insert_rows(3, 3)
        sheet.cell(4, 2, "  ")
        sheet.cell(2000, 3).number_format = "0.00"

    result = judged(book({}, {}, change=write))

    assert result.faults == ()
    assert result.records.frame["_row"].to_list() == [2, 6]


def test_the_header_may_be_the_labels() -> None:
    """Norwegian labels stand for the columns' names, those of options as the kit explains them."""
    labels = {variable.name: variable.label.nb for variable in ARRIVAL.variables}
    labels |= {f"benefits_{code}": f"Ytelser: {code}" for code in ("none", "aap", "new")}
    labels |= {"person_id": "Fødselsnummer eller D-nummer", "course_id": "Deres eget nummer på forløpet"}
    doubled = {name: list(labels.values()).count(label) > 1 for name, label in labels.items()}
    header = [name if doubled[name] else labels[name].upper() for name in GOOD]
    content = book({}, change=lambda sheet: [sheet.cell(1, n, text) for n, text in enumerate(header, start=1)])

    assert doubled["arrival_date"] is False
    assert told(content) == []
    assert judged(content).records.frame.height == 1


def test_the_header_may_be_english() -> None:
    """English labels stand for the columns too, mixed with names as people mix them."""
    labels = {variable.name: variable.label.en for variable in ARRIVAL.variables}
    labels |= {"person_id": "National id or D-number", "course_id": "Your own number of the course"}
    header = [
        labels.get(name, name) if list(labels.values()).count(labels.get(name, "")) == 1 else name for name in GOOD
    ]

    assert header != list(GOOD)
    assert told(book({}, change=lambda sheet: [sheet.cell(1, n, text) for n, text in enumerate(header, start=1)])) == []


def sheets(*named: tuple[str, Sequence[Mapping[str, Any]]], hidden: str = "", header: Sequence[str] = ()) -> bytes:
    """A workbook with a sheet for each of these names, with rows."""
    made = Workbook()
    made.remove(made.worksheets[0])
    for name, rows in named:
        sheet = made.create_sheet(name)
        columns = list(rows[0]) if rows else list(header)
        sheet.append(columns)
        for row in rows:
            sheet.append([row[column] for column in columns])
        sheet.sheet_state = "hidden" if name == hidden else "visible"
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()


YEARLY = {"unit_id": "E-1", "counted": "2024-12-31", "beds": 7}


@pytest.mark.parametrize(("first", "second"), [("arrival", "unit"), ("ARRIVAL", " Enheten ")])
def test_one_workbook_may_hold_a_sheet_for_each_form(first: str, second: str) -> None:
    """Sheets named after forms, by id or label, give the rows that a workbook of each form alone gives."""
    arrivals = [{**GOOD, "course_id": f"F-{number}"} for number in (1, 2)]
    content = sheets(("Forklaring", [{"les": "dette"}]), (first, arrivals), (second, [YEARLY]))

    read = {part.form.id: part.read() for part in parts_of(PlainFile("kar.xlsx", content), REGISTRY)}

    assert {form: (table.delivered, table.faults) for form, table in read.items()} == {
        "arrival": (2, ()),
        "unit": (1, ()),
    }
    assert read["arrival"].frame.equals(read_spreadsheet(sheets(("Ark1", arrivals)), ARRIVAL).frame)


def test_a_form_that_stands_on_two_sheets_keeps_the_workbook_out() -> None:
    """Nobody can know which of the two was meant."""
    assert parts_of(PlainFile("kar.xlsx", sheets(("unit", [YEARLY]), ("Enheten", [YEARLY]))), REGISTRY) == ()


def test_a_sheet_that_is_no_form_or_is_hidden_keeps_the_workbook_out() -> None:
    """Nothing is left unread in silence: an unknown sheet refuses the file, a hidden one its rows."""
    arrivals: tuple[str, Sequence[Mapping[str, Any]]] = ("arrival", [GOOD])
    assert parts_of(PlainFile("kar.xlsx", sheets(arrivals, ("Notater", [{"a": 1}]))), REGISTRY) == ()
    assert parts_of(PlainFile("kar.xlsx", b"PK\x03\x04 and then nothing"), REGISTRY) == ()
    assert parts_of(PlainFile("other.xlsx", sheets(arrivals)), REGISTRY) == ()

    (part, other) = parts_of(PlainFile("kar.xlsx", sheets(arrivals, ("unit", [YEARLY]), hidden="unit")), REGISTRY)

    assert [fault.rule for fault in part.read().faults] == ["workbook_hidden"]
    assert other.read().refused


def test_faults_of_the_header_are_those_of_a_csv_file() -> None:
    """A missing, doubled or unknown column is told by the same rules; so is a value beside the table."""
    assert told(book({}, header=tuple(name for name in GOOD if name != "score"))) == [(0, "score", "header_missing")]
    assert told(book({}, header=(*GOOD, "score"))) == [(0, "score", "header_twice")]
    unknown = book({}, change=lambda sheet: sheet.cell(1, 40, CANARY))
    assert (0, "", "header_unknown") in told(unknown)
    assert told(book({}, {}, change=lambda sheet: sheet.cell(3, 40, "x"))) == [(3, "", "row_width")]


def test_what_office_programs_put_beside_the_sheet_is_no_fault() -> None:
    """Room to grow in the ZIP, printer settings, labels, a link that a person may click: taken, and not read."""
    link = b'<Relationship Id="a" Type="http://x/hyperlink" Target="mailto:a@b.no" TargetMode="External"/>'
    relations = b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    content = repacked(
        book({}),
        {
            "xl/worksheets/_rels/sheet1.xml.rels": relations + link + b"</Relationships>",
            "xl/printerSettings/printerSettings1.bin": b"x",
            "customXml/_rels/item1.xml.rels": relations + b"</Relationships>",
            "docMetadata/LabelInfo.xml": b"<x/>",
        },
    )
    grown = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(grown, "w") as target:
        for name in archive.namelist():
            member = zipfile.ZipInfo(name)
            member.extra = b"\x20\xa2\x08\x00" + bytes(8)
            target.writestr(member, archive.read(name))

    assert told(grown.getvalue()) == []


# --- What is refused --------------------------------------------------------------------------------------------------


def _sheet(title: str, state: str = "visible") -> Change:
    def add(sheet: Worksheet) -> None:
        assert sheet.parent
        made = sheet.parent.create_sheet(title)
        made.sheet_state = state

    return add


def _hide_column(sheet: Worksheet) -> None:
    sheet.column_dimensions["C"].hidden = True


def _hide_row(sheet: Worksheet) -> None:
    sheet.row_dimensions[2].hidden = True


DTD = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
LINKED = b'Type="http://x/externalLinkPath" Target="file:///x" TargetMode="External"/></Relationships>'


def _with_dtd(part: bytes) -> bytes:
    head, mark, rest = part.partition(b"?>")
    return head + mark + DTD + rest if mark else DTD + part


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (book({}, change=_sheet("Ark2")), [(0, "workbook_sheets")]),
        (book({}, change=_sheet("Skjult", "hidden")), [(0, "workbook_hidden"), (0, "workbook_sheets")]),
        (book({}, change=_sheet("Forklaring", "veryHidden")), [(0, "workbook_hidden")]),
        (book({}, change=lambda sheet: setattr(sheet, "title", "Forklaring")), [(0, "workbook_sheets")]),
        (book({}, change=_hide_column), [(0, "workbook_hidden")]),
        (book({}, change=_hide_row), [(2, "workbook_hidden")]),
        (book({"score": "=1+1"}, {"free": '=HYPERLINK("x")'}), [(2, "workbook_formula"), (3, "workbook_formula")]),
        (book({}, change=lambda sheet: sheet.merge_cells("B2:C2")), [(0, "workbook_merged")]),
        (book({}, change=lambda sheet: sheet.cell(1, 513, "x")), [(0, "workbook_too_large")]),
        (repacked(book({}), {"xl/vbaProject.bin": b"x"}), [(0, "workbook_active")]),
        (repacked(book({}), {"xl/embeddings/a.bin": b"x"}), [(0, "workbook_active")]),
        (
            repacked(
                book({}), {"[Content_Types].xml": replaced(b"spreadsheetml.sheet.main", b"sheet.macroEnabled.main")}
            ),
            [(0, "workbook_active")],
        ),
        (repacked(book({}), {"xl/externalLinks/externalLink1.xml": b"<x/>"}), [(0, "workbook_active")]),
        (
            repacked(book({}), {RELATIONS: replaced(b"</Relationships>", b'<Relationship Id="z" ' + LINKED)}),
            [(0, "workbook_active")],
        ),
        *((repacked(book({}), {part: _with_dtd}), [(0, "workbook_unreadable")]) for part in (SHEET, BOOK, RELATIONS)),
        (repacked(book({}), {"xl/sharedStrings.xml": _with_dtd}), [(0, "workbook_unreadable")]),
        (repacked(book({}), {"xl/styles.xml": _with_dtd}), [(0, "workbook_unreadable")]),
        (
            repacked(book({}), {SHEET: lambda part: part.decode().encode("utf-16")}),
            [(0, "workbook_unreadable")],
        ),
        (repacked(book({}), {SHEET: replaced(b'r="A2"', b'r="A9"')}), [(0, "workbook_unreadable")]),
        (repacked(book({}), {SHEET: replaced(b'r="C2"', b'r="A2"')}), [(0, "workbook_unreadable")]),
        (repacked(book({}), {SHEET: replaced(b'<row r="2"', b'<row r="1"')}), [(0, "workbook_unreadable")]),
        (repacked(book({}), {SHEET: replaced(b'<row r="2"', b'<row r="2000000"')}), [(0, "workbook_unreadable")]),
        (repacked(book({}), {SHEET: replaced(b"<v>3</v>", b"<v>999999</v>")}), [(0, "workbook_unreadable")]),
        (repacked(book({}), {"xl/../x.xml": b"<x/>"}), [(0, "workbook_unreadable")]),
        (repacked(book({}), {"xl/media/bomb.bin": bytes(8 << 20)}), [(0, "workbook_too_large")]),
        (book({})[:-100], [(0, "workbook_unreadable")]),
        (b"PK\x03\x04" + b"x" * 100, [(0, "workbook_unreadable")]),
        (b"\xd0\xcf\x11\xe0 a workbook with a password", [(0, "workbook_unreadable")]),
        (b"", [(0, "workbook_unreadable")]),
        (saved(Workbook()), [(0, "empty_file")]),
        (book(), [(0, "empty_file")]),
    ],
)
def test_what_a_person_does_not_see_keeps_the_file_out(content: bytes, expected: list[tuple[int, str]]) -> None:
    """Each refusal is a fault of the file with texts of its own, and no row is taken."""
    table = read_spreadsheet(content, ARRIVAL)

    assert [(fault.row, fault.rule) for fault in table.faults] == expected
    assert table.refused
    assert judged(content).records.frame.height == 0
    assert {rule for _, rule in expected} <= set(FILE_RULES)


def test_every_rule_of_workbooks_is_met_above() -> None:
    """No rule of a workbook is without a refusal in this file."""
    of_workbooks = {rule for rule in FILE_RULES if rule.startswith("workbook_")}
    (marks,) = vars(test_what_a_person_does_not_see_keeps_the_file_out)["pytestmark"]

    assert {rule for _, expected in marks.args[1] for _, rule in expected} >= of_workbooks


def test_limits_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, a cell's text, all text together and tags end at their limits, each with a fault."""
    monkeypatch.setattr(reading, "MOST_ROWS", 1)
    assert told(book({}, {})) == [(0, "", "too_many_rows")]
    monkeypatch.undo()
    long = b"<t>" + b"x" * 32_768 + b"</t>"
    assert told(repacked(book({}), {"xl/sharedStrings.xml": replaced(b"<t>fisker</t>", long)})) == [
        (0, "", "workbook_too_large")
    ]
    monkeypatch.setattr(spreadsheet, "MOST_TEXT", 100)
    assert told(book({}, {})) == [(0, "", "workbook_too_large")]
    monkeypatch.undo()
    monkeypatch.setattr(workbook, "MOST_TAGS", 50)
    assert told(book({}, {})) == [(0, "", "workbook_too_large")]


def test_a_cell_at_the_edge_costs_no_more_than_one_row() -> None:
    """An empty cell in the last column and row does not make the reader fill what lies between."""

    def write(sheet: Worksheet) -> None:
        sheet.cell(1_048_576, 16_384).number_format = "0.00"

    assert told(book({}, change=write)) == []


def test_the_name_must_say_what_the_content_is() -> None:
    """CSV named .xlsx and a workbook named .csv are refused by a rule of their own."""
    csv = b";".join(name.encode() for name in GOOD)
    for name, content in (("arrival.xlsx", csv), ("arrival.csv", book({}))):
        table = read_file(PlainFile(name, content), ARRIVAL)
        assert [fault.rule for fault in table.faults] == ["workbook_unreadable"]


def test_every_part_is_parsed_defused() -> None:
    """The library uses defusedxml, and no part reaches it that our own parser has not taken."""
    assert openpyxl.DEFUSEDXML
    found = workbook.look_through(repacked(book({}), {"docProps/core.xml": b"not xml", "xl/theme/theme1.xml": b"<"}))

    assert found.faults == []
    with zipfile.ZipFile(io.BytesIO(found.package)) as archive:
        assert set(archive.namelist()) == {
            "[Content_Types].xml", BOOK, RELATIONS, SHEET, "xl/sharedStrings.xml", "xl/styles.xml",
        }  # fmt: skip


# --- Attacks ----------------------------------------------------------------------------------------------------------

WHOLE = book({"occupation": CANARY, "weight": 81.5, "arrival_date": date(2024, 3, 1)}, {})
PLAIN = repacked(WHOLE, {})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 255))
def test_a_changed_byte_gives_only_faults(place: int, value: int) -> None:
    """Any byte of the package changed: rows and faults add up, nothing is raised."""
    content = bytearray(WHOLE)
    content[place % len(content)] = value
    result = judged(bytes(content))

    assert result.records.frame.height + result.refused_rows == result.delivered


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([SHEET, BOOK, RELATIONS, "xl/styles.xml", "xl/sharedStrings.xml", "[Content_Types].xml"]),
       st.integers(0, 2**31), st.binary(min_size=0, max_size=3), st.integers(0, 3))  # fmt: skip
def test_changed_xml_gives_only_faults(name: str, place: int, new: bytes, dropped: int) -> None:
    """Bytes of any part that is read changed, with right checksums around them: only faults, and never a value."""

    def change(part: bytes) -> bytes:
        at = place % len(part)
        return part[:at] + new + part[at + dropped :]

    result = judged(repacked(WHOLE, {name: change}))

    assert result.records.frame.height + result.refused_rows == result.delivered
    assert CANARY not in repr(result.faults)


def test_no_fault_or_warning_holds_a_value(capfd: pytest.CaptureFixture[str]) -> None:
    """A date out of bounds, about which the library would warn with its value, is a fault without it."""
    bad_date = replaced(b"<v>45352</v>", b"<v>179120999970</v>")
    table = read_spreadsheet(repacked(WHOLE, {SHEET: bad_date}), ARRIVAL)
    result = judged(repacked(WHOLE, {SHEET: bad_date}))

    assert (2, "arrival_date", "undefined_literal") in [(f.row, f.variable, f.rule) for f in result.faults]
    said = "".join(capfd.readouterr()) + repr(table) + repr(result) + repr(result.faults)
    assert "179120999970" not in said
    assert CANARY not in said
