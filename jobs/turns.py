"""Whose drop is taken next, and how much of one institution is taken in a run and in a day."""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from enclave.control.drops import drops_of
from enclave.control.institutions import Institution, institutions_of
from enclave.settings import Limits
from enclave.wiring import Wiring


@dataclass
class Used:
    """What one institution has had taken: of it in the last day, and of that in this turn."""

    drops: int = 0
    size: int = 0
    turn_drops: int = 0
    turn_size: int = 0

    def add(self, size: int) -> None:
        """Count one more drop."""
        self.drops, self.size = self.drops + 1, self.size + size
        self.turn_drops, self.turn_size = self.turn_drops + 1, self.turn_size + size

    def allows(self, size: int, asked: Limits) -> bool:
        """Whether one more drop of this size is within the quotas; a first one always is, however large it may be."""
        in_turn = self.turn_drops == 0 or self.turn_size + size <= asked.bytes_per_turn
        in_day = self.drops < asked.drops_per_day and (self.drops == 0 or self.size + size <= asked.bytes_per_day)
        return in_turn and in_day


@dataclass(frozen=True)
class Next:
    """One name at the airlock that is to be taken, or with a `code` refused."""

    name: str
    drop_uuid: str
    code: str = ""
    size: int = 0
    was_claimed: bool = False


@dataclass
class Turn:
    """What is left of one institution's turn; `waiting` is None before anybody has looked."""

    institution: Institution
    used: Used
    waiting: deque[Next] | None = None


def used_today(wiring: Wiring) -> defaultdict[str, Used]:
    """What each institution has had taken in the last day."""
    used: defaultdict[str, Used] = defaultdict(Used)
    since = wiring.now - timedelta(days=1)
    for drop in drops_of(wiring.control, wiring.registry):
        if datetime.fromisoformat(drop.collected_at) > since:
            used[drop.sender].drops += 1
            used[drop.sender].size += drop.size
    return used


def by_least_used(wiring: Wiring, used: Mapping[str, Used]) -> list[Institution]:
    """Whoever had the least taken in the last day comes first, so that a short run never favours a name."""
    known = institutions_of(wiring.control, wiring.registry, "sender", "lender")
    return sorted(known, key=lambda one: (used[one.institution_id].drops, one.institution_id))
