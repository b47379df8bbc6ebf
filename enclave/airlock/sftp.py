"""The airlock as an SFTP server that somebody else runs: outbound only, pinned host key, key login.

SFTP version 3 knows only paths, and opening one follows links. So each call looks at a path before and after it uses
it, and refuses what changed. What remains is a race that only an institution can enter, over its own folder: a link
swapped in at the right moment could make us read another's ciphertext, which no signature of its own fits, or remove
another's file that still waits. An airlock that lets institutions make no links (`internal-sftp -P symlink,hardlink`)
closes it.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self, TypeVar

from enclave.airlock.port import (
    MOST_DELIVERED,
    MOST_FILES,
    MOST_INCOMING,
    MOST_LEVELS,
    Box,
    Entry,
    EntryKind,
    Incoming,
)
from enclave.airlock.retry import Retry
from enclave.airlock.rules import institution_path, is_claimed, outgoing_name
from enclave.airlock.sftp_connection import NETWORK_FAULTS, Address, Connection, Timeouts
from enclave.airlock.sftp_messages import Answered, Attributes, Name, Open, Status
from enclave.airlock.sftp_wire import Session
from enclave.crypto.secret import Secret
from enclave.errors import Refused, Rejected

T = TypeVar("T")

_MOST_BELOW = 10_000  # names in one folder that a removal takes away in one call


class SftpAirlock:
    """An airlock behind SFTP. A context manager; connects when first used, and again when the connection broke."""

    def __init__(
        self, address: Address, login_key: Secret, *, timeouts: Timeouts | None = None, retry: Retry | None = None
    ) -> None:
        self._address = address
        self._retry = retry or Retry()
        self._connection = Connection(address, login_key, timeouts or Timeouts())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def list_incoming(self, institution: str) -> tuple[Incoming, ...]:
        """What lies in `in/`, sorted by name, with the files of each folder."""

        def listed(session: Session) -> tuple[Incoming, ...]:
            place = self._place(session, institution, "in")
            names = sorted(session.names(place, MOST_INCOMING), key=lambda name: name.name)
            return tuple(_incoming(session, place, name) for name in names)

        return self._carry_out(listed, institution)

    def claim(self, institution: str, name: str, as_name: str) -> None:
        """Rename `in/NAME` to `in/AS_NAME`."""

        def claimed(session: Session) -> None:
            place = self._place(session, institution, "in")
            old, new = place + b"/" + os.fsencode(name), place + b"/" + os.fsencode(as_name)
            if _lstat(session, new) is not None:
                return
            if _lstat(session, old) is None:
                raise Rejected("E_DROP_GONE")
            session.rename(old, new)

        self._carry_out(claimed, institution)

    def look(self, institution: str, name: str) -> Incoming | None:
        """What `in/NAME` is, with the files of a folder; None if there is no such name."""

        def looked(session: Session) -> Incoming | None:
            place = self._place(session, institution, "in")
            found = _lstat(session, place + b"/" + os.fsencode(name))
            if found is None:
                return None
            entry = Name(os.fsencode(name), 1, found)
            return _incoming(session, place, entry)

        return self._carry_out(looked, institution)

    def read(self, institution: str, name: str, file: str, limit: int) -> bytes:
        """The content of `in/NAME/FILE`, with the path looked at before and after."""

        def content(session: Session) -> bytes:
            folder = self._place(session, institution, "in") + b"/" + os.fsencode(name)
            if not stat.S_ISDIR(session.lstat(folder).mode):
                raise Rejected("E_DROP_KIND")
            return self._read(session, folder + b"/" + os.fsencode(file), limit)

        return self._carry_out(_rejecting(content), institution)

    def read_loose(self, institution: str, name: str, limit: int) -> bytes:
        """The content of `in/NAME` itself, with the path looked at before and after."""

        def content(session: Session) -> bytes:
            return self._read(session, self._place(session, institution, "in") + b"/" + os.fsencode(name), limit)

        return self._carry_out(_rejecting(content), institution)

    def remove(self, institution: str, name: str) -> None:
        """Remove the claimed `in/NAME` and all in it."""
        if not is_claimed(name):
            raise ValueError("only a claimed drop is removed")

        def removed(session: Session) -> None:
            path = self._place(session, institution, "in") + b"/" + os.fsencode(name)
            _remove(session, path, MOST_LEVELS)

        self._carry_out(removed, institution)

    def put(self, institution: str, box: Box, name: str, content: bytes) -> str:
        """Place a file in `out/BOX/` and read it back."""
        wanted = hashlib.sha256(content).hexdigest()
        final, part = os.fsencode(outgoing_name(name)), b"." + os.fsencode(name) + b".part"

        def placed(session: Session) -> str | None:
            found = self._delivered(session, institution, box, name)
            if found is not None:
                return found
            place = self._place(session, institution, "out", box.value)
            handle = _open_new(session, place + b"/" + part)
            session.write(handle, content)
            session.fsync(handle)
            session.close(handle)
            # A break before this leaves `.NAME.part`, which the next attempt removes; after it, the finished file.
            session.replace(place + b"/" + part, place + b"/" + final)
            return self._delivered(session, institution, box, name)

        if self._carry_out(placed, institution, size=len(content)) != wanted:
            raise Refused("R_DELIVERED_DIFFERS", place=institution)
        return wanted

    def find_delivered(self, institution: str, box: Box, name: str) -> str | None:
        """The SHA-256 of `out/BOX/NAME` or `fetched/NAME`; None if neither is there."""

        def found(session: Session) -> str | None:
            return self._delivered(session, institution, box, name)

        return self._carry_out(found, institution)

    def find_fetched(self, institution: str, names: Collection[str]) -> frozenset[str]:
        """Those of these names that lie as files in `fetched/`."""

        def found(session: Session) -> frozenset[str]:
            place = self._place(session, institution, "fetched")
            looked = {name: _lstat(session, place + b"/" + os.fsencode(outgoing_name(name))) for name in names}
            return frozenset(name for name, facts in looked.items() if facts is not None and _is_file(facts))

        return self._carry_out(found, institution)

    def _delivered(self, session: Session, institution: str, box: Box, name: str) -> str | None:
        for parts in (("out", box.value), ("fetched",)):
            path = self._place(session, institution, *parts) + b"/" + os.fsencode(outgoing_name(name))
            try:
                return hashlib.sha256(self._read(session, path, MOST_DELIVERED)).hexdigest()
            except Answered as answer:
                if answer.status != Status.NOT_THERE:
                    raise
            except Rejected:
                raise Refused("R_DELIVERED_DIFFERS", place=institution) from None
        return None

    def _read(self, session: Session, path: bytes, limit: int) -> bytes:
        before = session.lstat(path)
        if not _is_file(before):
            raise Rejected("E_DROP_KIND")
        if before.size > limit:
            raise Rejected("E_DROP_SIZE")
        self._connection.allow(before.size)
        handle = session.open(path, Open.READ)
        opened = session.fstat(handle)
        content = session.read(handle, before.size) if opened == before else b""
        closing = session.fstat(handle)
        session.close(handle)
        if len(content) != before.size or not opened == before == closing == session.lstat(path):
            raise Rejected("E_DROP_CHANGED")
        return content

    def _place(self, session: Session, institution: str, *parts: str) -> bytes:
        """The path of one of an institution's folders, each step of which is a folder and not a link."""
        path = os.fsencode(self._address.root).rstrip(b"/")
        for part in (institution_path(institution), *parts):
            path += b"/" + os.fsencode(part)
            try:
                mode = session.lstat(path).mode
            except Answered:
                raise Refused("R_AIRLOCK_FOLDER", place=institution) from None
            if not stat.S_ISDIR(mode):
                raise Refused("R_AIRLOCK_FOLDER", place=institution)
        return path

    def _carry_out(self, call: Callable[[Session], T], institution: str, *, size: int = 0) -> T:
        """Do a call that may be repeated, again after each break of the connection as `Retry` allows."""
        waits = self._retry.waits()
        while True:
            try:
                with self._connection.session(size) as session:
                    return call(session)
            except Answered:
                raise Refused("R_AIRLOCK_ANSWER", place=institution) from None
            except NETWORK_FAULTS:
                self._connection.close()
                wait = next(waits, None)
                if wait is None:
                    raise Refused("R_AIRLOCK_AWAY", place=self._address.host) from None
                self._retry.sleep(wait)


