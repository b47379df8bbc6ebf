"""The one place where adapters meet ports and keys are loaded: a job is given what its row of the job table names.

Whatever else a job asks for halts here, before a file is opened; the kernel refuses it again (`jobs/confine.py`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from enclave import durable
from enclave.audit.acts import Acts
from enclave.audit.log import FileLog
from enclave.audit.log import open_log as open_log_folder
from enclave.control.agreements import Agreement, agreement_on
from enclave.control.database import Control
from enclave.control.institutions import institutions_of
from enclave.control.runs import current_definition
from enclave.control.sender_keys import SenderKey, keys_of, signers_of, why_not
from enclave.crypto.keyring import KEY_KINDS, Keyring, Kind, halves
from enclave.crypto.keystore import Keystore
from enclave.crypto.passphrase import read_passphrase
from enclave.crypto.secret import Secret
from enclave.crypto.sshsig import AllowedSigner
from enclave.errors import Halt, Refused, explain
from enclave.folders import RegistryFolder, WorkingFolder
from enclave.grants import Access, Folder, Job, Network, Passphrases
from enclave.settings import Nettskjema, Settings

if TYPE_CHECKING:  # each of these loads a library that only some jobs need
    from sqlalchemy import Engine

    from enclave.airlock.nettskjema import SubmissionTree
    from enclave.airlock.port import Airlock
    from enclave.identity.vault import Vault
    from enclave.identity.vault_keys import VaultKeys
    from enclave.identity.vault_reader import VaultReader
    from enclave.intake.envelope import Envelope
    from enclave.linkage.probable import Scorer
    from enclave.registry.definition import Loan
    from enclave.registry.load import LoadedDefinition
    from enclave.store.read import RegistryReader
    from enclave.store.write import RegistryWriter

explain(
    "H_OUTSIDE_ROW",
    "A job asked for a database, folder, passphrase or connection that its row of the job table does not name.",
    "This is a mistake in the program, or somebody else's program; nothing was opened. Report it.",
)
explain(
    "H_LINKAGE_EXTRA",
    "A definition asks for probabilistic linkage, and the libraries for it are not installed.",
    "Install the package with its extra: `pip install 'enclave[linkage]'`; then run the job `link` again.",
)
explain(
    "H_NOT_APART",
    "Two keys that must differ are the same: the registry's and the vault's, or two of the vault's.",
    "Restore each key from its own copy. If one was copied over another by mistake, nothing was opened with it.",
)
explain(
    "R_NOT_APPLIED",
    "This registry has no definition in force.",
    "File one with `enclave registry apply FOLDER` and run the job `rights`.",
)
explain(
    "R_KEY_OF_SERVER",
    "This database is PostgreSQL's, whose files are encrypted by its own disk and not by a key of ours.",
    "Rotate the disk's key where the database runs; remove the key that was drawn with `enclave key retire NAME`.",
)


def utc_now() -> datetime:
    """The server's clock."""
    return datetime.now(UTC)


def open_log(folder: WorkingFolder) -> FileLog:
    """The audit log of this server, verified whole; halts where it was cut, edited or reordered."""
    return open_log_folder(folder.audit, utc_now)


