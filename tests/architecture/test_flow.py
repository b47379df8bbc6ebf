"""The tables of `flow.py` are total, and the code records the acts that they list and no others."""

import ast
from collections import defaultdict
from itertools import chain

import pytest

from enclave.audit.record import Entry
from enclave.flow import (
    ACTS,
    COMMAND_LINE,
    DOERS,
    FIRST_STATES,
    TRANSITIONS,
    Act,
    DropState,
    Evidence,
    LoanState,
    ReleaseState,
    RequestState,
    State,
)
from jobs.schedule import JOBS
from tests.architecture.sources import imports_of, modules

KINDS = (DropState, LoanState, ReleaseState, RequestState)
STATES: set[State] = set(chain.from_iterable(KINDS))
AT_THE_TERMINAL = {
    "enclave/terminal/backup.py",
    "enclave/terminal/desk.py",
    "enclave/terminal/escrow.py",
    "enclave/terminal/form_desk.py",
    "enclave/founding.py",
    "enclave/terminal/key_desk.py",
    "enclave/terminal/loan_desk.py",
    "enclave/terminal/reception.py",
    "enclave/terminal/recovery.py",
    "enclave/terminal/registrar.py",
    "enclave/terminal/reidentification.py",
    "enclave/terminal/restore.py",
}
THE_RECORDER = "enclave/audit/acts.py"


def test_every_state_has_its_transitions() -> None:
    """No state is missing from the table, and none is in it that does not exist."""
    assert set(TRANSITIONS) == STATES


@pytest.mark.parametrize("state", TRANSITIONS)
def test_a_state_leads_only_to_states_of_its_kind(state: State) -> None:
    """A drop never becomes a loan."""
    assert {type(target) for target in TRANSITIONS[state]} <= {type(state)}


def test_every_state_is_reached() -> None:
    """What has no predecessor is a first state, and from the first states every state is reached."""
    followers: set[State] = set(chain.from_iterable(TRANSITIONS.values()))
    reached: set[State] = set()
    ahead = set(FIRST_STATES)
    while ahead:
        reached |= ahead
        ahead = set(chain.from_iterable(TRANSITIONS[state] for state in ahead)) - reached

    assert STATES - followers <= FIRST_STATES <= STATES
    assert reached == STATES


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_thing_comes_to_an_end(kind: type[State]) -> None:
    """From each state an end is reached, so nothing waits for ever by construction."""
    ends = {state for state in kind if not TRANSITIONS[state]}
    ended = set(ends)
    for _ in kind:
        ended |= {state for state in kind if TRANSITIONS[state] & ended}

    assert ends
    assert ended == set(kind)


def test_every_act_has_its_rule() -> None:
    """Each act names who does it, what answers whether it happened, and what a crash leaves."""
    assert set(ACTS) == set(Act)
    assert all(rule.done_by and rule.a_crash_leaves for rule in ACTS.values())
    assert {rule.evidence for rule in ACTS.values()} == set(Evidence)


def test_acts_are_done_by_jobs_or_at_the_command_line() -> None:
    """Nobody else is named, and whoever waits for all of them waits for every job."""
    assert set(chain.from_iterable(rule.done_by for rule in ACTS.values())) == {*JOBS, COMMAND_LINE}
    assert set(DOERS) == set(JOBS)


@pytest.mark.parametrize("act", Act)
def test_evidence_lies_where_the_one_who_resolves_it_may_look(act: Act) -> None:
    """A job that may have left an intent open can ask the database, airlock or log that holds its evidence."""
    for name in set(ACTS[act].done_by) - {COMMAND_LINE}:
        job = JOBS[name]
        can_look = {
            Evidence.CONTROL: True,
            Evidence.VAULT: job.vault is not None,
            Evidence.REGISTRY: job.registry is not None,
            Evidence.AIRLOCK: job.network == "airlock",
            Evidence.CHECKPOINT: "audit-sign" in job.private_keys,
        }
        assert can_look[ACTS[act].evidence], name


def test_the_code_does_the_acts_of_the_table_and_no_others() -> None:
    """Each act is begun in the code of exactly those whom the table names, and by its name in the table."""
    begun: dict[Act, set[str]] = defaultdict(set)
    for path, call in calls("act"):
        begun[named_act(path, call)] |= actors_of(path)

    assert {act: set(begun[act]) for act in Act} == {act: set(rule.done_by) for act, rule in ACTS.items()}


def calls(method: str) -> list[tuple[str, ast.Call]]:
    """Every call of a method of this name outside the recorder itself, with the module it is in."""
    return [
        (path, node)
        for path, module in modules().items()
        if path != THE_RECORDER
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
    ]


def named_act(path: str, call: ast.Call) -> Act:
    """The act that a call begins; it must be written as `Act.NAME`."""
    first = call.args[0]
    written_out = isinstance(first, ast.Attribute) and isinstance(first.value, ast.Name) and first.value.id == "Act"
    assert written_out, f"{path}:{call.lineno}"
    assert isinstance(first, ast.Attribute)
    return Act[first.attr]


PART_OF = {
    "collect_submissions": {"collect"},
    "examine": {"admit"},
    "form_definitions": {"admit"},
    "submissions": {"admit"},
    "old_keys": {"admit", "link", "rights", "seal"},
}
"""Modules that hold a part of a job too large for its own, or one that several jobs have."""


def actors_of(path: str) -> set[str]:
    """Whose code a module is: a job's, several jobs', or the person's at the terminal."""
    if path in AT_THE_TERMINAL:
        return {COMMAND_LINE}
    folder, _, module = path.partition("/")
    assert folder == "jobs", path
    name = module.removesuffix(".py")
    return PART_OF.get(name, {name})


def test_a_note_is_no_act() -> None:
    """What is recorded without an effect never bears the name of something that has one."""
    written = [call.args[0].value for _, call in calls("note") if call.args and isinstance(call.args[0], ast.Constant)]

    assert written
    assert not set(written) & {act.value for act in Act}


def test_records_are_made_in_one_place() -> None:
    """Only the audit room makes entries, so no code can record an effect past the table."""
    makers = {
        path
        for path, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == Entry.__name__
        if f"{Entry.__module__}.Entry" in imports_of(module) or path == "enclave/audit/record.py"
    }

    assert makers
    assert all(path.startswith("enclave/audit/") for path in makers)
