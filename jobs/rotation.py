"""Moving what a key protects to the next one: a database's whole file, or the vault's rows some at a time.

Until the new key stands in its predecessor's place every job has both, so a kill at any moment leaves something that
opens. A job that began before the new key was drawn has only the old one: it is waited for, and none begins meanwhile.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from enclave import durable
from enclave.audit.record import Position
from enclave.errors import Halt
from enclave.grants import Access, Network
from enclave.identity.rekey import rekey
from enclave.identity.vault_keys import DATA, INDEX
from enclave.wiring import Wiring
from jobs.schedule import JOBS

OF_DATABASES = ("registry-db", "vault-db", "vault-index", "vault-data")
_PURPOSES = {"vault-index": INDEX, "vault-data": DATA}


@contextmanager
def nobody_else_at_work(wiring: Wiring) -> Iterator[None]:
    """Hold the locks of every other job that opens a database of this registry, each after it has ended."""
    with ExitStack() as held:
        for name, job in JOBS.items():
            if job.network is Network.DATABASE and name != wiring.job.name:
                held.enter_context(durable.lock(wiring.folder.locks / f"{name}@{wiring.registry}.lock", wait=True))
        yield


def move_rows(wiring: Wiring, key: str, position: Position) -> int:
    """Move some of the vault's rows to the next index or data key; answers how many, and 0 when all are moved."""
    if key not in _PURPOSES:
        raise Halt("H_KEY_OUTSIDE_ROW", place=key)
    return rekey(wiring.vault_engine(Access.WRITE), wiring.vault_keys, _PURPOSES[key], position)
