"""A server with two senders for the fault rows: stock tools make its drops, its jobs take them, all of it is searched.

`Making` is a drop as 7-Zip and ssh-keygen make it, with one thing changed. `Site.walk` runs `collect` and `admit` in
this process. Nothing of what a sender typed lies in `live/`, where server, airlock and temporary files are searched.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select

from enclave import durable
from enclave.audit.acts import Acts
from enclave.control.database import Control
from enclave.control.drops import Drop, drops_of
from enclave.control.institutions import find_institution
from enclave.control.releases import releases_of
from enclave.crypto.keyring import Keyring
from enclave.crypto.passphrase import read_passphrase
from enclave.demo.airlock import make_folders
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.grants import Access, Folder, Passphrases
from enclave.model.draft import Kind
from enclave.registry.load import load
from enclave.release.drafts import open_draft
from enclave.settings import read_settings
from enclave.store import schema
from enclave.terminal.desk import Letter
from enclave.terminal.reception import Reception
from enclave.wiring import Wiring, open_log
from jobs.admit import admit
from jobs.collect import collect
from jobs.drafts import find_draft
from jobs.schedule import JOBS
from tests.flow.bad import Planter
from tests.flow.road import seven_zip, ssh_sign
from tests.servers.sshd import Sshd, new_key

REGISTRY = "kar"
ATTACKER, HONEST = "aaa", "zzz"
DEFINITION = load(CONFIG / "registries" / REGISTRY).definition
Change = Callable[[bytes], bytes]


def unchanged(content: bytes) -> bytes:
    """The same."""
    return content


@dataclass
class Making:
    """How a drop is made by stock tools; a fault changes one thing. `packed` makes the payload without 7-Zip."""

    files: Mapping[str, bytes]
    sender: str = ATTACKER
    drop_id: UUID = field(default_factory=uuid4)
    outer: Mapping[str, object] = field(default_factory=dict)
    inner: Mapping[str, object] = field(default_factory=dict)
    packed: bytes | None = None
    method: str = "Deflate"
    passphrase: str = ""
    after_sealing: Change = unchanged
    after_signing: Change = unchanged
    manifest_after_signing: Change = unchanged
    signer: str = ""
    namespace: str = f"drop@{REGISTRY}"
    payload_name: str = "payload.zip"


@dataclass
class Site:
    """A server, its airlock (a folder, or sshd), and two senders: the attacker comes first in every order."""

    root: Path
    folder: WorkingFolder
    airlock: Path
    letters: Mapping[str, Letter]
    keys: Mapping[str, Path]
    sshd: Sshd | None = None
    planter: Planter = field(default_factory=lambda: Planter(4))
    made: int = 0

    @property
    def live(self) -> Path:
        """What is searched: the server's folder, the airlock and the temporary folder."""
        return self.root / "live"

    @property
    def control(self) -> Control:
        """The control database."""
        return Control(self.folder.control)

    @property
    def desk(self) -> Reception:
        """The terminal."""
        return Reception(self.folder, read_settings(self.folder.settings), REGISTRY)

    def renewed(self, letter: Letter) -> Letter:
        """An institution's letter as it is now, its passphrase read where the server keeps it."""
        institution = find_institution(self.control, REGISTRY, letter.institution_id)
        kept = self.folder.registry(REGISTRY).passphrases(Passphrases.SENDERS) / f"{letter.institution_id}.passphrase"
        return replace(letter, inbound_key_id=institution.inbound_key_id, inbound=read_passphrase(kept.read_bytes()))

    def incoming(self, sender: str = ATTACKER) -> Path:
        """A sender's `in/`."""
        return self.airlock / sender / "in"

    def make(self, making: Making) -> Path:
        """The drop folder, in clear outside of what is searched."""
        self.made += 1
        clear = self.root / "clear" / f"{self.made}"
        drop = self.root / "made" / f"{self.made}" / str(making.drop_id)
        for folder in (clear, drop):
            folder.mkdir(parents=True)
        letter = self.letters[making.sender]
        payload = making.packed
        if payload is None:
            (clear / "manifest.json").write_bytes(json.dumps(self.inner(making)).encode())
            for name, content in making.files.items():
                (clear / name).write_bytes(content)
            words = ["-tzip", "-mem=AES256", f"-mm={making.method}"]
            passphrase = making.passphrase or letter.inbound.reveal().decode()
            seven_zip("a", *words, f"-p{passphrase}", str(clear.with_suffix(".zip")), ".", folder=clear)
            payload = clear.with_suffix(".zip").read_bytes()
        payload = making.after_sealing(payload)
        stated: dict[str, object] = {
            "v": 1, "registry": REGISTRY, "drop_id": str(making.drop_id), "sender": making.sender,
            "created_at": "2026-02-01T08:00:00Z", "recipient_kid": letter.inbound_key_id, "format": "aes-zip",
            "payload_sha256": hashlib.sha256(payload).hexdigest(), "payload_size": len(payload), **making.outer,
        }  # fmt: skip
        manifest = drop / "manifest.json"
        manifest.write_bytes(json.dumps(stated).encode())
        ssh_sign(manifest, self.keys[making.signer or making.sender], making.namespace)
        manifest.write_bytes(making.manifest_after_signing(manifest.read_bytes()))
        (drop / making.payload_name).write_bytes(making.after_signing(payload))
        return drop

    def inner(self, making: Making) -> dict[str, object]:
        """The manifest inside a drop."""
        return {
            "drop_id": str(making.drop_id),
            "sender": making.sender,
            "recipient_kid": self.letters[making.sender].inbound_key_id,
            "files": [
                {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
                for name, content in making.files.items()
            ],
            **making.inner,
        }

    def place(self, drop: Path, sender: str = ATTACKER, name: str = "") -> Path:
        """Put a made drop at the airlock, under its own or another name."""
        return self.put({file.name: file.read_bytes() for file in drop.iterdir()}, sender, name or drop.name)

    def put(self, files: Mapping[str, bytes], sender: str, name: str) -> Path:
        """Put a folder with these files at the airlock."""
        placed = self.incoming(sender) / name
        placed.mkdir()
        for file, content in files.items():
            (placed / file).write_bytes(content)
        self.own(placed)
        return placed

    def own(self, placed: Path) -> None:
        """Give what was planted to the airlock's service."""
        if self.sshd is not None:
            self.sshd.own(placed)

    def send(self, making: Making) -> Path:
        """Make a drop and place it."""
        return self.place(self.make(making), making.sender)

    def wiring(self, job: str, days: int = 0) -> Wiring:
        """What a job works with, in this process, `days` from now."""
        log, settings = open_log(self.folder), read_settings(self.folder.settings)
        acts = Acts(log, job=job, registry=REGISTRY, run=str(uuid4()), actor=f"job:{job}")
        now = datetime.now(UTC) + timedelta(days=days)
        return Wiring(JOBS[job], self.folder, settings, REGISTRY, self.control, acts, log, now)

    def collect(self, days: int = 0) -> dict[str, int]:
        """Run `collect`."""
        wiring = self.wiring("collect", days)
        try:
            return collect(wiring)
        finally:
            wiring.close()

    def walk(self, days: int = 0) -> tuple[Drop, ...]:
        """Run `collect` and `admit`; answers the drops that are new, the attacker's first."""
        known = {drop.drop_uuid for drop in self.drops()}
        self.collect(days)
        admit(self.wiring("admit", days))
        return tuple(drop for drop in self.drops() if drop.drop_uuid not in known)

    def drops(self) -> tuple[Drop, ...]:
        """Every drop that was ever taken."""
        return drops_of(self.control, REGISTRY)

    def answer(self, drop: Drop, kind: Kind = Kind.RECEIPT) -> dict[str, bytes]:
        """A drop's answer before it is sealed, opened with the viewing key."""
        (release,) = [
            one for one in releases_of(self.control, REGISTRY) if one.subject == drop.drop_uuid and one.kind is kind
        ]
        lies = self.folder.registry(REGISTRY)
        viewing = Keyring(lies.keys, frozenset({"viewing"})).get("viewing")
        draft = open_draft(durable.read(find_draft(lies.folder(Folder.DRAFTS), release.draft_sha256)), viewing)
        return {file.name: file.content for file in draft.files}

    def reason(self, drop: Drop) -> str:
        """The code that the receipt of a drop says, "" for an admitted one."""
        told = json.loads(self.answer(drop)["kvittering.json"])["reason"]
        return told["code"] if told else ""

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every form in the registry, and its state."""
        engine = self.wiring("admit").registry_engine(Access.READ)
        with engine.connect() as connection:
            tables = {form.id: schema.form_table(form) for form in DEFINITION.forms}
            found = {name: [tuple(row) for row in connection.execute(select(table))] for name, table in tables.items()}
            found["state"] = [tuple(row) for row in connection.execute(select(schema.registry_state.c.state))]
        return found

    def holding(self, words: Sequence[str]) -> list[str]:
        """The files of server, airlock and temporary folder in whose name or bytes one of these words stands."""
        wanted = [text for word in words for text in (word.encode(), word.encode("utf-16-le"))]
        found = []
        for path in sorted({*self.live.rglob("*"), *self.airlock.rglob("*")}):
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            name = path.name.encode("utf-8", "surrogateescape")
            found += [path.name for text in wanted if text in name or text in content][:1]
        return found

    def temporary_files(self) -> list[Path]:
        """What libraries left in the temporary folder."""
        return list((self.live / "tmp").rglob("*"))


def new_site(root: Path, sshd: Sshd | None = None, **settings: str | int | float) -> Site:
    """A founded server with two senders, on a folder or on an sshd that knows them."""
    live = root / "live"
    (live / "tmp").mkdir(parents=True)
    (root / "keys").mkdir()
    airlock = live / "airlock" if sshd is None else sshd.root
    where: dict[str, str | int | float] = {"kind": "folder", "folder": str(airlock)}
    if sshd is not None:
        where = {"kind": "sftp", "host": sshd.host, "port": sshd.port, "user": sshd.server.login, "folder": "/"}
    values = {"server": "enclave-1", "mode": "test", **where, **settings}
    folder = found(Founding(live / "working", REGISTRY, CONFIG / "registries" / REGISTRY, values, "person:tester"))
    desk = Reception(folder, read_settings(folder.settings), REGISTRY)
    if sshd is not None:
        lies = folder.registry(REGISTRY)
        lies.known_hosts.write_text(sshd.known_hosts)
        sshd.authorise(sshd.server, (lies.keys / "airlock-login.pub").read_text())
    letters, keys = {}, {}
    for sender in (ATTACKER, HONEST):
        if sshd is None:
            make_folders(airlock, sender)
        keys[sender] = root / "keys" / sender
        new_key(keys[sender])
        public = keys[sender].with_suffix(".pub").read_text().strip()
        letters[sender] = desk.add_institution(sender, sender.title(), "sender", public)
    return Site(root, folder, airlock, letters, keys, sshd)


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a stock program."""
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
