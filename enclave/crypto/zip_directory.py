"""The strict reading of a ZIP's structure: what each entry says, and that nothing lies before, between or behind them.

Pure. The central directory is read first, then each local header must agree with it, and headers, data and
descriptors must fill the file without gap or overlap. Format: PKWARE APPNOTE 6.3; AES: WinZip AE-1 and AE-2.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from enclave.crypto.names import is_package_path, is_plain_name, is_plain_path
from enclave.crypto.zip_fields import Aes, Extras, read_extras, require
from enclave.errors import Rejected

ENCRYPTED, DESCRIPTOR = 0x0001, 0x0008
HARMLESS_FLAGS = 0x0006 | 0x0800
"""Deflate's speed, and names in UTF-8: both say nothing that changes what is read."""
STORED, DEFLATED, AES = 0, 8, 99
AES_OVERHEAD = 16 + 2 + 10
"""Salt, verification value and authentication tag around each AES-256 entry, in bytes."""

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_NEWEST_FORMAT = 63  # version 6.3 of PKWARE's APPNOTE (4.4.3): what needs a later one says something we do not know
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_LOCAL_SIGNATURE, _CENTRAL_SIGNATURE, _END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64_SIGNATURE, _LOCATOR_SIGNATURE, _DESCRIPTOR_SIGNATURE = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
_SATURATED_16, _SATURATED_32 = 0xFFFF, 0xFFFFFFFF
_FILE_TYPE, _REGULAR = 0o170000, 0o100000
_DOS_NOT_A_FILE = 0x08 | 0x10 | 0x400
"""Volume label, folder, reparse point."""


@dataclass(frozen=True)
class Limits:
    """What a container may hold: entries, bytes in total when opened, and how far one entry may expand.

    `ratio` counts above `ratio_from` bytes. `nested` are the only member names that may be ZIPs themselves (besides
    `.xlsx`); `folders` lets names have up to three parts; `package` takes the names of an Office file's parts.
    """

    entries: int = 64
    total: int = 4 << 30
    ratio: int = 200
    ratio_from: int = 1 << 20
    nested: frozenset[str] = frozenset()
    folders: bool = False
    package: bool = False


@dataclass(frozen=True, repr=False)
class Entry:
    """One member: its method under any encryption, its size when opened, and where its data lies.

    `crc` is None where the format has none to check (AE-2).
    """

    name: str
    method: int
    size: int
    crc: int | None
    start: int
    end: int


@dataclass(frozen=True, repr=False)
class _Header:
    """A central directory header, its 64-bit fields resolved."""

    raw_name: bytes
    flags: int
    method: int
    stamp: tuple[int, int]
    crc: int
    packed: int
    size: int
    offset: int
    aes: Aes | None
    attributes: int


def read_directory(content: bytes, limits: Limits, *, encrypted: bool) -> tuple[Entry, ...]:
    """Every entry in the directory's order, after all structure was checked; Rejected with a code of its own kind.

    With `encrypted` every entry must be AES-256, without it none may be encrypted.
    """
    count, directory, end = _find_directory(content)
    if count > limits.entries:
        raise Rejected("E_ENTRIES")
    headers = _read_headers(content, count, directory, end)
    for header in headers:
        _check_protection(header, encrypted=encrypted)
    _check_names(headers, limits)
    _check_sizes(headers, limits, encrypted=encrypted)
    starts = _check_layout(content, headers, directory)
    return tuple(_entry(header, start) for header, start in zip(headers, starts, strict=True))


