"""Backups and restores as docs/operator.md tells them, typed by the operator, both holders and the project lead."""

import re
import shutil
from pathlib import Path

from enclave.control.drops import drops_of
from enclave.flow import Act, DropState
from enclave.folders import WorkingFolder
from enclave.halted import PAUSED
from enclave.wiring import open_log
from tests.docs.typed import typed
from tests.jobs.clinics import OLD, REGISTRY, InProcess, Server
from tests.jobs.working import wired

ROOT = Path(__file__).parents[2]
OPERATOR = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
GUIDE = OPERATOR.split("\n## Backups")[1].split("\n## When the server")[0]
KEYS, BACKUP, RESTORE, NEW_MACHINE = (
    re.findall(r"(?m)^\$ (.+)$", block) for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL)
)


def test_a_backup_and_a_lost_disk_as_the_guide_has_them(tmp_path: Path) -> None:
    """Two people make keys, a database is lost and comes back; then the machine is, and a new one stands up."""
    server = Server(tmp_path, InProcess())
    server.send()
    (tmp_path / "lead").write_bytes(server.lead.reveal())
    (tmp_path / "lead").chmod(0o600)

    told = [typed(server, line) for line in KEYS]
    with server.folder.settings.open("a", encoding="utf-8") as settings:
        settings.write(f'\n[backup]\nregistry = "{told[1].strip()}"\nvault = "{told[3].strip()}"\n')
    (said,) = (typed(server, line) for line in BACKUP)
    made = [entry.object_id for entry in open_log(server.folder).entries(Act.BACKUP_MAKE)]
    assert said.split()[1] == made[0]

    server.seal_drop("alfa", {"arrival": [OLD[0].arrival()]}, seq=2)
    server.run("collect", "admit")
    lies = server.folder.registry(REGISTRY)
    lies.database.unlink()
    told = [typed(server, line) for line in RESTORE]
    assert "1 drops are admitted again" in told[5]
    assert not (server.folder.locks / PAUSED).exists()
    assert {drop.state for drop in drops_of(server.control, REGISTRY)} == {DropState.ADMITTED}

    for key in server.folder.keys.rglob("*.key"):
        copied = tmp_path / "copies" / key.relative_to(server.folder.root)
        copied.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(key, copied)
    (tmp_path / "statement.sig").unlink()
    told = [typed(server, line) for line in NEW_MACHINE]
    assert "the log ends with the backup" in told[5]
    new = wired(WorkingFolder(tmp_path / "new"), "rights")
    assert new.registry_writer
    assert new.open_vault()
    assert [len(lines) for lines in (KEYS, BACKUP, RESTORE, NEW_MACHINE)] == [4, 1, 8, 7]