@dataclass(frozen=True)
class Wiring:
    """What one run of one job works with; `now` is the run's one sample of the clock."""

    job: Job
    folder: WorkingFolder
    settings: Settings
    registry: str
    control: Control
    acts: Acts
    log: FileLog
    now: datetime

    @property
    def lies(self) -> RegistryFolder:
        """Where this registry's files lie."""
        return self.folder.registry(self.registry)

    def path(self, which: Folder, access: Access) -> Path:
        """A hand-over folder of this registry, if the job's row grants this access to it."""
        granted = self.job.folders.get(which)
        if granted is None or (access is Access.WRITE and granted is not Access.WRITE):
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: {which}")
        return self.lies.folder(which)

    @cached_property
    def keys(self) -> Keyring:
        """The private keys that the job's row names for this registry."""
        names = frozenset(self.job.private_keys) - SERVER_KEYS
        return Keyring(self.folder.private_keys(self.registry), names, self.lies.keys)

    @cached_property
    def server_keys(self) -> Keyring:
        """The private keys that the job's row names for the server as a whole."""
        names = frozenset(self.job.private_keys) & SERVER_KEYS
        return Keyring(self.folder.server_private_keys, names, self.folder.keys)

    def public_key(self, name: str) -> str:
        """The public half that new things are sealed to, of a key that the job's row names."""
        return self.public_halves(name)[-1]

    def public_halves(self, name: str) -> tuple[str, ...]:
        """The public half of a key that the job's row names and, while it is being replaced, the next."""
        if name not in {*self.job.public_keys, *self.job.private_keys}:
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: {name}.pub")
        return halves(self.folder.keys if name in SERVER_KEYS else self.lies.keys, name)

    def draft_readers(self) -> tuple[str, ...]:
        """Whom a draft at rest is sealed to: the job `seal`, and the data processor's viewing key."""
        return (self.public_key("drafts"), self.public_key("viewing"))

    def keystore(self, which: Folder, access: Access) -> Keystore:
        """The wrapped keys of drops or of loans."""
        return Keystore(self.path(which, access))

    def passphrase(self, which: Passphrases, institution: str) -> Secret:
        """The passphrase that an institution opens with (recipients), or was first given to seal with (senders)."""
        return self._passphrase(which, f"{institution}.passphrase")

    def _passphrase(self, which: Passphrases, name: str) -> Secret:
        if which not in self.job.passphrases:
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: {which}")
        try:
            return read_passphrase(durable.read(self.lies.passphrases(which) / name, limit=LARGEST_PASSPHRASE))
        except FileNotFoundError:
            raise Halt("H_KEY_MISSING", place=f"{which}/{name}") from None

    def inbound_passphrases(self, institution: str, at: datetime) -> dict[str, Secret | str]:
        """By its id, each passphrase that a sender was ever given: what opens, or why it did not hold at `at`."""
        theirs = [key for key in self.sender_keys if (key.institution_id, key.kind) == (institution, "passphrase")]
        return {key.key: self._inbound(key) if key.holds_at(at) else why_not(key) for key in theirs}

    def _inbound(self, key: SenderKey) -> Secret:
        return self._passphrase(Passphrases.SENDERS, self.lies.inbound_passphrase(key.institution_id, key.key).name)

    def envelopes(self, institution: str, at: datetime) -> "tuple[Envelope, ...]":
        """What opens a drop that a sender left then: its own passphrases, and the registry's age and OpenPGP keys."""
        from enclave.intake.envelopes import AesZipEnvelope, AgeEnvelope, OpenPgpEnvelope

        zips = AesZipEnvelope(self.inbound_passphrases(institution, at))
        return (zips, AgeEnvelope(self.keys.opening("intake")), OpenPgpEnvelope(self.keys.opening("nettskjema")))

    @cached_property
    def sender_keys(self) -> tuple[SenderKey, ...]:
        """Every key of every institution, with its period."""
        return keys_of(self.control, self.registry)

    @cached_property
    def signers(self) -> tuple[AllowedSigner, ...]:
        """The public keys that institutions sign drops (lenders: loan files) with, also those that hold no more."""
        roles = {one.institution_id: one.role for one in institutions_of(self.control, self.registry)}
        return signers_of(self.sender_keys, roles, self.registry)

    @cached_property
    def institution_ids(self) -> frozenset[str]:
        """Everyone that something may be sent to."""
        return frozenset(one.institution_id for one in institutions_of(self.control, self.registry))

    def agreement(self, institution: str, at: datetime) -> Agreement | None:
        """The agreement with an institution that was in force at a time, by the calendar of this server's time zone."""
        day = at.astimezone(ZoneInfo(self.settings.time_zone)).date()
        return agreement_on(self.control, self.registry, institution, day)

    @cached_property
    def definition(self) -> "LoadedDefinition":
        """The definition in force."""
        from enclave.registry.load import load_kept

        sha256 = current_definition(self.control, self.registry)
        if sha256 is None:
            raise Refused("R_NOT_APPLIED", place=self.registry)
        return load_kept(self.lies.definitions, sha256)

    @cached_property
    def registry_writer(self) -> "RegistryWriter":
        """The registry database, to change it."""
        return self.open_registry_writer()

    def open_registry_writer(self) -> "RegistryWriter":
        """The registry database to change it, opened anew: after a rotation its key is another."""
        from enclave.store.write import RegistryWriter

        return RegistryWriter(self.registry_engine(Access.WRITE), self.definition.definition)

    @cached_property
    def registry_reader(self) -> "RegistryReader":
        """The registry database through an engine that cannot write."""
        from enclave.store.read import RegistryReader

        return RegistryReader(self.registry_engine(Access.READ), self.definition.definition)

    def registry_engine(self, access: Access) -> "Engine":
        """The registry database's engine."""
        if self.job.registry is None or (access is Access.WRITE and self.job.registry is not Access.WRITE):
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: registry")
        url = self.settings.registries[self.registry].database
        return self._engine(url, self.lies.database, "registry-db", access)

    @cached_property
    def vault(self) -> "Vault":
        """The vault, to name people."""
        return self.open_vault()

    def open_vault(self) -> "Vault":
        """The vault to name people, opened anew: after a rotation its keys are others."""
        from enclave.identity.vault import Vault

        return Vault(self.vault_engine(Access.WRITE), self.vault_keys)

    @property
    def vault_keys(self) -> "VaultKeys":
        """The vault's index and data keys, with their next ones while they are rotated."""
        from enclave.identity.vault_keys import VaultKeys

        index, data = "vault-index", "vault-data"
        keys = self.keys
        return VaultKeys(keys.get(index), keys.get(data), next_index=keys.next(index), next_data=keys.next(data))

    @cached_property
    def vault_reader(self) -> "VaultReader":
        """The vault through an engine that cannot write."""
        from enclave.identity.vault_reader import VaultReader

        return VaultReader(self.vault_engine(Access.READ), self.vault_keys)

    def scorer(self, kind: "Loan") -> "Scorer | None":
        """What links a kind of loan's rows by probability; None where its definition does not ask for that."""
        if kind.probabilistic is None:
            return None
        try:
            from enclave.linkage.splink_scorer import SplinkScorer
        except ImportError:
            raise Halt("H_LINKAGE_EXTRA", place=kind.id) from None
        return SplinkScorer(kind.probabilistic.model)

    def vault_engine(self, access: Access) -> "Engine":
        """The vault's engine."""
        if self.job.vault is None or (access is Access.WRITE and self.job.vault is not Access.WRITE):
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: vault")
        url = self.settings.registries[self.registry].vault_database
        return self._engine(url, self.lies.vault, "vault-db", access)

    def _engine(self, url: str, path: Path, key: str, access: Access) -> "Engine":
        from enclave.store.engines import postgres_engine, sqlcipher_engine

        if self.job.network is not Network.DATABASE:
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: database")
        read_only = access is Access.READ
        if url:
            return postgres_engine(url, read_only=read_only)
        self._require_keys_apart()
        try:
            return sqlcipher_engine(path, self.keys.get(key), read_only=read_only)
        except Halt as halt:
            following = self.keys.next(key)
            if halt.code != "H_DB_KEY" or following is None:
                raise
        # The file was encrypted anew, and the new key is not in its predecessor's place yet.
        return sqlcipher_engine(path, following, read_only=read_only)

    def _require_keys_apart(self) -> None:
        """Halt H_NOT_APART where two keys of this job are one: who had the registry's would have the vault's."""
        symmetric = [self.keys.get(name) for name in self.job.private_keys if KEY_KINDS[name] is Kind.SYMMETRIC]
        if any(one == other for place, one in enumerate(symmetric) for other in symmetric[:place]):
            raise Halt("H_NOT_APART")

    def encrypt_anew(self, key: str) -> None:
        """Encrypt the file of `registry-db` or `vault-db` with the next key; Refused R_KEY_OF_SERVER on PostgreSQL."""
        from enclave.store.engines import rekey_file

        if self.job.registry is not Access.WRITE or self.job.vault is not Access.WRITE:
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: {key}")
        asked, lies = self.settings.registries[self.registry], self.lies
        url, path = {
            "registry-db": (asked.database, lies.database),
            "vault-db": (asked.vault_database, lies.vault),
        }[key]
        if url:
            raise Refused("R_KEY_OF_SERVER", place=key)
        rekey_file(path, self.keys.get(key), self.keys.require_next(key))

    def close(self) -> None:
        """Hang up at the airlock and let go of the databases."""
        if "airlock" in vars(self) and self.settings.registries[self.registry].airlock.kind == "sftp":
            vars(self)["airlock"].close()

    @cached_property
    def airlock(self) -> "Airlock":
        """The airlock, logged in with this server's own key."""
        if self.job.network is not Network.AIRLOCK:
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: airlock")
        asked = self.settings.registries[self.registry].airlock
        if asked.kind == "folder":
            from enclave.airlock.folder import FolderAirlock

            return FolderAirlock(Path(asked.folder))
        from enclave.airlock.retry import Retry
        from enclave.airlock.sftp import SftpAirlock
        from enclave.airlock.sftp_connection import Address, Timeouts

        known_hosts = durable.read(self.lies.known_hosts).decode("ascii", "replace")
        return SftpAirlock(
            Address(asked.host, asked.port, asked.user, known_hosts, asked.folder),
            self.keys.get("airlock-login"),
            timeouts=Timeouts(connect=asked.timeout_seconds, answer=asked.timeout_seconds),
            retry=Retry(attempts=asked.attempts),
        )

    @property
    def nettskjema(self) -> Nettskjema | None:
        """What the settings say of submissions through Nettskjema; None where there are none."""
        return self.settings.registries[self.registry].nettskjema

    @cached_property
    def submissions(self) -> "SubmissionTree":
        """The tree that TSD fills with submissions."""
        from enclave.airlock.nettskjema import SubmissionTree

        if not self.job.submissions or self.nettskjema is None:
            raise Halt("H_OUTSIDE_ROW", place=f"{self.job.name}: submissions")
        return SubmissionTree(Path(self.nettskjema.submissions))


LARGEST_PASSPHRASE = 4096
SERVER_KEYS = frozenset({"audit-sign"})