def _rejecting(content: Callable[[Session], bytes]) -> Callable[[Session], bytes]:
    """The same call, with what a sender left unreadable told as the drop's fault and not the line's."""

    def read(session: Session) -> bytes:
        try:
            return content(session)
        except Answered as answer:
            if answer.status == Status.NOT_THERE:
                raise Rejected("E_DROP_CONTENT") from None
            if answer.status == Status.DENIED:
                raise Rejected("E_DROP_UNREADABLE") from None
            raise

    return read


def _incoming(session: Session, place: bytes, name: Name) -> Incoming:
    facts = name.attributes
    return Incoming(os.fsdecode(name.name), _kind(name), _files(session, place, name), facts.size, facts.modified)


def _files(session: Session, place: bytes, folder: Name) -> tuple[Entry, ...]:
    if _kind(folder) is not EntryKind.FOLDER:
        return ()
    try:
        names = session.names(place + b"/" + folder.name, MOST_FILES + 1)
    except Answered:
        return ()  # gone, changed or closed since it was listed: nothing to see yet
    return tuple(
        Entry(os.fsdecode(name.name), _kind(name), name.attributes.size, name.attributes.modified)
        for name in sorted(names, key=lambda name: name.name)
    )


def _kind(name: Name) -> EntryKind:
    mode = name.attributes.mode
    if mode < 0:
        return EntryKind.OTHER
    if stat.S_ISDIR(mode):
        return EntryKind.FOLDER
    if stat.S_ISLNK(mode):
        return EntryKind.LINK
    return EntryKind.FILE if stat.S_ISREG(mode) and name.links == 1 and name.attributes.size >= 0 else EntryKind.OTHER


def _lstat(session: Session, path: bytes) -> Attributes | None:
    try:
        return session.lstat(path)
    except Answered as answer:
        if answer.status != Status.NOT_THERE:
            raise
        return None


def _is_file(attributes: Attributes) -> bool:
    return attributes.mode >= 0 and stat.S_ISREG(attributes.mode) and attributes.size >= 0


def _open_new(session: Session, path: bytes) -> bytes:
    """A handle of a file that nobody had before: what an earlier attempt, or a planted link, left there is removed."""
    try:
        return session.open(path, Open.NEW)
    except Answered as answer:
        if answer.status != Status.FAILURE:
            raise
    session.remove(path)
    return session.open(path, Open.NEW)


def _remove(session: Session, path: bytes, levels: int) -> None:
    """Remove a path and what is below it; a break here leaves a part, which the next call removes."""
    facts = _lstat(session, path)
    if facts is None:
        return
    if facts.mode < 0 or not stat.S_ISDIR(facts.mode):
        session.remove(path)
        return
    if levels == 0:
        raise Answered(Status.FAILURE)
    for name in session.names(path, _MOST_BELOW):
        _remove(session, path + b"/" + name.name, levels - 1)
    session.rmdir(path)
