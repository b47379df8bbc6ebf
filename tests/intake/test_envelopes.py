"""One suite over the three envelopes of a drop: stock 7-Zip, age and GnuPG seal, and each opens whole or not at all.

There are no vectors of others in the repository: every envelope is made by the programs that its senders have.
"""

import base64
import subprocess
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from enclave.crypto import aes_zip, age, openpgp
from enclave.crypto.secret import Secret
from enclave.crypto.zip_directory import Limits, read_directory
from enclave.errors import CODES, Rejected
from enclave.intake.envelope import Envelope
from enclave.intake.envelopes import AesZipEnvelope, AgeEnvelope, OpenPgpEnvelope
from enclave.model.drop import PlainFile
from tests.crypto.zip_writer import DEFLATED, Member, build
from tests.servers.gnupg import GnuPg, gnupg

PASSPHRASE, OTHER_PASSPHRASE = Secret(b"K7QX-2M4P-9RTV-W3HD-6JCN-8FYA"), Secret(b"Q7QX-2M4P-9RTV-W3HD-6JCN-8FYB")
IDENTITY, RECIPIENT = age.new_identity()
OTHER_IDENTITY, OTHER_RECIPIENT = age.new_identity()
PRIVATE, CERTIFICATE = openpgp.new_key("enclave test")
OTHER_PRIVATE, OTHER_CERTIFICATE = openpgp.new_key("somebody else")
FILES = (PlainFile("manifest.json", b"{}"), PlainFile("arrival.csv", b"person_id;course_id\r\n1;2\r\n" * 20))
LIMITS = Limits(total=32 << 20)
MIB = 1 << 20


@dataclass(frozen=True)
class Kind:
    """One kind of envelope: what opens it, and how senders make it with programs that anybody has."""

    envelope: Envelope
    key_id: str
    with_another_key: Envelope
    wrong_key: str
    """the code where it was sealed to another key"""
    wrap: Callable[[Path, Sequence[str]], bytes]
    """seals the folder's files with these options of 7-Zip"""
    encrypted: Callable[[bytes], Container[int]]
    """the places of a payload at which no byte can be changed unseen"""
    reader: str
    """the function of `aes_zip` that must not be called before everything was authenticated"""
    too_large: frozenset[str] = field(default=frozenset({"E_BOMB"}))


def _seven_zip(folder: Path, *options: str) -> bytes:
    made = folder.with_name(f"{folder.name}.zip")
    made.unlink(missing_ok=True)
    subprocess.run(["7z", "a", "-tzip", *options, made, "."], cwd=folder, check=True, capture_output=True)
    return made.read_bytes()


def _aes_zip(folder: Path, options: Sequence[str]) -> bytes:
    return _seven_zip(folder, "-mem=AES256", f"-p{PASSPHRASE.reveal().decode()}", *options)


def _all(payload: bytes) -> Container[int]:
    return range(len(payload))


def _entries(payload: bytes) -> Container[int]:
    found = read_directory(payload, LIMITS, encrypted=True)
    return {place for entry in found for place in range(entry.start, entry.end)}


def _message(payload: bytes) -> Container[int]:
    # Behind the packet of the session key, whose key id only helps to find the key.
    return range(2 + payload[1], len(payload))


