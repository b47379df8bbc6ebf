"""JSON in which nothing is ambiguous: UTF-8, no key twice, no NaN."""

import json
from typing import Any, NoReturn


def parse(content: bytes) -> Any:  # noqa: ANN401  any value that JSON has
    """The value that a JSON text stands for; ValueError or RecursionError, whose texts may hold what was written."""
    return json.loads(content.decode(), object_pairs_hook=_without_doubles, parse_constant=_no_constant)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key stands twice")
    return keys


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("not JSON")
