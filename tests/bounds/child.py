"""Take two drops as the jobs do and print what the second cost: `python -m tests.bounds.child SETTINGS IN ONE TWO`.

A process of its own, so that its peak is this drop's. The first drop is honest and loads every library; what the
process weighs after it is what "idle" means. No limit of the process is set: what is measured is what would be used.
"""

import json
import sys
import time
from pathlib import Path

from enclave.control.database import Control
from enclave.control.drops import drops_of
from enclave.folders import WorkingFolder
from jobs.admit import admit
from jobs.collect import collect
from tests.jobs.working import REGISTRY, wired


def take(folder: WorkingFolder, drop: Path, incoming: Path) -> None:
    """Put a drop at the airlock by rename, and collect and admit it."""
    drop.rename(incoming / drop.name)
    collect(wired(folder, "collect"))
    admit(wired(folder, "admit"))


def memory(which: str) -> int:
    """The memory that this process holds (VmRSS), or held at most (VmHWM), in KiB.

    Not `ru_maxrss`: that one counts the process that started this one too, and it had made the hostile file.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0])


def main(settings: str, incoming: str, first: str, second: str) -> None:
    """Print seconds, CPU seconds, MiB above idle, and what the second drop is called here."""
    folder = WorkingFolder(Path(settings).parent)
    take(folder, Path(first), Path(incoming))
    known = {drop.drop_uuid for drop in drops_of(Control(folder.control), REGISTRY)}
    idle, started, cpu = memory("VmRSS"), time.monotonic(), time.process_time()
    take(folder, Path(second), Path(incoming))
    peak = memory("VmHWM")
    (drop,) = [one for one in drops_of(Control(folder.control), REGISTRY) if one.drop_uuid not in known]
    seconds, used = time.monotonic() - started, time.process_time() - cpu
    told = {"seconds": seconds, "cpu": used, "mib": (peak - idle) // 1024, "drop": drop.drop_uuid}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
