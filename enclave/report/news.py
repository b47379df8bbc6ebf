"""The words of the national pages: what the registry is, how to join it, and its news; written by people, in TOML."""

import datetime as dt
import tomllib
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError, field_validator

from enclave.errors import Refused, explain
from enclave.model.drop import Closed

explain(
    "R_NEWS",
    "The words of the national pages are not as they must be.",
    "Mend the key that is named here: `about` and `join` are lists of paragraphs, and each [[news]] has date, title "
    "and text.",
)

EARLIEST = dt.date(2000, 1, 1)
_PRINTED = r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069<>]+$"

Title = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=_PRINTED)]
Paragraph = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_PRINTED)]


class News(Closed):
    """One entry of the news."""

    date: dt.date
    title: Title
    text: Paragraph

    @field_validator("date")
    @classmethod
    def _is_of_our_time(cls, day: dt.date) -> dt.date:
        if day < EARLIEST:
            raise ValueError("is too long ago")
        return day


class Words(Closed):
    """What people write for the national pages; the news stand newest first."""

    about: Annotated[tuple[Paragraph, ...], Field(min_length=1, max_length=20)]
    join: Annotated[tuple[Paragraph, ...], Field(min_length=1, max_length=20)]
    news: Annotated[tuple[News, ...], Field(max_length=500)] = ()

    @field_validator("news")
    @classmethod
    def _tells_nothing_twice(cls, news: tuple[News, ...]) -> tuple[News, ...]:
        if len({(one.date, one.title) for one in news}) != len(news):
            raise ValueError("holds one entry twice")
        return tuple(sorted(news, key=lambda one: (one.date, one.title), reverse=True))


def read_words(content: bytes) -> Words:
    """The words in this file; Refused R_NEWS names the keys of the mistakes, never what was written there."""
    try:
        written = tomllib.loads(content.decode("utf-8"))
        return Words.model_validate(written)
    except UnicodeDecodeError:
        raise Refused("R_NEWS", place="not UTF-8") from None
    except tomllib.TOMLDecodeError:
        raise Refused("R_NEWS", place="not TOML") from None
    except ValidationError as mistakes:
        found = mistakes.errors(include_url=False, include_input=False, include_context=False)
        # A key is written by a person too: only keys that we know are named.
        places = {".".join(part if part in _KEYS else "?" for part in map(str, one["loc"])) for one in found}
        raise Refused("R_NEWS", place="; ".join(sorted(places))) from None


_KEYS = frozenset({*Words.model_fields, *News.model_fields, *map(str, range(1000))})
