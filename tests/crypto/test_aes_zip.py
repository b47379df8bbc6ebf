"""AES-ZIP envelopes: what honest programs make is opened, and every lie that a ZIP can tell is refused."""

import io
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import pyzipper
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.crypto.aes_zip import Limits, open_archive, open_plain, pack_plain, seal_archive
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected
from enclave.model.drop import PlainFile
from tests.crypto import zip_writer
from tests.crypto.zip_writer import DEFLATED, PASSPHRASE, STORED, Member, aes_data, aes_extra, build, deflate

SECRET = Secret(PASSPHRASE)
LIMITS = Limits()
HONEST = Member()
ROWS = b"person_id;course_id\r\n" + b"".join(b"%d;%d\r\n" % (n, n * 7) for n in range(500))


def opened(archive: bytes, limits: Limits = LIMITS) -> list[tuple[str, bytes]]:
    """Names and contents of an archive that must open."""
    return [(file.name, file.content) for file in open_archive(archive, SECRET, limits)]


def code_of(archive: bytes, limits: Limits = LIMITS) -> str:
    """The code by which an archive is refused."""
    with pytest.raises(Rejected) as caught:
        open_archive(archive, SECRET, limits)
    return caught.value.code


@pytest.mark.parametrize("method", ["Copy", "Deflate"])
def test_opens_what_7zip_seals(tmp_path: Path, method: str) -> None:
    """An archive that 7-Zip made, stored or deflated, gives its files unchanged."""
    (tmp_path / "arrival.csv").write_bytes(ROWS)
    (tmp_path / "manifest.json").write_bytes(b"{}")
    archive = tmp_path / "payload.zip"
    options = ["-tzip", "-mem=AES256", f"-mm={method}", f"-p{PASSPHRASE.decode()}"]
    names = ["arrival.csv", "manifest.json"]
    subprocess.run(["7z", "a", *options, archive, *names], cwd=tmp_path, check=True, capture_output=True)
    assert sorted(opened(archive.read_bytes())) == [("arrival.csv", ROWS), ("manifest.json", b"{}")]


def test_7zip_opens_what_we_seal(tmp_path: Path) -> None:
    """What is sealed here is tested and extracted by 7-Zip, byte for byte."""
    files = [PlainFile("arrival.csv", ROWS), PlainFile("empty.csv", b""), PlainFile("innhold.bin", bytes(70_000))]
    archive = tmp_path / "bundle.zip"
    archive.write_bytes(seal_archive(files, SECRET))
    password = f"-p{PASSPHRASE.decode()}"
    subprocess.run(["7z", "t", password, archive], check=True, capture_output=True)
    subprocess.run(["7z", "x", password, f"-o{tmp_path / 'out'}", archive], check=True, capture_output=True)
    for file in files:
        assert (tmp_path / "out" / file.name).read_bytes() == file.content


def test_opens_its_own() -> None:
    """Sealing and opening gives the same files in the same order."""
    files = [PlainFile("b.csv", b"2"), PlainFile("a.csv", ROWS), PlainFile("empty.csv", b"")]
    sealed = seal_archive(files, SECRET)
    assert opened(sealed) == [(file.name, file.content) for file in files]


def test_names_no_time_and_shows_no_checksum() -> None:
    """A sealed archive carries 1980-01-01 as every time and no CRC of any content."""
    sealed = seal_archive([PlainFile("a.csv", ROWS)], SECRET)
    with pyzipper.AESZipFile(io.BytesIO(sealed)) as archive:
        (info,) = archive.infolist()
    assert info.date_time == (1980, 1, 1, 0, 0, 0)
    assert info.CRC == 0
    assert zlib.crc32(ROWS).to_bytes(4, "little") not in sealed


def test_is_not_sealed_without_passphrase() -> None:
    """An empty passphrase halts instead of sealing."""
    with pytest.raises(Halt, match="H_NO_PASSPHRASE"):
        seal_archive([PlainFile("a.csv", b"")], Secret(b""))


