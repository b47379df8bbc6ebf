"""What must never be inside a file that leaves: looked for in every file, and in every part of a workbook."""

import html
import io
import re
import zipfile
from collections.abc import Collection, Iterator

LARGEST_PART = 64 * 1024 * 1024  # bytes of one part of a workbook; ours are far smaller
PSEUDONYM_COLUMN = "_pseudonym"
IN_ITS_PLACE = "#"  # for an identifier taken out: no digits on both sides of it become one number

_IDENTIFIERS = re.compile(  # random identifiers and digests, in whose digits a national number can occur by chance
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{40,}"
)
_PSEUDONYM = re.compile(r"(?<![0-9a-zA-Z])[0-9a-fA-F]{32}(?![0-9a-zA-Z])")
_ELEVEN_DIGITS = re.compile(r"(?<!\d)(?<!\d\.)(\d{6})[ \u00a0]?(\d{5})(?!\d)")
_TWELVE_DIGITS = re.compile(r"(?<!\d)(?:18|19|20)(\d{6})[-+]?(\d{4})(?!\d)")

_FIRST_WEIGHTS = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
_SECOND_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)


def leaks(
    name: str, content: bytes, *, names_people: bool, withheld_texts: Collection[str], made_up_number: str = ""
) -> bool:
    """Whether a file holds what must not leave: a national number, a pseudonym, or the text of a withheld number.

    `names_people` tells that the kind is meant to hold national numbers (an access reply, say); `made_up_number` is the
    one synthetic number that a kind's samples may hold.
    """
    texts = _texts(name, content)
    if made_up_number:
        texts = (re.sub(rf"(?<!\d){made_up_number}(?!\d)", " ", text) for text in texts)
    return any(_leaks(text, names_people=names_people, withheld_texts=withheld_texts) for text in texts)


def could_leak(text: str) -> bool:
    """Whether one text of a row would stop the whole file that shows it: no sender may stop its own answer."""
    return any(_leaks(read, names_people=False, withheld_texts=()) for read in (text, html.unescape(text)))


def _texts(name: str, content: bytes) -> Iterator[str]:
    yield name
    if not content.startswith(b"PK\x03\x04"):
        text = content.decode("utf-8", errors="replace")
        yield text
        yield html.unescape(text)
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for part in archive.infolist():
            yield f"{part.filename} {part.comment!r}"
            with archive.open(part) as opened:
                yield html.unescape(opened.read(LARGEST_PART).decode("utf-8", errors="replace"))


def _leaks(text: str, *, names_people: bool, withheld_texts: Collection[str]) -> bool:
    if PSEUDONYM_COLUMN in text or _PSEUDONYM.search(text):
        return True
    if any(withheld in text for withheld in withheld_texts):
        return True
    return not names_people and _names_someone(_IDENTIFIERS.sub(IN_ITS_PLACE, text))


def _names_someone(text: str) -> bool:
    norwegian = any(has_control_digits(first + second) for first, second in _ELEVEN_DIGITS.findall(text))
    return norwegian or any(_is_swedish(first + second) for first, second in _TWELVE_DIGITS.findall(text))


def has_control_digits(digits: str) -> bool:
    """Whether eleven digits carry the control digits of a Norwegian national number, of the rules from 2032 too.

    The first weighted sum leaves 0 (since 2032: 0–3) and the second 0, modulo 11. The date part is not looked at, so
    D, H, FH and synthetic numbers are found as well.
    """
    numbers = [int(digit) for digit in digits]
    first = sum(weight * number for weight, number in zip(_FIRST_WEIGHTS, numbers, strict=False)) % 11
    second = sum(weight * number for weight, number in zip(_SECOND_WEIGHTS, numbers, strict=True)) % 11
    return first in {0, 1, 2, 3} and second == 0


def _is_swedish(digits: str) -> bool:
    doubled = "".join(str(int(digit) * (2 - place % 2)) for place, digit in enumerate(digits))
    month, day = int(digits[2:4]), int(digits[4:6]) % 60
    return 1 <= month <= 12 and 1 <= day <= 31 and sum(map(int, doubled)) % 10 == 0
