"""OpenPGP messages open whole, unaltered and encrypted, or not at all; GnuPG makes what is opened here."""

import base64
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from Cryptodome.Cipher import AES
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.crypto import openpgp
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected
from tests.servers.gnupg import GnuPg, gnupg

PRIVATE, PUBLIC = openpgp.new_key("enclave test")
OTHER, OTHER_PUBLIC = openpgp.new_key("somebody else")
KEY = openpgp.key_id(PUBLIC)
ANSWERS = b"answers " * 40
LIMIT = 1 << 20


@pytest.fixture(scope="module")
def gpg() -> Iterator[GnuPg]:
    """GnuPG that knows our public key."""
    with gnupg() as made:
        made.learn(PUBLIC)
        yield made


def refused(content: bytes, private: Secret = PRIVATE, **more: list[str]) -> str:
    """The code by which a message is not opened."""
    with pytest.raises(Rejected) as why:
        openpgp.open(content, private, limit=LIMIT, signed_by=more.get("signed_by"))
    assert why.value.__cause__ is None
    return why.value.code


def armoured(packets: bytes) -> bytes:
    """Packets in armour, without checksum."""
    lines = base64.encodebytes(packets)
    return b"-----BEGIN PGP MESSAGE-----\n\n" + lines + b"-----END PGP MESSAGE-----\n"


def packets_of(message: bytes) -> bytes:
    """The packets inside the armour."""
    body = message.split(b"\n\n", 1)[1].split(b"\n=")[0].split(b"\n-----END")[0]
    return base64.b64decode(body)


@pytest.mark.parametrize("how", [[], ["--compress-algo", "none"], ["--comment", "by a clinic"], ["--no-emit-version"]])
def test_what_gnupg_encrypts_is_opened(gpg: GnuPg, how: list[str]) -> None:
    """Compressed or not, with comments in the armour or without, the content comes out."""
    assert openpgp.open(gpg.encrypt(ANSWERS, KEY, *how), PRIVATE, limit=LIMIT) == ANSWERS


def test_a_binary_message_is_opened_as_the_armoured_one(gpg: GnuPg) -> None:
    """Armour is only another way to write the same packets; what is around a binary message is refused too."""
    packets = packets_of(gpg.encrypt(ANSWERS, KEY))

    assert openpgp.open(packets, PRIVATE, limit=LIMIT) == ANSWERS
    for around in (packets + b"\n", b"\n" + packets, packets + packets, packets[:-1]):
        assert not openpgp.is_whole(around)
        assert refused(around) == "E_OPENPGP_FORM"


def test_what_is_sealed_here_is_opened_here() -> None:
    """A message made by `seal` is whole, and opens for its key only."""
    sealed = openpgp.seal(ANSWERS, PUBLIC)

    assert openpgp.is_whole(sealed)
    assert openpgp.open(sealed, PRIVATE, limit=LIMIT) == ANSWERS
    assert refused(sealed, OTHER) == "E_OPENPGP_KEY"


def test_the_key_id_is_the_one_that_gnupg_shows(gpg: GnuPg) -> None:
    """TSD names its folder by the long id as GnuPG prints it."""
    listed = gpg.run("--with-colons", "--list-keys", KEY).decode()

    assert f":{KEY}:" in listed
    assert len(KEY) == 16


def test_a_key_lasts_three_years() -> None:
    """A fresh key has an end, which `doctor` warns of."""
    end = openpgp.expires(PUBLIC)

    assert end is not None
    assert timedelta(days=3 * 365 - 2) < end - datetime.now(UTC) < timedelta(days=3 * 365 + 2)


def test_a_message_to_another_key_is_refused(gpg: GnuPg) -> None:
    """Only the key that it was encrypted to opens a message."""
    assert refused(gpg.encrypt(ANSWERS, KEY), OTHER) == "E_OPENPGP_KEY"


def test_a_message_that_nobody_encrypted_is_refused(gpg: GnuPg) -> None:
    """A message in armour that is only packed, or only signed, is no sealed message; the library would return it."""
    signer = gpg.new_key("a signer")

    assert signer
    assert refused(gpg.run("--armor", "--store", content=ANSWERS)) == "E_OPENPGP_FORM"
    assert refused(gpg.run("--armor", "--sign", "--local-user", "a signer", content=ANSWERS)) == "E_OPENPGP_FORM"
    assert refused(gpg.run("--armor", "--symmetric", "--passphrase", "x", content=ANSWERS)) == "E_OPENPGP_FORM"


