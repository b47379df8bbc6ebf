"""Where everything lies in a working folder (DESIGN 6)."""

from dataclasses import dataclass
from pathlib import Path

from enclave.grants import Folder, Passphrases


@dataclass(frozen=True)
class RegistryFolder:
    """The folder of one registry, and its keys."""

    root: Path
    keys: Path
    keystore: Path
    site: Path
    """The national pages as a web server may show them."""

    @property
    def database(self) -> Path:
        """The encrypted registry database."""
        return self.root / "registry.db"

    @property
    def vault(self) -> Path:
        """The encrypted vault, which alone ties identity to pseudonym."""
        return self.root / "vault.db"

    @property
    def definitions(self) -> Path:
        """Every definition that was ever applied, each in a folder named by its hash."""
        return self.root / "definitions"

    @property
    def pages(self) -> Path:
        """The words of the national pages and their news."""
        return self.definitions / "news.toml"

    @property
    def known_hosts(self) -> Path:
        """The airlock's pinned host key."""
        return self.keys / "known_hosts"

    def folder(self, which: Folder) -> Path:
        """A folder that jobs hand things over in."""
        if which in (Folder.DROP_KEYS, Folder.LOAN_KEYS):
            return self.keystore / which.value.removeprefix("keystore/")
        return self.site if which is Folder.SITE else self.root / which.value

    def passphrases(self, which: Passphrases) -> Path:
        """One file for each institution, in the clear, mode 0600."""
        return self.keys / which.value

    def inbound_passphrase(self, institution: str, key_id: str) -> Path:
        """The file of one passphrase that a sender seals with: its own if it was rotated, else the sender's first.

        No institution's id has a dot, so the two names never meet.
        """
        first = self.passphrases(Passphrases.SENDERS) / f"{institution}.passphrase"
        rotated = first.with_name(f"{institution}.{key_id}.passphrase")
        return rotated if rotated.exists() else first


@dataclass(frozen=True)
class WorkingFolder:
    """One server's folder, and where systemd has put the private keys of this process, if it has."""

    root: Path
    credentials: Path | None = None

    @property
    def settings(self) -> Path:
        """`enclave.toml`."""
        return self.root / "enclave.toml"

    @property
    def control(self) -> Path:
        """Runs, states, requests and the ledger; no personal data."""
        return self.root / "control.db"

    @property
    def audit(self) -> Path:
        """The audit log and its checkpoints."""
        return self.root / "audit"

    @property
    def backup_manifests(self) -> Path:
        """What each backup held, by the SHA-256 that the log names it by: file names and digests only."""
        return self.audit / "backups"

    @property
    def pages(self) -> Path:
        """Static pages for the data processor."""
        return self.root / "pages"

    @property
    def keys(self) -> Path:
        """Public halves; private halves too, unless they are credentials."""
        return self.root / "keys"

    @property
    def keystore(self) -> Path:
        """Wrapped keys of drops and loans; never in a backup."""
        return self.root / "keystore"

    @property
    def locks(self) -> Path:
        """Locks of jobs and of the scheduler."""
        return self.root / "locks"

    @property
    def outbox(self) -> Path:
        """What is for the auditor: checkpoints."""
        return self.root / "outbox"

    def registry(self, registry: str) -> RegistryFolder:
        """The folder of one registry."""
        return RegistryFolder(
            self.root / "registries" / registry,
            self.keys / registry,
            self.keystore / registry,
            self.root / "site" / registry,
        )

    def private_keys(self, registry: str) -> Path:
        """Where the private halves of a registry's keys are."""
        return self.credentials or self.keys / registry

    @property
    def server_private_keys(self) -> Path:
        """Where the private halves of the server's own keys are."""
        return self.credentials or self.keys
