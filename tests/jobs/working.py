"""A real working folder for tests that look at what a job may see."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from enclave.audit.acts import Acts
from enclave.control.database import Control
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.grants import Folder, Passphrases
from enclave.settings import read_settings
from enclave.wiring import Wiring, open_log
from jobs.schedule import JOBS

REGISTRY = "kar"
PLANTED = "planted"


def founded(root: Path, **values: str | int | float) -> WorkingFolder:
    """A new working folder of a test server, with one file in every folder of its registry."""
    settings = {"server": "enclave-1", "mode": "test", "time_zone": "Europe/Oslo", **values}
    folder = found(Founding(root, REGISTRY, CONFIG / "registries" / REGISTRY, settings, "person:tester"))
    lies = folder.registry(REGISTRY)
    lies.known_hosts.write_text("127.0.0.1 ssh-ed25519 AAAA\n")
    for inside in (
        *(lies.folder(which) for which in Folder),
        *(lies.passphrases(which) for which in Passphrases),
        *(lies.definitions, folder.outbox, folder.pages, folder.locks, folder.audit),
    ):
        (inside / PLANTED).write_text("something")
    return folder


def wired(folder: WorkingFolder, job: str, now: datetime | None = None, *, days: int = 0) -> Wiring:
    """What a job works with, in this process and unconfined; so many days from now, or from the time that is given."""
    audit = open_log(folder)
    acts = Acts(audit, job=job, registry=REGISTRY, run=str(uuid4()), actor=f"job:{job}")
    settings, control = read_settings(folder.settings), Control(folder.control)
    at = (now or datetime.now(UTC)) + timedelta(days=days)
    return Wiring(JOBS[job], folder, settings, REGISTRY, control, acts, audit, at)
