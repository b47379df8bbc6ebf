"""Every act is intent, act, done; what ends otherwise is failed or stays open for evidence."""

import os
import uuid

import pytest

from enclave.audit.acts import Acts
from enclave.audit.record import Entry, Phase, Position, Purpose
from enclave.errors import CODES, Halt, Refused, Rejected, explain
from tests.audit.conftest import House, acts_of

explain("E_TEST", "A test.", "None.")


def phases(house: House) -> list[str]:
    """Phase by phase, what stands in the log after its first line."""
    return [entry.phase.value for entry in house.open().entries()][1:]


def test_an_act_is_recorded_before_and_after(house: House) -> None:
    """The intent is on disk while the act runs; done follows and carries what was learnt."""
    acts = acts_of(house.open())
    with acts.act(
        "drop.settle", "drop", "a", counts={"rows": 3}, purpose=Purpose.OPERATION, case_number="1/26"
    ) as opened:
        assert phases(house) == ["intent"]
        opened.add(accepted=2)
        opened.add(accepted=1, rejected=0)
        opened.digests["rows"] = "0" * 64
    intent, done = list(house.open().entries())[1:]
    assert opened.position == intent.position
    assert (intent.counts, intent.purpose, intent.case_number) == ({"rows": 3}, Purpose.OPERATION, "1/26")
    assert (done.phase, done.intent_seq) == (Phase.DONE, intent.seq)
    assert (done.counts, done.digests) == ({"accepted": 3, "rejected": 0}, {"rows": "0" * 64})
    assert (done.act, done.object_id, done.run, done.actor) == (intent.act, "a", intent.run, "job:admit")


@pytest.mark.parametrize("kind", [Rejected, Refused])
def test_a_refusal_is_recorded_as_failed_with_its_code(house: House, kind: type[Rejected | Refused]) -> None:
    """Rejected and Refused leave `failed` with the code, and go on to the caller."""
    with pytest.raises(kind), acts_of(house.open()).act("drop.settle", "drop", "a"):
        raise kind("E_TEST")
    *_, failed = house.open().entries()
    assert (failed.phase, failed.reason, failed.intent_seq) == (Phase.FAILED, "E_TEST", 1)


@pytest.mark.parametrize("error", [ValueError("01019012346"), Halt("H_AUDIT_ENTRY"), KeyboardInterrupt()])
def test_anything_else_leaves_the_intent_open(house: House, error: BaseException) -> None:
    """A mistake, a Halt or an interrupt records nothing more, and its text is not in the log."""
    with pytest.raises(type(error)), acts_of(house.open()).act("drop.settle", "drop", "a"):
        raise error
    assert phases(house) == ["intent"]
    assert [open_intent.seq for open_intent in house.open().unresolved("admit", "kar")] == [1]
    assert b"01019012346" not in house.file.read_bytes()


def test_a_kill_leaves_the_intent_open(house: House) -> None:
    """A process that dies within an act leaves its intent, which the next start finds."""
    child = os.fork()
    if child == 0:
        with acts_of(house.open()).act("drop.settle", "drop", "a"):
            os._exit(0)
    os.waitpid(child, 0)
    assert [intent.object_id for intent in house.open().unresolved("admit", "kar")] == ["a"]


@pytest.mark.parametrize("phase", [Phase.RECOVERED, Phase.ABANDONED])
def test_an_open_intent_is_resolved_once(house: House, phase: Phase) -> None:
    """What evidence shows closes the intent under the run that looked, and no second time."""
    log = house.open()
    with pytest.raises(KeyError), acts_of(log).act("drop.settle", "drop", "a", purpose=Purpose.OPERATION):
        raise KeyError
    (intent,) = log.unresolved("admit", "kar")
    later = acts_of(house.open(), job="admit")
    later.resolve(intent, phase, counts={"rows": 2})
    *_, resolved = house.open().entries()
    assert (resolved.phase, resolved.intent_seq, resolved.counts) == (phase, intent.seq, {"rows": 2})
    assert resolved.run != intent.run
    assert log.unresolved("admit", "kar") == []
    with pytest.raises(Halt, match="H_LOG_ORDER"):
        later.resolve(intent, phase)


