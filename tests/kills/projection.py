"""What a road has come to, in a form that is the same for every run that ended the same way.

All rows of all three databases, all files, all drafts and packages opened, the airlock, and the audit log. Ids drawn at
random are replaced by what they stand for. What may differ after a kill is in `MAY_DIFFER`, each with its reason.
"""

import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, select

from enclave.airlock.collect import unpack
from enclave.audit.log import FileLog, open_log
from enclave.audit.record import Phase, StoredEntry
from enclave.cli import client
from enclave.control.database import Control
from enclave.control.tables import metadata as control_tables
from enclave.crypto import age
from enclave.crypto.keyring import Keyring
from enclave.crypto.keystore import Keystore, unwrap_identity
from enclave.crypto.passphrase import read_passphrase
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import ACTS, Act, Evidence
from enclave.folders import RegistryFolder, WorkingFolder
from enclave.grants import Folder, Passphrases
from enclave.identity.vault_keys import VaultKeys
from enclave.identity.vault_reader import VaultReader
from enclave.model.purpose import Purpose
from enclave.registry.load import load_source
from enclave.release.drafts import open_draft
from enclave.release.site import CHECKPOINT, SIGNATURE
from enclave.store.engines import sqlcipher_engine
from enclave.store.read import RegistryReader
from tests.kills.road import REGISTRY, Road

MAY_DIFFER: Mapping[str, str] = {
    "run": "a run that was killed stays in the run table for ever, without an end",
    "act": "an act that a kill undid is done again under another intent; each row is checked against the log instead",
    "log_id": "checked against the log instead",
    "audit_seq": "the log has the killed run's lines too; checked against the log instead",
    "attempts": "a kill while a drop was open counts (law 2)",
    "stored_sha256": "every sealing draws its own key; checked against the file instead",
    "draft_sha256": "every sealing draws its own key; checked against the file instead",
    "sha256": "of a draft: every sealing draws its own key; checked against the file instead",
    "public_key": "a loan's key is drawn at random; checked against the keystore instead",
    "nonce": "drawn at random",
    "ciphertext": "sealed under a nonce drawn at random; opened instead",
    "checkpoint_size": "a checkpoint over a longer log; checked against the checkpoints instead",
    "checkpoints/": "a checkpoint that a kill followed stays; the next one is over a longer log",
    "torn/": "the beginning of a line that a kill cut off is kept for the auditor",
}
"""Columns, tables and folders that a kill may leave different, and why."""

OF_A_CHECKPOINT = ("checkpoint", "consistency")
"""What a manifest says of the newest checkpoint and of the one that its recipient was given last."""

_TIMES = ("_at", "first_seen")
_ONCE = frozenset(Act) - {
    Act.DROP_OPEN,  # opened again: each try counts
    Act.IDENTITY_ASSIGN,  # the same people are found again, none is named twice
    Act.LOAN_LINK,  # linked again with the same tables, unless the loan was closed
    Act.PERSON_MARK,  # marked again
    Act.PERSON_WITHDRAW,  # withdrawn again, which changes nothing
    Act.DEFINITION_APPLY,  # applied again, which adds nothing
    Act.RELEASE_DELIVER,  # what lies there already is compared, not sent again
    Act.LOG_CHECKPOINT,  # signed again over a longer log
}
"""Acts that take effect once for each object, however often they were begun."""

_RANDOM = re.compile(
    r"(?<![0-9a-f])([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|[0-9a-f]{32}|age1[0-9a-z]{58})(?![0-9a-f])"
)
_VARIES = (
    (re.compile(r'("(?:audit_)?seq": )\d+'), r"\1SEQ"),
    (re.compile(r'("files_looked_through": )\d+|\d+(?= filer er gjennomsøkt)'), "FILES"),
    (re.compile(r"((?:nr\.|linje) )\d+"), r"\1SEQ"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\+00:00|Z)"), "TIME"),
    (re.compile("|".join(str(datetime.now(UTC).date() + timedelta(days=days)) for days in (-1, 0, 1))), "TODAY"),
)

Rows = list[dict[str, Any]]
T = TypeVar("T")


