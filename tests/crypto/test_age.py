"""age envelopes open whole and unaltered for their recipients, or not at all."""

import errno
import time
from collections.abc import Iterator

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.crypto import age
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Rejected

IDENTITY, RECIPIENT = age.new_identity()
OTHER, OTHER_RECIPIENT = age.new_identity()


def test_each_recipient_opens() -> None:
    """Every recipient of an envelope opens it; a third identity does not."""
    third, _ = age.new_identity()
    sealed = age.seal(b"rows", [RECIPIENT, OTHER_RECIPIENT])
    assert age.open(sealed, IDENTITY) == age.open(sealed, OTHER) == b"rows"
    with pytest.raises(Rejected, match="E_AGE"):
        age.open(sealed, third)


def test_a_stream_is_sealed_piece_by_piece() -> None:
    """What is sealed in pieces, empty ones among them, opens as one; nothing but the recipient opens it."""
    pieces = [b"", b"x" * 200_000, b"", b"y", b"", b"z" * 70_000]
    written: list[bytes] = []
    age.seal_stream(iter(pieces), written.append, [RECIPIENT])
    assert age.open(b"".join(written), IDENTITY) == b"".join(pieces)
    assert len(written) > 3
    with pytest.raises(Rejected, match="E_AGE_KEY"):
        age.open(b"".join(written), OTHER)


def test_what_goes_wrong_in_a_stream_is_raised_as_it_was() -> None:
    """A source that halts and a disk that is full keep their own names; what was written until then opens to nobody."""
    written: list[bytes] = []

    def changed() -> Iterator[bytes]:
        yield b"x" * 200_000
        raise Halt("H_AGE_KEY", place="source")

    def full(_piece: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    def stopped(*_: bytes) -> Iterator[bytes]:
        raise KeyboardInterrupt
        yield b""

    for source, write in ((stopped(), written.append), (iter([b"x"]), stopped)):
        with pytest.raises(KeyboardInterrupt):
            age.seal_stream(source, lambda piece, write=write: next(iter(write(piece) or [b""])), [RECIPIENT])
    with pytest.raises(Halt, match="source"):
        age.seal_stream(changed(), written.append, [RECIPIENT])
    with pytest.raises(Rejected, match="E_AGE"):
        age.open(b"".join(written), IDENTITY)
    with pytest.raises(OSError, match="full"):
        age.seal_stream(iter([b"x"]), full, [RECIPIENT])
    with pytest.raises(Halt, match="H_AGE_KEY"):
        age.seal_stream(iter([b"x"]), written.append, [])


def test_public_half_follows_from_the_identity() -> None:
    """The recipient of an identity is the one it was made with, also when read from a file with a line end."""
    assert age.recipient_of(IDENTITY) == RECIPIENT
    assert age.recipient_of(Secret(IDENTITY.reveal() + b"\n")) == RECIPIENT


def test_every_cut_is_refused() -> None:
    """An envelope cut at any byte does not open."""
    sealed = age.seal(b"rows" * 10, [RECIPIENT])
    for length in range(len(sealed)):
        with pytest.raises(Rejected, match="E_AGE"):
            age.open(sealed[:length], IDENTITY)


def test_a_cut_between_chunks_is_refused() -> None:
    """An envelope cut exactly between two chunks of 64 KiB does not open, nor with chunks swapped or repeated."""
    content = bytes(3 * 65536)
    sealed = age.seal(content, [RECIPIENT])
    chunk = 65536 + 16
    # The header ends with `--- MAC` and its line end; 16 bytes of nonce follow.
    start = sealed.index(b"\n--- ") + len(b"\n--- ") + 43 + 1 + 16
    parts = [sealed[at : at + chunk] for at in range(start, len(sealed), chunk)]
    assert len(parts) == 3
    head = sealed[:start]
    assert age.open(head + b"".join(parts), IDENTITY) == content
    for wrong in (parts[:2], parts[:1], [parts[1], parts[0], parts[2]], [*parts, parts[2]], [parts[0], *parts[:3]]):
        with pytest.raises(Rejected, match="E_AGE"):
            age.open(head + b"".join(wrong), IDENTITY)


def test_every_flipped_bit_is_refused() -> None:
    """An envelope with any bit flipped does not open."""
    sealed = age.seal(b"rows", [RECIPIENT])
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1 << position % 8
        with pytest.raises(Rejected, match="E_AGE"):
            age.open(bytes(altered), IDENTITY)


def test_bytes_behind_the_end_are_refused() -> None:
    """An envelope with something appended does not open."""
    with pytest.raises(Rejected, match="E_AGE"):
        age.open(age.seal(b"rows", [RECIPIENT]) + b"x", IDENTITY)


def test_a_header_of_any_size_is_refused_at_once() -> None:
    """Thirty recipients are taken; a header that is longer, or never ends, is not read, for that would take hours."""
    others = [age.new_identity()[1] for _ in range(29)]
    assert age.open(age.seal(b"rows", [*others, RECIPIENT]), IDENTITY) == b"rows"

    sealed = age.seal(b"rows", [RECIPIENT])
    stanzas = sealed[len(age.HEADER) : sealed.index(b"\n--- ") + 1] * 200_000
    started = time.process_time()
    for hostile in (sealed.replace(b"\n--- ", b"\n" + stanzas + b"--- "), age.HEADER + stanzas, age.HEADER * 1_000_000):
        with pytest.raises(Rejected, match="E_AGE:"):
            age.open(hostile, IDENTITY)
    assert time.process_time() - started < 1


def test_a_passphrase_envelope_is_refused() -> None:
    """An envelope sealed with a passphrase does not open with a key, and costs no key stretching."""
    with pytest.raises(Rejected, match="E_AGE"):
        age.open(pyrage.passphrase.encrypt(b"rows", "passphrase"), IDENTITY)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_rejected_only(noise: bytes) -> None:
    """Whatever the bytes, opening them ends in Rejected."""
    for content in (noise, age.HEADER + noise, age.HEADER + b"-> X25519 " + noise):
        with pytest.raises(Rejected, match="E_AGE"):
            age.open(content, IDENTITY)


@pytest.mark.parametrize("recipients", [[], [""], ["age1"], [RECIPIENT, "ssh-ed25519 AAAA"], [RECIPIENT.upper() + "x"]])
def test_nothing_is_sealed_to_a_key_that_is_none(recipients: list[str]) -> None:
    """A missing or misspelt recipient halts instead of sealing to the others."""
    with pytest.raises(Halt, match="H_AGE_KEY"):
        age.seal(b"rows", recipients)


WRONG_IDENTITIES = {
    "nothing": b"",
    "not a key": b"AGE-SECRET-KEY-CANARY",
    "no text": b"\xff",
    "a public key": RECIPIENT.encode(),
}


@pytest.mark.parametrize("identity", WRONG_IDENTITIES.values(), ids=WRONG_IDENTITIES)
def test_a_wrong_identity_halts_without_showing_it(identity: bytes) -> None:
    """What is no identity halts, and the error shows nothing of it."""
    with pytest.raises(Halt, match="H_AGE_KEY") as caught:
        age.recipient_of(Secret(identity))
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None
