"""The data processor's pages: what waits and why, and how a loan's rows met the registry. Static HTML, no script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True)
class Block:
    """One table of the page."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def status_page(
    *,
    title: str,
    server: str,
    at: datetime,
    alarm: str,
    blocks: Sequence[Block],
    facts: Mapping[str, int | str],
    figures: Sequence[str] = (),
) -> bytes:
    """The page as UTF-8; `alarm` stands on top in red, `facts` are large numbers with their captions.

    `figures` are `<svg>` elements of ours (`report/traffic.py`), which stand after the first block as they are.
    """
    environment = Environment(
        loader=PackageLoader("enclave.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("status.html").render(
        title=title,
        server=server,
        at=at.isoformat(timespec="seconds"),
        alarm=alarm,
        blocks=blocks,
        facts=facts,
        figures=[Markup(figure) for figure in figures],  # noqa: S704  our own drawing, without a text from outside
    )
    return text.encode()
