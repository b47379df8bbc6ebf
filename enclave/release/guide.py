"""The institution's guide as one page: `docs/institution.md`, made the institution's own.

It reads the part of Markdown that the guide is written in – headings, paragraphs, lists, fenced blocks, tables, code,
bold and italic – and escapes everything else.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "docs" / "institution.md"

STYLE = """
:root { --ink: #1c2b33; --soft: #55666f; --line: #d5dde1; --accent: #0b6e8f; --wash: #f3f7f9; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 17px/1.6 "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
.whose { background: var(--wash); border-left: .3rem solid var(--accent); padding: .75rem 1.1rem; margin: 0 0 2rem; }
h1 { font-size: 2rem; line-height: 1.2; font-weight: 600; margin: 0 0 1.25rem; }
h2 { font-size: 1.35rem; font-weight: 600; margin: 2.4rem 0 .6rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
li { margin: .45rem 0; }
code { font-family: Consolas, "DejaVu Sans Mono", monospace; font-size: .92em; background: var(--wash);
  padding: .1em .3em; border-radius: .2rem; overflow-wrap: anywhere; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: .3rem; padding: .7rem .9rem;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: .95rem; line-height: 1.45; margin: .6rem 0 1rem; }
td code { white-space: nowrap; }
@media (max-width: 40rem) { td code { white-space: normal; } }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; margin: .8rem 0 1.2rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1.2rem .4rem 0; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--accent); }
@media print { body { font-size: 10.5pt; } main { max-width: none; padding: 0; } pre, table, li { break-inside: avoid; }
  h2 { break-after: avoid; } }
"""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]*)$")
_ITEM = re.compile(r"^(?:(?P<number>\d+)\.|-) +(?P<text>.*)$")


@dataclass(frozen=True)
class Whose:
    """What makes a guide an institution's own."""

    institution_id: str
    name: str
    inbound_key_id: str
    age_recipient: str
    openpgp_key_id: str
    registry: str
    registry_name: str
    forms: tuple[tuple[str, str], ...]
    """each form's file name and label, in the definition's order"""


def guide(whose: Whose) -> bytes:
    """The guide as one HTML page without script or network, UTF-8."""
    source = own_words(SOURCE.read_text(encoding="utf-8"), whose)
    title = f"Veiledning: {whose.registry_name}"
    about = (
        f"<b>{html.escape(whose.name)}</b><br>Deres id: <code>{html.escape(whose.institution_id)}</code>"
        f" &nbsp; Passordets id: <code>{html.escape(whose.inbound_key_id)}</code>"
        f"<br>Register: {html.escape(whose.registry_name)}"
    )
    page = (
        '<!DOCTYPE html>\n<html lang="nb">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<p class="whose">{about}</p>\n{to_html(source)}\n</main>\n</body>\n</html>\n'
    )
    return page.encode("utf-8")


def own_words(source: str, whose: Whose) -> str:
    """The guide's source with the institution's ids, its registry's, and a table of its registry's forms."""
    first_form = whose.forms[0][0]
    table = "".join(f"| `{file}` | {label} |\n" for file, label in whose.forms)
    replaced = {
        "DERES-ID-1": whose.inbound_key_id,
        "DERES-ID": whose.institution_id,
        "AGE-NOKKEL": whose.age_recipient,
        "OPENPGP-ID": whose.openpgp_key_id,
        '"registry": "kar"': f'"registry": "{whose.registry}"',
        "enclave\\kar": f"enclave\\{whose.registry}",
        "@kar": f"@{whose.registry}",
        "kar.xlsx": f"{whose.registry}.xlsx",
        "`arrival.csv` er for eksempel skjemaet ved ankomst.": "Disse finnes:",
        "arrival.csv": first_form,
        "\n- Første linje er": f"\n\n| Fil | Skjema |\n|---|---|\n{table}\n- Første linje er",
    }
    for was, becomes in replaced.items():
        if was not in source:
            raise ValueError("the guide's source has lost a place that is made the institution's own")
        source = source.replace(was, becomes)
    return source


def to_html(source: str) -> str:
    """The Markdown of the guide as HTML; raw HTML in it is shown, not obeyed."""
    return "\n".join(_blocks(source.splitlines()))


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    place = 0
    while place < len(lines):
        line = lines[place]
        end = place + 1
        if not line.strip():
            pass
        elif fence := _FENCE.match(line):
            while lines[end].strip() != "```":
                end += 1
            yield _code(lines[place + 1 : end], len(fence["indent"]))
            end += 1
        elif line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            yield f"<h{level}>{_spans(line[level:].strip())}</h{level}>"
        elif line.startswith("|"):
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            yield _table(lines[place:end])
        elif _ITEM.match(line):
            end = _end_of_list(lines, place)
            yield _list(lines[place:end])
        else:
            while end < len(lines) and lines[end].strip() and not _starts_block(lines[end]):
                end += 1
            yield f"<p>{_spans(' '.join(text.strip() for text in lines[place:end]))}</p>"
        place = end


def _starts_block(line: str) -> bool:
    return bool(_ITEM.match(line) or _FENCE.match(line)) or line.startswith(("#", "|"))


def _end_of_list(lines: Sequence[str], start: int) -> int:
    """Where a list ends: at the first line that is neither an item, nor indented, nor blank before one of these."""
    end = start
    for place in range(start, len(lines)):
        line = lines[place]
        if line.strip() and not line.startswith("  ") and not _ITEM.match(line):
            break
        if line.strip():
            end = place + 1
    return end


def _list(lines: Sequence[str]) -> str:
    items: list[list[str]] = []
    for line in lines:
        if match := _ITEM.match(line):
            items.append([match["text"]])
        else:
            items[-1].append(line.strip())
    tag = "ol" if lines[0][0].isdigit() else "ul"
    written = "\n".join(f"<li>{_item(item)}</li>" for item in items)
    return f"<{tag}>\n{written}\n</{tag}>"


def _item(lines: Sequence[str]) -> str:
    """An item's text, without a paragraph around its first words, so that short items stay close together."""
    return "\n".join(_blocks(lines)).replace("<p>", "", 1).replace("</p>", "", 1)


def _table(lines: Sequence[str]) -> str:
    header, _rule, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    head = "".join(f'<th scope="col">{_spans(cell)}</th>' for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{_spans(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _code(lines: Sequence[str], indent: int) -> str:
    return f"<pre><code>{html.escape(chr(10).join(line[indent:] for line in lines))}</code></pre>"


def _spans(text: str) -> str:
    """Inline code, bold and italic; what stands in code is taken as it is."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"<code>{html.escape(part[1:-1])}</code>" if part.startswith("`") and len(part) > 2 else _emphasis(part)
        for part in parts
    )


def _emphasis(text: str) -> str:
    strong = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(text, quote=False))
    return re.sub(r"(?<!\*)\*([^*]+)\*(?!\*)", r"<em>\1</em>", strong)
