"""Every parser of bytes that somebody else wrote: a value or one of our typed errors, whatever the bytes.

Three ways to be wrong: any bytes at all, bytes made of the format's own words, and a right file that was flipped, cut,
or spliced with another. The same examples are drawn at each run. `make fuzz` tries the same parsers a million times.
"""

from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.parsers import PARSERS, SIZE

SLOW = {"csv", "xlsx"}


def tried(name: str, content: bytes) -> None:
    """Nothing but a value or a typed error comes of these bytes."""
    with suppress(*PARSERS[name].expected):
        PARSERS[name].read(content[:SIZE])


@cache
def seeds(name: str) -> tuple[bytes, ...]:
    """Right inputs of a parser."""
    return tuple(PARSERS[name].seeds())


def examples(name: str, most: int) -> settings:
    """How many examples are drawn: fewer where a library is slow."""
    return settings(max_examples=most // 5 if name in SLOW else most, deadline=None, derandomize=True, database=None)


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A right input with one to four changes: a bit flipped, a byte set, a piece cut out, doubled, or spliced in."""
    content = bytearray(draw(st.sampled_from(seeds(name))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.integers(0, 40))
        match draw(st.integers(0, 5)):
            case 0 if content:
                content[at] ^= 1 << draw(st.integers(0, 7))
            case 1 if content:
                content[at] = draw(st.integers(0, 255))
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = content[at : at + length]
            case 4:
                other = draw(st.sampled_from(seeds(name)))
                content[at:] = other[draw(st.integers(0, len(other))) :]
            case _:
                content[at:at] = draw(st.binary(max_size=8))
    return bytes(content)


@pytest.mark.parametrize("name", PARSERS)
def test_any_bytes_give_a_value_or_a_typed_error(name: str) -> None:
    """Bytes without any order raise nothing else."""

    @examples(name, 100)
    @given(st.binary(max_size=200))
    def check(content: bytes) -> None:
        tried(name, content)

    check()


@pytest.mark.parametrize("name", PARSERS)
def test_a_changed_file_gives_a_value_or_a_typed_error(name: str) -> None:
    """A right file that was flipped, cut or spliced raises nothing else, and what is taken holds together."""

    @examples(name, 150)
    @given(changed(name))
    def check(content: bytes) -> None:
        tried(name, content)

    check()


@pytest.mark.parametrize("name", PARSERS)
def test_a_file_cut_anywhere_gives_a_value_or_a_typed_error(name: str) -> None:
    """Every beginning of a right file is survived, and the whole file is taken."""
    first = seeds(name)[0]
    for end in range(0, len(first), 40 if name in SLOW else 1):
        tried(name, first[:end])

    PARSERS[name].read(first)
