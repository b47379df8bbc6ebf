"""The extra fields of a ZIP header, and every reason why a container is not taken."""

import struct
from dataclasses import dataclass

from enclave.errors import Rejected, explain

_REMEDY = "Make the ZIP again with 7-Zip (format zip, AES-256, names of files only) and send a new drop."
_REMEDY_NB = "Lag ZIP-filen på nytt med 7-Zip (format zip, AES-256, bare filer uten mapper) og send en ny innsending."

explain(
    "E_CONTAINER",
    "The container's structure contradicts itself, or holds more than its files.",
    _REMEDY,
    nb=("Filbeholderen har en struktur som motsier seg selv, eller inneholder mer enn filene sine.", _REMEDY_NB),
)
explain(
    "E_TRUNC",
    "The container has no end: it was cut on the way.",
    "Send the whole file again in a new drop.",
    nb=("Filbeholderen mangler slutten: den er avkortet underveis.", "Send hele filen på nytt i en ny innsending."),
)
explain(
    "E_UNENCRYPTED",
    "The container holds a file that is not encrypted.",
    _REMEDY,
    nb=("Filbeholderen inneholder en fil som ikke er kryptert.", _REMEDY_NB),
)
explain(
    "E_ZIPCRYPTO",
    "The container is encrypted with ZipCrypto, which is broken.",
    _REMEDY,
    nb=("Filbeholderen er kryptert med ZipCrypto, som ikke er trygt.", _REMEDY_NB),
)
explain(
    "E_CIPHER",
    "The container is encrypted with a weaker cipher than AES-256.",
    _REMEDY,
    nb=("Filbeholderen er kryptert svakere enn AES-256.", _REMEDY_NB),
)
explain(
    "E_METHOD",
    "The container is compressed by a method other than deflate.",
    "Choose the compression method Deflate or Store, and send a new drop.",
    nb=("Filbeholderen er pakket med en annen metode enn Deflate.", "Velg Deflate eller Store og send på nytt."),
)
explain(
    "E_NOT_A_FILE",
    "The container holds a link, a folder or a device where a file should be.",
    _REMEDY,
    nb=("Filbeholderen inneholder en lenke, mappe eller enhet der det skal være en fil.", _REMEDY_NB),
)
explain(
    "E_NAME",
    "The container holds a file name outside the allowed signs, or one that means something else elsewhere.",
    "Name files with A–Z, a–z, 0–9, dot, hyphen and underscore only, at most 80 signs, without folders.",
    nb=(
        "Filbeholderen inneholder et filnavn med tegn eller navn som ikke er tillatt.",
        "Bruk bare A–Z, a–z, 0–9, punktum, bindestrek og understrek i filnavn, høyst 80 tegn, uten mapper.",
    ),
)
explain(
    "E_DUPLICATE_NAME",
    "The container holds two files of the same name.",
    "Give each file a name of its own and send a new drop.",
    nb=("Filbeholderen inneholder to filer med samme navn.", "Gi hver fil sitt eget navn og send på nytt."),
)
explain(
    "E_ENTRIES",
    "The container holds more files than are taken at once.",
    "Divide the files into several drops.",
    nb=("Filbeholderen inneholder flere filer enn vi tar imot på én gang.", "Fordel filene på flere innsendinger."),
)
explain(
    "E_BOMB",
    "The container would expand beyond what is taken.",
    "Divide the files into several drops; files are not padded with repetitions.",
    nb=("Filbeholderen ville blitt større utpakket enn det vi tar imot.", "Fordel filene på flere innsendinger."),
)
explain(
    "E_NESTED",
    "The container holds another container.",
    "Put the files themselves into the ZIP and send a new drop.",
    nb=("Filbeholderen inneholder en annen filbeholder.", "Legg filene selv i ZIP-filen og send på nytt."),
)

_ZIP64, _AES = 0x0001, 0x9901
_HARMLESS = frozenset({0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xA220})
"""NTFS times, Unix times and owners, Office's room to grow: they change nothing that is read.

A second name (0x7075) is not among them.
"""


@dataclass(frozen=True)
class Aes:
    """WinZip's AES extra field: version (1 with a CRC, 2 without), strength (3 = 256 bits), method under it."""

    version: int
    strength: int
    method: int


@dataclass(frozen=True)
class Extras:
    """What a header's extra field says that matters: 64-bit values in their order, and the encryption."""

    wide: tuple[int, ...]
    aes: Aes | None


def require(condition: bool) -> None:
    """Rejected E_CONTAINER unless the condition holds."""
    if not condition:
        raise Rejected("E_CONTAINER")


def read_extras(field: bytes) -> Extras:
    """The parts of an extra field, each at most once and filling it exactly; an unknown part is refused."""
    parts: dict[int, bytes] = {}
    while field:
        require(len(field) >= 4)
        identifier, length = struct.unpack_from("<HH", field)
        require(identifier not in parts and len(field) >= 4 + length)
        require(identifier in _HARMLESS or identifier in (_ZIP64, _AES))
        parts[identifier] = field[4 : 4 + length]
        field = field[4 + length :]
    wide = parts.get(_ZIP64, b"")
    require(len(wide) % 8 == 0)
    aes = _read_aes(parts[_AES]) if _AES in parts else None
    return Extras(struct.unpack(f"<{len(wide) // 8}Q", wide), aes)


def _read_aes(field: bytes) -> Aes:
    require(len(field) == 7)
    version, vendor, strength, method = struct.unpack("<H2sBH", field)
    require(version in (1, 2) and vendor == b"AE" and strength in (1, 2, 3))
    return Aes(version, strength, method)