def _armoured(payload: bytes) -> Container[int]:
    start = payload.index(b"\n\n") + 2
    signs = (2 + base64.b64decode(payload[start : start + 4])[1]) * 4 // 3 + 4
    # Not the last four signs: what is left over of a byte there means nothing.
    return range(start + signs + signs // 64 + 1, payload.rindex(b"\n=") - 4)


def stock_age(content: bytes, recipient: str = RECIPIENT, *options: str) -> bytes:
    """What `age` makes of a content."""
    return subprocess.run(["age", *options, "-r", recipient], input=content, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def gpg() -> Iterator[GnuPg]:
    """GnuPG that knows the registry's certificate and another's."""
    with gnupg() as made:
        made.learn(CERTIFICATE)
        made.learn(OTHER_CERTIFICATE)
        yield made


def stock_gpg(gpg: GnuPg, content: bytes, *options: str) -> bytes:
    """What `gpg --encrypt` makes of a content."""
    to = openpgp.key_id(CERTIFICATE)
    return gpg.run(*options, "--encrypt", "--recipient", to, content=content)


NAMES = ("aes-zip", "age", "openpgp", "openpgp in armour")


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest, gpg: GnuPg) -> Kind:
    """Each of the three; OpenPGP binary, as `gpg` writes it, and in armour."""
    if request.param == "aes-zip":
        mine, other = AesZipEnvelope({"letter-1": PASSPHRASE}), AesZipEnvelope({"letter-1": OTHER_PASSPHRASE})
        return Kind(mine, "letter-1", other, "E_PASSPHRASE", _aes_zip, _entries, "_file")
    if request.param == "age":
        # Another key under the right id, so that the envelope itself must refuse it.
        return Kind(
            AgeEnvelope([IDENTITY]), RECIPIENT, AgeEnvelope([OTHER_IDENTITY]), "E_AGE_KEY",
            lambda folder, options: stock_age(_seven_zip(folder, *options)), _all, "read_directory",
        )  # fmt: skip
    armour = ("--armor",) if "armour" in request.param else ()
    return Kind(
        OpenPgpEnvelope([PRIVATE]), openpgp.key_id(CERTIFICATE), OpenPgpEnvelope([OTHER_PRIVATE]), "E_OPENPGP_KEY",
        lambda folder, options: stock_gpg(gpg, _seven_zip(folder, *options), *armour),
        _armoured if armour else _message, "read_directory",
        frozenset({"E_BOMB", "E_OPENPGP_SIZE"}),
    )  # fmt: skip


def sealed(kind: Kind, folder: Path, files: Sequence[PlainFile] = FILES, *options: str) -> bytes:
    """Files in an envelope, as stock programs seal them."""
    inside = folder / "inside"
    inside.mkdir()
    for file in files:
        (inside / file.name).write_bytes(file.content)
    return kind.wrap(inside, options)


def opened(kind: Kind, payload: bytes, limits: Limits = LIMITS) -> list[tuple[str, bytes]]:
    """Names and contents, sorted by name."""
    return sorted((file.name, file.content) for file in kind.envelope.open(payload, kind.key_id, limits))


def code_of(kind: Kind, payload: bytes, limits: Limits = LIMITS) -> str:
    """The code by which an envelope is refused."""
    with pytest.raises(Rejected) as why:
        kind.envelope.open(payload, kind.key_id, limits)
    assert why.value.__cause__ is None
    return why.value.code


RIGHT = sorted((file.name, file.content) for file in FILES)


@pytest.mark.parametrize("method", ["Copy", "Deflate"])
def test_what_stock_programs_seal_is_opened(kind: Kind, tmp_path: Path, method: str) -> None:
    """Stored or deflated, every file comes out as it went in."""
    assert opened(kind, sealed(kind, tmp_path, FILES, f"-mm={method}")) == RIGHT


def test_an_envelope_is_told_by_its_content(kind: Kind, tmp_path: Path) -> None:
    """Exactly one kind recognises a payload; nothing and text are of no kind."""
    every = (AesZipEnvelope({}), AgeEnvelope([IDENTITY]), OpenPgpEnvelope([PRIVATE]))
    payload = sealed(kind, tmp_path)

    assert [one.format for one in every if one.recognises(payload)] == [kind.envelope.format]
    assert not [one for one in every for content in (b"", b"person_id;course_id\r\n") if one.recognises(content)]


def test_another_key_has_a_code_of_its_own(kind: Kind, tmp_path: Path) -> None:
    """Sealed to somebody else, an envelope is refused as that, not as altered."""
    payload = sealed(kind, tmp_path)
    other = Kind(**{**vars(kind), "envelope": kind.with_another_key, "key_id": _id_of(kind.with_another_key)})

    assert code_of(other, payload) == kind.wrong_key


def _id_of(envelope: Envelope) -> str:
    return {AgeEnvelope: OTHER_RECIPIENT, OpenPgpEnvelope: openpgp.key_id(OTHER_CERTIFICATE)}.get(
        type(envelope), "letter-1"
    )


@pytest.mark.parametrize(
    "named",
    ["", "letter-2", OTHER_RECIPIENT, openpgp.key_id(OTHER_CERTIFICATE)],
    ids=["none", "letter", "age", "openpgp"],
)
def test_a_key_id_that_is_none_of_ours_is_refused_unopened(kind: Kind, tmp_path: Path, named: str) -> None:
    """What the manifest names must be the key that opens; a passphrase that ended says why."""
    payload = sealed(kind, tmp_path)
    with pytest.raises(Rejected, match="E_KID:"):
        kind.envelope.open(payload, named, LIMITS)
    with pytest.raises(Rejected, match="E_KID_REVOKED"):
        AesZipEnvelope({"letter-0": "E_KID_REVOKED"}).open(payload, "letter-0", LIMITS)


def test_every_cut_is_refused(kind: Kind, tmp_path: Path) -> None:
    """Cut at any byte, it does not open; the line end behind armour means nothing."""
    payload = sealed(kind, tmp_path)
    codes = {code_of(kind, payload[:length]) for length in range(len(payload.rstrip()))}

    assert codes <= {"E_TRUNC", "E_CONTAINER", "E_AGE", "E_OPENPGP", "E_OPENPGP_FORM"}


def test_every_flipped_bit_is_refused_or_means_nothing(kind: Kind, tmp_path: Path) -> None:
    """A bit flipped in any byte gives a refusal, or exactly the files as they were meant; never other files."""
    payload = sealed(kind, tmp_path)
    encrypted = kind.encrypted(payload)
    for place in range(len(payload)):
        altered = payload[:place] + bytes([payload[place] ^ 1 << place % 8]) + payload[place + 1 :]
        try:
            found = opened(kind, altered)
        except Rejected:
            continue
        # What may mean nothing: versions and times in ZIP headers, whose key it is, the checksum of armour.
        assert place not in encrypted
        assert found == RIGHT


@pytest.mark.parametrize("before", [b"\0", b"text before\n"])
def test_bytes_around_it_are_refused(kind: Kind, tmp_path: Path, before: bytes) -> None:
    """In front of it or behind it, and the same envelope twice."""
    payload = sealed(kind, tmp_path)
    for around in (before + payload, payload + b"\0", payload + b"behind", payload + payload):
        assert code_of(kind, around) in {"E_TRUNC", "E_CONTAINER", "E_AGE", "E_OPENPGP_FORM"}


def test_it_is_authenticated_whole_before_a_byte_reaches_a_parser(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight megabytes with the last sealed byte altered are refused before anything inside is read."""
    noise = subprocess.run(["head", "-c", str(8 * MIB), "/dev/urandom"], check=True, capture_output=True).stdout
    files = [*FILES, PlainFile("z.csv", noise)]
    payload = sealed(kind, tmp_path, files)
    assert opened(kind, payload) == sorted((file.name, file.content) for file in files)

    monkeypatch.setattr(aes_zip, kind.reader, lambda *_, **__: pytest.fail("read before it was authenticated"))
    assert code_of(kind, _last_sealed_byte_altered(kind, payload)) in {"E_TAG", "E_AGE", "E_OPENPGP"}


def _last_sealed_byte_altered(kind: Kind, payload: bytes) -> bytes:
    """The payload with another tag at the end of what is encrypted."""
    if kind.envelope.format == "aes-zip":
        place = payload.index(b"PK\x01\x02") - 1
    elif payload.startswith(b"-----"):
        # In the last whole line of base64; its checksum is not looked at.
        place = payload.rindex(b"\n=") - 40
        place -= payload[place : place + 1] == b"\n"
    else:
        place = len(payload) - 1
    other = b"A" if payload[place : place + 1] != b"A" else b"B"
    return payload[:place] + other + payload[place + 1 :]


def test_a_container_that_would_expand_too_far_is_refused(kind: Kind, tmp_path: Path) -> None:
    """Sixteen megabytes of zeros in a few kilobytes, and files that are too many bytes in total."""
    bomb = sealed(kind, tmp_path, [PlainFile("arrival.csv", bytes(16 * MIB))])

    assert len(bomb) < 64 << 10
    assert code_of(kind, bomb) == "E_BOMB"
    assert opened(kind, bomb, Limits(total=32 * MIB, ratio=100_000)) == [("arrival.csv", bytes(16 * MIB))]
    assert code_of(kind, bomb, Limits(total=16 * MIB - 1, ratio=100_000)) == "E_BOMB"


def test_a_container_that_is_too_large_is_refused(kind: Kind, tmp_path: Path) -> None:
    """More bytes than are taken, though nothing in it is compressed."""
    noise = subprocess.run(["head", "-c", str(3 * MIB), "/dev/urandom"], check=True, capture_output=True).stdout
    payload = sealed(kind, tmp_path, [PlainFile("arrival.csv", noise)])

    assert code_of(kind, payload, Limits(total=2 * MIB)) in kind.too_large


def test_what_is_not_encrypted_is_refused(kind: Kind, gpg: GnuPg) -> None:
    """A plain ZIP, a message that is only packed, and text are refused by every kind, each with a code of its own."""
    plain = aes_zip.pack_plain(FILES)
    stored = gpg.run("--store", content=plain)
    expected = {"aes-zip": "E_UNENCRYPTED", "age": "E_AGE", "openpgp": "E_OPENPGP_FORM"}[kind.envelope.format]

    assert code_of(kind, plain) == expected
    assert code_of(kind, stored) in {"E_CONTAINER", "E_AGE", "E_OPENPGP_FORM"}
    assert code_of(kind, FILES[1].content) in {"E_CONTAINER", "E_AGE", "E_OPENPGP_FORM"}


@pytest.mark.parametrize(
    ("how", "code"), [("ZipCrypto", "E_ZIPCRYPTO"), ("AES128", "E_CIPHER"), ("AES192", "E_CIPHER")]
)
def test_a_weaker_zip_is_refused_by_name_and_by_nothing_else(tmp_path: Path, how: str, code: str) -> None:
    """What 7-Zip can do besides AES-256 has its code; inside another envelope no encryption is taken at all."""
    (tmp_path / "arrival.csv").write_bytes(FILES[1].content)
    weak = _seven_zip(tmp_path, f"-mem={how}", f"-p{PASSPHRASE.reveal().decode()}")

    with pytest.raises(Rejected, match=code):
        AesZipEnvelope({"letter-1": PASSPHRASE}).open(weak, "letter-1", LIMITS)
    with pytest.raises(Rejected, match="E_INNER_ARCHIVE"):
        AgeEnvelope([IDENTITY]).open(stock_age(weak), RECIPIENT, LIMITS)


def inside(gpg: GnuPg, content: bytes) -> list[str]:
    """The codes by which age and OpenPGP around a content are refused."""
    codes = []
    for envelope, key_id, payload in (
        (AgeEnvelope([IDENTITY]), RECIPIENT, stock_age(content)),
        (OpenPgpEnvelope([PRIVATE]), openpgp.key_id(CERTIFICATE), stock_gpg(gpg, content)),
    ):
        with pytest.raises(Rejected) as why:
            envelope.open(payload, key_id, LIMITS)
        codes.append(why.value.code)
    return codes


def test_inside_age_and_openpgp_lies_a_zip_read_as_strictly(gpg: GnuPg) -> None:
    """No ZIP, an AES-256 ZIP, a cut one, one with more around it, hostile names and bombs are refused in there too."""
    honest = aes_zip.pack_plain(FILES)
    plain = Member(b"manifest.json", b"{}", encrypted=False)
    for no_archive in (
        b"", b"person_id\r\n1\r\n", aes_zip.seal_archive(FILES, PASSPHRASE), honest[:-1], honest + b"x", b"x" + honest,
        stock_age(honest), build(plain, after_data=b"hidden"),
    ):  # fmt: skip
        assert inside(gpg, no_archive) == ["E_INNER_ARCHIVE"] * 2
    hostile = {
        "E_NAME": build(plain, Member(b"../arrival.csv", b"x", encrypted=False)),
        "E_DUPLICATE_NAME": build(plain, plain),
        "E_NESTED": build(plain, Member(b"arrival.zip", honest, encrypted=False)),
        "E_BOMB": build(plain, Member(b"a.csv", bytes(4 * MIB), method=DEFLATED, encrypted=False, size=1 << 30)),
        "E_ENTRIES": build(*(Member(b"%d.csv" % number, b"x", encrypted=False) for number in range(65))),
    }
    for code, archive in hostile.items():
        assert inside(gpg, archive) == [code] * 2


@pytest.mark.parametrize(
    ("algorithm", "code"), [("zip", "E_OPENPGP_SIZE"), ("zlib", "E_OPENPGP_SIZE"), ("bzip2", "E_OPENPGP")]
)
def test_an_openpgp_message_that_expands_by_itself_is_refused(gpg: GnuPg, algorithm: str, code: str) -> None:
    """OpenPGP can compress around the ZIP: more than is taken is not unpacked to its end, and bzip2 not at all."""
    payload = stock_gpg(gpg, bytes(40 * MIB), "--compress-algo", algorithm, "-z", "9")

    assert len(payload) < MIB
    with pytest.raises(Rejected, match=f"{code}:"):
        OpenPgpEnvelope([PRIVATE]).open(payload, openpgp.key_id(CERTIFICATE), LIMITS)


def test_an_armoured_age_file_is_no_envelope_of_a_drop() -> None:
    """The armoured spelling is of no kind here: one spelling is enough."""
    armoured = stock_age(aes_zip.pack_plain(FILES), RECIPIENT, "--armor")

    assert not any(one.recognises(armoured) for one in (AgeEnvelope([IDENTITY]), OpenPgpEnvelope([PRIVATE])))


def test_a_second_recipient_is_the_senders_own_choice(gpg: GnuPg) -> None:
    """Whoever seals a copy for itself in the same envelope is not refused."""
    archive = aes_zip.pack_plain(FILES)
    own_copy = stock_age(archive, RECIPIENT, "-r", OTHER_RECIPIENT)
    two = stock_gpg(gpg, archive, "--recipient", openpgp.key_id(OTHER_CERTIFICATE))

    assert AgeEnvelope([IDENTITY]).open(own_copy, RECIPIENT, LIMITS)
    assert OpenPgpEnvelope([PRIVATE]).open(two, openpgp.key_id(CERTIFICATE), LIMITS)


def test_an_envelope_shows_no_secret_and_its_codes_are_told_in_norwegian() -> None:
    """Neither printed nor logged does an adapter give its key away; a sender is told in words what was wrong."""
    shown = f"{AesZipEnvelope({'a': PASSPHRASE})!r}{AgeEnvelope([IDENTITY])!r}{OpenPgpEnvelope([PRIVATE])!r}"

    assert PASSPHRASE.reveal().decode() not in shown
    codes = ("E_AGE", "E_AGE_KEY", "E_OPENPGP", "E_OPENPGP_FORM", "E_OPENPGP_KEY", "E_OPENPGP_SIZE", "E_INNER_ARCHIVE")
    assert all(CODES[code].text_nb and CODES[code].remedy_nb for code in codes)


def test_while_a_key_is_replaced_either_opens_what_names_it(gpg: GnuPg) -> None:
    """An envelope with two keys opens what is sealed to the one that the manifest names, and no third."""
    content = aes_zip.pack_plain([PlainFile("a.csv", b"a;b")])
    third_identity, third_private = age.new_identity(), openpgp.new_key("third")
    for pair in ((OTHER_IDENTITY, IDENTITY), (IDENTITY, OTHER_IDENTITY)):
        envelope = AgeEnvelope(pair)
        assert envelope.open(stock_age(content), RECIPIENT, LIMITS)
        with pytest.raises(Rejected, match="E_AGE_KEY"):
            envelope.open(stock_age(content), age.recipient_of(OTHER_IDENTITY), LIMITS)
        with pytest.raises(Rejected, match="E_KID"):
            envelope.open(stock_age(content), third_identity[1], LIMITS)
    for privates in ((OTHER_PRIVATE, PRIVATE), (PRIVATE, OTHER_PRIVATE)):
        opened = OpenPgpEnvelope(privates)
        assert opened.open(stock_gpg(gpg, content), openpgp.key_id(CERTIFICATE), LIMITS)
        assert openpgp.open_with_any(stock_gpg(gpg, content), privates, limit=9999) == content
        with pytest.raises(Rejected, match="E_KID"):
            opened.open(stock_gpg(gpg, content), openpgp.key_id(third_private[1]), LIMITS)