def test_seals_no_name_that_it_would_not_open() -> None:
    """A member name outside the grammar is our mistake and is not sealed."""
    with pytest.raises(ValueError, match="grammar"):
        seal_archive([PlainFile("../a.csv", b"")], SECRET)
    with pytest.raises(ValueError, match="grammar"):
        pack_plain([PlainFile("../a.csv", b"")])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_opens_both_ae_versions(version: int, method: int) -> None:
    """AE-1 with a right CRC and AE-2 without one are both opened, across counter chunks."""
    content = ROWS * 220
    member = Member(content=content, ae_version=version, method=method)
    assert opened(build(member)) == [("arrival.csv", content)]


HONEST_LAYOUTS = {
    "descriptor": Member(descriptor=b""),
    "descriptor with signature": Member(descriptor=b"PK\x07\x08"),
    "descriptor of AE-1": Member(descriptor=b"PK\x07\x08", ae_version=1),
    "wide descriptor": Member(descriptor=b"PK\x07\x08", descriptor_wide=True),
    "zip64 in the local header": Member(zip64_local=True),
    "zip64 in both headers": Member(zip64_local=True, zip64_central=True),
    "NTFS times in the central header": Member(more_central_extra=struct.pack("<HH", 10, 32) + bytes(32)),
    "Unix times": Member(more_local_extra=struct.pack("<HHBI", 0x5455, 5, 1, 0)),
    "deflate speed and UTF-8 flags": Member(local={"flags": 0x807}, central={"flags": 0x807}),
    "empty file": Member(content=b""),
    "empty deflated file": Member(content=b"", method=DEFLATED),
}


@pytest.mark.parametrize("member", HONEST_LAYOUTS.values(), ids=HONEST_LAYOUTS.keys())
def test_opens_honest_layouts(member: Member) -> None:
    """Layouts that honest programs write are opened, first and last in an archive."""
    second = replace(HONEST, name=b"follow_up_12.csv")
    assert opened(build(member, second)) == [("arrival.csv", member.content), ("follow_up_12.csv", HONEST.content)]
    assert opened(build(second, member))[1] == ("arrival.csv", member.content)


def test_opens_honest_zip64_end_records() -> None:
    """An archive with 64-bit end records that agree is opened."""
    assert opened(build(HONEST, wide={})) == [("arrival.csv", HONEST.content)]
    assert opened(build(HONEST, wide={}, count=1, count_here=1)) == [("arrival.csv", HONEST.content)]


def test_order_of_the_directory_may_differ_from_the_file() -> None:
    """Entries come in the directory's order, wherever they lie."""
    archive = build(replace(HONEST, name=b"b.csv"), replace(HONEST, name=b"a.csv"))
    *_, size, start, _ = struct.unpack("<4s4H2IH", archive[-22:])
    directory = archive[start : start + size]
    half = size // 2
    assert [name for name, _ in opened(archive[:start] + directory[half:] + directory[:half] + archive[-22:])] == [
        "a.csv",
        "b.csv",
    ]


def swapped_tag(content: bytes = b"1;2\r\n") -> bytes:
    """The data of an entry whose tag has one bit wrong."""
    data = bytearray(aes_data(content, PASSPHRASE))
    data[-1] ^= 1
    return bytes(data)


BOMB = bytes(3 << 20)
PACKER = zlib.compressobj(9, zlib.DEFLATED, -15)
UNFINISHED = PACKER.compress(HONEST.content) + PACKER.flush(zlib.Z_SYNC_FLUSH)
OTHER = replace(HONEST, name=b"follow_up_12.csv")


def one_local_header_read_twice() -> bytes:
    """Two central entries that point at one local header (the overlap of CVE-2024-0450)."""
    data = aes_data(HONEST.content, PASSPHRASE)
    first = build(replace(HONEST, data=data))
    *_, size, start, _ = struct.unpack("<4s4H2IH", first[-22:])
    entry = first[start : start + size]
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, 2 * size, start, 0)
    return first[:start] + entry + entry.replace(b"arrival.csv", b"arrivel.csv") + end


