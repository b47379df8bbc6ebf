"""Trying again with growing waits, up to a cap, and then no more."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """How often a call is tried, and the seconds in between: `first`, doubled each time, at most `cap`."""

    attempts: int = 4
    first: float = 1.0
    cap: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def waits(self) -> Iterator[float]:
        """The waits in seconds between the attempts: one fewer than attempts."""
        for attempt in range(self.attempts - 1):
            yield min(self.cap, self.first * 2**attempt)