def _find_directory(content: bytes) -> tuple[int, int, int]:
    """Number of entries, start and end of the central directory, which must be the last thing but its end records."""
    end = len(content) - _END.size
    if end < 0 or content[end : end + 4] != _END_SIGNATURE:
        whole = 0 <= content.rfind(_END_SIGNATURE) <= end
        raise Rejected("E_CONTAINER" if whole or not content.startswith(_LOCAL_SIGNATURE) else "E_TRUNC")
    _, disk, first_disk, count_here, count, size, start, comment = _END.unpack_from(content, end)
    require(disk == 0 and first_disk == 0 and count_here == count and comment == 0)
    locator = end - _LOCATOR.size
    if locator >= 0 and content[locator : locator + 4] == _LOCATOR_SIGNATURE:
        end = locator - _END64.size
        count, size, start = _read_end64(content, locator, (count, size, start))
    require(start + size == end and count > 0)
    return count, start, end


def _read_end64(content: bytes, locator: int, short: tuple[int, int, int]) -> tuple[int, int, int]:
    """The 64-bit end record, which must lie directly before its locator and agree with the short one."""
    position = locator - _END64.size
    require(position >= 0)
    _, disk, offset, disks = _LOCATOR.unpack_from(content, locator)
    signature, length, _, _, this_disk, first_disk, count_here, count, size, start = _END64.unpack_from(
        content, position
    )
    require(signature == _END64_SIGNATURE and length == _END64.size - 12 and offset == position)
    require(disk == 0 and disks <= 1 and this_disk == 0 and first_disk == 0 and count_here == count)
    for value, said, saturated in zip(
        (count, size, start), short, (_SATURATED_16, _SATURATED_32, _SATURATED_32), strict=True
    ):
        require(said in (value, saturated))
    return count, size, start


def _read_headers(content: bytes, count: int, position: int, end: int) -> list[_Header]:
    headers = []
    for _ in range(count):
        require(position + _CENTRAL.size <= end)
        fields = _CENTRAL.unpack_from(content, position)
        signature, _, needed, flags, method, time, date, crc, packed, size = fields[:10]
        name_length, extra_length, comment_length, disk, _, attributes, offset = fields[10:]
        require(signature == _CENTRAL_SIGNATURE and comment_length == 0 and disk == 0)
        require(needed & 0xFF <= _NEWEST_FORMAT)
        name_end = position + _CENTRAL.size + name_length
        require(name_end + extra_length <= end)
        extras = read_extras(content[name_end : name_end + extra_length])
        size, packed, offset = _resolve((size, packed, offset), extras)
        raw_name = content[position + _CENTRAL.size : name_end]
        headers.append(
            _Header(raw_name, flags, method, (time, date), crc, packed, size, offset, extras.aes, attributes)
        )
        position = name_end + extra_length
    require(position == end)
    return headers


def _resolve(values: Sequence[int], extras: Extras) -> list[int]:
    """The 64-bit values: exactly those that do not fit 32 bits stand in the extra field, in this order."""
    wide = list(extras.wide)
    resolved = []
    for value in values:
        require(value != _SATURATED_32 or bool(wide))
        resolved.append(wide.pop(0) if value == _SATURATED_32 else value)
    require(not wide)
    return resolved


def _check_protection(header: _Header, *, encrypted: bool) -> None:
    if not encrypted:
        require(not header.flags & ENCRYPTED and header.aes is None)
    elif not header.flags & ENCRYPTED:
        raise Rejected("E_UNENCRYPTED")
    elif header.method != AES:
        raise Rejected("E_ZIPCRYPTO")
    elif header.aes is None:
        raise Rejected("E_CONTAINER")
    elif header.aes.strength != 3:
        raise Rejected("E_CIPHER")
    require(not header.flags & ~(ENCRYPTED | DESCRIPTOR | HARMLESS_FLAGS))
    if _method(header) not in (STORED, DEFLATED):
        raise Rejected("E_METHOD")
    # AE-2 has no checksum; one that is there would tell about the content of a small file.
    require(header.aes is None or header.aes.version == 1 or header.crc == 0)
    unix_type = header.attributes >> 16 & _FILE_TYPE
    if unix_type not in (0, _REGULAR) or header.attributes & _DOS_NOT_A_FILE:
        raise Rejected("E_NOT_A_FILE")


