"""Drops: each thing that can be wrong with one has its own code, and nothing else comes out of any bytes."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.cli import client
from enclave.crypto import aes_zip, age, openpgp, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import CODES, Rejected
from enclave.intake.open import read_manifest
from enclave.model.drop import PlainFile, SealedDrop
from tests.intake.drops import (
    AT,
    CERTIFICATE,
    DROP_ID,
    FILES,
    KEY,
    OTHER_KEY,
    PASSPHRASE,
    PUBLIC,
    RECIPIENT,
    SIGNERS,
    drop_of,
    inner,
    opened,
    outer,
    payload_of,
)

PAYLOAD = payload_of()
OTHER_ID = "00000000-0000-4000-8000-000000000001"


def code_of(sealed: SealedDrop, **arguments: Any) -> str:
    """The code that a drop is rejected with."""
    with pytest.raises(Rejected) as caught:
        opened(sealed, **arguments)
    assert caught.value.__cause__ is None
    assert "kanari" not in str(caught.value)
    return caught.value.code


def signed(**changes: Any) -> SealedDrop:
    """A signed drop whose outer manifest has changes."""
    return drop_of(PAYLOAD, json.dumps(outer(PAYLOAD, **changes)).encode())


def with_inner(**changes: Any) -> SealedDrop:
    """A drop whose inner manifest has changes."""
    return drop_of(payload_of(inner_manifest=json.dumps(inner(FILES, **changes)).encode()))


def test_a_right_drop_is_opened() -> None:
    """Its files come out without the inner manifest, with the manifest that was signed."""
    drop = opened(drop_of(PAYLOAD))

    assert [(file.name, file.content) for file in drop.files] == [(file.name, file.content) for file in FILES]
    assert str(drop.manifest.drop_id) == DROP_ID
    assert drop.drop_uuid == "1" * 36


def test_optional_keys_and_extra_white_space_are_taken() -> None:
    """`seq`, `supersedes` and `rows` may be there; JSON may be indented."""
    drop = drop_of(PAYLOAD, json.dumps(outer(PAYLOAD, seq=4, supersedes=OTHER_ID), indent=4).encode())
    listed = [{**inner(FILES)["files"][0], "rows": 2}]

    assert opened(drop).manifest.seq == 4
    assert opened(with_inner(files=listed)).files


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"kanari",
        b"\xff\xfe{}",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"null",
        b"[]",
        b'"kanari"',
        b"\xef\xbb\xbf" + json.dumps(outer(PAYLOAD)).encode(),
        json.dumps(outer(PAYLOAD)).encode("utf-16"),
        json.dumps(outer(PAYLOAD)).encode() + b"{}",
        json.dumps(outer(PAYLOAD)).encode() + b" " * 70_000,
        json.dumps(outer(PAYLOAD)).replace('"v": 1', '"v": 1, "v": 1').encode(),
        json.dumps(outer(PAYLOAD)).replace('"v": 1', '"v": NaN').encode(),
        json.dumps(outer(PAYLOAD)).replace('"v": 1', '"v": ' + "1" * 5000).encode(),
        *(
            json.dumps(outer(PAYLOAD, **changes)).encode()
            for changes in (
                {"kanari": "kanari"},
                {"v": 2},
                {"v": None},
                {"drop_id": "kanari"},
                {"drop_id": None},
                {"sender": "../kanari"},
                {"sender": "klinikk-a\n"},
                {"registry": "KAR"},
                {"recipient_kid": "x" * 65},
                {"created_at": "2026-11-22T14:00:00"},
                {"created_at": "2026-11-22"},
                {"created_at": "5"},
                {"created_at": 5},
                {"format": "zip"},
                {"payload_sha256": "A" * 64},
                {"payload_size": -1},
                {"payload_size": "5"},
                {"payload_size": 1.5},
                {"seq": -1},
                {"seq": 2**53},
                {"seq": True},
                {"supersedes": "kanari"},
            )
        ),
    ],
)
def test_a_manifest_outside_the_schema_is_rejected(manifest: bytes) -> None:
    """Whatever a manifest has too much, too little or of another type, the code is E_MANIFEST."""
    assert code_of(drop_of(PAYLOAD, manifest)) == "E_MANIFEST"


def test_a_drop_without_signature_is_rejected() -> None:
    """A downgrade to unsigned does not pass."""
    assert code_of(replace(drop_of(PAYLOAD), signature=b"")) == "E_UNSIGNED"
    assert code_of(replace(drop_of(PAYLOAD), signature=b" \n")) == "E_UNSIGNED"


def test_a_signature_of_other_bytes_is_rejected() -> None:
    """A manifest changed after signing, and a signature that is none, fail."""
    right = drop_of(PAYLOAD)

    assert code_of(replace(right, manifest=right.manifest + b" ")) == "E_SIG"
    assert code_of(replace(right, signature=b"kanari")) == "E_SIG"
    assert code_of(replace(right, signature=right.signature * 500)) == "E_SIG"


def test_another_institutions_valid_key_is_rejected() -> None:
    """B's key signs neither a manifest that names A nor one that names B in the folder of A."""
    assert code_of(drop_of(PAYLOAD, key=OTHER_KEY)) == "E_SENDER"
    by_b = json.dumps(outer(PAYLOAD, sender="klinikk-b")).encode()
    assert code_of(drop_of(PAYLOAD, by_b, key=OTHER_KEY)) == "E_SENDER"


