"""Simulated institutions: each types its forms, seals and sends them, and later fetches, verifies and opens answers.

Everything goes the way of a real one: the client's functions, SFTP with the institution's own key, `.part` and rename.
Only the plaintext is kept too, in `sent/`, so that every number can be computed again.
"""

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from enclave import durable
from enclave.cli import client
from enclave.crypto import sshsig
from enclave.crypto.passphrase import new_passphrase
from enclave.crypto.secret import Secret
from enclave.demo.airlock import EmbeddedAirlock
from enclave.demo.forms import Row, csv_bytes
from enclave.demo.visit import BOXES, Visit, visiting

REGISTRY = "kar"
FILED_AS = {"notice": "notices", "own_records": "own-rows", "loan_order": "orders"}
"""Kinds of package that would else lie among the results in `bundles`."""


@dataclass(frozen=True, repr=False)
class Correspondent:
    """An institution or a lender: its folder, its signing and login key, and, once its letter came, its passphrases."""

    name: str
    folder: Path
    airlock: EmbeddedAirlock
    private_key: Secret
    public_key: str
    letter: dict[str, str] = field(default_factory=dict)

    def take_letter(self, letter: dict[str, str], server_key: str) -> None:
        """Keep what came on paper: both passphrases, and whose signature to trust."""
        self.letter.update(letter)
        durable.write(self.folder / "passphrase.txt", f"{letter['outbound']}\n".encode())
        signer = sshsig.AllowedSigner(f"enclave@{REGISTRY}", server_key, (f"bundle@{REGISTRY}",))
        durable.write(self.folder / "allowed_signers", sshsig.format_allowed_signers([signer]).encode())

    def type_forms(self, label: str, forms: Mapping[str, Sequence[Row]]) -> Path:
        """Write one CSV file for each form with rows into `sent/LABEL`, as a clinic's export would."""
        folder = self.folder / "sent" / label
        durable.make_folder(folder)
        for form, rows in forms.items():
            if rows:
                durable.write(folder / f"{form}.csv", csv_bytes(rows))
        return folder

    def seal(
        self,
        typed: Path,
        seq: int,
        *,
        passphrase: Secret | None = None,
        sign_key: Secret | None = None,
    ) -> Path:
        """Seal a typed folder to a drop; another passphrase or key than the institution's own makes a bad one."""
        submission = client.Submission(REGISTRY, self.name, self.letter["inbound_key_id"], datetime.now(UTC), seq)
        return client.seal(
            typed,
            self.folder / "sealed",
            submission,
            sign_key=sign_key or self.private_key,
            passphrase=passphrase or Secret(self.letter["inbound"].encode()),
        )

    def send(self, *drops: Path) -> None:
        """Upload drops, each under its own random name."""
        with self._visit() as visit:
            for drop in drops:
                visit.send(drop.name, {file.name: file.read_bytes() for file in sorted(drop.iterdir())})

    def leave_loose(self, name: str, content: bytes) -> None:
        """Upload a loose file, which no institution should."""
        with self._visit() as visit:
            visit.sftp.putfo(io.BytesIO(content), f"in/{name}")

    def fetch(self) -> int:
        """Fetch everything that is in `out/`, verify and open it; answers how many packages."""
        count = 0
        with self._visit() as visit:
            for box in BOXES:
                files = visit.fetch(box)
                for name in sorted(name for name in files if name.endswith(".zip")):
                    label = self._open(box, files[name], files[f"{name}.sig"])
                    received = self.folder / "received" / label
                    durable.make_folder(received)
                    for beside in sorted(one for one in files if one.startswith(name)):
                        durable.write(received / beside, files[beside])
                    count += 1
        return count

    def _visit(self) -> AbstractContextManager[Visit]:
        key = self.private_key.reveal().decode("ascii")
        return visiting(self.airlock.host, self.airlock.port, self.name, key, self.airlock.known_hosts)

    def _open(self, box: str, archive: bytes, signature: bytes) -> str:
        """Verify first, then open into a folder of its own; answers what the package is filed under.

        That is its box, or what `FILED_AS` says of its kind. The folder's name ends with the year of the results, or
        with a number in order of arrival.
        """
        signers = (self.folder / "allowed_signers").read_text(encoding="utf-8")
        client.verify(archive, signature, signers, REGISTRY, datetime.now(UTC))
        opened = self.folder / "opened"
        durable.make_folder(opened)
        files = client.open(archive, Secret(self.letter["outbound"].encode()))
        (manifest,) = (json.loads(file.content) for file in files if file.name == "MANIFEST.json")
        label = FILED_AS.get(manifest["kind"], box)
        years = {table["period"][:4] for table in manifest["tables"]}
        ends = max(years) if years else 1 + sum(path.name.startswith(f"{label}-") for path in opened.iterdir())
        for file in files:
            path = opened.joinpath(f"{label}-{ends}", *file.name.split("/"))
            durable.make_folder(path.parent)
            durable.write(path, file.content)
        return label


def new_correspondent(name: str, folder: Path) -> tuple[Secret, str]:
    """A fresh key pair of an institution; the public half is in its folder, for `enclave institution add`."""
    private, public = sshsig.new_key(name)
    durable.make_folder(folder)
    durable.write(folder / "signing_key.pub", f"{public.strip()}\n".encode())
    return private, public


def wrong_passphrase() -> Secret:
    """A passphrase that the registry does not know."""
    return new_passphrase()
