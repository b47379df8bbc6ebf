"""The vault's keys kept for the day on which they are lost: sealed to an offline key that two of three people can open.

A ceremony draws a pair of age keys. The public half stays on the server; the private half stays too, but sealed with a
secret that exists only as three shares on paper. `escrow` seals the keys that no data can do without to the public
half, for the backup media. `restore` opens them with two shares, into a new folder.
"""

import base64
import json
import os
from pathlib import Path

from enclave import durable
from enclave.crypto import age, shares
from enclave.crypto.keyring import Keyring
from enclave.crypto.secret import Secret
from enclave.errors import Refused, Rejected, explain
from enclave.flow import Act
from enclave.terminal.desk import Desk

explain(
    "R_CEREMONY_DONE",
    "This registry has a master key already; a second would make its shares and its escrow worthless.",
    "Keep the shares. Only if two are lost or seen: move keys/REGISTRY/escrow.* away and hold a new ceremony.",
)
explain(
    "R_NO_CEREMONY",
    "This registry has no master key, so nothing can be sealed to it.",
    "Hold the ceremony first: `enclave key ceremony FOLDER`, as keys/README says.",
)
explain(
    "R_ESCROW",
    "The escrowed keys do not open with these shares, or are not this registry's.",
    "Take the shares and the escrow file of one ceremony; the file with the latest date holds the keys in use.",
)

ESCROWED = ("registry-db", "vault-db", "vault-index", "vault-data")
"""Without these the data are lost. A loan's key is never among them: a copy would undo its destruction."""
PUBLIC, PRIVATE = "escrow.pub", "escrow.identity.age"


class EscrowDesk(Desk):
    """The terminal's acts with the master key. The escrowed keys are read here, sealed in memory, and let go."""

    def ceremony(self, papers: Path) -> tuple[Path, ...]:
        """Draw the master key; answers the files with its shares, in a new folder, to be printed and shredded."""
        if os.path.lexists(self.lies.keys / PUBLIC):
            raise Refused("R_CEREMONY_DONE")
        identity, recipient = age.new_identity()
        master = shares.new_secret()
        with self._acts() as acts, acts.act(Act.KEY_CEREMONY, "key", "escrow") as act:
            durable.make_folder(papers)
            written = []
            for number, share in enumerate(shares.split(master), start=1):
                path = papers / f"share-{number}.txt"
                durable.write_new(path, share.reveal() + b"\n")
                written.append(path)
            durable.write(self.lies.keys / PRIVATE, age.seal_with(identity.reveal(), _passphrase(master)))
            # A crash before this leaves shares of nothing: shred them, and hold the ceremony again.
            durable.write(self.lies.keys / PUBLIC, f"{recipient}\n".encode(), mode=0o644)
            with self.control.changing(act.position):
                pass
        return tuple(written)

    def escrow(self, out: Path) -> None:
        """Seal the keys that no data can do without to the master key, into a new file for the backup media."""
        try:
            recipient = durable.read(self.lies.keys / PUBLIC).decode("ascii").strip()
        except FileNotFoundError:
            raise Refused("R_NO_CEREMONY") from None
        ring = Keyring(self.lies.keys, frozenset(ESCROWED))
        held = {f"{name}.key": ring.get(name).reveal().hex() for name in ESCROWED}
        held |= {f"{name}.next.key": key.reveal().hex() for name in ESCROWED if (key := ring.next(name)) is not None}
        content = json.dumps({"registry": self._registry, "keys": held}).encode()
        with self._acts() as acts, acts.act(Act.KEY_ESCROW, "key", "escrow", counts={"keys": len(held)}) as act:
            digest = durable.write_new(out, age.seal(content, [recipient]))
            act.digests.update(escrow=digest)
            with self.control.changing(act.position):
                pass

    def restore(self, escrowed: Path, two_shares: tuple[Secret, Secret], into: Path) -> tuple[str, ...]:
        """Open escrowed keys with two shares into a new folder; answers the files. Nothing in use is replaced."""
        master = shares.combine(two_shares)
        try:
            identity = Secret(age.open_with(durable.read(self.lies.keys / PRIVATE), _passphrase(master)))
            opened = json.loads(age.open(durable.read(escrowed), identity))
        except (Rejected, FileNotFoundError):
            raise Refused("R_ESCROW") from None
        names = {f"{name}{following}.key" for name in ESCROWED for following in ("", ".next")}
        if opened["registry"] != self._registry or not set(opened["keys"]) <= names:
            raise Refused("R_ESCROW")
        with (
            self._acts() as acts,
            acts.act(Act.KEY_RESTORE, "key", "escrow", counts={"keys": len(opened["keys"])}) as act,
        ):
            durable.make_folder(into)
            for name, key in sorted(opened["keys"].items()):
                durable.write_new(into / name, key.encode() + b"\n")
            with self.control.changing(act.position):
                pass
        return tuple(sorted(opened["keys"]))


def _passphrase(master: Secret) -> Secret:
    return Secret(base64.b32encode(master.reveal()))
