"""What must be so after every hostile drop, whichever row of the matrix it is."""

from collections.abc import Sequence

from enclave.control.drops import Drop
from enclave.flow import DropState
from tests.faults.site import ATTACKER, HONEST, Making, Site


def assert_rejected(site: Site, *codes: str, words: Sequence[str] = (), days: int = 0) -> tuple[Drop, ...]:
    """The attacker's drops at the airlock end so, in any order; nothing stays of them; the honest one behind is in.

    Rejected each with its own code, answered with that code, not a row changed, no planted word in any file or name of
    server, airlock or temporary folder, nothing left at the airlock; and in the same run the next drop is admitted.
    """
    before = site.rows()
    site.send(Making(site.planter.file(rows=1), sender=HONEST))
    new = site.walk(days)
    theirs = tuple(drop for drop in new if drop.sender == ATTACKER)

    assert sorted(drop.reason for drop in theirs) == sorted(codes)
    assert {drop.state for drop in theirs} <= {DropState.REJECTED, DropState.REPLAYED}
    assert [site.reason(drop) for drop in theirs] == [drop.reason for drop in theirs]
    assert_next_is_taken(site, before, new)
    assert_nothing_left(site, words)
    return theirs


def assert_next_is_taken(site: Site, before: dict[str, list[tuple[object, ...]]], new: Sequence[Drop]) -> None:
    """Of all that came, only the honest sender's one row is new in the registry."""
    assert [drop.state for drop in new if drop.sender == HONEST] == [DropState.ADMITTED]
    after = site.rows()
    assert [row for row in after["arrival"] if row in before["arrival"]] == before["arrival"]
    assert len(after["arrival"]) == len(before["arrival"]) + 1
    assert {name: rows for name, rows in after.items() if name not in {"arrival", "state"}} == {
        name: rows for name, rows in before.items() if name not in {"arrival", "state"}
    }


def assert_nothing_left(site: Site, words: Sequence[str] = ()) -> None:
    """No plaintext anywhere, and an empty airlock."""
    assert site.holding([*site.planter.words, *words]) == []
    assert site.temporary_files() == []
    assert list(site.incoming().iterdir()) == []
