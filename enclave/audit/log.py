"""The audit log as a file: one line for each act, appended under a lock and durable before `record` returns.

A folder holds `log.jsonl`, `checkpoints/SIZE`, `torn/` (bytes that a crash left after the last newline), `vkey` (the
keys that auditors verify checkpoints with), `bookmark` (where a start reads on), `lock`, and in `backups/` what each
backup held, which no line of the log depends on. Several processes may append: each takes the lock, reads what others
wrote since, and goes on from there. Damage is never repaired: it halts.
"""

import hashlib
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from enclave import durable
from enclave.audit import bookmark, checkpoint, signed_note
from enclave.audit.chain import CREATED, TORN_TAIL, Chain, key_digest
from enclave.audit.reading import read_on
from enclave.audit.record import FIRST_PREV, Entry, Phase, Position, StoredEntry, canonical
from enclave.crypto.secret import Secret
from enclave.errors import Halt, explain

explain(
    "H_LOG_WRITE",
    "The audit log cannot be written, so nothing may happen.",
    "Check disk space, the disk itself and the folder's rights; then start again.",
    nb=("Revisjonsloggen kan ikke skrives, så ingenting kan skje.", "Kontroller disk og rettigheter; start så igjen."),
)
explain(
    "H_LOG_POISONED",
    "An earlier write to the audit log failed in this process; what is on disk is not known.",
    "Stop the process and start it again; the log is then read anew from disk.",
    nb=("En tidligere skriving til revisjonsloggen feilet.", "Stopp prosessen og start den på nytt."),
)
explain(
    "H_CLOCK",
    "The clock has gone back by more than five minutes since the last line of the audit log.",
    "Set the clock right. If the last line was written with a wrong clock, `enclave recover` accepts the new time.",
    nb=(
        "Klokken har gått mer enn fem minutter tilbake siden siste linje i revisjonsloggen.",
        "Still klokken. Var det siste linje som var feil, godtar `enclave recover` den nye tiden.",
    ),
)
explain(
    "H_LOG_KEY",
    "The audit log names a signing key that this server never had: a checkpoint would vouch for it.",
    "Nothing was signed. Find out who wrote to audit/, then `enclave recover`: it begins another log.",
    nb=(
        "Revisjonsloggen nevner en signeringsnøkkel som denne serveren aldri har hatt.",
        "Ingenting ble signert. Finn ut hvem som skrev i audit/, og kjør `enclave recover`: den begynner en ny logg.",
    ),
)

CLOCK_TOLERANCE = timedelta(minutes=5)
CLOCK_ACCEPTED = "log.clock_accepted"
LOG, LOCK, VKEY, CHECKPOINTS, TORN, BOOKMARK = "log.jsonl", "lock", "vkey", "checkpoints", "torn", "bookmark"

Clock = Callable[[], datetime]


