"""Searching for planted words in every byte of every file and in every name, in the forms that data takes on disk."""

import base64
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

KEY = 8
"""Bytes at the start of each form by which places worth a look are found; every form is longer."""


def forms(word: str) -> set[bytes]:
    """A word as UTF-8, UTF-16, hex (both cases) and base64 (at each of the three places that it can begin at)."""
    plain = word.encode()
    found = {plain, word.encode("utf-16-le"), word.encode("utf-16-be"), plain.hex().encode()}
    found.add(plain.hex().upper().encode())
    for shift in range(3):
        # The characters that the neighbours of the word take part in are left out at both ends.
        encoded = base64.b64encode(b"\0" * shift + plain)
        found.add(encoded[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6])
    return found


class Needles:
    """Many words at once: a content is passed over once, whatever their number."""

    def __init__(self, words: Iterable[str]) -> None:
        self._by_key: defaultdict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
        for word in words:
            for form in forms(word):
                if len(form) < KEY:
                    raise ValueError("too short to be told from chance")
                self._by_key[form[:KEY]].append((form, word))
        self._keys = np.array(sorted(int.from_bytes(key, "little") for key in self._by_key), dtype=np.uint64)
        self._marked = np.zeros(1 << 20, dtype=bool)
        self._marked[_slot(self._keys)] = True

    def found_in(self, content: bytes) -> set[str]:
        """The words that a content holds in any form."""
        found = set()
        for shift in range(min(KEY, max(0, len(content) - KEY + 1))):
            windows = np.frombuffer(content, dtype="<u8", offset=shift, count=(len(content) - shift) // KEY)
            (worth,) = np.nonzero(self._marked[_slot(windows)])
            (hits,) = np.nonzero(np.isin(windows[worth], self._keys))
            for place in (worth[hits] * KEY + shift).tolist():
                for form, word in self._by_key[content[place : place + KEY]]:
                    if content.startswith(form, place):
                        found.add(word)
        return found

    def search(self, roots: Sequence[Path]) -> dict[str, set[str]]:
        """Path → the words found in its content or its name, for every file, folder and link below the roots."""
        hits: dict[str, set[str]] = {}
        for root in roots:
            for path in [root, *root.rglob("*")]:
                parts = [str(path).encode("utf-8", "surrogateescape")]
                if path.is_symlink():
                    parts.append(str(path.readlink()).encode("utf-8", "surrogateescape"))
                elif path.is_file():
                    parts.append(path.read_bytes())
                words = set().union(*map(self.found_in, parts))
                if words:
                    hits[str(path)] = words
        return hits


def _slot(windows: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    # Multiplying spreads the likeness of texts over the table; what overflows is meant to be lost.
    return (windows * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(44)
