"""Reads a registry definition from its folder: every mistake is found at once, each with file, key and remedy.

A folder holds `registry.toml` (the registry, its legal bases, loans, and the order of its forms), `forms/ID.toml` (one
form each) and, where there are tables, `reports.toml`. What is kept of an applied definition is its *source*: one
canonical JSON text of what the files say, without comments or layout, named by its SHA-256.
"""

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from enclave import durable
from enclave.errors import Halt, explain
from enclave.registry.check import check
from enclave.registry.definition import Definition
from enclave.registry.mistake import Mistake, Place

explain(
    "H_DEFINITION",
    "A registry definition has a mistake.",
    "Run `enclave registry check` for every mistake with its file, key and remedy; mend the files.",
)

explain(
    "H_DEFINITION_ALTERED",
    "A definition that was put in force is missing from `definitions/`, or is no longer the one that was kept.",
    "Find out who wrote to the folder; restore the file of this name from a backup, then `enclave recover`.",
)

FILE_LIMIT = 1_000_000  # bytes of one TOML file
REGISTRY_FILE = "registry.toml"
REPORTS_FILE = "reports.toml"
REPORTS_KEYS = ("tables", "unmeasured")
MODEL_FILE = re.compile(r"[a-z][a-z0-9_-]{0,47}\.json")
FORMS_FOLDER = "forms"

Tree = dict[str, object]


class DefinitionHalt(Halt):
    """A definition that cannot be used; `mistakes` holds every one of them, in the order of the files."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("H_DEFINITION", place=f"{self.mistakes[0].file}: {self.mistakes[0].key}")


@dataclass(frozen=True)
class LoadedDefinition:
    """A definition that has passed every check, with the canonical source that it is kept by and its SHA-256 (hex)."""

    definition: Definition
    sha256: str
    source: bytes


def load(folder: Path) -> LoadedDefinition:
    """The definition in `folder`; every mistake in one DefinitionHalt (H_DEFINITION)."""
    tree = _read_folder(folder)
    return _loaded(_canonical(tree), tree)


def load_source(source: bytes) -> LoadedDefinition:
    """The definition whose canonical source was kept when it was applied; DefinitionHalt where it has mistakes."""
    try:
        tree = json.loads(source)
    except ValueError:
        raise DefinitionHalt([Mistake("source", "", "is not JSON", "restore it from a backup")]) from None
    return _loaded(source, tree)


def keep(folder: Path, loaded: LoadedDefinition) -> None:
    """Keep a definition in a file named by its hash; the same again writes the same."""
    durable.write(folder / f"{loaded.sha256}.json", loaded.source)


def load_kept(folder: Path, sha256: str) -> LoadedDefinition:
    """The definition kept in `folder` under its SHA-256; Halt H_DEFINITION_ALTERED if it is gone or is another."""
    try:
        source = durable.read(folder / f"{sha256}.json")
    except FileNotFoundError:
        raise Halt("H_DEFINITION_ALTERED") from None
    # Compared before it is read: what steers checks and disclosure is what was asked for and recorded.
    if hashlib.sha256(source).hexdigest() != sha256:
        raise Halt("H_DEFINITION_ALTERED")
    return load_source(source)


def _loaded(source: bytes, tree: object) -> LoadedDefinition:
    place = Place(tree)
    try:
        # Strict, and through JSON: a word is never taken for a number, nor a number for a truth value.
        definition = Definition.model_validate_json(source, strict=True)
    except ValidationError as error:
        raise DefinitionHalt([_shape_mistake(place, fault) for fault in error.errors(include_input=False)]) from None
    if mistakes := check(definition, place):
        raise DefinitionHalt(mistakes)
    return LoadedDefinition(definition, hashlib.sha256(source).hexdigest(), source)


def _canonical(tree: Tree) -> bytes:
    return json.dumps(tree, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _read_folder(folder: Path) -> Tree:
    """The merged tree of all files; every mistake in reading them in one DefinitionHalt."""
    mistakes: list[Mistake] = []
    tree = _read(folder, REGISTRY_FILE, mistakes)
    if tree is None:
        raise DefinitionHalt(mistakes)
    misplaced = [key for key in REPORTS_KEYS if key in tree]
    mistakes += [Mistake(REGISTRY_FILE, key, "does not belong here", f"move it to {REPORTS_FILE}") for key in misplaced]
    if (folder / REPORTS_FILE).exists():
        tree |= _read_reports(folder, mistakes)
    _read_models(folder, tree, mistakes)
    listed = tree.get("forms")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    if names and names == listed:
        tree["forms"] = _read_forms(folder, names, mistakes)
    else:
        remedy = 'write forms = ["ID", …] in the order of the forms, one file each'
        mistakes.append(Mistake(REGISTRY_FILE, "forms", "does not list the forms", remedy))
    if mistakes:
        raise DefinitionHalt(mistakes)
    return tree


def _read_reports(folder: Path, mistakes: list[Mistake]) -> Tree:
    reports = _read(folder, REPORTS_FILE, mistakes) or {}
    unknown = sorted(reports.keys() - set(REPORTS_KEYS))
    remedy = "only [[tables]] and [[unmeasured]] stand here"
    mistakes += [Mistake(REPORTS_FILE, key, "is an unknown key", remedy) for key in unknown]
    return {key: reports[key] for key in REPORTS_KEYS if key in reports}


def _read_models(folder: Path, tree: Tree, mistakes: list[Mistake]) -> None:
    """Put each linkage model in the place of its file's name: what is applied and hashed holds the whole model."""
    loans = tree.get("loans")
    for loan in loans if isinstance(loans, list) else []:
        terms = loan.get("probabilistic") if isinstance(loan, dict) else None
        name = terms.get("model") if isinstance(terms, dict) else None
        if not isinstance(terms, dict) or not isinstance(name, str):
            continue
        if not MODEL_FILE.fullmatch(name):
            mistakes.append(Mistake(REGISTRY_FILE, "loans.probabilistic.model", "names no model", 'write "NAME.json"'))
            continue
        try:
            terms["model"] = durable.read(folder / name, limit=FILE_LIMIT).decode("utf-8")
        except (OSError, UnicodeDecodeError):
            mistakes.append(Mistake(name, "", "cannot be read", "save the trained model there, as JSON in UTF-8"))