def test_a_message_without_integrity_protection_is_refused(gpg: GnuPg) -> None:
    """The packet of before 2001, whose content can be altered unseen, is not opened, though GnuPG still reads it."""
    legacy = unprotected(gpg, ANSWERS)

    assert gpg.run("--ignore-mdc-error", "--decrypt", content=legacy) == ANSWERS
    assert refused(legacy) == refused(armoured(legacy)) == "E_OPENPGP_FORM"


def unprotected(gpg: GnuPg, content: bytes) -> bytes:
    """A right message of the old kind: GnuPG's session key and its packet, and the content under it in CFB."""
    gpg.run("--import", content=PRIVATE.reveal())
    message = gpg.encrypt(content, KEY)
    command = ["gpg", "--homedir", str(gpg.home), "--batch", "--show-session-key", "--decrypt"]
    told = subprocess.run(command, input=message, capture_output=True, check=True).stderr.decode()
    key = bytes.fromhex(told.split("session key: '9:")[1].split("'")[0])
    literal = b"b\0" + bytes(4) + content
    plain = b"\xcb\xff" + len(literal).to_bytes(4, "big") + literal
    start = bytes(range(16)) + b"\x0e\x0f"
    first = AES.new(key, AES.MODE_CFB, iv=bytes(16), segment_size=128).encrypt(start + bytes(14))[: len(start)]
    padded = plain + bytes(-len(plain) % 16)
    rest = AES.new(key, AES.MODE_CFB, iv=first[2:], segment_size=128).encrypt(padded)[: len(plain)]
    body, packets = first + rest, packets_of(message)
    return packets[: 2 + packets[1]] + b"\xc9\xff" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "around", [b"text before\n%s", b"%stext after\n", b"%s%s", b"%s\x00", b"-----BEGIN PGP MESSAGE-----\n\n%s"]
)
def test_only_one_armoured_message_and_nothing_else_is_opened(gpg: GnuPg, around: bytes) -> None:
    """Text around the armour, a second message, or an armour in an armour is refused; the library skips such text."""
    assert refused(around.replace(b"%s", gpg.encrypt(ANSWERS, KEY))) == "E_OPENPGP_FORM"


def test_every_cut_is_refused(gpg: GnuPg) -> None:
    """A message cut at any byte is not whole, and does not open."""
    message = gpg.encrypt(ANSWERS, KEY)
    for length in range(len(message) - 1):
        assert not openpgp.is_whole(message[:length])
    assert openpgp.is_whole(message)


def test_every_cut_of_the_packets_is_refused(gpg: GnuPg) -> None:
    """A message whose packets are cut but whose armour is not is refused too, also where the library would panic."""
    packets = packets_of(gpg.encrypt(ANSWERS, KEY))
    for length in range(0, len(packets), 2):
        assert refused(armoured(packets[:length])) == "E_OPENPGP_FORM"
    assert openpgp.open(armoured(packets), PRIVATE, limit=LIMIT) == ANSWERS


def test_packets_that_are_whole_but_empty_do_not_end_the_program(gpg: GnuPg) -> None:
    """A body shorter than a cipher block makes the library panic; it is a message that does not open."""
    packets = packets_of(gpg.encrypt(ANSWERS, KEY))
    session = packets[: 2 + packets[1]]

    assert {refused(armoured(session + bytes([0xD2, size, 1]) + bytes(size - 1))) for size in range(1, 40)} == {
        "E_OPENPGP"
    }


def test_every_altered_byte_is_refused(gpg: GnuPg) -> None:
    """No altered byte of the packets gives another content."""
    packets = packets_of(gpg.encrypt(ANSWERS, KEY, "--compress-algo", "none"))
    for place in range(0, len(packets), 7):
        altered = packets[:place] + bytes([packets[place] ^ 0x20]) + packets[place + 1 :]
        try:
            assert openpgp.open(armoured(altered), PRIVATE, limit=LIMIT) == ANSWERS, place
        except Rejected as why:
            # An altered session key is one that is not for us.
            assert why.code in {"E_OPENPGP", "E_OPENPGP_FORM", "E_OPENPGP_KEY"}  # noqa: PT017


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise_anything_else(packets: bytes) -> None:
    """Whatever the packets are, the outcome is a Rejected."""
    assert refused(armoured(packets)) in {"E_OPENPGP", "E_OPENPGP_FORM", "E_OPENPGP_KEY"}
    assert refused(packets) in {"E_OPENPGP", "E_OPENPGP_FORM", "E_OPENPGP_KEY"}


