"""Whatever is sent, corrected, repeated, rejected and withdrawn, a read of any state answers as a naive model does."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave.model.purpose import Purpose
from enclave.store.settlement import Counts, Outcome, Settlement
from tests.store.registry import FOLLOW_UP, Database, key, position, send

SENDERS = st.sampled_from(["north", "south"])
PERSONS = st.sampled_from(["p1", "p2"])
ROWS = st.tuples(st.sampled_from(["c1", "c2", "c3"]), PERSONS, st.sampled_from([None, 1, 2]))
Row = tuple[str, str, int | None]  # course, person, score


@dataclass(frozen=True)
class Send:
    """A drop of follow-ups."""

    sender: str
    rows: list[Row]


@dataclass(frozen=True)
class Withdraw:
    """A person leaves one purpose, or all."""

    person: str
    purpose: Purpose | None


@dataclass(frozen=True)
class Reject:
    """A drop that was not opened."""

    sender: str


ACTS = st.one_of(
    st.builds(Send, SENDERS, st.lists(ROWS, min_size=1, max_size=4)),
    st.builds(Withdraw, PERSONS, st.sampled_from([None, Purpose.NATIONAL])),
    st.builds(Reject, SENDERS),
)


@dataclass
class Model:
    """The registry as lists: for each state the current rows and who is barred from what."""

    drop: int = 0
    current: dict[tuple[str, str], tuple[str, int | None, int, int]] = field(default_factory=dict)
    barred: set[tuple[str, Purpose | None]] = field(default_factory=set)
    history: list[tuple[dict[tuple[str, str], tuple[str, int | None, int, int]], set[tuple[str, Purpose | None]]]] = (
        field(default_factory=lambda: [({}, set())])
    )

    def send(self, act: Send) -> Counts:
        """Take what can be taken of a drop, row by row."""
        self.drop += 1
        accepted: dict[tuple[str, str], tuple[str, int | None, int, int]] = {}
        unchanged = rejected = 0
        for line, (course, person, score) in enumerate(act.rows, start=2):
            others = [row for row in act.rows if row[0] == course]
            owner = self.current.get((act.sender, course))
            owners = {owner[0]} if owner else {row[1] for row in others}
            differing = any(row[1] == person and row[2] != score for row in others)
            if owners != {person} or differing:
                rejected += 1
            elif (owner is not None and owner[:2] == (person, score)) or (act.sender, course) in accepted:
                unchanged += 1
            else:
                accepted[act.sender, course] = (person, score, self.drop, line)
        superseded = len(accepted.keys() & self.current.keys())
        self.current = self.current | accepted
        if accepted:
            self.commit()
        return Counts(len(act.rows), len(accepted), unchanged, rejected, superseded)

    def withdraw(self, act: Withdraw) -> None:
        """Bar a person."""
        if (act.person, act.purpose) not in self.barred:
            self.barred = self.barred | {(act.person, act.purpose)}
            self.commit()

    def commit(self) -> None:
        """A new state."""
        self.history.append((self.current, self.barred))

    def read(self, state: int, purpose: Purpose, *, as_released: bool) -> list[tuple[str, int, int, bytes, int | None]]:
        """What a read must answer."""
        rows, own_bars = self.history[state]
        bars = own_bars if as_released else self.barred
        return sorted(
            (sender, drop, line, key(person), score)
            for (sender, _), (person, score, drop, line) in rows.items()
            if not {(person, None), (person, purpose)} & bars
        )


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACTS, max_size=8))
def test_every_state_answers_as_the_naive_model(fresh_database: Callable[[], Database], acts: list[object]) -> None:
    """Superseding, no-ops, refusals and withdrawals agree with the model in every state, for every purpose."""
    database, model = fresh_database(), Model()
    writer = database.writer()
    for act in acts:
        match act:
            case Send():
                rows = [{"course": course, "person": person, "score": score} for course, person, score in act.rows]
                assert send(writer, act.sender, FOLLOW_UP, *rows).counts == model.send(act)
            case Withdraw():
                writer.withdraw(key(act.person), act.purpose, position())
                model.withdraw(act)
            case Reject():
                model.drop += 1
                refused = Settlement(f"r{model.drop}", act.sender, Outcome.REJECTED, "E_SIG", Counts(0))
                writer.settle(None, refused, [], position())
    reader = database.reader()
    assert reader.current_state() == len(model.history) - 1
    assert [kept.drop_number for kept in reader.settlements()] == list(range(1, model.drop + 1))
    for state in range(len(model.history)):
        for purpose in (Purpose.NATIONAL, Purpose.COMPARISON):
            for as_released in (False, True):
                frame = reader.read("follow_up", state=state, purpose=purpose, as_released=as_released)
                found = frame.select("_sender", "_drop_number", "_row", "_pseudonym", "score").rows()
                assert found == model.read(state, purpose, as_released=as_released)