@dataclass
class Found:
    """The parts that a projection is made from."""

    folder: WorkingFolder
    lies: RegistryFolder
    keys: Keyring
    log: FileLog
    control: dict[str, Rows]
    registry: dict[str, Rows]
    vault: dict[str, Rows]
    names: dict[Any, str]
    lender: Secret


def project(road: Road) -> dict[str, Any]:
    """The canonical projection; AssertionError where what was found contradicts itself."""
    folder = road.folder
    lies = folder.registry(REGISTRY)
    keys = Keyring(lies.keys, frozenset(path.stem for path in lies.keys.glob("*.key")))
    engine = sqlcipher_engine(lies.database, keys.get("registry-db"), read_only=True)
    vault = sqlcipher_engine(lies.vault, keys.get("vault-db"), read_only=True)
    with Control(folder.control).reading() as connection:
        control = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in control_tables.tables.values()
        }
    log = open_log(folder.audit, lambda: datetime.now(UTC))
    found = Found(folder, lies, keys, log, control, _all_rows(engine), _all_rows(vault), {}, road.lender)
    people = VaultReader(vault, VaultKeys(keys.get("vault-index"), keys.get("vault-data")))
    _name_everything(found, people)
    assert not (folder.locks / "halted.json").exists()
    return {
        "control": _tables(found, found.control),
        "registry": _tables(found, found.registry),
        "vault": _tables(found, found.vault),
        "reads": _reads(found, engine),
        "acts": _acts(found),
        "files": _files(found),
        "drops": _quarantined(found),
        "loans": _loan_keys(found),
        "drafts": _drafts(found),
        "packages": _packages(found),
        "site": _site(found),
        "airlock": _airlock(found, road.live / "airlock"),
    }


