"""A mistake in a definition, told by file and key, so that a person finds the line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NAMES = ("name", "id", "value")
"""the keys that name an item of a list, first found first"""


@dataclass(frozen=True)
class Mistake:
    """One mistake: the file, the key in it (`variables.sex.codes.female.label`), what is wrong, and what to do."""

    file: str
    key: str
    text: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where} {self.text}; {self.remedy}"


@dataclass(frozen=True)
class Found:
    """A mistake at a path of the merged definition, such as ("forms", 0, "dated_by")."""

    path: tuple[str | int, ...]
    text: str
    remedy: str


def repeated(path: tuple[str | int, ...], names: Iterable[str], before: int = 0) -> Iterator[Found]:
    """A mistake for each name that stands again; the first `before` names are not items of the list at `path`."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen and number >= before:
            yield Found((*path, number - before), "repeats an earlier name", "give each its own name")
        seen.add(name)


@dataclass(frozen=True)
class Place:
    """Turns a path in the merged definition into the file and the key that a person wrote.

    `tree` is the merged definition as read. An item of a list is named by its name, id or value, else by its number
    from 1.
    """

    tree: object

    def of(self, path: Iterable[str | int]) -> tuple[str, str]:
        """(file, key) of a path such as ("forms", 0, "variables", 3, "codes")."""
        parts = list(path)
        match parts:
            case ["forms", int() as number, *inside]:
                form = _within(_within(self.tree, "forms"), number)
                return f"forms/{_name(form) or number + 1}.toml", ".".join(_named(form, inside))
            case ["tables" | "unmeasured", *_]:
                return "reports.toml", ".".join(_named(self.tree, parts))
        return "registry.toml", ".".join(_named(self.tree, parts))


def _named(node: object, path: Iterable[str | int]) -> Iterator[str]:
    for part in path:
        node = _within(node, part)
        yield part if isinstance(part, str) else _name(node) or str(part + 1)


def _within(node: object, part: str | int) -> object:
    match node, part:
        case dict(), str():
            return node.get(part)
        case list(), int() if part < len(node):
            return node[part]
    return None


def _name(node: object) -> str:
    names = (node.get(key) for key in NAMES) if isinstance(node, dict) else ()
    return next((name for name in names if isinstance(name, str)), "")
