"""AES-256 ZIP envelopes, made by any WinZip-compatible program and opened only through the strict directory reader.

An entry is authenticated to its last byte before one byte of it is decompressed, and no file is handed out before
all are. What AES-ZIP leaves open (names, appended entries, whole-archive integrity) the signed manifest closes.
"""

import hashlib
import hmac
import io
import sys
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence

import pyzipper
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pyzipper.zipfile_aes import AESZipInfo

from enclave.crypto.names import is_plain_name, is_plain_path
from enclave.crypto.secret import Secret
from enclave.crypto.zip_directory import STORED, Entry, Limits, read_directory
from enclave.errors import Halt, Rejected, explain
from enclave.model.drop import PlainFile

explain(
    "E_PASSPHRASE",
    "The container is sealed with another passphrase.",
    "Use the passphrase of the letter for this period and direction, and send a new drop.",
    nb=(
        "Filbeholderen er forseglet med en annen passfrase.",
        "Bruk passfrasen i brevet for denne perioden og retningen, og send en ny innsending.",
    ),
)
explain(
    "E_TAG",
    "The encrypted content was altered after it was sealed.",
    "Send the file again as it was sealed, in a new drop.",
    nb=(
        "Det krypterte innholdet er endret etter at det ble forseglet.",
        "Send filen på nytt slik den ble forseglet, i en ny innsending.",
    ),
)
explain("H_NO_PASSPHRASE", "A container was to be sealed without a passphrase.", "Set the recipient's passphrase.")

__all__ = ["Limits", "open_archive", "open_plain", "pack_plain", "seal_archive"]

SALT, VERIFICATION, TAG = 16, 2, 10
KEY = 32
ROUNDS = 1000
"""Fixed by the format; the passphrase's own entropy carries the strength."""
CHUNK_BLOCKS = 1 << 16
CHUNK = 16 * CHUNK_BLOCKS
"""Bytes that are opened at a time, so that a large member stands in memory sealed and open, and never a third time."""
NESTED_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
NEUTRAL_TIME = (1980, 1, 1, 0, 0, 0)
REGULAR_FILE = 0o100600 << 16


def open_archive(content: bytes, passphrase: Secret, limits: Limits) -> tuple[PlainFile, ...]:
    """The files of an AES-256 ZIP in the directory's order; Rejected unless every rule holds for every entry."""
    entries = read_directory(content, limits, encrypted=True)
    view = memoryview(content)
    keys = [_authenticate(view[entry.start : entry.end], passphrase) for entry in entries]
    return tuple(
        _file(entry, _decrypted(view[entry.start : entry.end], key), limits)
        for entry, key in zip(entries, keys, strict=True)
    )


def open_plain(content: bytes, limits: Limits) -> tuple[PlainFile, ...]:
    """The files of a ZIP without encryption, for use inside an envelope that has been authenticated already."""
    entries = read_directory(content, limits, encrypted=False)
    view = memoryview(content)
    return tuple(_file(entry, _chunks(view[entry.start : entry.end]), limits) for entry in entries)


