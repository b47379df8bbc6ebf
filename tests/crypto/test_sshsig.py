"""SSHSIG: what `ssh-keygen` signs is verified here, what is signed here it verifies, and nothing else passes."""

import base64
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.crypto import sshsig
from enclave.crypto.secret import Secret
from enclave.crypto.sshsig import AllowedSigner, format_allowed_signers, parse_allowed_signers
from enclave.errors import Halt, Rejected

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY, PUBLIC = sshsig.new_key("klinikk-a")
OTHER_KEY, OTHER_PUBLIC = sshsig.new_key("klinikk-b")
NAMESPACE = "drop@kar"
MESSAGE = b'{"v":1}\n'
SIGNER = AllowedSigner("klinikk-a", PUBLIC, (NAMESPACE,))
OTHER = AllowedSigner("klinikk-b", OTHER_PUBLIC, (NAMESPACE,))
SIGNATURE = sshsig.sign(MESSAGE, KEY, NAMESPACE)


def verify(
    signature: bytes = SIGNATURE,
    *,
    message: bytes = MESSAGE,
    allowed: tuple[AllowedSigner, ...] = (OTHER, SIGNER),
    principal: str = "klinikk-a",
    namespace: str = NAMESPACE,
    at: datetime = AT,
) -> AllowedSigner:
    """Verify an honest signature, with what a test changes."""
    return sshsig.verify(message, signature, allowed, principal, namespace, at)


def code_of(signature: bytes = SIGNATURE, **changes: object) -> str:
    """The code by which a signature is refused."""
    with pytest.raises(Rejected) as caught:
        verify(signature, **changes)  # type: ignore[arg-type]
    assert caught.value.__cause__ is None
    return caught.value.code


def ssh_keygen_verify(folder: Path, signers: str, signature: bytes, message: bytes, principal: str, *more: str) -> bool:
    """Whether stock `ssh-keygen` takes a signature."""
    (folder / "allowed_signers").write_text(signers)
    (folder / "signature").write_bytes(signature)
    command: list[str | Path]
    command = ["ssh-keygen", "-Y", "verify", "-f", folder / "allowed_signers", "-I", principal, "-n", NAMESPACE]
    command += ["-s", folder / "signature", *more]
    return subprocess.run(command, check=False, input=message, capture_output=True).returncode == 0


def test_verifies_what_it_signs() -> None:
    """A signature names the registered signer, and signing again gives the same bytes."""
    assert verify() == SIGNER
    assert sshsig.sign(MESSAGE, KEY, NAMESPACE) == SIGNATURE
    assert sshsig.public_of(KEY) == " ".join(PUBLIC.split()[:2])


@pytest.mark.parametrize("hash_name", ["sha512", "sha256"])
def test_verifies_what_ssh_keygen_signs(tmp_path: Path, hash_name: str) -> None:
    """A file signed by `ssh-keygen -Y sign` with a key that `ssh-keygen` made verifies here, with CRLF ends too."""
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "klinikk", "-f", key], check=True)
    file = tmp_path / "manifest.json"
    file.write_bytes(MESSAGE)
    command: list[str | Path]
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, "-O", f"hashalg={hash_name}", file]
    subprocess.run(command, check=True, capture_output=True)
    signature = (tmp_path / "manifest.json.sig").read_bytes()
    signer = AllowedSigner("klinikk-a", (tmp_path / "id.pub").read_text(), (NAMESPACE,))
    assert verify(signature, allowed=(signer,)) == signer
    assert verify(signature.replace(b"\n", b"\r\n"), allowed=(signer,)) == signer
    if hash_name == "sha512":
        assert sshsig.sign(MESSAGE, Secret(key.read_bytes()), NAMESPACE) == signature


def test_ssh_keygen_verifies_what_is_signed_here(tmp_path: Path) -> None:
    """`ssh-keygen -Y verify` takes our signature with our list of signers, and refuses another message."""
    signers = format_allowed_signers([OTHER, SIGNER])
    assert ssh_keygen_verify(tmp_path, signers, SIGNATURE, MESSAGE, "klinikk-a")
    assert not ssh_keygen_verify(tmp_path, signers, SIGNATURE, MESSAGE + b" ", "klinikk-a")
    assert not ssh_keygen_verify(tmp_path, signers, SIGNATURE, MESSAGE, "klinikk-b")