def test_a_manifest_of_another_sender_signed_by_the_owner_is_rejected() -> None:
    """A cannot send in the name of B."""
    assert code_of(signed(sender="klinikk-b")) == "E_OWNER"


def test_a_signature_for_another_purpose_is_rejected() -> None:
    """The namespace binds purpose and registry."""
    assert code_of(drop_of(PAYLOAD, namespace="loan@kar")) == "E_NAMESPACE"
    assert code_of(drop_of(PAYLOAD, namespace="drop@kvarus")) == "E_NAMESPACE"


def test_a_key_that_is_not_valid_now_is_rejected() -> None:
    """A signing key before or after its time has a code of its own."""
    ended = sshsig.AllowedSigner("klinikk-a", PUBLIC, ("drop@kar",), valid_before=AT - timedelta(days=1))

    assert code_of(drop_of(PAYLOAD), signers=[ended]) == "E_SIGNER_EXPIRED"


def test_a_drop_for_another_registry_is_rejected() -> None:
    """The signed manifest names the registry too."""
    assert code_of(signed(registry="kvarus")) == "E_REGISTRY"


def test_another_payload_is_rejected() -> None:
    """Cut, altered or exchanged after signing, a payload fails before it is opened."""
    right = drop_of(PAYLOAD)

    assert code_of(replace(right, payload=PAYLOAD[:-1])) == "E_DIGEST"
    assert code_of(replace(right, payload=payload_of())) == "E_DIGEST"
    assert code_of(replace(right, payload=b"")) == "E_DIGEST"
    assert code_of(signed(payload_size=1)) == "E_DIGEST"


@pytest.mark.parametrize(
    ("form", "key_id", "seal"),
    [
        ("age", RECIPIENT, lambda content: age.seal(content, [RECIPIENT])),
        ("openpgp", openpgp.key_id(CERTIFICATE), lambda content: openpgp.seal(content, CERTIFICATE)),
    ],
    ids=["age", "openpgp"],
)
def test_a_drop_in_another_envelope_is_opened_and_bound_in_the_same_way(
    form: str, key_id: str, seal: Callable[[bytes], bytes]
) -> None:
    """Both age and OpenPGP hold the same manifest and files; the key that it names twice is the registry's."""

    def sealed(named: str, inside: str) -> SealedDrop:
        manifest = json.dumps(inner(FILES, recipient_kid=inside)).encode()
        payload = seal(aes_zip.pack_plain([PlainFile("manifest.json", manifest), *FILES]))
        return drop_of(payload, json.dumps(outer(payload, format=form, recipient_kid=named)).encode())

    assert [file.content for file in opened(sealed(key_id, key_id)).files] == [file.content for file in FILES]
    assert code_of(sealed("klinikk-a-2026", key_id)) == "E_KID"
    assert code_of(sealed(key_id, "klinikk-a-2026")) == "E_BINDING"


def test_an_envelope_is_told_by_its_content_and_must_be_the_one_that_was_signed() -> None:
    """A ZIP that is called age, an age file that is called a ZIP, and what is none of the three are rejected."""
    assert code_of(signed(format="age")) == code_of(signed(format="openpgp")) == "E_FORMAT"
    for payload in (age.seal(PAYLOAD, [RECIPIENT]), openpgp.seal(PAYLOAD, CERTIFICATE), b"kanari", b""):
        assert code_of(drop_of(payload)) == "E_FORMAT"


def test_a_passphrase_that_is_not_in_force_is_rejected() -> None:
    """A key id that never was and a wrong passphrase have codes of their own."""
    for never in ("klinikk-a-2027", "klinikk-b-2025", "klinikk-a-02025", "klinikk-a-0", "klinikk-a"):
        assert code_of(signed(recipient_kid=never)) == "E_KID"
    assert code_of(drop_of(payload_of(passphrase=Secret(b"kanari")))) == "E_PASSPHRASE"


@pytest.mark.parametrize(
    "changes",
    [{"drop_id": OTHER_ID}, {"sender": "klinikk-b"}, {"recipient_kid": "klinikk-a-2025"}],
)
def test_a_payload_of_another_drop_is_rejected(changes: dict[str, str]) -> None:
    """Someone else's ciphertext, signed anew, does not pass: inside and outside must agree."""
    assert code_of(with_inner(**changes)) == "E_BINDING"


def test_files_that_are_not_exactly_listed_are_rejected() -> None:
    """Too many, too few, none, twice, or under another name."""
    entry = inner(FILES)["files"][0]

    assert code_of(with_inner(files=[])) == "E_FILES"
    assert code_of(with_inner(files=[entry, {**entry, "name": "follow_up_12.csv"}])) == "E_FILES"
    assert code_of(with_inner(files=[entry, entry])) == "E_FILES"
    assert code_of(with_inner(files=[{**entry, "name": "Arrival.csv"}])) == "E_FILES"
    assert code_of(drop_of(payload_of(files=[]))) == "E_FILES"


def test_files_that_differ_from_the_list_are_rejected() -> None:
    """A file's size and digest are bound by the inner manifest."""
    entry = inner(FILES)["files"][0]

    assert code_of(with_inner(files=[{**entry, "size": 1}])) == "E_FILE_DIGEST"
    assert code_of(with_inner(files=[{**entry, "sha256": "0" * 64}])) == "E_FILE_DIGEST"


@pytest.mark.parametrize("content", [b"", b"{}", b"kanari", b"[" * 60_000, json.dumps(inner(FILES, x=1)).encode()])
def test_an_inner_manifest_outside_the_schema_is_rejected(content: bytes) -> None:
    """Its schema is as closed as the outer one's."""
    assert code_of(drop_of(payload_of(inner_manifest=content))) == "E_INNER_MANIFEST"


def test_a_payload_without_inner_manifest_is_rejected() -> None:
    """Without it nothing binds the files to the drop."""
    members = [PlainFile("other.json", b"{}"), *FILES]

    assert code_of(drop_of(aes_zip.seal_archive(members, PASSPHRASE))) == "E_INNER_MANIFEST"


def test_every_code_is_explained_in_norwegian() -> None:
    """What a sender can be answered has a text and a remedy in Norwegian."""
    for code in ("E_MANIFEST", "E_INNER_MANIFEST", "E_UNSIGNED", "E_REGISTRY", "E_OWNER", "E_DIGEST", "E_FORMAT"):
        assert CODES[code].text_nb
        assert CODES[code].remedy_nb
    for code in ("E_KID", "E_BINDING", "E_FILES", "E_FILE_DIGEST"):
        assert CODES[code].text_nb
        assert CODES[code].remedy_nb


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_as_manifest_are_rejected_and_nothing_else(content: bytes) -> None:
    """A manifest of nonsense never raises anything but Rejected."""
    with pytest.raises(Rejected):
        read_manifest(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(outer(b""))), JSON)
def test_any_json_in_a_manifest_is_taken_or_rejected(name: str, value: Any) -> None:
    """A right manifest with any one value exchanged is read or rejected as E_MANIFEST."""
    codes = []
    try:
        read_manifest(json.dumps({**outer(b""), name: value}).encode())
    except Rejected as rejected:
        codes.append(rejected.code)

    assert codes in ([], ["E_MANIFEST"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 255), st.sampled_from(["manifest", "signature", "payload"]))
def test_a_changed_byte_anywhere_is_rejected_or_harmless(place: int, change: int, part: str) -> None:
    """One byte changed in a sealed drop gives Rejected, or exactly the drop as it was meant."""
    sealed = drop_of(PAYLOAD)
    content = bytearray(getattr(sealed, part))
    content[place % len(content)] ^= change
    try:
        drop = opened(replace(sealed, **{part: bytes(content)}))  # type: ignore[arg-type]  # the three are bytes
    except Rejected:
        return
    assert part == "signature"  # white space around its base64
    assert [file.content for file in drop.files] == [file.content for file in FILES]


def test_a_drop_made_by_stock_tools_is_opened(tmp_path: Path) -> None:
    """7-Zip makes the ZIP, `ssh-keygen -Y sign` the signature; nothing of ours is needed on the sender's side."""
    (tmp_path / "arrival.csv").write_bytes(FILES[0].content)
    (tmp_path / "manifest.json").write_text(json.dumps(inner(FILES)))
    secret = PASSPHRASE.reveal().decode()
    command = ["7z", "a", "-tzip", "-mem=AES256", f"-p{secret}", "payload.zip", "arrival.csv", "manifest.json"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    payload = (tmp_path / "payload.zip").read_bytes()
    outside = tmp_path / "outside" / "manifest.json"
    outside.parent.mkdir()
    outside.write_text(json.dumps(outer(payload), indent=2))
    key = tmp_path / "key"
    key.write_bytes(KEY.reveal())
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-Y", "sign", "-f", key, "-n", "drop@kar", outside], check=True, capture_output=True)
    signature = outside.with_name("manifest.json.sig").read_bytes()

    drop = opened(SealedDrop("1" * 36, "klinikk-a", outside.read_bytes(), signature, payload), signers=SIGNERS)

    assert [file.content for file in drop.files] == [FILES[0].content]


def test_a_drop_made_by_our_client_is_opened(tmp_path: Path) -> None:
    """What `client seal` makes is what intake takes."""
    (tmp_path / "arrival.csv").write_bytes(FILES[0].content)
    submission = client.Submission("kar", "klinikk-a", "klinikk-a-2026", AT, 1)
    made = client.seal(tmp_path, tmp_path / "out", submission, sign_key=KEY, passphrase=PASSPHRASE)
    manifest, signature, payload = (
        (made / name).read_bytes() for name in ("manifest.json", "manifest.json.sig", "payload.zip")
    )

    drop = opened(SealedDrop("1" * 36, "klinikk-a", manifest, signature, payload))

    assert [file.content for file in drop.files] == [FILES[0].content]
