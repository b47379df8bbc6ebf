"""Packages, opened and verified by the programs that institutions have."""

import hashlib
import json
import re
import subprocess
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from enclave.cli import client
from enclave.crypto import aes_zip, sshsig
from enclave.crypto.allowed_signers import AllowedSigner, format_allowed_signers
from enclave.crypto.passphrase import new_passphrase
from enclave.errors import Halt
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.model.drop import PlainFile
from enclave.release import readme
from enclave.release.bundle import (
    INNER,
    SMALLEST,
    Consistency,
    SealedBundle,
    assemble,
    padded_size,
    reopen_and_compare,
    seal,
)
from enclave.release.gate import POLICIES
from tests.release.example import receipt_draft, result_draft

BUNDLE = "0b9e7f3a-52d1-4c56-8f0e-1c2d3e4f5a6b"
NOTE = b"enclave\n12\nabc=\n\n\xe2\x80\x94 enclave sig\n"
PASSPHRASE = new_passphrase()
SIGN_KEY, PUBLIC = sshsig.new_key("bundle")


def _inner(draft: Draft) -> bytes:
    return assemble(
        draft, bundle_id=BUNDLE, checkpoint=NOTE, code_version="0.1.0", consistency=Consistency(5, ("ab" * 32,))
    )


def _sealed(inner: bytes) -> SealedBundle:
    return seal(inner, PASSPHRASE, sign_key=SIGN_KEY, registry="kar", bundle_id=BUNDLE)


def _deliver(sealed: SealedBundle, folder: Path) -> Path:
    for name, content in sealed.files():
        (folder / name).write_bytes(content)
    signer = AllowedSigner("enclave@kar", PUBLIC, ("bundle@kar",))
    (folder / "allowed_signers").write_text(format_allowed_signers([signer]))
    return folder / sealed.archive[0]


