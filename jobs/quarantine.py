"""Drops in quarantine, each under a key of its own: `collect` puts them there, `admit` opens them."""

import hashlib

from enclave import durable
from enclave.airlock.collect import pack, unpack
from enclave.control.drops import Drop, drops_of
from enclave.crypto import age
from enclave.crypto.keystore import unwrap_identity, wrap_identity
from enclave.errors import Halt, Rejected, explain
from enclave.grants import Access, Folder
from enclave.model.drop import SealedDrop
from enclave.wiring import Wiring

explain(
    "H_QUARANTINE",
    "What was written to quarantine does not read back as it was.",
    "Nothing was removed from the airlock. Check the disk, then `enclave recover`.",
)


def put(wiring: Wiring, sealed: SealedDrop) -> str:
    """Seal a drop to a fresh key, kept only wrapped to the quarantine's; answers the ciphertext's SHA-256."""
    identity, recipient = age.new_identity()
    packed = pack(sealed)
    keys = wiring.keystore(Folder.DROP_KEYS, Access.WRITE)
    # A killed run may have left a key under this name, and perhaps a ciphertext to it: both are replaced.
    keys.destroy(sealed.drop_uuid)
    keys.put(sealed.drop_uuid, wrap_identity(identity, wiring.public_key("quarantine")))
    path = wiring.path(Folder.QUARANTINE, Access.WRITE) / f"{sealed.drop_uuid}.age"
    stored = durable.write(path, age.seal(packed, [recipient]))
    wanted = hashlib.sha256(packed).digest()
    del packed  # read back without it: a large payload is in memory often enough
    if hashlib.sha256(age.open(durable.read(path), identity)).digest() != wanted:
        raise Halt("H_QUARANTINE", place=path.name)
    return stored


def sweep_untaken(wiring: Wiring) -> None:
    """Destroy what a killed run sealed and no row names; it is still at the airlock, and is taken from there again."""
    keys = wiring.keystore(Folder.DROP_KEYS, Access.WRITE)
    folder = wiring.path(Folder.QUARANTINE, Access.WRITE)
    sealed = {path.name.removesuffix(".age") for path in folder.glob("*.age")}
    entered = {drop.drop_uuid for drop in drops_of(wiring.control, wiring.registry)}
    for drop_uuid in sorted((sealed | set(keys.names())) - entered):
        keys.destroy(drop_uuid)
        durable.remove(folder / f"{drop_uuid}.age")


def get(wiring: Wiring, drop: Drop, sender: str) -> SealedDrop:
    """The drop as it was taken from `sender` under this id: the ledger holds the digest of the ciphertext."""
    keys = wiring.keystore(Folder.DROP_KEYS, Access.READ)
    identity = unwrap_identity(keys.get(drop.drop_uuid), *wiring.keys.opening("quarantine"))
    ciphertext = durable.read(wiring.path(Folder.QUARANTINE, Access.READ) / f"{drop.drop_uuid}.age")
    sealed = unpack(age.open(ciphertext, identity))
    taken = (hashlib.sha256(ciphertext).hexdigest(), sealed.drop_uuid, sealed.sender)
    if taken != (drop.stored_sha256, drop.drop_uuid, sender):
        raise Rejected("E_QUARANTINE_FORM")
    return sealed