def seal_archive(files: Sequence[PlainFile], passphrase: Secret) -> bytes:
    """An AES-256 ZIP of stored members with neutral times, which 7-Zip opens; sizes and names show from outside."""
    if not passphrase.reveal():
        raise Halt("H_NO_PASSPHRASE")
    target = io.BytesIO()
    with pyzipper.AESZipFile(target, "w", compression=pyzipper.ZIP_STORED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(passphrase.reveal())
        archive.setencryption(pyzipper.WZ_AES, nbits=256, force_wz_aes_version=2)
        for file in files:
            if not is_plain_name(file.name):
                raise ValueError("a member name outside the grammar")
            member = AESZipInfo(file.name, NEUTRAL_TIME)
            member.create_system = 3
            member.external_attr = REGULAR_FILE
            archive.writestr(member, file.content)
    return target.getvalue()


def pack_plain(files: Sequence[PlainFile]) -> bytes:
    """A stored ZIP without encryption, the same bytes for the same files; only for inside another envelope."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_STORED) as archive:
        for file in files:
            if not is_plain_path(file.name):
                raise ValueError("a member name outside the grammar")
            member = zipfile.ZipInfo(file.name, NEUTRAL_TIME)
            member.create_system = 3
            member.external_attr = REGULAR_FILE
            archive.writestr(member, file.content)
    return target.getvalue()


def _authenticate(data: memoryview, passphrase: Secret) -> Secret:
    """The key that opens an entry's data, once its ciphertext was found to carry the right tag."""
    derived = hashlib.pbkdf2_hmac("sha1", passphrase.reveal(), data[:SALT], ROUNDS, 2 * KEY + VERIFICATION)
    if not hmac.compare_digest(derived[2 * KEY :], data[SALT : SALT + VERIFICATION]):
        raise Rejected("E_PASSPHRASE")
    tag = hmac.new(derived[KEY : 2 * KEY], digestmod="sha1")
    for chunk in _chunks(data[SALT + VERIFICATION : -TAG]):
        tag.update(chunk)
    if not hmac.compare_digest(tag.digest()[:TAG], data[-TAG:]):
        raise Rejected("E_TAG")
    return Secret(derived[:KEY])


def _chunks(data: memoryview) -> Iterator[memoryview]:
    for first in range(0, len(data), CHUNK):
        yield data[first : first + CHUNK]


def _decrypted(data: memoryview, key: Secret) -> Iterator[bytes]:
    """AES-CTR with WinZip's little-endian counter from 1, which no library mode offers: ECB over the counters, XOR."""
    encryptor = Cipher(algorithms.AES(key.reveal()), modes.ECB()).encryptor()  # noqa: S305  # builds CTR, see above
    for number, chunk in enumerate(_chunks(data[SALT + VERIFICATION : -TAG])):
        first, blocks = number * CHUNK_BLOCKS + 1, -(-len(chunk) // 16)
        counters = array("Q", bytes(16 * blocks))
        counters[0::2] = array("Q", range(first, first + blocks))
        if sys.byteorder == "big":
            counters.byteswap()
        stream = encryptor.update(counters.tobytes())[: len(chunk)]
        mixed = int.from_bytes(chunk, "little") ^ int.from_bytes(stream, "little")
        yield mixed.to_bytes(len(chunk), "little")


def _file(entry: Entry, chunks: Iterable[bytes | memoryview], limits: Limits) -> PlainFile:
    """The member's content, which must be exactly as long as declared and end where its data ends."""
    content = _joined(chunks) if entry.method == STORED else _inflate(chunks, entry.size)
    if len(content) != entry.size or (entry.crc is not None and zlib.crc32(content) != entry.crc):
        raise Rejected("E_CONTAINER")
    may_be_zip = entry.name in limits.nested or entry.name.lower().endswith(".xlsx")
    if content.startswith(NESTED_SIGNATURES) and not may_be_zip:
        raise Rejected("E_NESTED")
    return PlainFile(entry.name, content)


def _joined(chunks: Iterable[bytes | memoryview]) -> bytes:
    content = io.BytesIO()
    for chunk in chunks:
        content.write(chunk)
    return content.getvalue()


def _inflate(chunks: Iterable[bytes | memoryview], size: int) -> bytes:
    """The content of a deflate stream; one byte more than declared ends the reading."""
    inflater, content = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    for chunk in chunks:
        try:
            content.write(inflater.decompress(chunk, size + 1 - content.tell()))
        except zlib.error:
            raise Rejected("E_CONTAINER") from None
        if content.tell() > size:
            raise Rejected("E_BOMB")
        if inflater.unused_data:
            raise Rejected("E_CONTAINER")
    if not inflater.eof:
        raise Rejected("E_CONTAINER")
    return content.getvalue()
