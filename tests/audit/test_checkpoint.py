"""Checkpoints are C2SP signed notes; the verifier's own Ed25519 agrees with RFC 8032 and with `cryptography`."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.audit import checkpoint, signed_note, verify
from enclave.crypto.secret import Secret
from enclave.errors import Halt

ORIGIN = "enclave/demo/log"
SEED = Secret(b"s" * 32)
ROOT = bytes(range(32))
VKEY = signed_note.vkey_of(ORIGIN, signed_note.public_key_of(SEED))
NOTE = checkpoint.sign(ORIGIN, 7, ROOT, SEED)

RFC8032 = (  # section 7.1, tests 1 to 3: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd"
            "25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c3"
            "87b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594"
            "a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
)


def test_a_note_states_its_head_and_is_the_same_each_time() -> None:
    """Signing the same head gives the same bytes, and verifying them gives the head back, in both implementations."""
    assert checkpoint.sign(ORIGIN, 7, ROOT, SEED) == NOTE
    assert checkpoint.verify(NOTE, VKEY) == checkpoint.Checkpoint(ORIGIN, 7, ROOT)
    assert verify.read_checkpoint(NOTE, verify.read_keys(VKEY)) == (ORIGIN, 7, ROOT)


def test_the_published_note_of_the_go_library_verifies() -> None:
    """The key and note in the documentation of Go's sumdb/note verify: our key ids and signatures are those of C2SP."""
    vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    (key,) = verify.read_keys(vkey)
    signature = base64.b64decode(line)
    assert signature[:4] == key.key_id
    assert verify.ed25519_verifies(key.public, text, signature[4:])


def test_every_flipped_byte_of_a_note_is_refused() -> None:
    """No byte of a checkpoint can change: not its text, not its form, not its signature."""
    keys = verify.read_keys(VKEY)
    for place in range(len(NOTE)):
        changed = bytearray(NOTE)
        changed[place] ^= 1
        with pytest.raises(Halt, match="H_CHECKPOINT"):
            checkpoint.verify(bytes(changed), VKEY)
        with pytest.raises(verify.WrongError):
            verify.read_checkpoint(bytes(changed), keys)


@pytest.mark.parametrize("cut", [1, 2, 30, len(NOTE) - 1, len(NOTE)])
def test_a_cut_note_is_refused(cut: int) -> None:
    """A checkpoint is whole or nothing."""
    with pytest.raises(Halt):
        checkpoint.verify(NOTE[:-cut], VKEY)
    with pytest.raises(verify.WrongError):
        verify.read_checkpoint(NOTE[:-cut], verify.read_keys(VKEY))


def test_another_key_of_the_same_name_is_refused() -> None:
    """A note by a key that is not the log's is no checkpoint of it."""
    forged = checkpoint.sign(ORIGIN, 7, ROOT, Secret(b"t" * 32))
    with pytest.raises(Halt):
        checkpoint.verify(forged, VKEY)
    with pytest.raises(verify.WrongError):
        verify.read_checkpoint(forged, verify.read_keys(VKEY))


def test_a_witness_may_sign_too() -> None:
    """A further signature by an unknown key is ignored, as the format asks."""
    witnessed = NOTE + f"\u2014 witness.example {base64.b64encode(bytes(76)).decode()}\n".encode()
    assert checkpoint.verify(witnessed, VKEY).size == 7
    assert verify.read_checkpoint(witnessed, verify.read_keys(VKEY)).size == 7


@pytest.mark.parametrize("vkey", ["", "x", "a+b+c", VKEY[:-4], VKEY.replace("enclave", "enclava"), VKEY + "="])
def test_a_wrong_verification_key_is_refused(vkey: str) -> None:
    """A key whose id does not follow from its name and bytes verifies nothing."""
    with pytest.raises(Halt):
        checkpoint.verify(NOTE, vkey)
    with pytest.raises(verify.WrongError):
        verify.read_keys(vkey)


@pytest.mark.parametrize(
    ("origin", "size", "root"), [("Two words", 1, ROOT), (ORIGIN, -1, ROOT), (ORIGIN, 1, b"short")]
)
def test_what_is_no_head_is_not_signed(origin: str, size: int, root: bytes) -> None:
    """The signer refuses what a verifier would not read."""
    with pytest.raises(Halt):
        checkpoint.sign(origin, size, root, SEED)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_make_the_parsers_fail_otherwise(content: bytes) -> None:
    """Whatever is read as a checkpoint, the answer is a head or the one typed refusal."""
    with pytest.raises(Halt):
        checkpoint.verify(content, VKEY)
    with pytest.raises(verify.WrongError):
        verify.read_checkpoint(content, verify.read_keys(VKEY))


@pytest.mark.parametrize(("public", "message", "signature"), RFC8032)
def test_the_verifiers_ed25519_accepts_the_vectors_of_rfc_8032(public: str, message: str, signature: str) -> None:
    """The published signatures verify, and none of them over another message."""
    key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert verify.ed25519_verifies(key, text, signed)
    assert not verify.ed25519_verifies(key, text + b"x", signed)


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.integers(0, 511))
def test_the_verifiers_ed25519_agrees_with_cryptography(seed: bytes, message: bytes, bit: int) -> None:
    """What `cryptography` signs verifies, and not with any bit of the signature flipped."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify.ed25519_verifies(public, message, signature)
    flipped = (int.from_bytes(signature, "little") ^ (1 << bit)).to_bytes(64, "little")
    assert not verify.ed25519_verifies(public, message, flipped)


def test_a_signature_has_one_form_only() -> None:
    """S + L, which lax verifiers accept, is refused; so are keys and points that are not canonical."""
    private = Ed25519PrivateKey.from_private_bytes(SEED.reveal())
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"m")
    scalar = int.from_bytes(signature[32:], "little") + verify.ORDER
    assert not verify.ed25519_verifies(public, b"m", signature[:32] + scalar.to_bytes(32, "little"))
    assert not verify.ed25519_verifies(b"\xff" * 32, b"m", signature)
    assert not verify.ed25519_verifies(public, b"m", signature[:-1])
    assert not verify.ed25519_verifies((1 | 1 << 255).to_bytes(32, "little"), b"m", signature)
