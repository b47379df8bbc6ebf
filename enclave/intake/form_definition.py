"""What a form at Nettskjema asks, as its delivered definition says it, and what changed from one to the next.

Of a definition only what answers mean is read: questions, their rows and options, each with its words. Who edits the
form, with name and e-mail address, stands in it too, and is forgotten with the file. Which generation a file is of is
told by its content: `elements` of the Survey API, or `definition` of the legacy delivery.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from enclave.errors import Rejected, explain
from enclave.intake import strict_json
from enclave.intake.nettskjema import VERSIONS

explain(
    "E_DEFINITION_FORM",
    "A form's definition is not what Nettskjema writes, is too large, or says one thing twice.",
    "Look at the form at Nettskjema: each question and option needs a code of its own. Then let it be delivered anew.",
    nb=(
        "Skjemadefinisjonen er ikke slik Nettskjema skriver den, er for stor, eller sier noe to ganger.",
        "Databehandleren ser på skjemaet; hvert spørsmål og alternativ må ha sin egen kode.",
    ),
)
explain(
    "E_DEFINITION_VERSION",
    "A form's definition is of a version that this server does not read.",
    "Update the server; or look at the form at Nettskjema and approve it, if its questions are as before.",
    nb=(
        "Skjemadefinisjonen er av en versjon som ikke kan leses her.",
        "Databehandleren oppdaterer serveren, eller ser på skjemaet og godkjenner det.",
    ),
)
explain(
    "E_DEFINITION_NUMBER",
    "A form's definition is of another form than the folder that it lay in.",
    "Find out who else writes to the folder of submissions.",
    nb=(
        "Skjemadefinisjonen gjelder et annet skjema enn mappen den lå i.",
        "Databehandleren finner ut hvem som skriver.",
    ),
)

LARGEST = 4 << 20  # bytes; a form of some hundred questions takes a tenth of that
MOST_POINTS = 20_000
LONGEST_CODE = 200
LONGEST_WORDS = 10_000
LARGEST_NUMBER = 10**12
UNNAMED = "2022-07"
"""The version whose definitions do not say which they are."""
PARTS = QUESTION, ROW, OPTION = "question", "row", "option"
NOT_ANSWERED = frozenset({"ACCORDION", "HEADING", "IMAGE", "PAGE_BREAK", "TEXT"})
"""Kinds of element that nobody answers."""
_KIND = re.compile(r"[A-Z_]{0,40}", re.ASCII)


@dataclass(frozen=True, order=True)
class Point:
    """One thing that an answer can mean: a question, a row of a matrix, or an option, by its code, with its words."""

    question: str
    part: str
    code: str
    kind: str
    words: str

    @property
    def place(self) -> tuple[str, str, str]:
        """What an answer says to mean this."""
        return self.question, self.part, self.code

    @property
    def says(self) -> str:
        """What the respondent saw there."""
        return f"{self.kind} {self.words}".strip()


@dataclass(frozen=True)
class FormDefinition:
    """All that a form asks; `made` is when Nettskjema made the definition, if it says."""

    points: tuple[Point, ...]
    made: datetime | None

    @property
    def content(self) -> str:
        """The one way to write it: what is kept."""
        rows = [list(vars(point).values()) for point in sorted(self.points)]
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))

    @property
    def sha256(self) -> str:
        """The hash that it is kept by; when it was made does not count."""
        return hashlib.sha256(self.content.encode()).hexdigest()


@dataclass(frozen=True)
class Change:
    """One point that was `removed`, `recoded` or `added`, with its words before and after."""

    what: str
    question: str
    part: str
    code: str
    was: str
    now: str


def points_of(content: str) -> tuple[Point, ...]:
    """What was kept."""
    return tuple(Point(*row) for row in json.loads(content)) if content else ()


def changes(before: Sequence[Point], after: Sequence[Point]) -> tuple[Change, ...]:
    """What an answer means otherwise than before; the order of questions and options is no change."""
    was, now = ({point.place: point for point in points} for points in (before, after))
    found = [
        *(Change("removed", *place, was[place].says, "") for place in was.keys() - now.keys()),
        *(
            Change("recoded", *place, was[place].says, now[place].says)
            for place in was.keys() & now.keys()
            if was[place] != now[place]
        ),
        *(Change("added", *place, "", now[place].says) for place in now.keys() - was.keys()),
    ]
    return tuple(sorted(found, key=lambda change: (change.question, PARTS.index(change.part), change.code)))


def counted(found: Sequence[Change]) -> Counter[str]:
    """How many points were removed, recoded and added."""
    return Counter(change.what for change in found)


def read_definition(content: bytes, form: str) -> FormDefinition:
    """What the definition of this form asks; Rejected E_DEFINITION_FORM, E_DEFINITION_VERSION, E_DEFINITION_NUMBER."""
    if len(content) > LARGEST:
        raise Rejected("E_DEFINITION_FORM")
    try:
        said = _object(strict_json.parse(content))
    except (ValueError, RecursionError):
        raise Rejected("E_DEFINITION_FORM") from None
    legacy = said.get("definition")
    inside = said if legacy is None else _object(legacy)
    numbers = [inside.get("formId"), said.get("form_id", inside.get("formId"))]
    if not all(type(number) is int for number in numbers):
        raise Rejected("E_DEFINITION_FORM")
    if {str(number) for number in numbers} != {form}:
        raise Rejected("E_DEFINITION_NUMBER")
    version = said.get("version", UNNAMED)
    if legacy is None and not (isinstance(version, str) and version in VERSIONS):
        raise Rejected("E_DEFINITION_VERSION")
    points = tuple(islice(_survey_points(said) if legacy is None else _legacy_points(inside), MOST_POINTS + 1))
    if not 0 < len(points) <= MOST_POINTS or len({point.place for point in points}) != len(points):
        # An answer with a code that stands twice could mean either.
        raise Rejected("E_DEFINITION_FORM")
    return FormDefinition(points, _moment(inside))


def _moment(said: Mapping[str, Any]) -> datetime | None:
    """When the definition was made; None where it does not say so in a way that can be read."""
    for name in ("generatedDate", "modifiedDate"):
        written = said.get(name)
        if isinstance(written, str):
            try:
                moment = datetime.fromisoformat(written[:40])
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
            except (ValueError, OverflowError):
                continue
    return None


def _survey_points(said: Mapping[str, Any]) -> Iterator[Point]:
    """The Survey API's elements; a matrix has its rows as elements inside, which once could have options too."""
    for element in _objects(said, "elements", needed=True):
        kind = _kind(element)
        if kind.split(" ")[0] in NOT_ANSWERED:
            continue
        question = _code(element, "externalElementId", "elementId")
        yield _point(question, QUESTION, "", element, kind)
        yield from _options(question, element)
        for row in _objects(element, "subElements"):
            code = _code(row, "externalElementId", "subElementId", "elementId")
            yield _point(question, ROW, code, row, _kind(row))
            yield from _options(f"{question}.{code}", row)


