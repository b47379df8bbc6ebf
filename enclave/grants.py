"""What a job may see: the vocabulary of `jobs/schedule.py`, enforced by `wiring.py` and, in the kernel, by Landlock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Network(StrEnum):
    """What a job may connect to. A database is a local Unix socket, or TLS verified in full."""

    NONE = "none"
    DATABASE = "database"
    AIRLOCK = "airlock"


class Access(StrEnum):
    """How a job may use a database or folder."""

    READ = "read"
    WRITE = "write"


class Folder(StrEnum):
    """The folders of a registry in the working folder."""

    QUARANTINE = "quarantine"
    LOANS = "loans"
    DRAFTS = "drafts"
    OUTBOX = "outbox"
    REQUESTS = "requests"
    DROP_KEYS = "keystore/drops"
    LOAN_KEYS = "keystore/loans"
    SITE = "site"


class Passphrases(StrEnum):
    """The two sets of passphrases, one for each direction (law of DESIGN 6: one per direction and period)."""

    SENDERS = "senders"
    RECIPIENTS = "recipients"


@dataclass(frozen=True)
class Job:
    """One row of the road: the stages a job walks and everything that it may see."""

    name: str
    stages: tuple[str, ...]
    takes: str
    gives: str
    network: Network
    private_keys: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    passphrases: tuple[Passphrases, ...] = ()
    registry: Access | None = None
    vault: Access | None = None
    folders: Mapping[Folder, Access] = field(default_factory=dict)
    submissions: bool = False
    """whether it reads the tree that TSD fills with Nettskjema submissions"""
    every: str = "*/15 * * * *"
    """crontab of the default schedule, in the server's time zone"""
