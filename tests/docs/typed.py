"""Lines of a guide, typed as a person types them at the server's terminal."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.jobs.clinics import Server

ROOT = Path(__file__).parents[2]


def typed(server: Server, line: str) -> str:
    """Type one line; exit code 1 means that something waits for a person, which is no fault."""
    command = re.sub(r"^enclave ", f"{shlex.quote(sys.executable)} -m enclave ", line)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=server.root,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ENCLAVE_CONFIG": str(server.folder.settings)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), f"{line}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout
