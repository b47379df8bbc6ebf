"""The airlock as a local folder, which the area's own import and export service fills and empties.

Every path is walked from the airlock's root by folder descriptors that follow no link, so a link planted anywhere
below the root leads nowhere.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from enclave import durable
from enclave.airlock.descriptors import FILE, FOLDER, exactly, identity, opened
from enclave.airlock.port import MOST_DELIVERED, MOST_FILES, MOST_INCOMING, MOST_LEVELS, Box, Entry, EntryKind, Incoming
from enclave.airlock.rules import institution_path, is_claimed, outgoing_name
from enclave.errors import Halt, Refused, Rejected


class FolderAirlock:
    """An airlock at `root`, a local folder with one folder per institution."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list_incoming(self, institution: str) -> tuple[Incoming, ...]:
        """What lies in `in/`, sorted by name, with the files of each folder."""
        with self._place(institution, "in") as place:
            entries = _entries(place, MOST_INCOMING)
            return tuple(self._incoming(place, entry) for entry in entries)

    def _incoming(self, place: int, entry: Entry) -> Incoming:
        return Incoming(entry.name, entry.kind, self._files(place, entry), entry.size, entry.modified)

    def _files(self, place: int, entry: Entry) -> tuple[Entry, ...]:
        if entry.kind is not EntryKind.FOLDER:
            return ()
        try:
            with opened(entry.name, FOLDER, place) as folder:
                return _entries(folder, MOST_FILES + 1)
        except OSError:
            return ()  # gone, changed or closed since it was listed: nothing to see yet

    def claim(self, institution: str, name: str, as_name: str) -> None:
        """Rename `in/NAME` to `in/AS_NAME`, durably."""
        with self._place(institution, "in") as place:
            if _entry(as_name, place) is not None:
                return
            try:
                os.rename(name, as_name, src_dir_fd=place, dst_dir_fd=place)
            except FileNotFoundError:
                raise Rejected("E_DROP_GONE") from None
            except OSError:
                raise Refused("R_AIRLOCK_ANSWER", place=institution) from None
            # A crash before this leaves the one name or the other, never both and never neither.
            os.fsync(place)

    def look(self, institution: str, name: str) -> Incoming | None:
        """What `in/NAME` is, with the files of a folder; None if there is no such name."""
        with self._place(institution, "in") as place:
            entry = _entry(name, place)
            return None if entry is None else self._incoming(place, entry)

    def read(self, institution: str, name: str, file: str, limit: int) -> bytes:
        """The content of `in/NAME/FILE`, read from one descriptor that is checked before and after."""
        with self._place(institution, "in") as place:
            try:
                with opened(name, FOLDER, place) as folder:
                    return _read(file, folder, limit)
            except OSError as why:
                raise _rejected(why) from None

    def read_loose(self, institution: str, name: str, limit: int) -> bytes:
        """The content of `in/NAME` itself, read from one descriptor that is checked before and after."""
        with self._place(institution, "in") as place:
            try:
                return _read(name, place, limit)
            except OSError as why:
                raise _rejected(why) from None

    def remove(self, institution: str, name: str) -> None:
        """Remove the claimed `in/NAME` and all in it, durably."""
        if not is_claimed(name):
            raise ValueError("only a claimed drop is removed")
        with self._place(institution, "in") as place:
            try:
                _remove(name, place)
            except OSError:
                raise Refused("R_AIRLOCK_ANSWER", place=institution) from None
            os.fsync(place)

    def put(self, institution: str, box: Box, name: str, content: bytes) -> str:
        """Place a file in `out/BOX/` and read it back."""
        wanted = hashlib.sha256(content).hexdigest()
        found = self.find_delivered(institution, box, name)
        if found is None:
            with self._place(institution, "out", box.value):
                # Walked without a link just now; whoever could plant one since runs the airlock.
                folder = self._root / institution_path(institution) / "out" / box.value
            try:
                with suppress(Halt):  # H_EXISTS: somebody was faster; whose it is shows in what is read back
                    durable.write_new(folder / outgoing_name(name), content, mode=0o640)
            except OSError:
                raise Refused("R_AIRLOCK_ANSWER", place=institution) from None
            found = self.find_delivered(institution, box, name)
        if found != wanted:
            raise Refused("R_DELIVERED_DIFFERS", place=institution)
        return wanted

    def find_delivered(self, institution: str, box: Box, name: str) -> str | None:
        """The SHA-256 of `out/BOX/NAME` or `fetched/NAME`; None if neither is there."""
        self._sweep(institution, box)
        for parts in (("out", box.value), ("fetched",)):
            with self._place(institution, *parts) as place:
                try:
                    return hashlib.sha256(_read(outgoing_name(name), place, MOST_DELIVERED)).hexdigest()
                except FileNotFoundError:
                    continue
                except (Rejected, OSError):
                    raise Refused("R_DELIVERED_DIFFERS", place=institution) from None
        return None

    def find_fetched(self, institution: str, names: Collection[str]) -> frozenset[str]:
        """Those of these names that lie as files in `fetched/`."""
        with self._place(institution, "fetched") as place:
            entries = (_entry(outgoing_name(name), place) for name in names)
            return frozenset(entry.name for entry in entries if entry is not None and entry.kind is EntryKind.FILE)

    def _sweep(self, institution: str, box: Box) -> None:
        """Remove what a put that was killed left: a temporary file, or a second name of a finished one.

        A file with two names is no file to us (`_kind`), so the finished one could not be read back before.
        """
        with self._place(institution, "out", box.value) as place:
            try:
                with os.scandir(place) as listing:
                    left = [found.name for found in listing if found.name.startswith(durable.TEMPORARY)]
                for name in left:
                    os.unlink(name, dir_fd=place)
            except OSError:
                raise Refused("R_AIRLOCK_ANSWER", place=institution) from None
            if left:
                os.fsync(place)

    @contextmanager
    def _place(self, institution: str, *parts: str) -> Iterator[int]:
        """A descriptor of one of an institution's folders, reached without following a link."""
        descriptor = -1
        try:
            descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in (institution_path(institution), *parts):
                parent, descriptor = descriptor, -1
                try:
                    descriptor = os.open(part, FOLDER, dir_fd=parent)
                finally:
                    os.close(parent)
        except OSError:
            raise Refused("R_AIRLOCK_FOLDER", place=institution) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _rejected(why: OSError) -> Rejected:
    if isinstance(why, FileNotFoundError):
        return Rejected("E_DROP_CONTENT")
    # ELOOP, ENOTDIR, ENXIO: a link, or something that is not what it was listed as.
    return Rejected("E_DROP_UNREADABLE" if isinstance(why, PermissionError) else "E_DROP_KIND")


def _entries(folder: int, most: int) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    with os.scandir(folder) as listing:
        for found in listing:
            entry = _entry(found.name, folder)
            if entry is not None:
                entries.append(entry)
            if len(entries) >= most:
                break
    return tuple(sorted(entries, key=lambda entry: os.fsencode(entry.name)))


def _kind(facts: os.stat_result) -> EntryKind:
    if stat.S_ISDIR(facts.st_mode):
        return EntryKind.FOLDER
    if stat.S_ISLNK(facts.st_mode):
        return EntryKind.LINK
    return EntryKind.FILE if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 else EntryKind.OTHER


def _entry(name: str, folder: int) -> Entry | None:
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Entry(name, _kind(facts), facts.st_size, int(facts.st_mtime))


def _read(name: str, folder: int, limit: int) -> bytes:
    with opened(name, FILE, folder) as descriptor:
        before = os.fstat(descriptor)
        if _kind(before) is not EntryKind.FILE:
            raise Rejected("E_DROP_KIND")
        if before.st_size > limit:
            raise Rejected("E_DROP_SIZE")
        content = exactly(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
        if len(content) != before.st_size or identity(before) != identity(after):
            raise Rejected("E_DROP_CHANGED")
        return content


def _remove(name: str, folder: int, levels: int = MOST_LEVELS) -> None:
    """Remove a name and what is below it; a crash here leaves a part, which the next call removes."""
    if levels == 0:
        raise OSError("deeper than anybody has a reason for")
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        with opened(name, FOLDER, folder) as below:
            with os.scandir(below) as listing:
                names = [found.name for found in listing]
            for below_name in names:
                _remove(below_name, below, levels - 1)
        os.rmdir(name, dir_fd=folder)
