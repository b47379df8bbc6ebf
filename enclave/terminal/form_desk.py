"""What the data processor decides about the definitions of forms at Nettskjema."""

from collections.abc import Sequence

from enclave.control.form_definitions import MAY_BECOME, State, decide, find_definition, kept
from enclave.errors import Refused
from enclave.flow import Act
from enclave.intake.form_definition import Change, changes, points_of
from enclave.terminal.desk import Desk, acting_person
from enclave.wiring import utc_now


class FormDesk(Desk):
    """The terminal, for form definitions."""

    def changes_by(self, drop_uuid: str) -> tuple[Change, ...]:
        """What a definition changed against the one that was in force when it came; all of it, where none was."""
        delivered = find_definition(self.control, self._registry, drop_uuid)
        earlier = delivered.compared_with
        before = find_definition(self.control, self._registry, earlier).sha256 if earlier else ""
        was, now = (points_of(kept(self.control, self._registry, sha256)) for sha256 in (before, delivered.sha256))
        return changes(was, now) if delivered.sha256 else ()

    def approve_forms(self, drop_uuids: Sequence[str]) -> None:
        """Let the submissions of these definitions' forms go on, and compare the next ones with them."""
        self._decide(drop_uuids, "approved")

    def refuse_forms(self, drop_uuids: Sequence[str]) -> None:
        """Reject the submissions that wait for these definitions; whoever sent them is told to submit them anew."""
        self._decide(drop_uuids, "refused")

    def _decide(self, drop_uuids: Sequence[str], state: State) -> None:
        with self._acts() as acts:
            # All are looked up before the first is decided on: a mistyped id decides nothing.
            chosen = [find_definition(self.control, self._registry, one) for one in dict.fromkeys(drop_uuids)]
            if any(state not in MAY_BECOME[one.state] for one in chosen):
                raise Refused("R_DEFINITION_UNKNOWN")
            for one in chosen:
                digests = {"definition": one.sha256} if one.sha256 else {}
                counts = {"approved": int(state == "approved")}
                with (
                    acts.act(Act.FORM_DECIDE, "drop", one.drop_uuid, counts=counts, digests=digests) as act,
                    self.control.changing(act.position) as connection,
                ):
                    decide(connection, one, state, by=acting_person(), at=utc_now())