def test_ssh_keygen_signs_with_a_key_made_here(tmp_path: Path) -> None:
    """A private file made here is one that `ssh-keygen` signs with."""
    key = tmp_path / "id"
    key.write_bytes(KEY.reveal())
    key.chmod(0o600)
    command: list[str | Path]
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE]
    done = subprocess.run(command, input=MESSAGE, check=True, capture_output=True)
    assert verify(done.stdout) == SIGNER


@pytest.mark.parametrize(("shift", "fits"), [(-1, False), (0, True), (3600, True), (3601, False)])
def test_validity_is_judged_as_ssh_keygen_does(tmp_path: Path, shift: int, fits: bool) -> None:
    """At each edge of a key's validity our judgement is that of `ssh-keygen` (both ends inclusive)."""
    signer = AllowedSigner("klinikk-a", PUBLIC, (NAMESPACE,), AT, AT + timedelta(hours=1))
    at = AT + timedelta(seconds=shift)
    stamp = at.strftime("%Y%m%d%H%M%SZ")
    signers = format_allowed_signers([signer])
    assert ssh_keygen_verify(tmp_path, signers, SIGNATURE, MESSAGE, "klinikk-a", f"-Overify-time={stamp}") == fits
    if fits:
        assert verify(allowed=(signer,), at=at) == signer
    else:
        assert code_of(allowed=(signer,), at=at) == ("E_SIGNER_NOT_YET" if shift < 0 else "E_SIGNER_EXPIRED")


def test_a_rotated_key_is_judged_by_the_line_that_fits() -> None:
    """Where a key stands twice, the line valid at the time counts."""
    old = AllowedSigner("klinikk-a", PUBLIC, (NAMESPACE,), None, AT - timedelta(days=1))
    assert verify(allowed=(old, SIGNER)) == SIGNER
    assert code_of(allowed=(old,)) == "E_SIGNER_EXPIRED"


def test_another_institutions_valid_key_is_refused() -> None:
    """A signature that is right, by another institution's registered key, is E_SENDER."""
    signature = sshsig.sign(MESSAGE, OTHER_KEY, NAMESPACE)
    assert code_of(signature) == "E_SENDER"
    assert code_of(signature, allowed=()) == "E_SENDER"
    assert code_of(principal="klinikk") == "E_SENDER"


def test_another_namespace_is_refused() -> None:
    """A signature for another purpose or registry is E_NAMESPACE, as is a key not registered for this one."""
    assert code_of(sshsig.sign(MESSAGE, KEY, "drop@kvarus")) == "E_NAMESPACE"
    assert code_of(sshsig.sign(MESSAGE, KEY, "file")) == "E_NAMESPACE"
    assert code_of(allowed=(AllowedSigner("klinikk-a", PUBLIC, ("loan@kar",)),)) == "E_NAMESPACE"


def test_another_message_is_refused() -> None:
    """A signature does not vouch for other bytes."""
    assert code_of(message=MESSAGE + b"\n") == "E_SIG"
    assert code_of(message=b"") == "E_SIG"