def test_only_evidence_resolves(house: House) -> None:
    """An intent of a crashed run is never called done or failed afterwards."""
    log = house.open()
    with pytest.raises(KeyError), acts_of(log).act("drop.settle"):
        raise KeyError
    with pytest.raises(Halt, match="H_AUDIT_ENTRY"):
        acts_of(log).resolve(log.unresolved("admit", "kar")[0], Phase.DONE)


def test_open_intents_are_told_apart_by_job_and_registry(house: House) -> None:
    """A job sees only its own open intents in its own registry."""
    log = house.open()
    for job, registry in (("admit", "kar"), ("link", "kar"), ("admit", "kpr")):
        acts = Acts(log, job=job, registry=registry, run=str(uuid.uuid4()), actor=f"job:{job}")
        with pytest.raises(KeyError), acts.act("drop.settle"):
            raise KeyError
    assert [intent.seq for intent in log.unresolved("admit", "kar")] == [1]
    assert [intent.seq for intent in log.unresolved("link", "kar")] == [2]
    assert [intent.seq for intent in log.unresolved("admit", "kpr")] == [3]
    assert log.unresolved("seal", "") == []


def test_a_note_has_no_outcome(house: House) -> None:
    """A finding without an effect is one line, and is never open."""
    log = house.open()
    acts_of(log).note("loan.late", "loan", "nav-2026", counts={"days": 3}, reason="E_TEST")
    (note,) = list(log.entries())[1:]
    assert (note.phase, note.reason, note.counts) == (Phase.NOTE, "E_TEST", {"days": 3})
    assert log.unresolved("admit", "kar") == []


class BrokenAudit:
    """An audit that cannot write."""

    def record(self, entry: Entry) -> Position:
        """Nothing can be recorded."""
        raise Halt("H_LOG_WRITE", place=entry.act)


def test_nothing_happens_that_cannot_be_recorded() -> None:
    """If the intent cannot be written, the act does not begin."""
    acts = Acts(BrokenAudit(), job="admit", registry="kar", run=str(uuid.uuid4()), actor="job:admit")
    with pytest.raises(Halt, match="H_LOG_WRITE"), acts.act("drop.settle"):
        pytest.fail("the act began")


def test_what_the_log_may_not_hold_stops_the_act_before_it_starts(house: House) -> None:
    """A person's number as an object or a count name halts without showing it, and nothing is written."""
    acts = acts_of(house.open())
    for attempt in (
        lambda: acts.note("drop.settle", "drop", "01019012346"),
        lambda: acts.note("drop.settle", counts={"kari nordmann": 1}),
        lambda: acts.note("two words"),
    ):
        with pytest.raises(Halt, match="H_AUDIT_ENTRY") as caught:
            attempt()
        assert not {"01019012346", "kari"} & set(str(caught.value).split())
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    assert phases(house) == []


@pytest.mark.parametrize("typed", ["01019012346", "010190-12346", "Kari Nordmann", "1" * 41])
def test_a_case_number_that_is_none_refuses_the_request(house: House, typed: str) -> None:
    """What a person typed wrongly refuses their request before anything is recorded, and is not repeated to anyone."""
    act = acts_of(house.open()).act("request.file", "request", case_number=typed)
    with pytest.raises(Refused, match="R_CASE_NUMBER") as caught, act:
        pytest.fail("the act began")
    assert typed not in str(caught.value)
    assert phases(house) == []


def test_every_code_of_the_audit_log_says_what_to_do_in_both_languages() -> None:
    """Each Halt of this room has a text and a remedy, in English and in Norwegian."""
    for code in CODES:
        if code.startswith(("H_LOG_", "H_AUDIT_", "H_CHECKPOINT", "H_CLOCK", "R_CASE_NUMBER", "R_NOT_COVERED")):
            explanation = CODES[code]
            assert all((explanation.text, explanation.remedy, explanation.text_nb, explanation.remedy_nb)), code