def _read_forms(folder: Path, names: Sequence[str], mistakes: list[Mistake]) -> list[Tree | None]:
    present = {path.stem for path in (folder / FORMS_FOLDER).glob("*.toml")}
    remedy = f"name it in `forms` of {REGISTRY_FILE}, or remove it"
    unlisted = sorted(present - set(names))
    mistakes += [Mistake(f"{FORMS_FOLDER}/{name}.toml", "", "is not listed", remedy) for name in unlisted]
    forms: list[Tree | None] = []
    for name in names:
        file = f"{FORMS_FOLDER}/{name}.toml"
        if name not in present:
            mistakes.append(Mistake(REGISTRY_FILE, "forms", "lists a form that has no file", f"write {file}"))
            continue
        form = _read(folder, file, mistakes)
        if form is not None and form.get("id") != name:
            mistakes.append(Mistake(file, "id", "differs from the file's name", f'write id = "{name}"'))
        forms.append(form)
    return forms


def _read(folder: Path, name: str, mistakes: list[Mistake]) -> Tree | None:
    """The tree of one TOML file with dates as ISO text; None, and a mistake, where it cannot be read."""
    try:
        tree = tomllib.loads(durable.read(folder / name, limit=FILE_LIMIT).decode("utf-8"))
    except FileNotFoundError:
        mistakes.append(Mistake(name, "", "is missing", "write it; config/registries/kar is an example"))
    except OSError:
        mistakes.append(Mistake(name, "", "cannot be opened", "put a regular file there that the server may read"))
    except UnicodeDecodeError:
        mistakes.append(Mistake(name, "", "is not UTF-8", "save it as UTF-8"))
    except tomllib.TOMLDecodeError as error:
        # The decoder's text names a line and what is wrong with it; a definition holds no data about anyone.
        mistakes.append(Mistake(name, "", f"is not TOML: {error}", "mend the line"))
    except RecursionError:
        mistakes.append(Mistake(name, "", "is nested too deeply", "write it flatter"))
    else:
        return {key: _plain(value, name, key, mistakes) for key, value in tree.items()}
    return None


def _plain(value: object, file: str, key: str, mistakes: list[Mistake]) -> object:
    """A TOML value as JSON knows it; a date becomes ISO text, a time or an infinite number is a mistake."""
    match value:
        case dict():
            return {name: _plain(item, file, f"{key}.{name}", mistakes) for name, item in value.items()}
        case list():
            return [_plain(item, file, f"{key}.{number}", mistakes) for number, item in enumerate(value, start=1)]
        case datetime() | time():
            mistakes.append(Mistake(file, key, "has a time of day", "write a date, as 2024-12-31"))
            return None
        case date():
            return value.isoformat()
        case float() if not math.isfinite(value):
            mistakes.append(Mistake(file, key, "is not a finite number", "write the number out"))
            return None
    return value


REMEDIES = {
    "missing": "add it",
    "extra_forbidden": "remove it, or mend its spelling",
    "string_pattern_mismatch": "use small letters, digits and underscores, beginning with a letter, and fewer",
    "date_from_datetime_parsing": "write a date, as 2024-12-31",
    "date_parsing": "write a date, as 2024-12-31",
    "union_tag_invalid": "choose one of the kinds that the text names",
    "union_tag_not_found": 'add kind = "…"',
}
TEXTS = {"missing": "is missing", "extra_forbidden": "is an unknown key"}


def _shape_mistake(place: Place, fault: ErrorDetails) -> Mistake:
    kind = fault["type"]
    file, key = place.of(_without_tags(fault["loc"]))
    message = fault["msg"]
    text = TEXTS.get(kind, message[:1].lower() + message[1:])
    return Mistake(file, key, text, REMEDIES.get(kind, "write a value of the kind that the text names"))


def _without_tags(location: Sequence[str | int]) -> Iterator[str | int]:
    """A place without the union's tag (`change`, `loan_share`), which is a part of the model and not of the file."""
    for depth, part in enumerate(location):
        if not (depth == 2 and location[0] == "tables"):
            yield part
