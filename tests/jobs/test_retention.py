"""Law 12: a drop is kept no longer than needed; its key is destroyed after the definition's days."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enclave import durable
from enclave.audit.record import Position
from enclave.control.database import Control
from enclave.control.drops import add_drop, find_drop
from enclave.crypto import age
from enclave.crypto.keystore import Keystore, wrap_identity
from enclave.flow import DropState
from enclave.folders import WorkingFolder
from enclave.grants import Folder
from tests.control.test_control import a_drop
from tests.jobs.working import founded

OLD, YOUNG = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def server(tmp_path: Path) -> WorkingFolder:
    """A server with two settled drops in quarantine: one 31 days old, one 29."""
    folder = founded(tmp_path / "working")
    lies = folder.registry("kar")
    control = Control(folder.control)
    for number, (uuid, days) in enumerate(((OLD, 31), (YOUNG, 29))):
        identity, recipient = age.new_identity()
        Keystore(lies.folder(Folder.DROP_KEYS)).put(uuid, wrap_identity(identity, recipient))
        durable.write(lies.folder(Folder.QUARANTINE) / f"{uuid}.age", age.seal(b"content", [recipient]))
        settled = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        with control.changing(Position("an earlier log", number)) as connection:
            add_drop(connection, a_drop(uuid, state=DropState.ADMITTED, settled_at=settled, airlock_copy=False))
    return folder


def test_a_settled_drop_is_destroyed_after_its_days_and_not_before(server: WorkingFolder) -> None:
    """After 30 days key and ciphertext are gone and the drop says so; the younger one still opens."""
    lies = server.registry("kar")
    command = [sys.executable, "-m", "jobs", "run", "destroy", "--registry", "kar", "--config", str(server.settings)]

    # A copy made by a foreign tool leaves the empty journal out; a confined job could not make it again.
    server.control.with_name("control.db-journal").unlink()

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert server.control.with_name("control.db-journal").exists()
    states = {uuid: getattr(find_drop(Control(server.control), uuid), "state", None) for uuid in (OLD, YOUNG)}
    assert states == {OLD: DropState.EXPIRED, YOUNG: DropState.ADMITTED}
    assert Keystore(lies.folder(Folder.DROP_KEYS)).names() == (YOUNG,)
    assert sorted(path.stem for path in lies.folder(Folder.QUARANTINE).glob("*.age")) == [YOUNG]
