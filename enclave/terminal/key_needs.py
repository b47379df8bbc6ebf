"""What still needs a key that is to be retired, as far as the terminal can see: what it alone opens, and who holds it.

Of what only a job opens, the job itself tells by closing the request of the rotation (`jobs/rotation.py`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from enclave import durable
from enclave.audit.chain import KEY, key_digest
from enclave.audit.checkpoint import verify
from enclave.audit.record import Phase
from enclave.audit.signed_note import vkey_of
from enclave.control.database import Control
from enclave.control.drops import drops_of
from enclave.control.institutions import Role, institutions_of
from enclave.control.releases import drafts_over, newest_site
from enclave.crypto import age
from enclave.crypto.keyring import Keyring, halves
from enclave.errors import Halt, Refused, explain
from enclave.flow import Act, DropState, ReleaseState
from enclave.folders import WorkingFolder
from enclave.grants import Folder
from enclave.release.drafts import count_under
from enclave.wiring import open_log

explain(
    "R_KEY_NEEDED",
    "Something is left that only the old key opens or signs; it would be lost with it.",
    "`viewing`: decide the drafts of `enclave release list --waiting`, read or let pass answers to re-identifications. "
    "`intake`, `nettskjema`: decide forms that wait, and run `admit` until `drop list` shows none as collected. "
    "`bundle-sign`: run the job `seal`. `audit-sign`: run the job `checkpoint`; the old key vouches for the next "
    "(where `recover` began a new log meanwhile, `key rotate` first).",
)
explain(
    "R_KEY_TOLD",
    "Somebody outside holds the old public half of this key, and perhaps not the next.",
    "Tell all of them, as keys/README says for this key; then add --told. What they have installed is not known here.",
)

MOVED_BY: Mapping[str, str] = MappingProxyType(
    {
        "registry-db": "rights",
        "vault-db": "rights",
        "vault-index": "rights",
        "vault-data": "rights",
        "rights": "rights",
        "quarantine": "admit",
        "loans": "link",
        "drafts": "seal",
    }
)
"""The job that moves to the next key what is under the old one, or tells when nothing is any more."""
HELD_OUTSIDE: Mapping[str, tuple[Role, ...]] = MappingProxyType(
    {
        "intake": ("sender",),
        "nettskjema": ("sender",),
        "bundle-sign": ("sender", "lender", "auditor", "researcher"),
        "airlock-login": (),
    }
)
"""Keys whose public half others hold, and the roles of those who get it by a kit."""


def require_unneeded(folder: WorkingFolder, registry: str, name: str) -> None:
    """Refused R_KEY_NEEDED while the old key is all that opens something, or makes published pages again."""
    control, lies = Control(folder.control), folder.registry(registry)
    if name == "viewing":
        key = Keyring(lies.keys, frozenset({name})).get(name)
        waiting = count_under(lies.folder(Folder.DRAFTS), key, drafts_over(control, registry, ReleaseState.PROPOSED))
        answers = lies.folder(Folder.REQUESTS).glob("*.answer.age")
        left = waiting + sum(age.is_sealed_to(durable.read(path), key) for path in answers)
    elif name in ("intake", "nettskjema"):
        left = len(drops_of(control, registry, DropState.COLLECTED))
    elif name == "bundle-sign":
        site = newest_site(control, registry)
        left = int(site is not None and durable.digests(lies.folder(Folder.SITE)) != dict(site.sealed or {}))
    elif name == "audit-sign":
        left = int(not _is_vouched_for(folder))
    else:
        left = 0
    if left:
        raise Refused("R_KEY_NEEDED", place=f"{name}: {left}")


def _is_vouched_for(folder: WorkingFolder) -> bool:
    """Whether a checkpoint by the old signing key covers the line that names the next: who has the old can follow."""
    log = open_log(folder)
    old, *others = halves(folder.keys, "audit-sign")
    if not others:
        return True  # a kill came when its public half had taken the old one's place: it was asked before that
    following = others[0]
    named = [
        entry.seq for entry in log.entries(KEY) if entry.digests.get("vkey") == key_digest(bytes.fromhex(following))
    ]
    note = log.newest_checkpoint()
    if not named or note is None:
        return False
    try:
        return verify(note, vkey_of(log.origin, bytes.fromhex(old))).size > named[0]
    except Halt:
        return False  # signed by the next key alone, or by an even older one


def require_told(folder: WorkingFolder, registry: str, name: str, *, told: bool) -> None:
    """Refused R_KEY_TOLD for a key that others hold, unless a person says that they know; tells how many got no kit."""
    if name in HELD_OUTSIDE and not told:
        raise Refused("R_KEY_TOLD", place=f"{name}: {len(without_kit(folder, registry, name))} without a new kit")


def without_kit(folder: WorkingFolder, registry: str, name: str) -> list[str]:
    """The institutions that were made no kit since the next key was drawn, by the log that is in use."""
    roles = HELD_OUTSIDE[name]
    known = institutions_of(Control(folder.control), registry, *roles) if roles else ()
    asked: dict[int, str] = {}
    given: set[str] = set()
    for entry in open_log(folder).entries(Act.KEY_DRAW, Act.INSTITUTION_KIT):
        if entry.registry != registry:
            continue
        if entry.act == Act.KEY_DRAW and entry.object_id == name:
            given.clear()
        elif entry.act == Act.INSTITUTION_KIT and entry.phase is Phase.INTENT:
            asked[entry.seq] = entry.object_id
        elif entry.phase in (Phase.DONE, Phase.RECOVERED):
            given.update({asked.pop(entry.intent_seq)} if entry.intent_seq in asked else set())
    return [one.institution_id for one in known if one.institution_id not in given]
