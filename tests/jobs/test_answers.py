"""What an answer tells: of the sender's own rows everything, of anybody else's nothing."""

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave.model.draft import Kind
from tests.jobs.senders import OTHER, SENDER, Senders, arrival, new_server

CHANCE = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|\bnr\. \d+|\"audit_seq\": \d+"
)
"""Ids and places in the log; everything else of an answer must be the same, byte for byte."""

SENT: Sequence[dict[str, object]] = (
    arrival(1, "K-1"),
    arrival(2, "K-2", sex="neither"),
    arrival(3, "K-3", work_ability=99),
    arrival(4, "K-1"),
    arrival(5, "K-5", arrival_date="2024-02-30"),
)


def answers(root: Path, *, elsewhere: bool) -> list[dict[str, bytes]]:
    """The answers to three drops of one sender, in a registry that does or does not know its people from another."""
    server = new_server(root)
    server.add(SENDER, OTHER)
    if elsewhere:
        server.send(OTHER, [arrival(1, "K-1"), arrival(2, "B-2"), arrival(3, "K-3"), arrival(6, "K-6")])
        server.run("collect", "admit")
    for rows in (SENT, [arrival(1, "K-1", work_ability=2), arrival(6, "K-6")], [arrival(1, "K-1", work_ability=2)]):
        server.send(SENDER, rows)
        server.run("collect", "admit")
    return [
        {name: without_chance(name, content) for name, content in answer.items()}
        for drop in server.drops(SENDER)
        for answer in (server.answer(drop, Kind.RECEIPT), server.answer(drop, Kind.FEEDBACK))
    ]


def without_chance(name: str, content: bytes) -> bytes:
    """A file of an answer, a workbook unpacked, with ids and places in the log taken out."""
    if name.endswith(".xlsx"):
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            content = b"\n".join(book.read(part) for part in sorted(book.namelist()))
    content = re.sub(rb'("payload_sha256": ")[0-9a-f]{64}|[0-9a-f]{64}', b"DIGEST", content)
    return CHANCE.sub(b"ID", content)


def test_an_answer_does_not_tell_who_is_known_elsewhere(tmp_path: Path) -> None:
    """With and without another institution's rows of the same people, all answers are the same, byte for byte."""
    with_others, alone = (answers(tmp_path / str(elsewhere), elsewhere=elsewhere) for elsewhere in (True, False))

    assert len(with_others) == len(alone) == 6
    for mine, theirs in zip(with_others, alone, strict=True):
        assert mine == theirs


@pytest.fixture(scope="module")
def server() -> Iterator[Senders]:
    """A server with one sender, on which drop follows drop."""
    with tempfile.TemporaryDirectory() as root:
        made = new_server(Path(root))
        made.add(SENDER)
        yield made


ROWS = st.lists(
    st.builds(
        lambda person, ability, sex: arrival(person, f"K-{person}", work_ability=ability, sex=sex),
        st.integers(0, 6),
        st.sampled_from([1, 2, 99, "x"]),
        st.sampled_from(["female", "male", "neither"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_control_totals_add_up_whatever_is_sent(server: Senders, rows: list[dict[str, object]]) -> None:
    """Every row delivered is taken, unchanged or refused; no more is superseded than was taken before."""
    server.send(SENDER, rows)
    server.run("collect", "admit")

    drop = server.drops(SENDER)[-1]
    totals = server.receipt(drop)["totals"]
    assert isinstance(totals, dict)
    assert totals["delivered"] == len(rows) == totals["accepted"] + totals["unchanged"] + totals["rejected"]
    assert totals["superseded"] <= totals["accepted"]
    taken = [server.receipt(one)["totals"] for one in server.drops(SENDER)]
    stored = sum(each["accepted"] - each["superseded"] for each in taken if isinstance(each, dict))
    assert 0 <= stored <= 7, "one current row for each course that was ever taken"
