"""How a CSV file is written, told by its bytes and its header; what cannot be told is refused, with its row.

The dialect that the guide declares is UTF-8 with `;`. A comma or a tab is recognised where the header's own names are
found by it and by no other; Latin-1 where every byte outside ASCII is a letter or sign of the Nordic languages, so that
a file of an older code page (in which other bytes stand for these letters) is refused instead of misread. Whatever is
recognised and not declared is told to the sender.
"""

import codecs
import csv
import re
from collections.abc import Collection
from dataclasses import dataclass

DECLARED = ";"
RECOGNISED = {",": "read_as_comma", "\t": "read_as_tab"}
BOM = b"\xef\xbb\xbf"
UTF_16_BOMS = (b"\xff\xfe", b"\xfe\xff")
LONGEST_HEADER = 131_072  # characters; of a longer line no delimiter is told
UTF_8, LATIN_1 = "utf-8-sig", "latin-1"
PIECE = 1 << 20  # bytes that are looked at in one go
LINE_END = re.compile(rb"\r\n|\r|\n")
LATIN_1_LETTERS = frozenset("ÆØÅæøåÄÖäöÉéÈèÊêËëÜüÓóÒòÔôÁáÀàÍíÏïÑñÇç§°´½²³·\u00a0".encode("latin-1"))
NOT_NORDIC = re.compile(b"[" + re.escape(bytes({*range(0x80, 0x100)} - LATIN_1_LETTERS)) + b"]")


@dataclass(frozen=True, repr=False)
class Dialect:
    """How a file is to be read; `faults` are (row, rule) that refuse it, `notes` rules that its sender is told of.

    `encoding` is "" where the file is no text of ours.
    """

    encoding: str
    delimiter: str
    faults: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


def recognise(content: bytes, names: Collection[str]) -> Dialect:
    """The dialect of a file whose header should hold these names; nothing in it can make this raise."""
    if content.startswith(UTF_16_BOMS):
        return Dialect("", DECLARED, ((0, "encoding"),), ())
    encoding, row = _encoding(content)
    head = content[: 4 * LONGEST_HEADER].decode(encoding, errors="replace")
    delimiter = _delimiter(head, names)
    faults = [(row, "encoding")] if row else []
    if not delimiter:
        faults.append((_header(head)[0], "delimiter"))
    notes = ["read_as_latin_1"] if encoding == LATIN_1 else []
    notes += [RECOGNISED[delimiter]] if delimiter in RECOGNISED else []
    return Dialect(encoding, delimiter or DECLARED, tuple(faults), tuple(notes))


def _encoding(content: bytes) -> tuple[str, int]:
    """UTF-8 or Latin-1, and the row of the first byte that cannot be told, 0 where there is none."""
    place = _where_not_utf_8(content)
    if place is None:
        return UTF_8, 0
    if not content.startswith(BOM):
        unknown = NOT_NORDIC.search(content)
        if unknown is None:
            return LATIN_1, 0
        place = unknown.start()
    return UTF_8, 1 + sum(1 for _ in LINE_END.finditer(content, 0, place))


def _where_not_utf_8(content: bytes) -> int | None:
    """Where the first byte stands that is not UTF-8, looked for piece by piece: a text of the whole may be huge."""
    decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(content)
    for first in range(0, len(view), PIECE):
        kept = len(decoder.getstate()[0])
        try:
            decoder.decode(view[first : first + PIECE], final=first + PIECE >= len(view))
        except UnicodeDecodeError as broken:
            return first - kept + broken.start
    return None


def _delimiter(text: str, names: Collection[str]) -> str:
    """The one delimiter by which most names are found in the header, or "" where two are as good as each other."""
    _, header = _header(text)
    found = {delimiter: _known(header, delimiter, names) for delimiter in (DECLARED, *RECOGNISED)}
    if found[DECLARED] and found[DECLARED] >= max(found.values()):
        return DECLARED
    best = [delimiter for delimiter, known in found.items() if known == max(found.values())]
    if max(found.values()) > 1:
        return best[0] if len(best) == 1 else ""
    # A header without a known name is told name by name, if the declared delimiter divides it or no other does.
    divided = DECLARED in header or not any(delimiter in header for delimiter in (*RECOGNISED, "|"))
    return DECLARED if divided else ""


def _header(text: str) -> tuple[int, str]:
    """The first line with content and its row."""
    for row, line in enumerate(text[:LONGEST_HEADER].splitlines(), start=1):
        if line.strip(f" {DECLARED},\t"):
            return row, line
    return 1, ""


def _known(header: str, delimiter: str, names: Collection[str]) -> int:
    try:
        fields = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:
        return 0
    return len({field.strip() for field in fields} & set(names))
