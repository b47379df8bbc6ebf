"""The rules that lines of a log obey one after the other, and what is known after reading them (pure).

A chain takes whole lines in order and refuses the first that is not canonical, not of the schema, of another log, out
of sequence, not linked to the line before it, or an outcome without an open intent of the same act.
"""

import hashlib
from collections.abc import Iterable

from pydantic import ValidationError

from enclave.audit.record import FIRST_PREV, OUTCOMES, Entry, Phase, StoredEntry, canonical, leaf_hash
from enclave.audit.tree import Frontier
from enclave.errors import Halt, explain

explain(
    "H_LOG_BROKEN",
    "The audit log is damaged or was changed: a line does not follow from the one before it.",
    "Keep the folder as it is and run `audit/verify.py` on a copy; only two people can go on, by `enclave recover`.",
    nb=(
        "Revisjonsloggen er skadet eller endret: en linje følger ikke av den forrige.",
        "La mappen være som den er, kjør `verify.py` på en kopi, og bruk `enclave recover` (to personer).",
    ),
)
explain(
    "H_LOG_ORDER",
    "An outcome was to be recorded for an intent that is not open.",
    "This is a mistake in the program; nothing was recorded. Report it with the log position.",
    nb=("Et utfall skulle føres uten åpen hensikt.", "Dette er en programfeil; meld fra. Ingenting ble ført."),
)

CREATED = "log.created"
TORN_TAIL = "log.torn_tail"
KEY = "log.key"
"""A note that names a further key of this log; a checkpoint by an earlier key that covers it vouches for it."""
HALT = "server.halt"
RECOVER = "server.recover"


class Chain:
    """What is known of a log after the lines taken so far.

    Its head, its open intents, its noted torn tails, the digests of its keys, and the code of a halt that no recovery
    followed ("" for none).
    """

    def __init__(self) -> None:
        self.first: StoredEntry | None = None
        self.last: StoredEntry | None = None
        self.offset = 0
        self.frontier = Frontier()
        self.open_intents: dict[int, StoredEntry] = {}
        self.noted_tails: set[tuple[int, str]] = set()
        self.keys: set[str] = set()
        self.prev = FIRST_PREV
        self.halt = ""

    @classmethod
    def at(
        cls,
        offset: int,
        frontier: Frontier,
        first: StoredEntry,
        last: StoredEntry,
        open_intents: Iterable[StoredEntry],
        noted_tails: set[tuple[int, str]],
        keys: set[str],
        halt: str,
    ) -> "Chain":
        """A chain that goes on behind `last`, which ends at `offset` bytes, with what is known of the lines before."""
        chain = cls()
        chain.first, chain.last, chain.offset, chain.frontier = first, last, offset, frontier
        chain.open_intents = {intent.seq: intent for intent in open_intents}
        chain.noted_tails, chain.keys = set(noted_tails), set(keys)
        chain.halt = halt
        chain.prev = leaf_hash(canonical(last)[:-1]).hex()
        return chain

    @property
    def size(self) -> int:
        """How many lines were taken; the sequence number of the next."""
        return self.frontier.size

    @property
    def origin(self) -> str:
        """The name under which checkpoints of this log are signed; "" before its first line."""
        return f"enclave/{self.first.object_id}/{self.first.log}" if self.first else ""

    def take(self, line: bytes) -> StoredEntry:
        """Take the next line, closed by its newline, or Halt H_LOG_BROKEN naming its sequence number."""
        try:
            stored = StoredEntry.model_validate_json(line)
        except ValidationError:
            raise Halt("H_LOG_BROKEN", place=self._place) from None
        if canonical(stored) != line or not self._follows(stored) or not self.may_follow(stored):
            raise Halt("H_LOG_BROKEN", place=self._place)
        self.accept(stored, line)
        return stored

    def may_follow(self, entry: Entry) -> bool:
        """Whether an entry is no outcome, or one of an intent of the same act that is still open."""
        if entry.phase not in OUTCOMES:
            return True
        intent = self.open_intents.get(-1 if entry.intent_seq is None else entry.intent_seq)
        return intent is not None and (intent.act, intent.object_kind, intent.object_id, intent.registry) == (
            entry.act,
            entry.object_kind,
            entry.object_id,
            entry.registry,
        )

    def accept(self, stored: StoredEntry, line: bytes) -> None:
        """Go on to the next line, knowing that this one is in order."""
        leaf = leaf_hash(line[:-1])
        self.frontier.add(leaf)
        self.prev = leaf.hex()
        self.offset += len(line)
        self.first = self.first or stored
        self.last = stored
        if stored.phase is Phase.INTENT:
            self.open_intents[stored.seq] = stored
        elif stored.intent_seq is not None:
            del self.open_intents[stored.intent_seq]
        elif stored.act in (CREATED, KEY):
            self.keys |= {digest for name, digest in stored.digests.items() if name == "vkey"}
        elif stored.act == TORN_TAIL:
            self.noted_tails.add((stored.counts["at"], stored.digests["tail"]))
        elif stored.act in (HALT, RECOVER):
            self.halt = stored.reason if stored.act == HALT else ""

    def _follows(self, stored: StoredEntry) -> bool:
        if self.first is None:
            return (stored.act, stored.phase, stored.seq, stored.prev) == (CREATED, Phase.NOTE, 0, FIRST_PREV)
        if stored.act == TORN_TAIL and not ("at" in stored.counts and "tail" in stored.digests):
            return False
        return stored.log == self.first.log and stored.seq == self.size and stored.prev == self.prev

    @property
    def _place(self) -> str:
        return f"seq {self.size}"


def key_digest(public_key: bytes) -> str:
    """What the first line says about the key that signs this log's checkpoints: its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()