def entry_inside_another() -> bytes:
    """A whole second entry inside the authenticated data of the first, as one who knows the passphrase can place it."""
    inner = build(OTHER)
    *_, size, start, _ = struct.unpack("<4s4H2IH", inner[-22:])
    outer = replace(HONEST, content=inner[:start], encrypted=False)
    archive = build(outer)
    position = archive.index(inner[:start])
    *_, outer_size, outer_start, _ = struct.unpack("<4s4H2IH", archive[-22:])
    entry = bytearray(inner[start : start + size])
    entry[42:46] = struct.pack("<I", position)
    directory = archive[outer_start : outer_start + outer_size] + bytes(entry)
    return (
        archive[:outer_start]
        + directory
        + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), outer_start, 0)
    )


ATTACKS: dict[str, tuple[bytes, str]] = {
    "plain entry appended": (build(HONEST, replace(OTHER, encrypted=False)), "E_UNENCRYPTED"),
    "plain entry first": (build(replace(OTHER, encrypted=False), HONEST), "E_UNENCRYPTED"),
    "flag cleared in both headers": (build(Member(local={"flags": 0}, central={"flags": 0})), "E_UNENCRYPTED"),
    "flag cleared in the local header": (build(Member(local={"flags": 0})), "E_CONTAINER"),
    "ZipCrypto": (
        build(Member(aes_extra=b"", local={"method": 0}, central={"method": 0})),
        "E_ZIPCRYPTO",
    ),
    "AES without its extra field": (build(Member(aes_extra=b"")), "E_CONTAINER"),
    "AES-128": (build(Member(aes_extra=aes_extra(strength=1))), "E_CIPHER"),
    "AES-192": (build(Member(aes_extra=aes_extra(strength=2))), "E_CIPHER"),
    "unknown strength": (build(Member(aes_extra=aes_extra(strength=4))), "E_CONTAINER"),
    "a format of tomorrow": (build(Member(central={"version": 64})), "E_CONTAINER"),
    "unknown AE version": (build(Member(aes_extra=aes_extra(version=3))), "E_CONTAINER"),
    "unknown AE version of an empty file": (build(Member(content=b"", aes_extra=aes_extra(version=3))), "E_CONTAINER"),
    "other vendor": (build(Member(aes_extra=aes_extra(vendor=b"XX"))), "E_CONTAINER"),
    "AES field too long": (build(Member(aes_extra=struct.pack("<HH", 0x9901, 8) + bytes(8))), "E_CONTAINER"),
    "AES field twice": (build(Member(aes_extra=aes_extra() * 2)), "E_CONTAINER"),
    "AES field differs in the local header": (
        build(Member(local_aes_extra=aes_extra(method=DEFLATED))),
        "E_CONTAINER",
    ),
    "AE-1 in the local, AE-2 in the central header": (
        build(Member(local_aes_extra=aes_extra(version=1))),
        "E_CONTAINER",
    ),
    "AE-2 that shows a CRC": (
        build(Member(local={"crc": 5}, central={"crc": 5})),
        "E_CONTAINER",
    ),
    "AE-1 with a wrong CRC": (
        build(Member(ae_version=1, local={"crc": 5}, central={"crc": 5})),
        "E_CONTAINER",
    ),
    "bzip2 under AES": (build(Member(aes_extra=aes_extra(method=12))), "E_METHOD"),
    "LZMA under AES": (build(Member(aes_extra=aes_extra(method=14))), "E_METHOD"),
    "AES under AES": (build(Member(aes_extra=aes_extra(method=99))), "E_METHOD"),
    "strong encryption flag": (build(Member(local={"flags": 0x41}, central={"flags": 0x41})), "E_CONTAINER"),
    "masked headers flag": (build(Member(local={"flags": 0x2001}, central={"flags": 0x2001})), "E_CONTAINER"),
    "patch flag": (build(Member(local={"flags": 0x21}, central={"flags": 0x21})), "E_CONTAINER"),
    "same name twice": (build(HONEST, HONEST), "E_DUPLICATE_NAME"),
    "same name in other case": (build(HONEST, replace(HONEST, name=b"ARRIVAL.csv")), "E_DUPLICATE_NAME"),
    "one local header read twice": (one_local_header_read_twice(), "E_CONTAINER"),
    "entry inside another's data": (entry_inside_another(), "E_UNENCRYPTED"),
    "bytes before the first entry": (build(replace(HONEST, before=b"MZ")), "E_CONTAINER"),
    "bytes before the first entry, offset honest": (b"#!" + build(HONEST), "E_CONTAINER"),
    "bytes between entries": (build(HONEST, replace(OTHER, before=b"x")), "E_CONTAINER"),
    "bytes between the last entry and the directory": (build(HONEST, after_data=b"x"), "E_CONTAINER"),
    "bytes after the end": (build(HONEST, suffix=b"x"), "E_CONTAINER"),
    "second archive after the end": (build(HONEST) + build(OTHER), "E_CONTAINER"),
    "archive comment": (build(HONEST, comment=b"hello"), "E_CONTAINER"),
    "entry comment": (build(Member(central_comment=b"hello")), "E_CONTAINER"),
    "local name differs": (build(Member(central_name=b"arrivel.csv")), "E_CONTAINER"),
    "local name longer": (build(Member(central_name=b"arrival.cs")), "E_CONTAINER"),
    "local checksum where there is none": (build(Member(local={"crc": 5})), "E_CONTAINER"),
    "local size differs": (build(Member(local={"size": 7})), "E_CONTAINER"),
    "local packed size differs": (build(Member(local={"packed": 7})), "E_CONTAINER"),
    "local method differs": (build(Member(local={"method": 8})), "E_CONTAINER"),
    "local time differs": (build(Member(local={"time": 8})), "E_CONTAINER"),
    "local signature wrong": (build(Member(local={"signature": b"PK\x03\x05"})), "E_CONTAINER"),
    "local size zero without a descriptor": (build(Member(local={"size": 0})), "E_CONTAINER"),
    "lying descriptor": (build(Member(descriptor=b"PK\x07\x09")), "E_CONTAINER"),
    "descriptor bytes without its flag": (
        build(Member(descriptor=b"", local={"flags": 1}, central={"flags": 1})),
        "E_CONTAINER",
    ),
    "descriptor flag without a descriptor": (
        build(Member(local={"flags": 9}, central={"flags": 9})),
        "E_CONTAINER",
    ),
    "stored size too small": (build(Member(size=3)), "E_CONTAINER"),
    "stored size too large": (build(Member(size=300)), "E_CONTAINER"),
    "packed size shorter than AES needs": (build(Member(data=bytes(27), size=0)), "E_CONTAINER"),
    "packed size beyond the file": (
        build(Member(local={"packed": 9999, "size": 9971}, central={"packed": 9999, "size": 9971})),
        "E_CONTAINER",
    ),
    "deflate of fewer bytes than declared": (build(Member(method=DEFLATED, size=200)), "E_CONTAINER"),
    "deflate of more bytes than declared": (build(Member(method=DEFLATED, size=3)), "E_BOMB"),
    "bytes behind the deflate stream": (
        build(Member(method=DEFLATED, packed_content=deflate(HONEST.content) + b"hidden")),
        "E_CONTAINER",
    ),
    "deflate stream without an end": (
        build(Member(method=DEFLATED, packed_content=deflate(HONEST.content)[:-2])),
        "E_CONTAINER",
    ),
    "whole content, but no final block": (
        build(Member(method=DEFLATED, packed_content=UNFINISHED)),
        "E_CONTAINER",
    ),
    "not a deflate stream": (build(Member(method=DEFLATED, packed_content=b"\xff" * 30)), "E_CONTAINER"),
    "bomb that declares its size": (build(Member(method=DEFLATED, content=BOMB)), "E_BOMB"),
    "bomb that lies about its size": (build(Member(method=DEFLATED, content=BOMB, size=900_000)), "E_BOMB"),
    "wrong tag": (build(Member(data=swapped_tag(), size=5)), "E_TAG"),
    "second entry under another passphrase": (build(HONEST, replace(OTHER, passphrase=b"x" * 30)), "E_PASSPHRASE"),
    "symbolic link": (build(Member(central={"attributes": 0o120777 << 16})), "E_NOT_A_FILE"),
    "FIFO": (build(Member(central={"attributes": 0o010644 << 16})), "E_NOT_A_FILE"),
    "device": (build(Member(central={"attributes": 0o060644 << 16})), "E_NOT_A_FILE"),
    "folder by its Unix mode": (build(Member(central={"attributes": 0o040755 << 16})), "E_NOT_A_FILE"),
    "folder by its DOS attribute": (build(Member(central={"attributes": 0x10})), "E_NOT_A_FILE"),
    "reparse point": (build(Member(central={"attributes": 0x400})), "E_NOT_A_FILE"),
    "nested by name": (build(replace(HONEST, name=b"more.zip")), "E_NESTED"),
    "nested by name in capitals": (build(replace(HONEST, name=b"more.ZIP")), "E_NESTED"),
    "nested under another name": (build(replace(HONEST, content=build(OTHER))), "E_NESTED"),
    "empty nested under another name": (build(replace(HONEST, content=build())), "E_NESTED"),
    "no entries": (build(), "E_CONTAINER"),
    "65 entries": (build(*(replace(HONEST, name=b"f%d.csv" % n, content=b"") for n in range(65))), "E_ENTRIES"),
    "more entries declared than there are": (build(HONEST, count=2, count_here=2), "E_CONTAINER"),
    "fewer entries declared than there are": (build(HONEST, OTHER, count=1, count_here=1), "E_CONTAINER"),
    "counts that differ": (build(HONEST, count_here=2), "E_CONTAINER"),
    "65535 entries declared": (build(HONEST, count=65535, count_here=65535), "E_ENTRIES"),
    "directory elsewhere": (build(HONEST, start=0), "E_CONTAINER"),
    "directory of another size": (build(HONEST, size=3), "E_CONTAINER"),
    "bytes inside the directory": (build(HONEST, in_directory=b"x"), "E_CONTAINER"),
    "second disk": (build(HONEST, disk=1), "E_CONTAINER"),
    "directory on a second disk": (build(HONEST, first_disk=1), "E_CONTAINER"),
    "comment declared but absent": (build(HONEST, comment_length=5), "E_CONTAINER"),
    "entry on another disk": (build(Member(central={"disk": 1})), "E_CONTAINER"),
    "central signature wrong": (build(Member(central={"signature": b"PK\x01\x03"})), "E_CONTAINER"),
    "saturated size without zip64": (build(Member(central={"size": 0xFFFFFFFF})), "E_CONTAINER"),
    "zip64 field that nothing needs": (
        build(Member(more_central_extra=struct.pack("<HHQ", 1, 8, 5))),
        "E_CONTAINER",
    ),
    "zip64 field of odd length": (build(Member(more_central_extra=struct.pack("<HH", 1, 7) + bytes(7))), "E_CONTAINER"),
    "short end record that contradicts the long one": (build(HONEST, wide={}, start=5), "E_CONTAINER"),
    "saturated end record without a long one": (build(HONEST, start=0xFFFFFFFF), "E_CONTAINER"),
    "long end record without its signature": (build(HONEST, wide={"signature": b"PK\x06\x05"}), "E_CONTAINER"),
    "long end record of another length": (build(HONEST, wide={"length": 45}), "E_CONTAINER"),
    "long end record on another disk": (build(HONEST, wide={"disk": 1}), "E_CONTAINER"),
    "long end record, directory on another disk": (build(HONEST, wide={"first_disk": 1}), "E_CONTAINER"),
    "long end record with counts that differ": (build(HONEST, wide={"count_here": 2}), "E_CONTAINER"),
    "long end record with another start": (build(HONEST, wide={"start": 3}), "E_CONTAINER"),
    "long end record with a huge start": (build(HONEST, wide={"start": 2**64 - 1}), "E_CONTAINER"),
    "long end record with a huge count": (build(HONEST, wide={"count": 2**63, "count_here": 2**63}), "E_ENTRIES"),
    "locator that points elsewhere": (build(HONEST, wide={"at": 0}), "E_CONTAINER"),
    "locator on another disk": (build(HONEST, wide={"on_disk": 1}), "E_CONTAINER"),
    "locator of several disks": (build(HONEST, wide={"disks": 2}), "E_CONTAINER"),
    "locator without a long end record": (build(HONEST, wide={})[-42:], "E_CONTAINER"),
    "Unicode path field, a second name": (
        build(Member(more_central_extra=struct.pack("<HHBI", 0x7075, 10, 1, 0) + b"b.csv")),
        "E_CONTAINER",
    ),
    "unknown extra field": (build(Member(more_local_extra=struct.pack("<HH", 0xCAFE, 0))), "E_CONTAINER"),
    "extra field that overruns": (build(Member(more_local_extra=struct.pack("<HH", 0x5455, 9))), "E_CONTAINER"),
    "extra field cut short": (build(Member(more_central_extra=b"UT\x01")), "E_CONTAINER"),
    "offset beyond the file": (build(Member(central={"offset": 0x7FFFFFFF})), "E_CONTAINER"),
    "offset inside the directory": (build(Member(central={"offset": 150})), "E_CONTAINER"),
    "nothing": (b"", "E_CONTAINER"),
    "no ZIP at all": (b"person_id;course_id\r\n" * 10, "E_CONTAINER"),
    "7z archive": (b"7z\xbc\xaf\x27\x1c" + bytes(100), "E_CONTAINER"),
}


