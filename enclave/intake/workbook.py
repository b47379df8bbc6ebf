"""What an Excel file is made of, looked through before any spreadsheet library opens it.

The package goes through the same strict ZIP reader as an envelope, and every part that is read on is XML in UTF-8
without document type, bounded in tags. Only those parts are handed on; drawings, comments, properties and all other
sheets stay behind unread. Nothing in a file can make this raise.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError  # the exception only; parsing is done by defusedxml

from defusedxml import ElementTree

from enclave.crypto.aes_zip import Limits, open_plain
from enclave.errors import Rejected

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LIMITS = Limits(entries=256, total=64 << 20, package=True)
TOO_MUCH = frozenset({"E_BOMB", "E_ENTRIES"})
MOST_TAGS = 2_000_000  # of the sheet, both ends counted; some 500 000 cells, or twenty seconds
MOST_TAGS_OF_TEXTS = 2_000_000
MOST_TAGS_OF_OTHERS = 200_000
MOST_IN_ROW = 100_000  # elements of one row, which stands in memory whole
LONGEST_TAG = 1 << 20  # bytes from one `<` to the next: one tag's attributes, or one text
DEEPEST = 64  # elements within each other
FORGOTTEN = 1_000  # elements whose places in their parent are freed together
MOST_COLUMNS = 512
LAST_ROW = 1_048_576  # of the format
MOST_LISTED = 100  # rows with a formula or hidden, each kind

EXPLANATION = "forklaring"  # the sheet beside the form; it is not read
ACTIVE = ("vbaproject", "vbadata", "macrosheets/", "activex/", "embeddings/", "externallinks/", "querytables/",
          "xl/connections.xml", "webextensions/")  # fmt: skip

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
TYPES, WORKBOOK, RELATIONS = "[Content_Types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"

DECLARED = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"']*)")
COORDINATE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
TRUE = ("1", "true")


class _Faulty(Exception):
    """The workbook breaks a rule that ends the reading of it; the rule is the only argument."""


@dataclass(repr=False)
class Workbook:
    """What was found: faults as (row, rule), and where there is none, a package that holds the one sheet with data.

    `width` and `height` are the last column and row with content; `delivered` counts rows with content, header aside.
    """

    faults: list[tuple[int, str]] = field(default_factory=list)
    package: bytes = b""
    width: int = 0
    height: int = 0
    delivered: int = 0


@dataclass(frozen=True)
class _Relation:
    """One relationship of a part: what it is of, and the part that it names."""

    kind: str
    target: str


def look_through(content: bytes, sheet: str = "") -> Workbook:
    """A workbook's structure, judged by the rules of FILE_RULES that begin with `workbook_`.

    The one sheet with data is read or, of several, the one that is named `sheet`.
    """
    workbook = Workbook()
    try:
        parts = {file.name: file.content for file in open_plain(content, LIMITS)}
        if _is_active(parts):
            workbook.faults.append((0, "workbook_active"))
        _look_at_parts(workbook, parts, sheet)
    except Rejected as rejected:
        workbook.faults.append((0, "workbook_too_large" if rejected.code in TOO_MUCH else "workbook_unreadable"))
    except _Faulty as faulty:
        workbook.faults.append((0, str(faulty)))
    except (ParseError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # Not XML, XML with entities, no number where one must be, a part that is missing.
        workbook.faults.append((0, "workbook_unreadable"))
    return workbook


def sheet_names(content: bytes) -> tuple[str, ...]:
    """The names of a workbook's sheets but the explanation, hidden ones too; none where it cannot be read."""
    try:
        parts = {file.name: file.content for file in open_plain(content, LIMITS)}
        sheets = list(_tree(parts[WORKBOOK]).iter(f"{MAIN}sheet"))
    except (Rejected, _Faulty, ParseError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ()
    names = (sheet.get("name", "") for sheet in sheets)
    return tuple(name for name in names if name.strip().casefold() != EXPLANATION)


def _is_active(parts: Mapping[str, bytes]) -> bool:
    if b"macro" in parts[TYPES].lower() or any(mark in name.lower() for name in parts for mark in ACTIVE):
        return True
    relations = (element for name in parts if name.endswith(".rels") for element in _tree(parts[name]))
    return any(
        # A link that a person may click is text to us; everything else outside the file is a source of its content.
        element.get("TargetMode", "").lower() == "external" and not element.get("Type", "").endswith("/hyperlink")
        for element in relations
    )


def _look_at_parts(workbook: Workbook, parts: Mapping[str, bytes], wanted: str) -> None:
    relations = _relations(parts[RELATIONS])
    sheet = _data_sheet(workbook, parts[WORKBOOK], relations, wanted)
    texts = [each.target for each in relations.values() if each.kind == "sharedStrings"]
    styles = [each.target for each in relations.values() if each.kind == "styles"]
    for name in texts:
        _check_xml(parts[name], MOST_TAGS_OF_TEXTS)
        _run_through(parts[name])
    for name in (TYPES, *styles):
        _tree(parts[name])
    _look_at_sheet(workbook, parts[sheet])
    kept = dict.fromkeys((TYPES, WORKBOOK, RELATIONS, sheet, *texts, *styles))
    workbook.package = _packed({name: parts[name] for name in kept})


def _relations(content: bytes) -> dict[str, _Relation]:
    return {
        element.attrib["Id"]: _Relation(
            element.attrib["Type"].rsplit("/", 1)[-1],
            posixpath.normpath(posixpath.join("/xl", element.attrib["Target"])).lstrip("/"),
        )
        for element in _tree(content).iter(RELATIONSHIP)
    }


def _data_sheet(workbook: Workbook, content: bytes, relations: Mapping[str, _Relation], wanted: str) -> str:
    """The part of the one sheet that is not the explanation, or that is named as wanted."""
    root = _tree(content)
    sheets = list(root.iter(f"{MAIN}sheet"))
    if root.tag != f"{MAIN}workbook" or not sheets:
        raise _Faulty("workbook_unreadable")
    if any(sheet.get("state", "visible") != "visible" for sheet in sheets):
        workbook.faults.append((0, "workbook_hidden"))
    named = [
        sheet
        for sheet in sheets
        if (sheet.get("name", "") == wanted if wanted else sheet.get("name", "").strip().casefold() != EXPLANATION)
    ]
    relation = relations.get(named[0].get(RELATION_ID, "")) if len(named) == 1 else None
    if relation is None or relation.kind != "worksheet":
        raise _Faulty("workbook_sheets")
    return relation.target


def _look_at_sheet(workbook: Workbook, content: bytes) -> None:
    """Bounds and order of the cells, so that a library finds what was judged and cannot be made to fill gaps."""
    _check_xml(content, MOST_TAGS)
    formulas: list[int] = []
    hidden: list[int] = []
    last, filled_rows, merged = 0, 0, False
    for element in _elements(content, whole=f"{MAIN}row"):
        if element.tag == f"{MAIN}row":
            last = _next(element.get("r"), last, LAST_ROW)
            width = _look_at_row(element, last)
            if width:
                filled_rows += 1
                workbook.width, workbook.height = max(workbook.width, width), last
            if any(cell.find(f"{MAIN}f") is not None for cell in element):
                formulas.append(last)
            if _is_hidden(element, "ht"):
                hidden.append(last)
        elif element.tag == f"{MAIN}col" and _is_hidden(element, "width"):
            hidden.append(0)
        merged |= element.tag == f"{MAIN}mergeCell"
    workbook.delivered = max(0, filled_rows - 1)
    workbook.faults += [(0, "workbook_merged")] if merged else []
    workbook.faults += [(0, "workbook_too_large")] if workbook.width > MOST_COLUMNS else []
    workbook.faults += [(row, "workbook_formula") for row in formulas[:MOST_LISTED]]
    workbook.faults += [(row, "workbook_hidden") for row in sorted(set(hidden))[:MOST_LISTED]]


def _look_at_row(row: "Element", number: int) -> int:
    """The last column with content; columns rise, and a cell stands in the row that it names."""
    column, filled = 0, 0
    for cell in row:
        reference = cell.get("r")
        place = COORDINATE.fullmatch(reference) if reference else None
        if cell.tag != f"{MAIN}c" or (reference and (place is None or int(place[2]) != number)):
            raise _Faulty("workbook_unreadable")
        column = _next(str(_column(place[1])) if place else None, column, 16_384)
        if cell.findtext(f"{MAIN}v") or cell.find(f"{MAIN}is") is not None:
            filled = column
    return filled


def _next(stated: str | None, last: int, most: int) -> int:
    number = last + 1 if stated is None else int(stated)
    if not last < number <= most:
        raise _Faulty("workbook_unreadable")
    return number


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _is_hidden(element: "Element", size: str) -> bool:
    return element.get("hidden", "").lower() in TRUE or element.get(size) in ("0", "0.0")


def _tree(content: bytes) -> "Element":
    _check_xml(content, MOST_TAGS_OF_OTHERS)
    parse: Callable[..., Element] = ElementTree.fromstring
    return parse(content, forbid_dtd=True)


def _run_through(content: bytes) -> None:
    for _ in _elements(content):
        pass


def _elements(content: bytes, whole: str = "") -> "Iterator[Element]":
    """Each element as it ends, forgotten after it; what is inside a `whole` element stays until that one has ended."""
    path: list[tuple[Element, list[int]]] = []  # each with how many of its children have ended
    begun, inside = 0, 0  # how deep a `whole` element began, and how many there are in it
    for event, element in ElementTree.iterparse(io.BytesIO(content), events=("start", "end"), forbid_dtd=True):
        if event == "start":
            path.append((element, [0]))
            begun = begun or (len(path) if element.tag == whole else 0)
            inside += bool(begun)
            if len(path) > DEEPEST or inside > MOST_IN_ROW:
                raise _Faulty("workbook_too_large")
            continue
        path.pop()
        if len(path) >= begun > 0:
            continue
        begun, inside = 0, 0
        yield element
        element.clear()
        if path:
            _forget(*path[-1])


def _forget(parent: "Element", ended: list[int]) -> None:
    """Free the places of a parent's ended children, many at a time: the parser may have read on past the last one."""
    ended[0] += 1
    if ended[0] == FORGOTTEN:
        del parent[:FORGOTTEN]
        ended[0] = 0


def _check_xml(content: bytes, most_tags: int) -> None:
    """UTF-8, so that counting bytes counts tags; no more tags than memory is meant for."""
    declared = DECLARED.match(content)
    if b"\0" in content or (declared and declared[1].lower() not in (b"utf-8", b"us-ascii")):
        raise _Faulty("workbook_unreadable")
    if content.count(b"<") > most_tags or _has_long_tag(content):
        raise _Faulty("workbook_too_large")


def _has_long_tag(content: bytes) -> bool:
    at = 0
    while at + LONGEST_TAG < len(content):
        last = content.rfind(b"<", at, at + LONGEST_TAG)
        if last < 0:
            return True
        at = last + 1
    return False


def _packed(parts: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()
