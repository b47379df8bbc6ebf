"""A ZIP writer that can lie about everything: each field of each header can be set by hand.

It shares no code with the reader: AES comes from another library, the layout is written out again.
"""

import hashlib
import hmac
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from Cryptodome.Cipher import AES
from Cryptodome.Util import Counter

PASSPHRASE = b"ABCDE-FGHJK-LMNPQ-RSTUV-WXYZ2-3"
STORED, DEFLATED = 0, 8
LOCAL_KEYS = ("signature", "version", "flags", "method", "time", "date", "crc", "packed", "size", "nlen", "elen")
CENTRAL_KEYS = (
    *("signature", "made", "version", "flags", "method", "time", "date", "crc", "packed", "size"),
    *("nlen", "elen", "clen", "disk", "internal", "attributes", "offset"),
)
END_KEYS = ("signature", "disk", "first_disk", "count_here", "count", "size", "start", "comment_length")

Fields = Mapping[str, int | bytes]


@dataclass(frozen=True)
class Member:
    """One entry; `local` and `central` replace fields of the headers, the rest is honest."""

    name: bytes = b"arrival.csv"
    content: bytes = b"person_id;course_id\r\n1;2\r\n"
    method: int = STORED
    encrypted: bool = True
    ae_version: int = 2
    passphrase: bytes = PASSPHRASE
    packed_content: bytes | None = None
    size: int | None = None
    data: bytes | None = None
    descriptor: bytes | None = None
    descriptor_wide: bool = False
    zip64_local: bool = False
    zip64_central: bool = False
    before: bytes = b""
    aes_extra: bytes | None = None
    local_aes_extra: bytes | None = None
    more_local_extra: bytes = b""
    more_central_extra: bytes = b""
    central_name: bytes | None = None
    central_comment: bytes = b""
    local: Fields = field(default_factory=dict)
    central: Fields = field(default_factory=dict)


def deflate(content: bytes) -> bytes:
    """A raw deflate stream."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def aes_data(packed: bytes, passphrase: bytes) -> bytes:
    """Salt, verification value, ciphertext, tag; the salt follows from the rest, so that a test does not flicker."""
    salt = hashlib.sha256(passphrase + packed).digest()[:16]
    derived = hashlib.pbkdf2_hmac("sha1", passphrase, salt, 1000, 66)
    counter = Counter.new(128, little_endian=True, initial_value=1)
    ciphertext = AES.new(derived[:32], AES.MODE_CTR, counter=counter).encrypt(packed)
    return salt + derived[64:] + ciphertext + hmac.new(derived[32:64], ciphertext, "sha1").digest()[:10]


def aes_extra(version: int = 2, strength: int = 3, method: int = 0, vendor: bytes = b"AE") -> bytes:
    """WinZip's extra field."""
    return struct.pack("<HHH2sBH", 0x9901, 7, version, vendor, strength, method)


def build(
    *members: Member,
    suffix: bytes = b"",
    comment: bytes = b"",
    after_data: bytes = b"",
    in_directory: bytes = b"",
    wide: Fields | None = None,
    **ends: int,
) -> bytes:
    """The archive; `after_data` lies before the directory, `in_directory` at its end.

    `ends` replaces fields of the end record. With `wide` there are 64-bit end records too, honest but for
    the fields in it, and the short one is saturated.
    """
    body, directory = b"", b""
    for member in members:
        offset = len(body) + len(member.before)
        local, data, central = _headers(member, offset)
        body += member.before + local + data
        directory += central
    body += after_data
    directory += in_directory
    honest = {"count_here": len(members), "count": len(members), "size": len(directory), "start": len(body)}
    end = {"signature": b"PK\x05\x06", "disk": 0, "first_disk": 0, **honest, "comment_length": len(comment)}
    long_end = b""
    if wide is not None:
        long_end = _long_end(honest, len(body) + len(directory), wide)
        end |= {"count_here": 0xFFFF, "count": 0xFFFF, "size": 0xFFFFFFFF, "start": 0xFFFFFFFF}
    end |= ends
    return body + directory + long_end + struct.pack("<4s4H2IH", *(end[key] for key in END_KEYS)) + comment + suffix


def _long_end(honest: Fields, position: int, lies: Fields) -> bytes:
    record: dict[str, int | bytes] = {"signature": b"PK\x06\x06", "length": 44, "made": 45, "needed": 45, "disk": 0}
    record |= {"first_disk": 0, **honest}
    record |= {key: value for key, value in lies.items() if key in record}
    locator: dict[str, int | bytes] = {"locator": b"PK\x06\x07", "on_disk": 0, "at": position, "disks": 1}
    locator |= {key: value for key, value in lies.items() if key in locator}
    return struct.pack("<4sQ2H2I4Q", *record.values()) + struct.pack("<4sIQI", *locator.values())


def _headers(member: Member, offset: int) -> tuple[bytes, bytes, bytes]:
    packed = member.packed_content
    if packed is None:
        packed = deflate(member.content) if member.method == DEFLATED else member.content
    data = member.data
    if data is None:
        data = aes_data(packed, member.passphrase) if member.encrypted else packed
    size = len(member.content) if member.size is None else member.size
    crc = 0 if member.encrypted and member.ae_version == 2 else zlib.crc32(member.content)
    extra = b""
    if member.encrypted:
        extra = aes_extra(member.ae_version, 3, member.method) if member.aes_extra is None else member.aes_extra
    local_extra = extra if member.local_aes_extra is None else member.local_aes_extra
    common: dict[str, int | bytes] = {
        "version": 51,
        "flags": (1 if member.encrypted else 0) | (8 if member.descriptor is not None else 0),
        "method": 99 if member.encrypted else member.method,
        "time": 0,
        "date": 33,
        "crc": crc,
        "packed": len(data),
        "size": size,
    }
    local_values: dict[str, int | bytes] = {**common, "signature": b"PK\x03\x04", "nlen": len(member.name)}
    if member.zip64_local:
        local_extra = struct.pack("<HHQQ", 1, 16, size, len(data)) + local_extra
        local_values |= {"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF}
    if member.descriptor is not None:
        local_values |= {"crc": 0, "packed": 0, "size": 0}
    local_extra += member.more_local_extra
    local_values |= {"elen": len(local_extra), **member.local}
    central_extra = extra + member.more_central_extra
    name = member.name if member.central_name is None else member.central_name
    central_values: dict[str, int | bytes] = {
        **common,
        "signature": b"PK\x01\x02",
        "made": 0x033F,
        "nlen": len(name),
        "clen": len(member.central_comment),
        "disk": 0,
        "internal": 0,
        "attributes": 0o100644 << 16,
        "offset": offset,
    }
    if member.zip64_central:
        central_extra = struct.pack("<HHQQQ", 1, 24, size, len(data), offset) + central_extra
        central_values |= {"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF, "offset": 0xFFFFFFFF}
    central_values |= {"elen": len(central_extra), **member.central}
    local = struct.pack("<4s5H3I2H", *(local_values[key] for key in LOCAL_KEYS)) + member.name + local_extra
    central = struct.pack("<4s6H3I5H2I", *(central_values[key] for key in CENTRAL_KEYS))
    central += name + central_extra + member.central_comment
    if member.descriptor is not None:
        layout = "<IQQ" if member.descriptor_wide else "<3I"
        data += member.descriptor + struct.pack(layout, crc, len(data), size)
    return local, data, central
