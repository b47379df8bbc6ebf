"""What needs a person is sealed on that person's word in the log, and on nothing else."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from enclave.audit.acts import Acts
from enclave.audit.record import Phase
from enclave.control.releases import Release, decide
from enclave.flow import ReleaseState
from enclave.grants import Folder
from enclave.model.draft import Kind
from enclave.wiring import utc_now
from tests.jobs.clinics import REGISTRY, Server
from tests.kills.forks import Forks, Request


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a package of a clinic's own rows that waits for a person."""
    with Forks() as forks:
        server = Server(tmp_path_factory.mktemp("seal"), forks)
        server.send()
        server.desk.give_back_rows("alfa", "2026/7")
        server.run("give_back", "checkpoint")
        yield server


def waiting(server: Server) -> Release:
    """The package that waits."""
    (release,) = server.releases(Kind.OWN_RECORDS)
    return release


def test_what_only_the_database_calls_approved_halts(server: Server) -> None:
    """Whoever edits the control database alone approves nothing."""
    release = waiting(server)
    position = server.wiring("seal").acts.note("test.edit")
    with server.control.changing(position) as connection:
        decide(connection, release.release_id, ReleaseState.APPROVED, by="person:nobody", at=utc_now())
    ended = server.forks.run(Request(str(server.folder.root), "seal"))

    assert (ended.code, "H_NOT_DECIDED" in ended.output) == (4, True)
    assert waiting(server).state is ReleaseState.APPROVED
    assert waiting(server).sealed is None


def test_an_approval_that_was_killed_waits_until_it_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after its commit and before its outcome, an approval halts nothing; closed, it is sealed."""
    release = waiting(server)
    record = Acts._record

    def killed(acts: Acts, about: dict[str, object], phase: Phase, **more: object) -> object:
        if phase is Phase.DONE:
            raise SystemExit("killed")
        return record(acts, about, phase, **more)

    monkeypatch.setattr(Acts, "_record", killed)
    with pytest.raises(SystemExit):
        server.desk.decide_release(release.release_id, ReleaseState.APPROVED)
    monkeypatch.undo()
    server.run("seal")
    left = waiting(server)
    server.desk.give_back_rows("beta", "2026/8")
    server.run("seal")

    assert (left.state, left.sealed) == (ReleaseState.APPROVED, None)
    assert waiting(server).state is ReleaseState.SEALED


def test_an_approval_that_a_new_log_knows_nothing_of_is_asked_for_again(server: Server) -> None:
    """After two people set a log aside nothing leaves on the database's word, nothing halts, and a person decides."""
    release = waiting(server)
    server.desk.decide_release(release.release_id, ReleaseState.APPROVED)
    server.lose_the_log()
    server.run("checkpoint", "seal")
    asked = waiting(server)
    assert (asked.state, asked.sealed, asked.decided_by) == (ReleaseState.PROPOSED, None, None)

    server.run("seal")
    assert waiting(server).state is ReleaseState.PROPOSED
    server.desk.decide_release(release.release_id, ReleaseState.APPROVED)
    server.run("seal")
    assert waiting(server).state is ReleaseState.SEALED


def test_killed_anywhere_it_is_asked_for_again_once(server: Server) -> None:
    """Killed at any effect of the run that asks, and run again, the release waits for a person and nothing has left."""
    release = waiting(server)
    server.desk.decide_release(release.release_id, ReleaseState.APPROVED)
    server.lose_the_log()
    server.run("checkpoint")
    request = Request(str(server.folder.root), "seal")
    with server.undone():
        whole = server.forks.run(request)
        expected = waiting(server)
    assert (whole.code, expected.state) == (0, ReleaseState.PROPOSED)
    for at in range(1, len(whole.effects) + 1):
        with server.undone():
            assert server.forks.run(replace(request, at=at)).killed
            server.run("seal")
            assert waiting(server) == expected, whole.effects[at - 1]
            assert not list(server.folder.registry(REGISTRY).folder(Folder.OUTBOX).glob(f"*{release.package}*"))