def _check_names(headers: Sequence[_Header], limits: Limits) -> None:
    taken: set[str] = set()
    for header in headers:
        name = _name(header)
        if not _is_name(name, limits):
            raise Rejected("E_NAME")
        if name.lower() in taken:
            raise Rejected("E_DUPLICATE_NAME")
        if name.lower().endswith(".zip") and name not in limits.nested:
            raise Rejected("E_NESTED")
        taken.add(name.lower())
    folders = {"/".join(name.split("/")[:depth]) for name in taken for depth in (1, 2) if name.count("/") >= depth}
    if folders & taken:
        raise Rejected("E_DUPLICATE_NAME")


def _is_name(name: str, limits: Limits) -> bool:
    if limits.package:
        return is_package_path(name)
    return is_plain_path(name) if limits.folders else is_plain_name(name)


def _check_sizes(headers: Sequence[_Header], limits: Limits, *, encrypted: bool) -> None:
    overhead = AES_OVERHEAD if encrypted else 0
    for header in headers:
        net = header.packed - overhead
        if header.size > limits.ratio_from and header.size > limits.ratio * max(net, 1):
            raise Rejected("E_BOMB")
        # The shortest deflate stream, of nothing, has two bytes.
        require(net == header.size if _method(header) == STORED else net >= 2)
    if sum(header.size for header in headers) > limits.total:
        raise Rejected("E_BOMB")


def _check_layout(content: bytes, headers: Sequence[_Header], directory: int) -> list[int]:
    """Where each entry's data starts, once headers, data and descriptors fill [0, directory) exactly."""
    order = sorted(headers, key=lambda header: header.offset)
    bounds = [header.offset for header in order] + [directory]
    require(bounds[0] == 0)
    starts: dict[int, int] = {}
    for header, following in zip(order, bounds[1:], strict=True):
        start = _check_local(content, header, following)
        rest = content[start + header.packed : following]
        require(start + header.packed <= following)
        require(_is_descriptor(rest, header) if header.flags & DESCRIPTOR else not rest)
        starts[header.offset] = start
    return [starts[header.offset] for header in headers]


def _check_local(content: bytes, header: _Header, following: int) -> int:
    """Where the data starts behind a local header that says what the central one says."""
    require(header.offset + _LOCAL.size <= following)
    fields = _LOCAL.unpack_from(content, header.offset)
    signature, _, flags, method, time, date, crc, packed, size, name_length, extra_length = fields
    name_end = header.offset + _LOCAL.size + int(name_length)
    start = name_end + int(extra_length)
    require(signature == _LOCAL_SIGNATURE)
    extras = read_extras(content[name_end:start])
    size, packed = _resolve((size, packed), extras)
    require(content[header.offset + _LOCAL.size : name_end] == header.raw_name)
    require((flags, method, (time, date)) == (header.flags, header.method, header.stamp))
    require(extras.aes == header.aes)
    # With a descriptor behind the data, the writer did not know these yet and left zeros.
    unknown = (0,) if flags & DESCRIPTOR else ()
    require(crc in (header.crc, *unknown) and packed in (header.packed, *unknown) and size in (header.size, *unknown))
    return start


def _is_descriptor(rest: bytes, header: _Header) -> bool:
    for layout in ("<3I", "<IQQ"):
        if struct.calcsize(layout) >= 20 or max(header.packed, header.size) < 1 << 32:
            plain = struct.pack(layout, header.crc, header.packed, header.size)
            if rest in (plain, _DESCRIPTOR_SIGNATURE + plain):
                return True
    return False


def _entry(header: _Header, start: int) -> Entry:
    crc = None if header.aes is not None and header.aes.version == 2 else header.crc
    return Entry(_name(header), _method(header), header.size, crc, start, start + header.packed)


def _method(header: _Header) -> int:
    return header.method if header.aes is None else header.aes.method


def _name(header: _Header) -> str:
    # Bytes outside ASCII become a sign that no name grammar takes.
    return header.raw_name.decode("ascii", errors="replace")