def _all_rows(engine: Engine) -> dict[str, Rows]:
    with engine.begin() as connection:
        # The reader's authorizer refuses SQLite's catalogue of foreign keys; its list of tables is enough.
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        return {
            name: [dict(row._mapping) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')]
            for name in names
            if not name.startswith("sqlite_")
        }


def _name_everything(found: Found, people: VaultReader) -> None:
    """Give every random id and key the name of what it stands for."""
    names = found.names
    for loan in found.control["loan"]:
        names[loan["public_key"]] = f"key of {loan['loan_id']}"
    for drop in found.control["drop_"]:
        reason = drop["reason"] if not drop["stored_sha256"] else ""
        names[drop["drop_uuid"]] = f"drop of {drop['sender']}, {drop['content_digest'][:12]} {reason}"
        assert len({*names.values()}) == len(names), "two drops are one: it was entered twice"
    tables: dict[str, list[tuple[str, str]]] = {}
    for row in found.control["release_table"]:
        tables.setdefault(row["release_id"], []).append((row["table_id"], row["period"]))
    for row in found.control["release_"]:
        about = names.get(row["subject"], row["subject"])
        inside = sorted(tables.get(row["release_id"], ()))
        name = f"{row['kind']} for {row['recipient']} about {about} in state {row['registry_state']} with {inside}"
        names[row["release_id"]] = names[row["package"]] = names[row["draft_sha256"]] = name
    for pseudonym, identity, _ in people.identities([row["person_id"] for row in found.vault["person"]]).rows():
        names[pseudonym] = f"person {identity}"
    for episode, sender, reference in people.references([row["episode"] for row in found.vault["reference"]]).rows():
        names[episode] = f"course {reference} of {sender}"
    for row in (*found.vault["identity"], *found.vault["reference"]):
        owner = row.get("person_id", row.get("episode"))
        names[row["bidx"]] = f"index of {names[owner]}"


def _tables(found: Found, tables: dict[str, Rows]) -> dict[str, list[str]]:
    return {
        name: sorted(json.dumps(_row(found, row), sort_keys=True, default=str) for row in rows)
        for name, rows in sorted(tables.items())
        if name not in MAY_DIFFER
    }


def _row(found: Found, row: dict[str, Any]) -> dict[str, Any]:
    of_draft = "draft_id" in row
    return {
        column: _value(found, column, value)
        for column, value in row.items()
        if column not in MAY_DIFFER or (column == "sha256" and not of_draft)
    }


def _value(found: Found, column: str, value: Any) -> Any:
    if column.endswith(_TIMES):
        return value is not None
    if column == "sealed" and value:
        return sorted(_named(found, name) for name in value)
    if isinstance(value, bytes):
        return found.names.get(value) or hashlib.sha256(value).hexdigest()
    return found.names.get(value, value) if isinstance(value, str) else value


def _named(found: Found, text: str) -> str:
    """A text with the random ids in it replaced by what they stand for."""
    return _RANDOM.sub(lambda match: f"<{found.names[match[0]]}>" if match[0] in found.names else match[0], text)


def _reads(found: Found, engine: Engine) -> dict[str, list[str]]:
    """What a reader answers for each form and purpose, now and in every state."""
    current = next(row["sha256"] for row in found.control["definition"] if row["current"])
    content = [found.registry[name] for name in sorted(found.registry) if name not in MAY_DIFFER]
    which = hashlib.sha256(repr((current, [_unplaced(rows) for rows in content])).encode()).hexdigest()
    if which not in _READ:
        definition = load_source((found.lies.definitions / f"{current}.json").read_bytes()).definition
        reader = RegistryReader(engine, definition)
        _READ[which] = {
            f"{form.id} for {purpose} in {state}": reader.read(form.id, state=state, purpose=purpose).rows()
            for form in definition.forms
            for purpose in (Purpose.OWN_ROWS, Purpose.COMPARISON)
            for state in range(reader.current_state() + 1)
        }
    return {
        name: [str([_value(found, "", value) for value in row]) for row in rows] for name, rows in _READ[which].items()
    }


_READ: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
"""What a reader answered, by the content of the registry: a kill of `deliver` changes none of it."""


def _unplaced(rows: Rows) -> Rows:
    """Rows without their place in the log, on which no answer of a reader depends."""
    return [{column: row[column] for column in row if column not in ("log_id", "audit_seq")} for row in rows]


def _acts(found: Found) -> dict[str, int]:
    """How often each act took effect; every intent is resolved, and as the databases say."""
    entries = list(found.log.entries())
    outcomes = {entry.intent_seq: entry for entry in entries if entry.intent_seq is not None}
    intents = {entry.seq: entry for entry in entries if entry.phase is Phase.INTENT}
    assert set(outcomes) == set(intents), "an intent is not resolved"
    held = {
        evidence: {(row["log_id"], row["audit_seq"]) for row in tables["act"]}
        for evidence, tables in (
            (Evidence.CONTROL, found.control),
            (Evidence.REGISTRY, found.registry),
            (Evidence.VAULT, found.vault),
        )
    }
    for positions in held.values():
        assert {seq for _, seq in positions} <= set(intents), "a commit without an intent"
        assert {log for log, _ in positions} <= {found.log.log_id}
    effects: Counter[str] = Counter()
    for seq, intent in intents.items():
        phase, rule = outcomes[seq].phase, ACTS[Act(intent.act)]
        if rule.evidence in held:
            _agrees(phase, (found.log.log_id, seq) in held[rule.evidence], intent)
        if phase in (Phase.DONE, Phase.RECOVERED) and intent.act in _ONCE:
            effects[f"{intent.act} {found.names.get(intent.object_id, intent.object_id)}"] += 1
    return dict(sorted(effects.items()))


def _agrees(phase: Phase, is_held: bool, intent: StoredEntry) -> None:
    if phase in (Phase.DONE, Phase.RECOVERED):
        assert is_held, f"{intent.act} is {phase}, and no database holds it"
    if phase is Phase.ABANDONED:
        assert not is_held, f"{intent.act} is abandoned, and a database holds it"


def _files(found: Found) -> list[str]:
    """Every file of the working folder by its name; what has settled content by its digest too."""
    listed = []
    root = found.folder.root
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if any(part in f"{name}/" for part in MAY_DIFFER if part.endswith("/")):
            continue
        assert not path.name.startswith(".tmp-"), f"left by a kill: {name}"
        settled = path.is_file() and name.startswith(("keys/", "enclave.toml", f"registries/{REGISTRY}/definitions/"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if settled else ""
        listed.append(f"{_named(found, name)} {digest}")
    assert all(not path.name.startswith(".tmp-") for path in root.rglob(".*")), "left by a kill"
    return sorted(listed)


def _quarantined(found: Found) -> dict[str, str]:
    """Every drop that its row says is here, opened as the next job would, and the digest of its content."""
    held = {}
    store = Keystore(found.lies.folder(Folder.DROP_KEYS))
    for drop in found.control["drop_"]:
        name = drop["drop_uuid"]
        lent = found.lies.folder(Folder.LOANS) / f"{name}.drop"
        sealed = found.lies.folder(Folder.QUARANTINE) / f"{name}.age"
        for path in (lent, sealed):
            if not path.exists():
                continue
            content = path.read_bytes()
            assert hashlib.sha256(content).hexdigest() == drop["stored_sha256"], "not the ciphertext of the row"
            if path is sealed:
                content = age.open(content, unwrap_identity(store.get(name), found.keys.get("quarantine")))
            parts = unpack(content)
            digest = hashlib.sha256(parts.manifest + parts.signature + parts.payload).hexdigest()
            assert digest == drop["content_digest"], "not the content of the row"
            held[found.names[name]] = f"{path.parent.name} {digest}"
    return held


def _loan_keys(found: Found) -> dict[str, bool]:
    """Whether each loan's key is there; one that is there is the one that the lender was told."""
    held = {}
    store = Keystore(found.lies.folder(Folder.LOAN_KEYS))
    for loan in found.control["loan"]:
        try:
            identity = unwrap_identity(store.get(loan["loan_id"]), found.keys.get("loans"))
        except Refused:
            held[loan["loan_id"]] = False
            continue
        assert age.recipient_of(identity) == loan["public_key"], "the lender was told another key"
        held[loan["loan_id"]] = True
    return held


def _drafts(found: Found) -> dict[str, list[str]]:
    """Every draft that lies in `drafts/`, opened; each is named in the ledger."""
    opened: dict[str, list[str]] = {}
    ledger = {row["draft_sha256"] for row in found.control["release_"]}
    for path in sorted(found.lies.folder(Folder.DRAFTS).rglob("*.age")):
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == path.stem, "a draft is not what its name says"
        assert path.stem in ledger, "a draft that nothing names"
        draft = _once(("draft", path.stem), open_draft, content, found.keys.get("viewing"))
        files = _digests(found, {file.name: file.content for file in draft.files})
        opened.setdefault(found.names[path.stem], []).append(
            f"{draft.kind} {draft.recipient} {draft.state} {draft.definition} {draft.tables} {files}"
        )
    return {name: sorted(held) for name, held in sorted(opened.items())}


def _packages(found: Found) -> dict[str, list[str]]:
    """Every package in the outbox, opened as its recipient would; each file is the one that the ledger names."""
    outbox = found.lies.folder(Folder.OUTBOX)
    sealed = [row for row in found.control["release_"] if row["recipient"]]
    ledger = {name: digest for row in sealed for name, digest in (row["sealed"] or {}).items()}
    lying = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in outbox.iterdir()}
    assert lying == ledger, "the outbox is not what the ledger says"
    signed = {size for size, _ in found.log.checkpoints()}
    assert {row["checkpoint_size"] for row in sealed if row["sealed"]} <= signed, "sealed under no checkpoint"
    opened = {}
    for row in sealed:
        for name in row["sealed"] or {}:
            if name.endswith(".zip"):
                package, secret = (outbox / name).read_bytes(), _passphrase(found, row["recipient"])
                files = _once((row["recipient"], ledger[name]), client.open, package, secret)
                opened[found.names[row["release_id"]]] = _digests(found, {file.name: file.content for file in files})
    return opened


def _site(found: Found) -> list[str]:
    """Every national page; they are those that the ledger names, if any."""
    published = [row["sealed"] for row in found.control["release_"] if row["sealed"] and not row["recipient"]]
    pages = {path.name: path.read_bytes() for path in found.lies.folder(Folder.SITE).iterdir()}
    lying = {name: hashlib.sha256(content).hexdigest() for name, content in pages.items()}
    assert lying == (published[-1] if published else {}), "the pages are not those published"
    # The signature is over the manifest, which names the package by an id drawn at random.
    return _digests(found, {name: content for name, content in pages.items() if name != SIGNATURE})


def _passphrase(found: Found, recipient: str) -> Secret:
    path = found.lies.passphrases(Passphrases.RECIPIENTS) / f"{recipient}.passphrase"
    return read_passphrase(path.read_bytes())


def _digests(found: Found, files: Mapping[str, bytes]) -> list[str]:
    """Files that leave, each by its name and digest; a lender's list as the lender opens it."""
    lists = {name: content for name, content in files.items() if name.endswith(".age")}
    found.names |= {hashlib.sha256(content).hexdigest(): f"digest of {name}" for name, content in lists.items()}
    clear = {name: age.open(content, found.lender) for name, content in lists.items()}
    return [f"{name} {_digest(found, name, content)}" for name, content in sorted({**files, **clear}.items())]


def _digest(found: Found, name: str, content: bytes) -> str:
    """The digest of a file that leaves, without the ids, positions and times that stand in it."""
    which = ("texts", name.rpartition("/")[2], hashlib.sha256(content).hexdigest())
    texts = _once(which, _texts_in, name, content)
    return hashlib.sha256("\n".join(_named(found, text) for text in texts).encode()).hexdigest()[:16]


_ONCE_MADE: dict[tuple[str, ...], Any] = {}


def _once(which: tuple[str, ...], make: Callable[..., T], *arguments: Any) -> T:
    """What comes of the same bytes, made once: most files are the same after every kill."""
    if which not in _ONCE_MADE:
        _ONCE_MADE[which] = make(*arguments)
    made: T = _ONCE_MADE[which]
    return made


def _texts_in(name: str, content: bytes) -> tuple[str, ...]:
    return tuple(_texts(name, content))


def _texts(name: str, content: bytes) -> Iterator[str]:
    if name.endswith(".xlsx"):
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            for member in sorted(book.namelist()):
                yield from _texts(f"{name}/{member}.xml", book.read(member))
    elif name == "MANIFEST.json":
        # Its digests are over files that are compared one by one, and over the checkpoint, which differs in length.
        facts = json.loads(content)
        facts["files"] = [file["name"] for file in facts["files"]]
        yield json.dumps({name: fact for name, fact in facts.items() if name not in OF_A_CHECKPOINT}, sort_keys=True)
    elif name == "bevis.tlog-proof":
        yield content.partition(b"\n")[0].decode()  # of a line and a log that have other times in every run
    elif name != CHECKPOINT:
        text = content.decode("utf-8", "surrogateescape")
        for pattern, instead in _VARIES:
            text = pattern.sub(instead, text)
        yield repr(text)


def _airlock(found: Found, airlock: Path) -> dict[str, str]:
    """Every name at the airlock; what was delivered is what lies in the outbox."""
    lying = {}
    ledger = {name: digest for row in found.control["release_"] for name, digest in (row["sealed"] or {}).items()}
    for path in sorted(airlock.rglob("*")):
        name = str(path.relative_to(airlock))
        digest = ""
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert path.stat().st_nlink == 1, "a delivered file has a second name"
            if "/out/" in name:
                assert ledger.get(path.name) == digest, "not the package that was sealed"
                digest = "as sealed"
        lying[_named(found, name)] = digest
    return lying


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Where two projections differ, shortly."""
    told = []
    for part, wanted in expected.items():
        mine = found[part]
        lists = (wanted, mine) if isinstance(wanted, dict) else ({"": wanted}, {"": mine})
        for key in sorted({*lists[0], *lists[1]}):
            one, other = lists[0].get(key), lists[1].get(key)
            if one != other:
                told.append(f"{part} {key}: {_less(one, other)} instead of {_less(other, one)}")
    return told


def _less(one: Any, other: Any) -> str:
    """What `other` has and `one` lacks."""
    if isinstance(one, list) and isinstance(other, list):
        return str([value for value in other if value not in one])
    return str(other)