def _legacy_points(inside: Mapping[str, Any]) -> Iterator[Point]:
    """The legacy delivery's pages of elements of questions; a matrix has its options beside its questions."""
    for page in _objects(inside, "pages", needed=True):
        for element in _objects(page, "elements", needed=True):
            kind = _kind(element)
            if kind.split(" ")[0] in NOT_ANSWERED:
                continue
            for one in _objects(element, "questions"):
                question = _code(one, "externalQuestionId", "questionId")
                yield _point(question, QUESTION, "", one, kind)
                yield from _options(question, one if one.get("answerOptions") else element)


def _options(question: str, element: Mapping[str, Any]) -> Iterator[Point]:
    for option in _objects(element, "answerOptions"):
        code = _code(option, "externalAnswerOptionId", "answerOptionId")
        yield _point(question, OPTION, code, option, "")


def _kind(element: Mapping[str, Any]) -> str:
    """What kind of answer is asked for: a scale by its ends, and whether only a hash of the answer is delivered."""
    kind = element.get("elementType", "")
    if not isinstance(kind, str) or _KIND.fullmatch(kind) is None:
        raise Rejected("E_DEFINITION_FORM")
    if kind == "LINEAR_SCALE":
        ends = [element.get(name) for name in ("minimumValue", "maximumValue")]
        if not all(end is None or _is_number(end) for end in ends):
            raise Rejected("E_DEFINITION_FORM")
        kind += f" {ends[0]}..{ends[1]}"
    return f"{kind} hashed" if element.get("isAnswerHashed") is True else kind


def _point(question: str, part: str, code: str, said: Mapping[str, Any], kind: str) -> Point:
    words = said.get("text")
    if words is None:
        words = ""
    if not isinstance(words, str) or len(words) > LONGEST_WORDS:
        raise Rejected("E_DEFINITION_FORM")
    # What cannot be seen, such as a change of the direction of writing, tells nobody apart.
    seen = "".join(character if character.isprintable() else " " for character in words)
    return Point(question, part, code, kind, " ".join(seen.split()))


def _code(said: Mapping[str, Any], external: str, *internal: str) -> str:
    """What answers call this by; Nettskjema's own number where nobody gave it a code."""
    code = said.get(external)
    if isinstance(code, str) and 0 < len(code) <= LONGEST_CODE and code.isprintable():
        return code
    number = next((said[name] for name in internal if _is_number(said.get(name))), None)
    if code not in (None, "") or number is None:
        raise Rejected("E_DEFINITION_FORM")
    return f"#{number}"


def _is_number(said: object) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and abs(said) < LARGEST_NUMBER


def _objects(said: Mapping[str, Any], name: str, *, needed: bool = False) -> list[dict[str, Any]]:
    found = said.get(name)
    if found is None and not needed:
        return []
    if not isinstance(found, list) or len(found) > MOST_POINTS:
        raise Rejected("E_DEFINITION_FORM")
    return [_object(one) for one in found]


def _object(said: object) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise Rejected("E_DEFINITION_FORM")
    return said