def raw(**parts: bytes) -> bytes:
    """A signature blob put together by hand, armored."""
    public = base64.b64decode(PUBLIC.split()[1])
    blob = base64.b64decode(b"".join(SIGNATURE.splitlines()[1:-1]))
    honest = blob[-64:]
    values = {
        "magic": b"SSHSIG\x00\x00\x00\x01",
        "public": public,
        "namespace": NAMESPACE.encode(),
        "reserved": b"",
        "hash": b"sha512",
        "type": b"ssh-ed25519",
        "signature": honest,
        "behind": b"",
        **parts,
    }

    def string(content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + content

    inner = string(values["type"]) + string(values["signature"])
    body = b"".join(string(values[name]) for name in ("public", "namespace", "reserved", "hash")) + string(inner)
    text = base64.b64encode(values["magic"] + body + values["behind"])
    return b"-----BEGIN SSH SIGNATURE-----\n" + text + b"\n-----END SSH SIGNATURE-----\n"


def test_the_hand_made_signature_is_right_when_nothing_is_changed() -> None:
    """The tests below start from a signature that verifies."""
    assert verify(raw()) == SIGNER


ORDER = 2**252 + 27742317777372353535851937790883648493
BLOB = base64.b64decode(b"".join(SIGNATURE.splitlines()[1:-1]))
SAME_SCALAR = (int.from_bytes(BLOB[-32:], "little") + ORDER).to_bytes(32, "little")
FORGERIES = {
    "other magic": {"magic": b"SSHSIX\x00\x00\x00\x01"},
    "version 2": {"magic": b"SSHSIG\x00\x00\x00\x02"},
    "reserved in use": {"reserved": b"x"},
    "hash that is none": {"hash": b"none"},
    "weak hash": {"hash": b"sha1"},
    "other hash": {"hash": b"sha256"},
    "other namespace inside": {"namespace": b"loan@kar"},
    "no namespace": {"namespace": b""},
    "RSA": {"type": b"ssh-rsa"},
    "short signature": {"signature": bytes(63)},
    "zero signature": {"signature": bytes(64)},
    "long signature": {"signature": bytes(65)},
    "key of another kind": {"public": b"\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x01\x00"},
    "key under another name": {"public": base64.b64decode(PUBLIC.split()[1]).replace(b"ssh-", b"sss-")},
    "short key": {"public": b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x1f" + bytes(31)},
    "zero key": {"public": b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + bytes(32)},
    "key with more behind it": {"public": base64.b64decode(PUBLIC.split()[1]) + b"x"},
    "bytes behind": {"behind": b"x"},
    "the same scalar written otherwise": {"signature": BLOB[-64:-32] + SAME_SCALAR},
}


@pytest.mark.parametrize("parts", FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_parts_are_refused(parts: dict[str, bytes]) -> None:
    """Each part of a signature that is not as it must be makes it E_SIG."""
    assert code_of(raw(**parts)) == "E_SIG"


ARMOR = {
    "nothing": b"",
    "no armor": b"\n".join(SIGNATURE.splitlines()[1:-1]),
    "text before": b"x" + SIGNATURE,
    "text behind": SIGNATURE + b"x",
    "twice": SIGNATURE * 2,
    "not base64": SIGNATURE.replace(b"U1NI", b"U1N!"),
    "bad padding": SIGNATURE.replace(b"U1NI", b"U1N="),
    "cut": SIGNATURE[:-40],
    "huge": SIGNATURE + b" " * 5000,
    "PGP": b"-----BEGIN PGP SIGNATURE-----\nAAAA\n-----END PGP SIGNATURE-----\n",
}


@pytest.mark.parametrize("armored", ARMOR.values(), ids=ARMOR.keys())
def test_other_armor_is_refused(armored: bytes) -> None:
    """What is not one whole armored signature is E_SIG."""
    assert code_of(armored) == "E_SIG"


def test_every_flipped_bit_is_refused() -> None:
    """With any bit of the decoded signature flipped it verifies for nobody."""
    blob = base64.b64decode(b"".join(SIGNATURE.splitlines()[1:-1]))
    for bit in range(8 * len(blob)):
        altered = bytearray(blob)
        altered[bit // 8] ^= 1 << bit % 8
        armored = b"-----BEGIN SSH SIGNATURE-----\n" + base64.b64encode(altered) + b"\n-----END SSH SIGNATURE-----\n"
        assert code_of(armored) in ("E_SIG", "E_NAMESPACE", "E_SENDER")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_rejected_only(noise: bytes) -> None:
    """Whatever the bytes, verifying them ends in Rejected."""
    armored = b"-----BEGIN SSH SIGNATURE-----\n" + base64.b64encode(b"SSHSIG\x00\x00\x00\x01" + noise)
    for content in (noise, armored + b"\n-----END SSH SIGNATURE-----\n"):
        with pytest.raises(Rejected):
            verify(content)


def test_the_list_of_signers_reads_back() -> None:
    """What is formatted parses to the same signers; comments, empty lines and CRLF are skipped."""
    signers = (
        AllowedSigner("klinikk-a", " ".join(PUBLIC.split()[:2]), ("drop@kar", "loan@kar"), AT, AT + timedelta(days=2)),
        AllowedSigner("klinikk-a", " ".join(PUBLIC.split()[:2]), ("drop@kar",), AT.replace(year=26)),
        AllowedSigner("enclave@kar", " ".join(OTHER_PUBLIC.split()[:2]), ("bundle@kar",)),
    )
    text = format_allowed_signers(signers)
    assert parse_allowed_signers(text) == signers
    assert parse_allowed_signers("# kit\r\n\r\n" + text.replace("\n", "\r\n")) == signers


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        f"ssh-rsa {PUBLIC.split()[1]}",
        "ssh-ed25519 " + base64.b64encode(b"\x00\x00\x00\x0bssh-ed25518\x00\x00\x00\x20" + bytes(32)).decode(),
        "ssh-ed25519 " + base64.b64encode(base64.b64decode(PUBLIC.split()[1]) + b"x").decode(),
    ],
    ids=["nothing", "no key", "too short", "another kind", "another kind inside", "too long"],
)
def test_only_ed25519_lines_are_keys(line: str) -> None:
    """A public line that is not exactly an Ed25519 key halts, wherever the signer came from."""
    with pytest.raises(Halt, match="H_SIGNERS"):
        verify(allowed=(AllowedSigner("klinikk-a", line, (NAMESPACE,)),))


BAD_LINES = [
    "klinikk-a",
    f"klinikk-a {PUBLIC}",
    f'*@klinikk namespaces="drop@kar" {PUBLIC}',
    f'klinikk-a,klinikk-b namespaces="drop@kar" {PUBLIC}',
    f'!klinikk-a namespaces="drop@kar" {PUBLIC}',
    f'klinikk-a cert-authority,namespaces="drop@kar" {PUBLIC}',
    f'klinikk-a namespaces="*" {PUBLIC}',
    f'klinikk-a namespaces="" {PUBLIC}',
    f'klinikk-a namespaces="drop@kar,valid-before=" {PUBLIC}',
    f'klinikk-a namespaces="drop@kar",valid-before="20260301" {PUBLIC}',
    f'klinikk-a namespaces="drop@kar",valid-before="20261301Z" {PUBLIC}',
    f'klinikk-a namespaces="drop@kar",valid-until="20260301Z" {PUBLIC}',
    'klinikk-a namespaces="drop@kar" ssh-rsa AAAAB3NzaC1yc2E=',
    'klinikk-a namespaces="drop@kar" ssh-ed25519 AAAA',
    'klinikk-a namespaces="drop@kar" ssh-ed25519 not-base64!',
]


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_line_outside_the_strict_format_halts(line: str) -> None:
    """Wildcards, lists, authorities, local times, other keys and typing mistakes halt with the line's number."""
    with pytest.raises(Halt, match=r"H_SIGNERS \(line 2\)"):
        parse_allowed_signers(f"# signers\n{line}\n")


@pytest.mark.parametrize("principal", ["a b", 'a"', "a\nb", "*", ""])
def test_a_principal_cannot_smuggle_a_line(principal: str) -> None:
    """A principal outside the grammar is not written."""
    with pytest.raises(Halt, match="H_SIGNERS"):
        format_allowed_signers([AllowedSigner(principal, PUBLIC, (NAMESPACE,))])


def test_only_open_ed25519_keys_sign() -> None:
    """A key of another kind, behind a passphrase, or no key at all halts without showing any of it."""
    encrypted = serialization.load_ssh_private_key(KEY.reveal(), None).private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"x")
    )
    other = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    for private in (encrypted, other, b"", b"CANARY", KEY.reveal()[:100]):
        with pytest.raises(Halt, match="H_SIGN_KEY") as caught:
            sshsig.sign(MESSAGE, Secret(private), NAMESPACE)
        assert "CANARY" not in str(caught.value)
