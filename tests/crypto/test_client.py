"""The institution's side: a drop that stock tools understand, and bundles that only their recipient opens."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from enclave.cli import client
from enclave.crypto import aes_zip, age, sshsig
from enclave.crypto.aes_zip import Limits, open_archive, open_plain, pack_plain, seal_archive
from enclave.crypto.passphrase import new_passphrase
from enclave.crypto.sshsig import AllowedSigner, format_allowed_signers
from enclave.errors import Halt, Refused, Rejected
from enclave.model.drop import InnerManifest, Manifest, PlainFile

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY, PUBLIC = sshsig.new_key("klinikk-a")
PASSPHRASE = new_passphrase()
SUBMISSION = client.Submission("kar", "klinikk-a", "klinikk-a-2026", AT, 7)
ARRIVAL = b"\xef\xbb\xbfperson_id;course_id\r\n1;2\r\n"


@pytest.fixture
def forms(tmp_path: Path) -> Path:
    """A folder as an institution has it: two forms and something else."""
    folder = tmp_path / "skjema"
    folder.mkdir()
    (folder / "arrival.csv").write_bytes(ARRIVAL)
    (folder / "follow_up_12.csv").write_bytes(b"person_id;course_id\r\n")
    (folder / "notat.txt").write_text("not a form")
    return folder


def test_a_drop_agrees_with_itself(forms: Path, tmp_path: Path) -> None:
    """Outer and inner manifest, digest, size, signature and payload of a drop all agree, and only CSV is taken."""
    drop = client.seal(forms, tmp_path / "out", SUBMISSION, sign_key=KEY, passphrase=PASSPHRASE)
    assert sorted(path.name for path in drop.iterdir()) == ["manifest.json", "manifest.json.sig", "payload.zip"]
    outer = (drop / "manifest.json").read_bytes()
    payload = (drop / "payload.zip").read_bytes()
    manifest = Manifest.model_validate_json(outer)
    assert drop.name == str(manifest.drop_id)
    assert manifest.payload_sha256 == hashlib.sha256(payload).hexdigest()
    assert (manifest.payload_size, manifest.format, manifest.seq) == (len(payload), "aes-zip", 7)
    assert manifest.created_at == AT
    signer = AllowedSigner("klinikk-a", PUBLIC, ("drop@kar",))
    assert sshsig.verify(outer, (drop / "manifest.json.sig").read_bytes(), [signer], "klinikk-a", "drop@kar", AT)
    first, *files = open_archive(payload, PASSPHRASE, Limits())
    inner = InnerManifest.model_validate_json(first.content)
    assert (inner.drop_id, inner.sender, inner.recipient_kid) == (manifest.drop_id, "klinikk-a", "klinikk-a-2026")
    stated = [(file.name, file.sha256, file.size) for file in inner.files]
    assert stated == [(file.name, hashlib.sha256(file.content).hexdigest(), len(file.content)) for file in files]
    assert [file.name for file in files] == ["arrival.csv", "follow_up_12.csv"]
    assert files[0].content == ARRIVAL


def test_nothing_of_the_content_shows_outside(forms: Path, tmp_path: Path) -> None:
    """Nothing outside the payload tells a file's name, size or digest."""
    drop = client.seal(forms, tmp_path / "out", SUBMISSION, sign_key=KEY, passphrase=PASSPHRASE)
    stated = set(json.loads((drop / "manifest.json").read_bytes()))
    names = {"v", "registry", "drop_id", "sender", "seq", "created_at", "recipient_kid", "format"}
    assert stated == names | {"payload_sha256", "payload_size"}


def test_a_loan_is_sealed_with_age(forms: Path, tmp_path: Path) -> None:
    """Borrowed data are sealed to the loan's key and signed for `loan@REGISTRY`, which is no drop."""
    identity, recipient = age.new_identity()
    drop = client.seal(forms, tmp_path / "out", SUBMISSION, sign_key=KEY, recipient=recipient)
    outer = (drop / "manifest.json").read_bytes()
    signature = (drop / "manifest.json.sig").read_bytes()
    signers = [AllowedSigner("klinikk-a", PUBLIC, ("drop@kar", "loan@kar"))]
    assert sshsig.verify(outer, signature, signers, "klinikk-a", "loan@kar", AT)
    with pytest.raises(Rejected, match="E_NAMESPACE"):
        sshsig.verify(outer, signature, signers, "klinikk-a", "drop@kar", AT)
    assert Manifest.model_validate_json(outer).format == "age"
    files = open_plain(age.open((drop / "payload.age").read_bytes(), identity), Limits())
    assert [file.name for file in files] == ["manifest.json", "arrival.csv", "follow_up_12.csv"]


