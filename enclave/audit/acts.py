"""How a job acts: the intent is durable before the act starts, the outcome after it (law 1).

An act that ends leaves `done`; one that is refused leaves `failed` with the code; anything else – a Halt, a crash, a
kill – leaves the intent open, and the next start resolves it by evidence.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import ValidationError

from enclave.audit.record import Audit, Entry, Phase, Position, Purpose, StoredEntry
from enclave.errors import Halt, Refused, Rejected, explain

explain(
    "H_AUDIT_ENTRY",
    "Something that the audit log may not hold was to be recorded; it was refused before it was written.",
    "This is a mistake in the program; report the act and the code. Nothing was recorded.",
    nb=("Noe som ikke hører hjemme i revisjonsloggen ble stanset.", "Dette er en programfeil; meld fra om handlingen."),
)
explain(
    "R_CASE_NUMBER",
    "That is not a case number: up to 40 letters, digits, hyphens and slashes, and nothing like a national id.",
    "Give the number of the case in the archive, such as 2026/1234-5; never the number of a person.",
    nb=(
        "Dette er ikke et saksnummer.",
        "Oppgi saksnummeret i arkivet, for eksempel 2026/1234-5; aldri et fødselsnummer.",
    ),
)


@dataclass
class Open:
    """An act under way: where its intent stands, and what its outcome will say besides."""

    position: Position
    counts: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, **counts: int) -> None:
        """Add to the outcome's counts."""
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


class Acts:
    """The acts of one run of one job in one registry (`registry` is empty for the server's own)."""

    def __init__(self, audit: Audit, *, job: str, registry: str, run: str, actor: str) -> None:
        self._audit = audit
        self._who = {"job": job, "registry": registry, "run": run, "actor": actor}

    @contextmanager
    def act(
        self,
        name: str,
        object_kind: str = "",
        object_id: str = "",
        *,
        counts: Mapping[str, int] | None = None,
        digests: Mapping[str, str] | None = None,
        reason: str = "",
        purpose: Purpose = Purpose.NONE,
        case_number: str = "",
    ) -> Iterator[Open]:
        """Record the intent, let the act happen, record its outcome. The row key of the act is `Open.position`.

        `reason` is the code of a decision that was made before the act: a run that takes it up again finds it there.
        """
        about: dict[str, object] = {
            "act": name,
            "object_kind": object_kind,
            "object_id": object_id,
            "purpose": purpose,
            "case_number": case_number,
        }
        position = self._record(about, Phase.INTENT, reason=reason, counts=counts or {}, digests=digests or {})
        opened = Open(position)
        try:
            yield opened
        except (Rejected, Refused) as error:
            self._record(about, Phase.FAILED, intent_seq=position.audit_seq, reason=error.code, **_said(opened))
            raise
        # A crash here leaves an act that happened with its intent open: evidence finds it, and it is `recovered`.
        self._record(about, Phase.DONE, intent_seq=position.audit_seq, **_said(opened))

    def resolve(self, intent: StoredEntry, phase: Phase, *, counts: Mapping[str, int] | None = None) -> Position:
        """Close an intent that a crash left open, as evidence showed: `recovered` or `abandoned`."""
        if phase not in (Phase.RECOVERED, Phase.ABANDONED):
            raise Halt("H_AUDIT_ENTRY", place="phase")
        about: dict[str, object] = {
            "act": intent.act,
            "object_kind": intent.object_kind,
            "object_id": intent.object_id,
            "purpose": intent.purpose,
            "case_number": intent.case_number,
            "registry": intent.registry,
        }
        return self._record(about, phase, intent_seq=intent.seq, counts=counts or {})

    def note(
        self,
        name: str,
        object_kind: str = "",
        object_id: str = "",
        *,
        counts: Mapping[str, int] | None = None,
        digests: Mapping[str, str] | None = None,
        reason: str = "",
        purpose: Purpose = Purpose.NONE,
        case_number: str = "",
    ) -> Position:
        """Record something that has no effect of its own: a refusal, a finding, a lateness."""
        about: dict[str, object] = {"act": name, "object_kind": object_kind, "object_id": object_id}
        about |= {"purpose": purpose, "case_number": case_number, "reason": reason}
        return self._record(about, Phase.NOTE, counts=counts or {}, digests=digests or {})

    def _record(self, about: Mapping[str, object], phase: Phase, **more: object) -> Position:
        try:
            entry = Entry.model_validate({**self._who, **about, "phase": phase, **more})
        except ValidationError as error:
            if {fault["loc"] for fault in error.errors(include_input=False)} == {("case_number",)}:
                raise Refused("R_CASE_NUMBER") from None  # the one field that a person types
            raise Halt("H_AUDIT_ENTRY", place=phase.value) from None
        return self._audit.record(entry)


def _said(opened: Open) -> dict[str, object]:
    return {"counts": opened.counts, "digests": opened.digests}
