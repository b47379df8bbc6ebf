"""Which file names may come out of a container: names that mean one file, the same one, on every system."""

import re

LONGEST = 80
LONGEST_PACKAGE_PATH = 120
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_PACKAGE_PART = re.compile(r"\[Content_Types\]\.xml|_rels|\.rels|[A-Za-z0-9_][A-Za-z0-9._ -]*")
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?", re.IGNORECASE)


def is_plain_name(name: str) -> bool:
    """Whether a name is 1–80 of `A–Z a–z 0–9 . _ -`, starts with a letter or digit, ends in no dot, is no device."""
    return _NAME.fullmatch(name) is not None and not name.endswith(".") and _DEVICES.fullmatch(name) is None


def is_package_path(path: str) -> bool:
    """Whether a path can name a part of an Office file: at most six parts and 120 characters, none leads upwards.

    Such names are compared, never used as file names.
    """
    parts = path.split("/")
    return len(path) <= LONGEST_PACKAGE_PATH and len(parts) <= 6 and all(map(_PACKAGE_PART.fullmatch, parts))


def is_plain_path(path: str) -> bool:
    """Whether every part of a path with `/` is a plain name; at most three parts, at most 80 characters."""
    parts = path.split("/")
    return len(path) <= LONGEST and len(parts) <= 3 and all(is_plain_name(part) for part in parts)
