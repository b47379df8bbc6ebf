"""How a CSV file is written, told by its bytes and its header; what cannot be told is refused, with its row.

The dialect that the guide declares is UTF-8 with `;`. A comma or a tab is recognised where the header's own names are
found by it and by no other; Latin-1 where every byte outside ASCII is a letter or sign of the Nordic languages, so that
a file of an older code page (in which other bytes stand for these letters) is refused instead of misread. Whatever is
recognised and not declared is told to the sender.
"""

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass

DECLARED = ";"
RECOGNISED = {",": "read_as_comma", "\t": "read_as_tab"}
BOM = b"\xef\xbb\xbf"
UTF_16_BOMS = (b"\xff\xfe", b"\xfe\xff")
LONGEST_HEADER = 131_072  # characters; of a longer line no delimiter is told
LATIN_1_LETTERS = frozenset("ÆØÅæøåÄÖäöÉéÈèÊêËëÜüÓóÒòÔôÁáÀàÍíÏïÑñÇç§°´½²³·\u00a0".encode("latin-1"))


@dataclass(frozen=True, repr=False)
class Dialect:
    """A file as text, with its delimiter; `faults` are (row, rule) that refuse it, `notes` rules that it is told of."""

    text: str
    delimiter: str
    faults: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


def recognise(content: bytes, names: Collection[str]) -> Dialect:
    """The dialect of a file whose header should hold these names; nothing in it can make this raise."""
    if content.startswith(UTF_16_BOMS):
        return Dialect("", DECLARED, ((0, "encoding"),), ())
    text, row, latin_1 = _decoded(content)
    delimiter = _delimiter(text, names)
    faults = [(row, "encoding")] if row else []
    if not delimiter:
        faults.append((_header(text)[0], "delimiter"))
    notes = ["read_as_latin_1"] if latin_1 else []
    notes += [RECOGNISED[delimiter]] if delimiter in RECOGNISED else []
    return Dialect(text, delimiter or DECLARED, tuple(faults), tuple(notes))


def _decoded(content: bytes) -> tuple[str, int, bool]:
    """The text, the row of the first byte that cannot be told (0 where there is none), and whether it is Latin-1."""
    try:
        return content.removeprefix(BOM).decode(), 0, False
    except UnicodeDecodeError as broken:
        place = broken.start
    if not content.startswith(BOM):
        unknown = re.search(rb"[\x80-\xff]", content.translate(None, bytes(LATIN_1_LETTERS)))
        if unknown is None:
            return content.decode("latin-1"), 0, True
        place = next(at for at, byte in enumerate(content) if byte > 0x7F and byte not in LATIN_1_LETTERS)
    # Read on with replacement characters, so that the sender hears of the file's other faults too.
    row = len(content[:place].splitlines()) + int(content[:place].endswith((b"\n", b"\r")) or place == 0)
    return content.removeprefix(BOM).decode(errors="replace"), row, False


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