@pytest.mark.parametrize("algorithm", ["zip", "bzip2"])
def test_a_bomb_ends_at_the_limit(gpg: GnuPg, tmp_path: Path, algorithm: str) -> None:
    """64 MiB of zeros in a small message cost less than 48 MiB of memory, and are refused."""
    bomb = tmp_path / "bomb.asc"
    command = ["gpg", "--homedir", str(gpg.home), "--batch", "--trust-model", "always", "--armor", "-z", "9"]
    more = ["--compress-algo", algorithm, "--output", str(bomb), "--encrypt", "--recipient", KEY]
    with subprocess.Popen(["head", "-c", str(64 << 20), "/dev/zero"], stdout=subprocess.PIPE) as zeros:
        subprocess.run([*command, *more], stdin=zeros.stdout, check=True, capture_output=True)
    key = tmp_path / "key"
    key.write_bytes(PRIVATE.reveal())
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom enclave.crypto import openpgp\n"
        "from enclave.crypto.secret import Secret\nfrom enclave.errors import Rejected\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "message, key = (Path(path).read_bytes() for path in sys.argv[1:])\n"
        "try:\n    openpgp.open(message, Secret(key), limit=1 << 20)\n"
        "except Rejected as why:\n    print(why.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(bomb), str(key)], capture_output=True, check=True)
    code, kib = done.stdout.decode().split()

    assert code in {"E_OPENPGP_SIZE", "E_OPENPGP"}
    assert int(kib) < 48 << 10
    assert bomb.stat().st_size < 1 << 20


def test_the_limit_holds_to_the_byte_and_is_lifted_afterwards(gpg: GnuPg) -> None:
    """Content of exactly the limit opens, one byte more does not, and files may grow again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    message = gpg.encrypt(ANSWERS, KEY)

    assert openpgp.open(message, PRIVATE, limit=len(ANSWERS)) == ANSWERS
    with pytest.raises(Rejected, match="E_OPENPGP_SIZE"):
        openpgp.open(message, PRIVATE, limit=len(ANSWERS) - 1)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_where_a_signature_is_required_an_empty_list_is_a_refusal(gpg: GnuPg) -> None:
    """Unsigned, signed by somebody unknown, and signed while nobody is allowed are refused; the right one opens."""
    known = gpg.new_key("known")
    unsigned = gpg.encrypt(ANSWERS, KEY)
    signed = gpg.encrypt(ANSWERS, KEY, "--compress-algo", "none", "--sign", "--local-user", "known")

    assert openpgp.open(signed, PRIVATE, limit=LIMIT, signed_by=[known]) == ANSWERS
    assert openpgp.open(signed, PRIVATE, limit=LIMIT) == ANSWERS
    assert refused(unsigned, signed_by=[known]) == "E_OPENPGP_UNSIGNED"
    assert refused(signed, signed_by=[OTHER_PUBLIC]) == "E_OPENPGP_UNSIGNED"
    assert refused(signed, signed_by=[]) == "E_OPENPGP_UNSIGNED"


def test_what_is_no_key_halts() -> None:
    """A public half in place of a private one, a text, or nothing is no key to open or seal with."""
    for wrong in (b"", b"no key", PUBLIC.encode()):
        with pytest.raises(Halt, match="H_OPENPGP_KEY"):
            openpgp.public_of(Secret(wrong))
    with pytest.raises(Halt, match="H_OPENPGP_KEY"):
        openpgp.seal(ANSWERS, "no key")


def test_no_descriptor_is_left(gpg: GnuPg) -> None:
    """The files in memory that hold ciphertext and plaintext are closed, also after a refusal."""
    message = gpg.encrypt(ANSWERS, KEY)
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    openpgp.open(message, PRIVATE, limit=LIMIT)
    refused(message, OTHER)

    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before
