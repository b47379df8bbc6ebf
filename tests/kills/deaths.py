"""Counts the durable effects of this process and kills it, by SIGKILL, at the n-th.

An effect is a call that changes what another process would find: file contents made durable, names made, moved and
removed, folders made and removed, and commits of changed databases. A commit counts twice: just before and just after.
A write to a regular file counts in its middle, when half of it is there. Everything else counts when it is done.
"""

import os
import signal
import stat
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

EFFECTS = ("fsync", "fdatasync", "ftruncate", "rename", "replace", "link", "unlink", "rmdir", "mkdir")
OURS = ("/jobs/", "/enclave/")


class Deaths:
    """The effects that passed, told one by one, and the number of the one that kills."""

    def __init__(self, at: int | None, tell: Callable[[str], None]) -> None:
        self._at = at
        self._tell = tell
        self._passed = 0

    def arm(self) -> None:
        """Count from now on, in this process, for good."""
        for name in EFFECTS:
            setattr(os, name, self._counted(name, getattr(os, name)))
        os.write = self._half_written(os.write)
        commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

        def counted_commit(dialect: DefaultDialect, connection: Any) -> None:
            changed = connection.total_changes > 0
            if changed:
                self._pass("before commit")
            commit(dialect, connection)
            if changed:
                self._pass("after commit")

        DefaultDialect.do_commit = counted_commit  # type: ignore[method-assign]

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            self._pass(name)
            return answer

        return counted

    def _half_written(self, call: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
        def half_written(descriptor: int, content: Any) -> int:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                if self._passed + 1 == self._at:
                    call(descriptor, bytes(content)[: len(content) // 2])
                self._pass("half of a write")
            return call(descriptor, content)

        return half_written

    def _pass(self, effect: str) -> None:
        self._passed += 1
        self._tell(f"{self._passed} {effect} {_place()}")
        if self._passed == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def _place() -> str:
    """The innermost function of a job that is at work, and the innermost of all; test code has no place."""
    frame, places = sys._getframe(2), []
    while frame is not None:
        file = frame.f_code.co_filename
        if any(part in file for part in OURS) and "site-packages" not in file and "contextlib" not in file:
            places.append(f"{os.path.basename(file)}:{frame.f_code.co_name}")  # noqa: PTH119  a name, not a file
        frame = frame.f_back  # type: ignore[assignment]
    jobs = [place for place in places if not place.startswith(("durable", "log", "acts", "database", "engines"))]
    return f"{places[0]} for {jobs[0]}" if places and jobs else "?"