def create(folder: Path, server: str, public_key: bytes, clock: Clock) -> "FileLog":
    """Begin the log of a server; `public_key` is the 32-byte half of the key that will sign its checkpoints.

    A crash leaves a folder without `log.jsonl`, in which `create` begins anew; a log that exists is never replaced.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", server):
        raise Halt("H_LOG_MISSING", place="server")
    for needed in (folder, folder / CHECKPOINTS, folder / TORN):
        durable.make_folder(needed)
    if (folder / LOG).exists():
        raise Halt("H_EXISTS", place=LOG)
    entry = Entry(
        act=CREATED,
        phase=Phase.NOTE,
        actor="server",
        object_kind="server",
        object_id=server,
        digests={"vkey": key_digest(public_key)},
    )
    first = _stored(entry, str(uuid4()), 0, FIRST_PREV, clock())
    vkey = signed_note.vkey_of(f"enclave/{server}/{first.log}", public_key)
    durable.write(folder / VKEY, vkey.encode() + b"\n")
    durable.write_new(folder / LOG, canonical(first))
    return open_log(folder, clock)


def open_log(folder: Path, clock: Clock) -> "FileLog":
    """A log whose every line, key and newest checkpoint was verified; anything else halts, and nothing is repaired.

    Lines up to a signed bookmark were verified before; their bytes are compared with its digest.

    Only a torn last line, which a crash leaves, is moved to `torn/` and noted.
    """
    return FileLog(folder, clock)


class FileLog:
    """The in-process adapter of the `Audit` port; made by `create` and `open_log`."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._chain = Chain()
        self._inode = 0
        self._poisoned = False
        for needed in (LOG, VKEY):
            if not (folder / needed).exists():
                raise Halt("H_LOG_MISSING", place=needed)
        with self._locked():
            for swept in (folder, folder / CHECKPOINTS, folder / TORN):
                durable.sweep(swept)
            note = self._newest_note()
            signed = checkpoint.verify(note, self._vkey_text()) if note else None
            self._chain = self._bookmarked(signed) or Chain()
            self._read_on(signed)
            self._check_vkey()
            self._note_torn_tails()

    @property
    def log_id(self) -> str:
        """The log's own random id."""
        return self._first.log

    @property
    def began(self) -> datetime:
        """When the log's first line was written."""
        return datetime.fromisoformat(self._first.ts)

    @property
    def origin(self) -> str:
        """The name under which checkpoints of this log are signed."""
        return self._chain.origin

    @property
    def vkey(self) -> str:
        """The keys that checkpoints verify with, a line each: line 0 of the log names the first, notes the others."""
        self._check_vkey()
        return self._vkey_text()

    def record(self, entry: Entry) -> Position:
        """Append an entry; durable once this returns. Raises Halt, and nothing may happen, if it cannot be written."""
        with self._locked():
            self._read_on()
            if not self._chain.may_follow(entry):
                raise Halt("H_LOG_ORDER", place=entry.act)
            return self._append(entry)

    def entries(self, *acts: str) -> Iterator[StoredEntry]:
        """Every line, or those of some acts, oldest first, as it stands now."""
        # A line that names no act of interest is not parsed: most of a long log is other acts.
        named = [f'"act":"{act}"'.encode() for act in acts]
        for line in self.lines():
            if not acts or any(name in line for name in named):
                entry = StoredEntry.model_validate_json(line)
                if not acts or entry.act in acts:
                    yield entry

    def lines(self) -> Iterator[bytes]:
        """The bytes of every line, newline included, oldest first."""
        with self._locked():
            self._read_on()
        end = self._chain.offset
        with (self._folder / LOG).open("rb") as file:
            while file.tell() < end:
                yield file.readline()

    def unresolved(self, job: str, registry: str) -> list[StoredEntry]:
        """Intents of this job and registry without an outcome, oldest first; evidence decides what became of them."""
        with self._locked():
            self._read_on()
        return [found for found in self._chain.open_intents.values() if (found.job, found.registry) == (job, registry)]

    def head(self) -> tuple[int, bytes]:
        """How many lines there are, and the root over them."""
        with self._locked():
            self._read_on()
        return self._chain.size, self._chain.frontier.root()

    def halt(self) -> str:
        """The code of a halt that no recovery followed; "" where none stands."""
        with self._locked():
            self._read_on()
        return self._chain.halt

    def require(self, position: Position) -> None:
        """Halt unless the log reaches a position that a database refers to (a log restored from an old backup)."""
        if position.log_id == self.log_id and position.audit_seq >= self.head()[0]:
            raise Halt("H_LOG_SHORTER", place=f"seq {position.audit_seq}")

    def add_key(self, public_key: bytes) -> None:
        """Let checkpoints verify with a further key, which a line of the log names; again is no act."""
        with self._locked():
            self._read_on()
            vkey, line = self.vkey, signed_note.vkey_of(self.origin, public_key)
            if line not in vkey.split("\n"):
                if key_digest(public_key) not in self._chain.keys:
                    raise Halt("H_CHECKPOINT", place=VKEY)
                durable.write(self._folder / VKEY, f"{vkey}\n{line}\n".encode())

    def sign_checkpoint(self, *seeds: Secret, own: Collection[str] | None = None) -> bytes:
        """Sign the head and keep the note under its size; signing an unchanged head again gives the same bytes.

        With the seeds of two keys, while one replaces the other, it bears both signatures. With the digests of all
        keys that are the server's `own`, Halt H_LOG_KEY where a line under it names another.
        """
        with self._locked():
            self._read_on()
            # Under the lock: a line that is written just now is signed over only when it was judged.
            if own is not None and not self._chain.keys.issubset(own):
                raise Halt("H_LOG_KEY")
            size, root = self._chain.size, self._chain.frontier.root()
            note = checkpoint.sign(self.origin, size, root, *seeds)
            if not {signed_note.public_key_of(seed) for seed in seeds} <= set(signed_note.public_keys_in(self.vkey)):
                raise Halt("H_CHECKPOINT", place=VKEY)  # a seed that is not this log's key signs nothing
            path = self._folder / CHECKPOINTS / f"{size:012d}"
            if not path.exists():
                durable.write_new(path, note)
            self._keep_bookmark(seeds[0])
            return note

    def checkpoints(self) -> list[tuple[int, bytes]]:
        """Every size that was signed with its note, smallest first."""
        with self._locked():
            paths = sorted((self._folder / CHECKPOINTS).glob("[0-9]*"))
            return [(int(path.name), durable.read(path)) for path in paths]

    def newest_checkpoint(self) -> bytes | None:
        """The newest signed note over this log, or None before the first."""
        with self._locked():
            return self._newest_note()

    def _append(self, entry: Entry) -> Position:
        now = self._clock()
        last = self._chain.last
        if last and entry.act != CLOCK_ACCEPTED and now < datetime.fromisoformat(last.ts) - CLOCK_TOLERANCE:
            raise Halt("H_CLOCK")
        stored = _stored(entry, self.log_id, self._chain.size, self._chain.prev, now)
        line = canonical(stored)
        try:
            durable.append(self._folder / LOG, line)
        except OSError as error:
            # After a failed fdatasync the kernel calls the page clean; only a new process reads what is there.
            self._poisoned = True
            raise Halt("H_DISK_FULL" if durable.is_full(error) else "H_LOG_WRITE") from None
        self._chain.accept(stored, line)
        return stored.position

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._poisoned:
            raise Halt("H_LOG_POISONED")
        try:
            with durable.lock(self._folder / LOCK, wait=True):
                yield
        except OSError as error:
            raise Halt("H_DISK_FULL" if durable.is_full(error) else "H_LOG_WRITE") from None

    def _read_on(self, signed: checkpoint.Checkpoint | None = None) -> None:
        """Take the lines that others appended; the lock is held."""
        self._inode, tail = read_on(self._folder / LOG, self._chain, self._inode, signed)
        if tail:
            self._move_torn_tail(tail)

    def _bookmarked(self, signed: checkpoint.Checkpoint | None) -> Chain | None:
        """What the bookmark tells of the log, where it fits both the log and its newest checkpoint."""
        path = self._folder / BOOKMARK
        if signed is None or not path.exists():
            return None
        with durable.opened(self._folder / LOG) as file:
            chain = bookmark.chain_at(durable.read(path), file, self._vkey_text())
        if chain is None or chain.size > signed.size:
            return None
        return None if chain.size == signed.size and chain.frontier.root() != signed.root else chain

    def _keep_bookmark(self, seed: Secret) -> None:
        # A crash before this leaves the older bookmark, from which a start reads on.
        with durable.opened(self._folder / LOG) as file:
            made = bookmark.make(self._chain, file, seed, self.origin)
        if made is not None:
            durable.write(self._folder / BOOKMARK, made)

    def _move_torn_tail(self, tail: bytes) -> None:
        digest = hashlib.sha256(tail).hexdigest()
        durable.write(self._folder / TORN / f"{self._chain.size:012d}-{digest}", tail)
        # A crash here leaves the tail in both places: the next start writes the same file again.
        durable.shorten(self._folder / LOG, self._chain.offset)
        # A crash here leaves a kept tail without a note: the next start writes the note.
        self._note_torn_tails()

    def _note_torn_tails(self) -> None:
        for path in sorted((self._folder / TORN).glob("[0-9]*")):
            at, _, digest = path.name.partition("-")
            if (int(at), digest) in self._chain.noted_tails:
                continue
            self._append(
                Entry(
                    act=TORN_TAIL,
                    phase=Phase.NOTE,
                    actor="server",
                    object_kind="log",
                    counts={"at": int(at), "bytes": path.stat().st_size},
                    digests={"tail": digest},
                )
            )

    def _newest_note(self) -> bytes | None:
        names = sorted((self._folder / CHECKPOINTS).glob("[0-9]*"))
        return durable.read(names[-1]) if names else None

    def _check_vkey(self) -> None:
        first, *others = (key_digest(key) for key in signed_note.public_keys_in(self._vkey_text()))
        if first != self._first.digests.get("vkey") or not self._chain.keys.issuperset(others):
            raise Halt("H_CHECKPOINT", place=VKEY)

    def _vkey_text(self) -> str:
        return durable.read(self._folder / VKEY).decode("ascii", "replace").strip()

    @property
    def _first(self) -> StoredEntry:
        if self._chain.first is None:
            raise Halt("H_LOG_MISSING")
        return self._chain.first


def _stored(entry: Entry, log_id: str, seq: int, prev: str, now: datetime) -> StoredEntry:
    return StoredEntry(
        **entry.model_dump(),
        v=1,
        log=log_id,
        seq=seq,
        prev=prev,
        ts=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        boot=Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(),
        mono=time.monotonic_ns(),
    )