def test_a_drop_is_sealed_in_exactly_one_way(forms: Path, tmp_path: Path) -> None:
    """Neither or both of passphrase and recipient is refused; a bad recipient halts; nothing is left behind."""
    out = tmp_path / "out"
    with pytest.raises(Refused, match="R_CLIENT_SEALING"):
        client.seal(forms, out, SUBMISSION, sign_key=KEY)
    with pytest.raises(Refused, match="R_CLIENT_SEALING"):
        client.seal(forms, out, SUBMISSION, sign_key=KEY, passphrase=PASSPHRASE, recipient="age1x")
    for recipient in ("", "age1x"):
        with pytest.raises(Halt, match="H_AGE_KEY"):
            client.seal(forms, out, SUBMISSION, sign_key=KEY, recipient=recipient)
    assert not out.exists()


def test_what_the_server_would_refuse_is_not_sent(forms: Path, tmp_path: Path) -> None:
    """A wrong sender, a folder without forms, a file name outside the grammar and one name twice are refused here."""
    wrong = client.Submission("kar", "Klinikk A", "kid", AT)
    with pytest.raises(Refused, match="R_CLIENT_MANIFEST"):
        client.seal(forms, tmp_path / "out", wrong, sign_key=KEY, passphrase=PASSPHRASE)
    wrong = client.Submission("Kar!", "klinikk-a", "kid", AT)
    with pytest.raises(Refused, match="R_CLIENT_MANIFEST"):
        client.seal(forms, tmp_path / "out", wrong, sign_key=KEY, passphrase=PASSPHRASE)
    for name in ("CANARY å.csv", "ARRIVAL.csv"):
        (forms / name).write_bytes(b"")
        with pytest.raises(Refused, match="R_CLIENT_FILES") as caught:
            client.seal(forms, tmp_path / "out", SUBMISSION, sign_key=KEY, passphrase=PASSPHRASE)
        assert "CANARY" not in str(caught.value)
        (forms / name).unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Refused, match="R_CLIENT_FILES"):
        client.seal(empty, tmp_path / "out", SUBMISSION, sign_key=KEY, passphrase=PASSPHRASE)
    with pytest.raises(Refused, match="R_CLIENT_READ"):
        client.seal(tmp_path / "nowhere", tmp_path / "out", SUBMISSION, sign_key=KEY, passphrase=PASSPHRASE)


def bundle_of(*files: PlainFile) -> bytes:
    """A bundle of the server's outer shape."""
    return seal_archive([PlainFile(client.INNER, pack_plain(files))], PASSPHRASE)


def test_a_bundle_opens_for_its_recipient_only() -> None:
    """A bundle gives its files without padding; another passphrase, a second member, no ZIP inside are refused."""
    files = (PlainFile("LES_MEG.txt", b"hei"), PlainFile("csv/resultater.csv", ARRIVAL))
    bundle = bundle_of(*files, PlainFile(client.PADDING, bytes(1000)))
    assert [(file.name, file.content) for file in client.open(bundle, PASSPHRASE)] == [
        (file.name, file.content) for file in files
    ]
    with pytest.raises(Rejected, match=r"E_PASSPHRASE|E_TAG"):
        client.open(bundle, new_passphrase())
    with pytest.raises(Rejected, match="E_ENTRIES"):
        client.open(seal_archive([PlainFile("a", b""), PlainFile("b", b"")], PASSPHRASE), PASSPHRASE)
    for content in (b"", b"not a zip", bundle):
        with pytest.raises(Rejected, match="E_"):
            client.open(seal_archive([PlainFile(client.INNER, content)], PASSPHRASE), PASSPHRASE)


