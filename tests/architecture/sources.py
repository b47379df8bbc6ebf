"""The project's own Python files, parsed."""

import ast
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def modules() -> dict[str, ast.Module]:
    """Every module of `enclave` and `jobs`, by its path in the repository."""
    found = [path for package in ("enclave", "jobs") for path in (REPOSITORY / package).rglob("*.py")]
    return {str(path.relative_to(REPOSITORY)): parsed(path) for path in sorted(found)}


@cache
def parsed(path: Path) -> ast.Module:
    """One file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(module: ast.Module) -> set[str]:
    """The modules that a module names in its imports, with what it takes from packages."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
