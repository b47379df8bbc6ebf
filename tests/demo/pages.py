"""The tables of a page, read as a program reads them that knows nothing of how they were made."""

from html.parser import HTMLParser
from pathlib import Path

Cell = list[str]
"""the pieces of text that stand in a cell, one below the other"""


class _Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[list[Cell]]] = {}
        self._id = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A section names its table; a row and a cell begin."""
        if tag == "section":
            self._id = (dict(attrs).get("aria-labelledby") or "").removeprefix("tabell-")
        elif tag == "tr":
            self.found.setdefault(self._id, []).append([])
        elif tag in {"td", "th"}:
            self.found[self._id][-1].append([])
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        """A cell ends."""
        if tag in {"td", "th"}:
            self._inside = False

    def handle_data(self, data: str) -> None:
        """What a cell says."""
        if self._inside and data.strip():
            self.found[self._id][-1][-1].append(data.strip())


def tables_in(page: Path) -> dict[str, list[list[Cell]]]:
    """The rows of each table of a page by the table's id, without its heading."""
    parser = _Tables()
    parser.feed(page.read_text(encoding="utf-8"))
    return {name: rows[1:] for name, rows in parser.found.items()}
