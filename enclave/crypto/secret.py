"""A secret is a type: it shows itself to nobody who does not ask for it by name."""

import hmac
from typing import NoReturn


class Secret:
    """Bytes that must not be seen: a redacting repr, no pickling, no hash, comparison in constant time."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = bytes(content)

    def reveal(self) -> bytes:
        """The bytes themselves; the caller hands them to a cipher and keeps no copy."""
        return self._content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._content, other._content)

    __hash__ = None  # type: ignore[assignment]  # a secret as a dictionary key would be compared early and often

    def __repr__(self) -> str:
        return "Secret(redacted)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")
