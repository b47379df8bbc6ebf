"""Every code that a process can raise is explained in that process: an error without its text would be an accident."""

import ast
import re
from functools import cache

from tests.architecture.sources import REPOSITORY, imports_of, parsed

CODE = re.compile(r"[EHR]_[A-Z][A-Z0-9_]+")


@cache
def path_of(name: str) -> str:
    """The file of one of our modules or packages; "" for anybody else's."""
    stem = REPOSITORY / name.replace(".", "/")
    found = [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]
    return str(found[0].relative_to(REPOSITORY)) if found else ""


def loaded_with(path: str) -> set[str]:
    """The files of ours that importing one of them loads, itself included."""
    loaded, waiting = set[str](), {path}
    while waiting:
        here = waiting.pop()
        loaded.add(here)
        waiting |= {path_of(name) for name in imports_of(parsed(REPOSITORY / here))} - loaded - {""}
    return loaded


def raised_in(path: str) -> set[str]:
    """The codes that a file gives to one of the three errors."""
    return {
        argument.value
        for node in ast.walk(parsed(REPOSITORY / path))
        if isinstance(node, ast.Call) and called(node) in {"Rejected", "Refused", "Halt"}
        for argument in node.args[:1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and CODE.fullmatch(argument.value)
    }


def explained_in(path: str) -> set[str]:
    """The codes that a file explains when it is imported."""
    return {
        str(argument.value)
        for node in ast.walk(parsed(REPOSITORY / path))
        if isinstance(node, ast.Call) and called(node) == "explain"
        for argument in node.args[:1]
        if isinstance(argument, ast.Constant)
    }


def called(node: ast.Call) -> str:
    """The bare name of what is called."""
    return node.func.id if isinstance(node.func, ast.Name) else ""


def test_whoever_raises_a_code_has_loaded_its_explanation() -> None:
    """A code is explained in the module that raises it or in one that this module imports, near or far."""
    files = [
        str(path.relative_to(REPOSITORY))
        for package in ("enclave", "jobs")
        for path in sorted((REPOSITORY / package).rglob("*.py"))
    ]
    explained = {path: explained_in(path) for path in files}
    missing = {
        (path, code)
        for path in files
        for code in raised_in(path) - set().union(*(explained[loaded] for loaded in loaded_with(path)))
    }

    assert sum(len(raised_in(path)) for path in files) > 100
    assert missing == set()