def test_seven_zip_opens_a_bundle_to_exactly_the_draft(tmp_path: Path) -> None:
    """Outside there is one opaque member; inside are the draft's files, readme, manifest and checkpoint."""
    archive = _deliver(_sealed(_inner(result_draft())), tmp_path)
    phrase = PASSPHRASE.reveal().decode()
    listed = subprocess.run(["7z", "l", "-slt", archive], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^Path = (.*)$", listed, re.MULTILINE)[1:] == [INNER]
    assert "AES-256" in listed
    subprocess.run(["7z", "x", f"-p{phrase}", f"-o{tmp_path}", archive], check=True, capture_output=True)
    subprocess.run(["7z", "x", f"-o{tmp_path / 'opened'}", tmp_path / INNER], check=True, capture_output=True)
    for file in result_draft().files:
        assert (tmp_path / "opened" / file.name).read_bytes() == file.content
    manifest = json.loads((tmp_path / "opened/MANIFEST.json").read_bytes())
    assert manifest["recipient"] == "alfa"
    assert (manifest["state"], manifest["definition"], manifest["code_version"]) == (7, "d" * 64, "0.1.0")
    for entry in manifest["files"]:
        content = (tmp_path / "opened" / entry["name"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["size"])
    assert (tmp_path / "opened/sjekkpunkt.txt").read_bytes() == NOTE
    assert manifest["consistency"] == {"older_size": 5, "proof": ["ab" * 32]}
    assert "rapport.html" in (tmp_path / "opened/LES_MEG.txt").read_text("utf-8-sig")
    assert "fyll.bin" in (tmp_path / "opened/LES_MEG.txt").read_text("utf-8-sig")


def test_the_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    """7-Zip ends with an error and leaves no content."""
    archive = _deliver(_sealed(_inner(receipt_draft())), tmp_path)
    wrong = subprocess.run(["7z", "x", "-pWRONG", f"-o{tmp_path / 'x'}", archive], capture_output=True, check=False)
    assert wrong.returncode != 0
    assert not (tmp_path / "x" / INNER).exists() or not (tmp_path / "x" / INNER).read_bytes()


def test_the_command_of_the_script_verifies_the_bundle_and_nothing_else(tmp_path: Path) -> None:
    """The very command line in the `.cmd`, with the kit's key, accepts the bundle and refuses an altered one."""
    archive = _deliver(_sealed(_inner(receipt_draft())), tmp_path)
    script = (tmp_path / f"{archive.name}.cmd").read_bytes().decode("ascii")
    assert script.count("\r\n") == script.count("\n")
    [command] = [line for line in script.split("\r\n") if line.startswith("ssh-keygen")]
    assert "%~dp0allowed_signers" not in script
    command = command.replace("%SIGNERS%", str(tmp_path / "allowed_signers")).replace("%~dp0", f"{tmp_path}/")
    good = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    assert "enclave@kar" in good.stdout
    content = bytearray(archive.read_bytes())
    content[-1] ^= 1
    archive.write_bytes(content)
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode != 0


def test_the_institutions_own_client_verifies_and_opens(tmp_path: Path) -> None:
    """The client program gives the files of the draft, among those that explain them."""
    sealed = _sealed(_inner(result_draft()))
    archive = _deliver(sealed, tmp_path)
    signers = (tmp_path / "allowed_signers").read_text()
    at = datetime(2025, 3, 1, tzinfo=UTC)
    assert client.verify(archive.read_bytes(), sealed.signature[1], signers, "kar", at) == "enclave@kar"
    opened = {file.name: file.content for file in client.open(archive.read_bytes(), PASSPHRASE)}
    assert {file.name: file.content for file in result_draft().files}.items() <= opened.items()


def test_the_same_draft_gives_the_same_inner_bytes() -> None:
    """Order of files and time play no part; another checkpoint does."""
    draft = result_draft()
    assert _inner(draft) == _inner(replace(draft, files=tuple(reversed(draft.files))))
    other = assemble(draft, bundle_id=BUNDLE, checkpoint=b"other", code_version="0.1.0", consistency=None)
    assert other != _inner(draft)


@pytest.mark.parametrize("length", [0, 1, 100, 3000, 20_000])
def test_receipts_of_any_ordinary_length_have_one_size(length: int) -> None:
    """What is seen at the airlock tells neither the length of a receipt nor whether a drop was admitted."""
    sealed = _sealed(_inner(receipt_draft(text=b"x" * length)))
    assert len(_inner(receipt_draft(text=b"x" * length))) == SMALLEST
    assert len(sealed.archive[1]) == len(_sealed(_inner(receipt_draft())).archive[1])


def test_padding_has_few_steps_and_costs_little() -> None:
    """Sizes are never smaller than what they hold, grow by at most an eighth, and take few values."""
    sizes = range(1, 1_000_000, 997)
    assert all(padded_size(size) >= size for size in sizes)
    assert all(padded_size(size) <= max(SMALLEST, size * 9 / 8) for size in sizes)
    assert len({padded_size(size) for size in sizes}) < 50
    assert padded_size(SMALLEST + 1) > SMALLEST


def test_the_outside_tells_nothing() -> None:
    """Neither recipient, registry of results, file names nor dates can be read from the archive."""
    archive = _sealed(_inner(result_draft())).archive[1]
    for told in (b"alfa", b"rapport", b"2024", b"MANIFEST", b"csv/"):
        assert told not in archive


def test_a_bundle_is_reopened_with_the_recipients_passphrase() -> None:
    """What opens to what was put in passes; everything else halts before it has a name in the outbox."""
    inner = _inner(result_draft())
    sealed = _sealed(inner)
    reopen_and_compare(sealed, PASSPHRASE, recipient="alfa", inner=inner)
    with pytest.raises(Halt, match="H_WRONG_RECIPIENT"):
        reopen_and_compare(sealed, new_passphrase(), recipient="alfa", inner=inner)
    with pytest.raises(Halt, match="H_WRONG_RECIPIENT"):
        reopen_and_compare(sealed, PASSPHRASE, recipient="beta", inner=inner)
    with pytest.raises(Halt, match="H_WRONG_RECIPIENT"):
        reopen_and_compare(sealed, PASSPHRASE, recipient="alfa", inner=_inner(receipt_draft()))


def test_a_bundle_of_one_recipient_in_the_folder_of_another_halts() -> None:
    """Sealed for alfa with beta's passphrase by mistake: the manifest inside tells."""
    inner = _inner(replace(result_draft(), recipient="beta"))
    with pytest.raises(Halt, match="H_WRONG_RECIPIENT"):
        reopen_and_compare(_sealed(inner), PASSPHRASE, recipient="alfa", inner=inner)


def test_a_damaged_or_incomplete_bundle_halts() -> None:
    """A manifest that does not fit its files, or none, is not delivered."""
    plain = aes_zip.pack_plain([PlainFile("MANIFEST.json", b'{"recipient": "alfa", "files": []}')])
    for inner in (b"", b"not a zip", aes_zip.pack_plain([PlainFile("a.txt", b"x")])):
        with pytest.raises(Halt, match="H_WRONG_RECIPIENT"):
            reopen_and_compare(_sealed(inner), PASSPHRASE, recipient="alfa", inner=inner)
    reopen_and_compare(_sealed(plain), PASSPHRASE, recipient="alfa", inner=plain)
    wrong = aes_zip.pack_plain(
        [
            PlainFile("MANIFEST.json", b'{"recipient": "alfa", "files": [{"name": "a", "sha256": "0"}]}'),
            PlainFile("a", b""),
        ]
    )
    with pytest.raises(Halt, match="H_WRONG_RECIPIENT"):
        reopen_and_compare(_sealed(wrong), PASSPHRASE, recipient="alfa", inner=wrong)
    sealed = _sealed(plain)
    cut = replace(sealed, archive=(sealed.archive[0], sealed.archive[1][:-5]))
    with pytest.raises(Halt, match="H_WRONG_RECIPIENT"):
        reopen_and_compare(cut, PASSPHRASE, recipient="alfa", inner=plain)


def test_the_archive_is_delivered_last() -> None:
    """Whoever sees the archive finds its signature beside it; all names are random and say nothing."""
    names = [name for name, _ in _sealed(_inner(receipt_draft())).files()]
    assert names == [f"bundle_{BUNDLE}.zip.sig", f"bundle_{BUNDLE}.zip.cmd", f"bundle_{BUNDLE}.zip"]


def test_every_kind_that_leaves_has_a_readme() -> None:
    """The table of readmes is total over the kinds with a policy, and names each required file."""
    assert set(readme.WHAT) == set(POLICIES)
    for kind, policy in POLICIES.items():
        text = readme.readme(kind, "kar", "alfa").decode("utf-8-sig")
        assert all(name in text for name in policy.required)


def test_the_inner_archive_is_an_ordinary_zip(tmp_path: Path) -> None:
    """Windows opens it without any program: stored members, one neutral time, no name twice."""
    path = tmp_path / INNER
    path.write_bytes(_inner(result_draft()))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert set(archive.read("fyll.bin")) <= {0}


def test_a_certificate_travels_like_everything_else() -> None:
    """Its two files and the readme are inside."""
    draft = Draft(
        kind=Kind.CERTIFICATE,
        registry="kar",
        recipient="alfa",
        state=7,
        definition="d" * 64,
        files=(DraftFile("sertifikat.json", b"{}"), DraftFile("sertifikat.txt", b"Slettet.")),
    )
    inner = _inner(draft)
    reopen_and_compare(_sealed(inner), PASSPHRASE, recipient="alfa", inner=inner)