def test_a_bundle_writes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle whose inner names climb out of their folder is refused before anything is written."""
    monkeypatch.setattr(aes_zip, "is_plain_path", lambda _: True)
    for name in ("../a.txt", "csv/../../a.txt", "/tmp/a.txt", "C:/a.txt"):
        hostile = bundle_of(PlainFile(name, b"x"))
        with pytest.raises(Rejected, match="E_NAME"):
            client.open(hostile, PASSPHRASE)


def test_the_command_line_walks_the_whole_way(forms: Path, tmp_path: Path) -> None:
    """`client seal`, `verify` and `open` do on files what the functions do, and refuse to overwrite."""
    (tmp_path / "key").write_bytes(KEY.reveal())
    (tmp_path / "passphrase.txt").write_bytes(PASSPHRASE.reveal() + b"\r\n")
    run = CliRunner().invoke
    options = ["--registry", "kar", "--sender", "klinikk-a", "--recipient-kid", "kid-1", "--sign-key"]
    options += [str(tmp_path / "key"), "--passphrase-file", str(tmp_path / "passphrase.txt")]
    sealed = run(client.app, ["seal", str(forms), str(tmp_path / "out"), *options])
    assert sealed.exit_code == 0, sealed.output
    (drop,) = (tmp_path / "out").iterdir()
    assert open_archive((drop / "payload.zip").read_bytes(), PASSPHRASE, Limits())[1].content == ARRIVAL

    server_key, server_public = sshsig.new_key("enclave")
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(bundle_of(PlainFile("csv/resultater.csv", ARRIVAL)))
    signature = sshsig.sign(bundle.read_bytes(), server_key, "bundle@kar")
    (tmp_path / "bundle.zip.sig").write_bytes(signature)
    signers = tmp_path / "allowed_signers"
    signers.write_text(format_allowed_signers([AllowedSigner("enclave@kar", server_public, ("bundle@kar",))]))
    verify = ["verify", str(bundle), "--allowed-signers", str(signers), "--registry", "kar"]
    assert "enclave@kar" in run(client.app, verify).output
    opening = ["open", str(bundle), str(tmp_path / "opened"), "--passphrase-file", str(tmp_path / "passphrase.txt")]
    assert run(client.app, opening).exit_code == 0
    assert (tmp_path / "opened/csv/resultater.csv").read_bytes() == ARRIVAL
    again = run(client.app, opening)
    assert isinstance(again.exception, Refused)
    bundle.write_bytes(bundle.read_bytes() + b"x")
    assert isinstance(run(client.app, verify).exception, Rejected)
    (tmp_path / "bundle.zip.sig").unlink()
    assert isinstance(run(client.app, verify).exception, Refused)


def test_stock_tools_make_and_check_the_same(forms: Path, tmp_path: Path) -> None:
    """7-Zip opens the payload of a drop, and `ssh-keygen` verifies its manifest."""
    drop = client.seal(forms, tmp_path / "out", SUBMISSION, sign_key=KEY, passphrase=PASSPHRASE)
    password = f"-p{PASSPHRASE.reveal().decode()}"
    subprocess.run(["7z", "x", password, f"-o{tmp_path / 'x'}", drop / "payload.zip"], check=True, capture_output=True)
    assert (tmp_path / "x" / "arrival.csv").read_bytes() == ARRIVAL
    signers = tmp_path / "allowed_signers"
    signers.write_text(format_allowed_signers([AllowedSigner("klinikk-a", PUBLIC, ("drop@kar",))]))
    command: list[str | Path]
    command = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "klinikk-a", "-n", "drop@kar"]
    command += ["-s", drop / "manifest.json.sig"]
    manifest = (drop / "manifest.json").read_bytes()
    subprocess.run(command, input=manifest, check=True, capture_output=True)
    assert subprocess.run(command, check=False, input=manifest + b" ", capture_output=True).returncode != 0


WITHOUT_SERVER = """
import sys
absent = ["fcntl", "pwd", "grp", "polars", "pandas", "numpy", "sqlalchemy", "paramiko", "sqlcipher3", "openpyxl",
          "structlog", "sqlglot", "psycopg", "statsmodels", "scipy", "matplotlib", "apscheduler", "jinja2"]
for name in absent:
    sys.modules[name] = None
sys.argv[0] = "client"
from enclave.cli.client import main
main()
"""


def test_runs_without_the_servers_libraries(forms: Path, tmp_path: Path) -> None:
    """With every server library and POSIX-only module absent, a drop is sealed; an error is one line, in bokmål."""
    (tmp_path / "key").write_bytes(KEY.reveal())
    (tmp_path / "passphrase.txt").write_bytes(PASSPHRASE.reveal())
    options = ["--registry", "kar", "--sender", "klinikk-a", "--recipient-kid", "kid-1", "--sign-key"]
    options += [str(tmp_path / "key"), "--passphrase-file", str(tmp_path / "passphrase.txt")]
    command = [sys.executable, "-B", "-c", WITHOUT_SERVER, "seal", str(forms), str(tmp_path / "out"), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "passphrase.txt").write_bytes(b"kort")
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode == 4
    assert failed.stderr.startswith("H_PASSPHRASE: En passfrase er for svak")
    assert len(failed.stderr.splitlines()) == 1
