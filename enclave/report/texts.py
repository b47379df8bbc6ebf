"""Labels and number formats for readers in Norwegian; the words are in `locale/nb.toml`."""

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from babel.dates import format_date

LANGUAGE = "nb"


@cache
def texts() -> Mapping[str, Mapping[str, str]]:
    """Every text by section and key."""
    content = files("enclave.report").joinpath(f"locale/{LANGUAGE}.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(content))


def text(section: str, key: str, **values: str | int) -> str:
    """One text with its values filled in; KeyError for a text that is not there."""
    return texts()[section][key].format(**values)


def decimal_comma(number: float, decimals: int, *, signed: bool = False) -> str:
    """A number with this many decimals, decimal comma and a true minus sign (`−0,4`, signed `+1,3`)."""
    return f"{number:{'+' if signed else ''}.{decimals}f}".replace(".", ",").replace("-", "−")


def period_words(period: str) -> str:
    """A period in words: `Ankomst fra 1. januar 2024 til 31. desember 2024`."""
    first, last = (format_date(date.fromisoformat(day), "d. MMMM y", locale=LANGUAGE) for day in period.split("/"))
    return text("title", "period", first=first, last=last)
