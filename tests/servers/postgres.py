"""A real PostgreSQL for the tests: a cluster of its own in a temporary folder, reached by Unix socket only."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

SUPERUSER = "postgres"


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `new_database` answers the URL of a fresh, empty database owned by a role of its own."""

    folder: Path
    programs: Path
    numbers: Iterator[int]

    def new_database(self) -> str:
        """The URL of a new database whose only user is a new role of the same name."""
        name = f"test_{next(self.numbers)}"
        for statement in (f"CREATE ROLE {name} LOGIN", f"CREATE DATABASE {name} OWNER {name} ENCODING 'UTF8'"):
            self._as_superuser("psql", "-h", str(self.folder), "-q", "-v", "ON_ERROR_STOP=1", "-c", statement)
        return f"postgresql+psycopg://{name}@/{name}?host={self.folder}"

    def _as_superuser(self, program: str, *arguments: str) -> None:
        command = ["setpriv", f"--reuid={SUPERUSER}", f"--regid={SUPERUSER}", "--init-groups", "--"]
        subprocess.run(
            [*command, str(self.programs / program), *arguments],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster, hand it out, stop it and remove it."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    shutil.chown(folder, SUPERUSER, SUPERUSER)
    cluster = Cluster(folder, programs, count())
    data = str(folder / "data")
    cluster._as_superuser("initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    cluster._as_superuser("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield cluster
    finally:
        cluster._as_superuser("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)
