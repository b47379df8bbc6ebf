"""What of the control database is undone when its registry goes back to a backup, and what stands."""

import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert

from enclave.audit.record import Position
from enclave.control.database import Control, create_control, is_whole
from enclave.control.releases import RESTORED, releases_of
from enclave.control.requests import Request, file_request, find_request
from enclave.control.restored import SinceBackup, Undone, undo
from enclave.control.tables import release
from enclave.flow import ReleaseState, RequestState
from enclave.model.draft import Kind

REGISTRY, LOG = "kar", str(uuid4())
FILED, DONE, REFUSED = RequestState.FILED, RequestState.DONE, RequestState.REFUSED
BEFORE, SINCE = True, False


def request(request_id: str, kind: str, state: RequestState) -> Request:
    """A request of some kind."""
    return Request(request_id, REGISTRY, kind, state, {}, "", "2026-01-01", "tester", "", None, "")


def kept(control: Control, *requests: Request, seq: int) -> None:
    """Enter requests."""
    with control.changing(Position(LOG, seq)) as connection:
        for one in requests:
            file_request(connection, one)


NOTHING = SinceBackup(frozenset(), frozenset())


def undone(control: Control, backup: Path, since: SinceBackup = NOTHING) -> Undone:
    """The control database made to fit a backup of which nothing in quarantine is left."""
    with control.changing(Position(LOG, 99)) as connection:
        return undo(connection, Control(backup), since, [REGISTRY], [Kind.RELEASABLE_TABLE], lambda *_: False)


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """A new control database."""
    create_control(tmp_path / "control.db")
    return Control(tmp_path / "control.db")


def backup_of(tmp_path: Path) -> Path:
    """A copy as it stands now."""
    return Path(shutil.copy(tmp_path / "control.db", tmp_path / "backup.db"))


@pytest.mark.parametrize(
    ("kind", "was", "then", "reason"),
    [
        *((kind, FILED, FILED, "") for kind in ("withdraw", "merge", "split", "apply_definition")),
        *((kind, DONE, DONE, "") for kind in ("withdraw", "apply_definition")),
        *((kind, None, REFUSED, RESTORED) for kind in ("withdraw", "merge", "split")),
        ("apply_definition", None, FILED, ""),
        *((kind, was, DONE, "") for kind in ("reidentify", "loan_order", "extract") for was in (FILED, None)),
    ],
)
def test_a_request_that_was_done_since(
    control: Control, tmp_path: Path, kind: str, was: RequestState | None, then: RequestState, reason: str
) -> None:
    """Done again where the databases forgot it and it still can be; what leaves is not done twice."""
    if was is not None:
        kept(control, request("it", kind, was), seq=1)
    backup = backup_of(tmp_path)
    if was is not DONE:
        (tmp_path / "control.db").unlink()
        create_control(tmp_path / "control.db")
        control = Control(tmp_path / "control.db")
        kept(control, request("it", kind, DONE), seq=2)

    told = undone(control, backup)

    found = find_request(control, "it")
    assert (found.state, found.reason) == (then, reason)
    assert told.requests_again == (frozenset({"it"}) if then is FILED else frozenset())
    assert told.definitions_again == int(kind == "apply_definition" and then is FILED)


@pytest.mark.parametrize(("kind", "then"), [("reidentify", DONE), ("extract", DONE), ("withdraw", FILED)])
def test_a_request_that_only_the_log_knows_to_be_closed(
    control: Control, tmp_path: Path, kind: str, then: RequestState
) -> None:
    """In the backup's own control database it is filed: what leaves is not done twice, a withdrawal is."""
    kept(control, request("it", kind, FILED), request("other", kind, FILED), seq=1)
    undone(control, backup_of(tmp_path), SinceBackup(frozenset(), frozenset({"it"})))
    assert find_request(control, "it").state is then
    assert find_request(control, "other").state is FILED


@pytest.mark.parametrize(
    ("known", "state", "sealed", "then", "reason"),
    [
        (BEFORE, ReleaseState.APPROVED, True, ReleaseState.DELIVERED, RESTORED),
        (BEFORE, ReleaseState.APPROVED, False, ReleaseState.CANCELLED, RESTORED),
        (SINCE, ReleaseState.PROPOSED, False, ReleaseState.CANCELLED, RESTORED),
        (SINCE, ReleaseState.DELIVERED, True, ReleaseState.DELIVERED, RESTORED),
        (SINCE, ReleaseState.SEALED, True, ReleaseState.SEALED, RESTORED),
        (BEFORE, ReleaseState.DELIVERED, False, ReleaseState.DELIVERED, ""),
        (SINCE, ReleaseState.WITHHELD, False, ReleaseState.WITHHELD, ""),
    ],
)
def test_a_release(
    control: Control,
    tmp_path: Path,
    known: bool,
    state: ReleaseState,
    sealed: bool,
    then: ReleaseState,
    reason: str,
) -> None:
    """What left counts as left, of no state to come; what was only drafted is made anew; a person's no stands."""
    backup = backup_of(tmp_path)
    with control.changing(Position(LOG, 1)) as connection:
        connection.execute(
            insert(release).values(
                release_id="it",
                registry=REGISTRY,
                kind=Kind.RELEASABLE_TABLE,
                recipient="klinikk",
                state=state,
                draft_sha256="0" * 64,
                registry_state=3,
                package="0" * 32,
                proposed_at="2026-01-01",
            )
        )
    if known:
        backup = backup_of(tmp_path)
    undone(control, backup, SinceBackup(frozenset({"it"} if sealed else ()), frozenset()))
    (found,) = releases_of(control, REGISTRY)
    assert (found.state, found.reason) == (then, reason)


def test_a_damaged_database_is_not_whole(control: Control, tmp_path: Path) -> None:
    """Nothing, something else, an empty file, a cut and an overwritten page are told from a whole database."""
    path = tmp_path / "control.db"
    whole = path.read_bytes()
    assert is_whole(path)
    assert not is_whole(tmp_path / "nothing.db")
    for content in (b"", b"something else", whole[: len(whole) // 2], whole[:4096] + bytes(4096) + whole[8192:]):
        path.write_bytes(content)
        assert not is_whole(path)