@pytest.mark.parametrize(("archive", "code"), ATTACKS.values(), ids=ATTACKS.keys())
def test_refuses_lies(archive: bytes, code: str) -> None:
    """Each lie of a container is refused with its own code, before anything of it is handed out."""
    assert code_of(archive) == code


HOSTILE_NAMES = [
    *(b"../arrival.csv", b"/etc/passwd", b"a/b.csv", b"a\\b.csv", b"C:\\a.csv", b"C:a.csv", b"a\x00.csv", b".", b".."),
    *(b".hidden", b"-rf.csv", b"_a.csv", b"a.csv.", b"CON", b"con.csv", b"NUL.csv", b"COM1.csv", b"lpt9", b"a b.csv"),
    *(b"a.csv\n", b"a:stream.csv", b"bl\xc3\xa5b\xc3\xa6r.csv", b"\xe2\x80\xaevsc.exe", b"\xff.csv", b"", b"a" * 81),
    *(b"a" * 300, b"folder/", b"~root", b"a*.csv", b"a\x7f.csv", b"a\x1b[2J.csv"),
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_refuses_hostile_names(name: bytes) -> None:
    """A name outside the grammar is refused, and the error does not show it."""
    with pytest.raises(Rejected) as caught:
        open_archive(build(replace(HONEST, name=name)), SECRET, LIMITS)
    assert caught.value.code == "E_NAME"
    assert len(name) < 5 or name.decode(errors="replace") not in str(caught.value)


def test_limits_hold_in_total() -> None:
    """Members that each pass but together exceed the total are refused."""
    archive = build(replace(HONEST, content=bytes(600)), replace(OTHER, content=bytes(600)))
    assert len(opened(archive, Limits(total=1200))) == 2
    assert code_of(archive, Limits(total=1199)) == "E_BOMB"


def test_ratio_counts_above_its_threshold() -> None:
    """What expands far but stays small is taken; above the threshold the same ratio is refused."""
    archive = build(Member(method=DEFLATED, content=bytes(1 << 20)))
    assert opened(archive)[0][1] == bytes(1 << 20)
    assert code_of(archive, Limits(ratio_from=(1 << 20) - 1)) == "E_BOMB"


def test_a_workbook_is_no_nested_container() -> None:
    """An .xlsx is a ZIP by nature and is taken; the named inner archive of a bundle is taken where it is expected."""
    workbook = pack_plain([PlainFile("xl/workbook.xml", b"<x/>")])
    assert opened(build(replace(HONEST, name=b"arrival.xlsx", content=workbook))) == [("arrival.xlsx", workbook)]
    bundle = build(replace(HONEST, name=b"innhold.zip", content=workbook))
    assert opened(bundle, Limits(nested=frozenset({"innhold.zip"}))) == [("innhold.zip", workbook)]
    assert code_of(bundle) == "E_NESTED"


def test_wrong_passphrase_has_its_own_code() -> None:
    """Another passphrase gives E_PASSPHRASE (the format lets one in 65 536 through to E_TAG)."""
    with pytest.raises(Rejected) as caught:
        open_archive(build(HONEST), Secret(b"another passphrase altogether"), LIMITS)
    assert caught.value.code == "E_PASSPHRASE"


def test_nothing_is_decompressed_before_every_tag_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong tag on the last entry no inflater is even made for the first."""
    archive = bytearray(build(replace(HONEST, method=DEFLATED), replace(OTHER, data=swapped_tag(), size=5)))

    def forbidden(*_: object) -> None:
        pytest.fail("decompressed before authentication")

    monkeypatch.setattr(zlib, "decompressobj", forbidden)
    assert code_of(bytes(archive)) == "E_TAG"


@pytest.mark.parametrize("archive", [build(HONEST, replace(OTHER, method=DEFLATED, ae_version=1))])
def test_every_cut_is_refused(archive: bytes) -> None:
    """An archive cut at any byte is refused; from its first header on as E_TRUNC."""
    for length in range(len(archive)):
        assert code_of(archive[:length]) == ("E_TRUNC" if length >= 4 else "E_CONTAINER")


@pytest.mark.parametrize("descriptor", [None, b"PK\x07\x08"])
def test_every_flipped_bit_is_refused_or_means_nothing(descriptor: bytes | None) -> None:
    """With any bit flipped an archive is refused, or gives the same content: the manifest's digest sees the rest.

    What may pass are the fields that no reader uses (versions, times of both headers agree, permissions) and
    nothing else.
    """
    archive = build(Member(content=b"1;2", descriptor=descriptor), replace(OTHER, content=b"3;4"))
    honest = opened(archive)
    passed = 0
    for position in range(len(archive)):
        for bit in range(8):
            altered = bytearray(archive)
            altered[position] ^= 1 << bit
            try:
                files = opened(bytes(altered))
            except Rejected:
                continue
            assert files == honest
            passed += 1
    assert passed < 2 * 8 * (2 + 2 + 2 + 2 + 4)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_rejected_only(noise: bytes) -> None:
    """Whatever the bytes, opening them ends in Rejected."""
    for content in (noise, b"PK\x03\x04" + noise, noise + build()[:22]):
        with pytest.raises(Rejected):
            open_archive(content, SECRET, LIMITS)


def test_an_end_record_cut_short_is_rejected() -> None:
    """Fewer bytes than an end record has, with its signature anywhere among them, are Rejected."""
    for length in range(22):
        for position in range(length):
            content = (bytes(position) + b"PK\x05\x06" + bytes(22))[:length]
            assert code_of(content) == "E_CONTAINER"


FIELD = st.one_of(st.integers(0, 0xFFFF), st.sampled_from([0, 1, 8, 99, 0xFFFF]))
WIDE_FIELD = st.one_of(st.integers(0, 0xFFFFFFFF), st.sampled_from([0, 28, 30, 0xFFFFFFFF]), st.integers(0, 400))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["flags", "method", "nlen", "elen", "time"]), FIELD, max_size=2),
    st.dictionaries(st.sampled_from(["crc", "packed", "size"]), WIDE_FIELD, max_size=2),
    st.dictionaries(st.sampled_from(["flags", "method", "nlen", "elen", "clen", "disk"]), FIELD, max_size=2),
    st.dictionaries(st.sampled_from(["crc", "packed", "size", "offset", "attributes"]), WIDE_FIELD, max_size=2),
    st.dictionaries(st.sampled_from(["size", "start"]), WIDE_FIELD, max_size=1),
    st.binary(max_size=40),
)
def test_a_lying_writer_changes_nothing(  # one strategy for each part of a header
    local: dict[str, int],
    local_wide: dict[str, int],
    central: dict[str, int],
    central_wide: dict[str, int],
    ends: dict[str, int],
    extra: bytes,
) -> None:
    """Whatever headers say, the archive is Rejected or gives exactly what was sealed."""
    member = Member(local={**local, **local_wide}, central={**central, **central_wide}, more_central_extra=extra)
    try:
        files = opened(build(member, OTHER, **ends))  # type: ignore[arg-type]
    except Rejected:
        return
    assert files == [("arrival.csv", HONEST.content), ("follow_up_12.csv", OTHER.content)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=200).filter(lambda content: not content.startswith(b"PK")), min_size=1, max_size=3))
def test_any_content_makes_the_round_trip(contents: list[bytes]) -> None:
    """Any contents sealed are the contents opened."""
    files = [PlainFile(f"f{number}.csv", content) for number, content in enumerate(contents)]
    assert [content for _, content in opened(seal_archive(files, SECRET))] == contents


def test_plain_reader_opens_what_it_packs() -> None:
    """The archive inside an age envelope is opened by the same strict reading, and is the same bytes each time."""
    files = [PlainFile("manifest.json", b"{}"), PlainFile("csv/resultater.csv", ROWS)]
    packed = pack_plain(files)
    assert packed == pack_plain(files)
    inside = open_plain(packed, Limits(folders=True))
    assert [(file.name, file.content) for file in inside] == [(file.name, file.content) for file in files]
    with pytest.raises(Rejected, match="E_NAME"):
        open_plain(packed, LIMITS)


def test_plain_reader_opens_deflate_and_checks_the_checksum() -> None:
    """A deflated plain archive is opened; a wrong CRC is refused."""
    member = Member(encrypted=False, method=DEFLATED)
    assert open_plain(build(member), LIMITS)[0].content == member.content
    with pytest.raises(Rejected, match="E_CONTAINER"):
        open_plain(build(replace(member, local={"crc": 1}, central={"crc": 1})), LIMITS)


def test_plain_reader_refuses_encryption() -> None:
    """An entry inside an age envelope that is encrypted, or says so in one place, is refused, not guessed at."""
    plain = Member(encrypted=False)
    said = replace(plain, local={"flags": 1}, central={"flags": 1})
    marked = replace(plain, more_local_extra=aes_extra(), more_central_extra=aes_extra())
    for member in (HONEST, said, marked):
        with pytest.raises(Rejected, match="E_CONTAINER"):
            open_plain(build(member), LIMITS)


@pytest.mark.parametrize("names", [(b"a/b.csv", b"a"), (b"a", b"a/b/c.csv"), (b"A/b.csv", b"a/B.csv")])
def test_a_name_is_not_both_file_and_folder(names: tuple[bytes, bytes]) -> None:
    """Where folders are allowed, no name is a file and a folder, and case does not tell names apart."""
    archive = build(*(Member(name=name, encrypted=False) for name in names))
    with pytest.raises(Rejected, match="E_DUPLICATE_NAME"):
        open_plain(archive, Limits(folders=True))


@pytest.mark.parametrize(
    "name", [b"a/../b.csv", b"/a.csv", b"a//b.csv", b"a/b/c/d.csv", b"a/NUL", b"a/", b"a" * 41 + b"/" + b"b" * 41]
)
def test_folders_open_no_way_out(name: bytes) -> None:
    """Where folders are allowed, every part of a path keeps the grammar."""
    with pytest.raises(Rejected, match="E_NAME"):
        open_plain(build(Member(name=name, encrypted=False)), Limits(folders=True))


def test_plaintext_types_do_not_show_content() -> None:
    """Neither an opened file nor an error shows content or names."""
    (file,) = open_archive(build(HONEST), SECRET, LIMITS)
    assert "person_id" not in repr(file)
    assert zip_writer.PASSPHRASE.decode() not in repr(SECRET)
