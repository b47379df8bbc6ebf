"""An auditor verifies an export alone: isolated Python, one file, and checkpoints that were kept elsewhere."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enclave.audit import checkpoint, signed_note, tree, verify
from enclave.audit.export import consistency, export, prove
from enclave.audit.record import leaf_hash
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused
from tests.audit.conftest import NEXT_SEED, SEED, House, acts_of, fill, name_next_key

Alone = Callable[..., subprocess.CompletedProcess[str]]
LOG = ("log.jsonl", "--checkpoints", "checkpoints", "--vkey", "vkey")


def rewrite(lines: list[bytes], place: int, **changes: object) -> list[bytes]:
    """The log as a forger writes it who changes one line and chains all later ones anew."""
    forged = [*lines]
    forged[place] = spelled(json.loads(forged[place]) | changes)
    for later in range(place + 1, len(forged)):
        forged[later] = spelled(json.loads(forged[later]) | {"prev": leaf_hash(forged[later - 1][:-1]).hex()})
    return forged


def spelled(fields: dict[str, object]) -> bytes:
    """A line in the one way to write it."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_a_good_export_verifies(exported: Path, verify_alone: Alone) -> None:
    """The export verifies from its own folder with exit code 0."""
    done = verify_alone(exported, *LOG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 linjer, 0 åpne hensikter" in done.stdout
    assert "2 sjekkpunkter; det nyeste dekker 9 av 9 linjer" in done.stdout
    assert done.stdout.rstrip().endswith("loggen er i orden")


def test_the_export_holds_four_things_and_can_be_repeated(exported: Path, house: House) -> None:
    """Log, checkpoints, key and verifier; a second export replaces them, also when the log has grown."""
    log = house.open()
    fill(log, 1)
    told = export(log, exported)
    assert sorted(path.name for path in exported.iterdir()) == ["checkpoints", "log.jsonl", "verify.py", "vkey"]
    assert (told.lines, told.checkpoints) == (11, 2)
    assert (exported / "log.jsonl").read_bytes() == house.file.read_bytes()


def test_the_verifier_needs_nothing_but_python() -> None:
    """It imports only the standard library, none of it ours, and opens nothing for writing."""
    source = Path(verify.__file__).read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names)
    assert "write_" not in source.replace("sys.stdout.buffer.write", "")


def test_every_kind_of_damage_has_its_code_and_exit_code(exported: Path, verify_alone: Alone) -> None:
    """A changed, deleted, swapped, added or cut line is named by its number and code; the exit code is 4."""
    whole = (exported / "log.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    damages = {
        "SCHEMA  linje 3": whole.replace(b'"seq":3', b'"seq":3.0'),
        "PREV  linje 4": b"".join(
            [*lines[:3], lines[3].replace(b'"counts":{"rows":1}', b'"counts":{"rows":2}'), *lines[4:]]
        )
        if b'"counts":{"rows":1}' in lines[3]
        else whole.replace(lines[3], rewrite(lines, 3, reason="E_X")[3]),
        "SEQ  linje 4": b"".join(lines[:4] + lines[5:]),
        "CHECKPOINT  000000000009": b"".join(lines[:8]),
        "TAIL  linje 9": whole + b"{",
        "FIRST  linje 0": b"".join(lines[1:]),
        "OUTCOME  linje 2": b"".join(rewrite(lines, 2, object_id="other")),
        "EMPTY  loggen": b"",
        "TIME  linje 8": b"".join(rewrite(lines, 8, ts="2026-01-01T00:00:00.000000Z")),
        "MONO  linje 8": b"".join(rewrite(lines, 8, mono=1)),
        "LOG  linje 8": b"".join(rewrite(lines, 8, log="00000000-0000-4000-8000-000000000000")),
        "VKEY  nøkkelen": b"".join(rewrite(lines, 0, digests={})),
    }
    for code, content in damages.items():
        (exported / "log.jsonl").write_bytes(content)
        done = verify_alone(exported, *LOG)
        assert done.returncode == 4, code
        assert code in done.stdout, f"{code}: {done.stdout}"
        assert done.stderr == "", code


def test_a_person_in_a_line_is_not_shown(exported: Path, verify_alone: Alone) -> None:
    """A line that should not be there is named, not quoted."""
    lines = (exported / "log.jsonl").read_bytes().splitlines(keepends=True)
    (exported / "log.jsonl").write_bytes(b"".join(rewrite(lines, 3, object_id="01019012346")))
    done = verify_alone(exported, *LOG)
    assert done.returncode == 4
    assert "01019012346" not in done.stdout


def test_open_intents_are_told_and_are_no_fault(house: House, tmp_path: Path, verify_alone: Alone) -> None:
    """An intent without an outcome – the export itself may be one – is listed with its act."""
    log = house.open()
    with pytest.raises(KeyError), acts_of(log).act("loan.destroy", "loan", "nav-2026"):
        raise KeyError
    export(log, tmp_path / "out")
    done = verify_alone(tmp_path / "out", *LOG)
    assert done.returncode == 0
    assert "linje 1: loan.destroy har ikke fått noe utfall" in done.stdout


def test_rewriting_with_the_stolen_key_is_exposed_by_an_older_checkpoint(
    exported: Path, tmp_path: Path, verify_alone: Alone
) -> None:
    """Whoever holds the signing key can rewrite everything consistently; a checkpoint kept elsewhere shows it."""
    older = tmp_path / "kept-by-a-clinic"
    shutil.copy(exported / "checkpoints" / "000000000005", older)
    forged = rewrite((exported / "log.jsonl").read_bytes().splitlines(keepends=True), 1, counts={"rows": 777})
    (exported / "log.jsonl").write_bytes(b"".join(forged))
    origin = (exported / "vkey").read_text().partition("+")[0]
    for size in (5, 9):
        root = tree.root([leaf_hash(line[:-1]) for line in forged[:size]])
        (exported / "checkpoints" / f"{size:012d}").write_bytes(checkpoint.sign(origin, size, root, SEED))
    assert verify_alone(exported, *LOG).returncode == 0, "alone, a forgery with the key cannot be told"
    done = verify_alone(exported, *LOG, "--older", older)
    assert done.returncode == 4
    assert "OLDER  eldre:kept-by-a-clinic" in done.stdout
    assert "historien er omskrevet" in done.stdout


def test_an_older_checkpoint_of_the_same_history_agrees(exported: Path, tmp_path: Path, verify_alone: Alone) -> None:
    """A checkpoint that a recipient kept verifies against the log that grew from it."""
    kept = shutil.copy(exported / "checkpoints" / "000000000005", tmp_path / "kept")
    shutil.rmtree(exported / "checkpoints")
    done = verify_alone(exported, "log.jsonl", "--vkey", "vkey", "--older", kept)
    assert done.returncode == 0, done.stdout


def test_whoever_has_the_first_key_follows_to_the_next(house: House, tmp_path: Path, verify_alone: Alone) -> None:
    """A checkpoint by the first key covers the line that names the next, which alone signed the last checkpoint."""
    log, out = house.open(), tmp_path / "export"
    first = log.vkey
    fill(log, 1)
    name_next_key(log)
    log.sign_checkpoint(SEED, NEXT_SEED)
    fill(log, 1)
    log.sign_checkpoint(NEXT_SEED)
    export(log, out)
    assert (out / "vkey").read_text().startswith(first)
    assert verify_alone(out, *LOG).returncode == 0

    (out / "first").write_text(first)
    alone = verify_alone(out, *LOG[:-1], "first")
    assert (alone.returncode, alone.stdout.count("FEIL")) == (4, 1)
    assert "loggen nevner en nøkkel som ikke er oppgitt" in alone.stdout
    proven = verify_alone(out, "--proof", written(out, prove(log, 2)), "--vkey", "vkey")
    assert proven.returncode == 0
    assert "MERK  sjekkpunktet er signert med en senere nøkkel" in proven.stdout
    (out / "kept").write_bytes(log.checkpoints()[0][1])
    (out / "consistency").write_bytes(consistency(log, log.checkpoints()[0][1]))
    grown = verify_alone(out, "--consistency", "consistency", "--older", "kept", "--vkey", "vkey")
    assert grown.returncode == 0, grown.stdout
    assert "MERK  sjekkpunktet er signert med en senere nøkkel" in grown.stdout


def test_a_key_that_nobody_vouches_for_is_not_taken(house: House, tmp_path: Path, verify_alone: Alone) -> None:
    """A thief of the folder names a key of its own and signs with it: without the first key's checkpoint it is told."""
    log, out = house.open(), tmp_path / "export"
    fill(log, 1)
    log.sign_checkpoint(SEED)
    name_next_key(log)
    log.sign_checkpoint(NEXT_SEED)
    export(log, out)
    done = verify_alone(out, *LOG)
    assert done.returncode == 4
    assert "FEIL  VKEY" in done.stdout

    log.sign_checkpoint(SEED)
    fill(log, 1)
    log.sign_checkpoint(SEED, NEXT_SEED)
    export(log, out)
    assert verify_alone(out, *LOG).returncode == 0


def written(folder: Path, content: bytes) -> str:
    """A file with this content, in the folder in which the verifier runs."""
    (folder / "line.tlog-proof").write_bytes(content)
    return "line.tlog-proof"


def test_a_key_that_is_not_the_logs_verifies_nothing(exported: Path, verify_alone: Alone) -> None:
    """With another key neither the first line nor any checkpoint holds."""
    origin = (exported / "vkey").read_text().partition("+")[0]
    (exported / "other").write_text(signed_note.vkey_of(origin, signed_note.public_key_of(Secret(b"o" * 32))))
    done = verify_alone(exported, "log.jsonl", "--checkpoints", "checkpoints", "--vkey", "other")
    assert done.returncode == 4
    assert "VKEY" in done.stdout
    assert done.stdout.count("CHECKPOINT") == 2


def test_one_line_is_proven_without_the_rest(house: House, exported: Path, verify_alone: Alone) -> None:
    """A proof of each covered line verifies with nothing but the key, and shows the line."""
    log = house.open()
    for seq in range(9):
        (exported / "line.tlog-proof").write_bytes(prove(log, seq))
        done = verify_alone(exported, "--proof", "line.tlog-proof", "--vkey", "vkey")
        assert done.returncode == 0, done.stdout
        assert f'"seq": {seq}' in done.stdout
        assert "MERK" not in done.stdout
    fill(log, 1)
    for seq in (-1, 9, 10):
        with pytest.raises(Refused, match="R_NOT_COVERED"):
            prove(log, seq)


def test_no_byte_of_a_proof_can_change(house: House, exported: Path) -> None:
    """Every flipped byte of a proof is refused."""
    keys = verify.read_keys((exported / "vkey").read_text())
    proof = prove(house.open(), 4)
    assert verify.verify_proof(proof, keys)["seq"] == 4
    for place in range(0, len(proof), 3):
        changed = bytearray(proof)
        changed[place] ^= 1
        with pytest.raises(verify.WrongError):
            verify.verify_proof(bytes(changed), keys)


def test_a_recipient_compares_two_checkpoints_without_the_log(
    house: House, exported: Path, verify_alone: Alone
) -> None:
    """The proof in a bundle shows that the recipient's last checkpoint is the beginning of the newest."""
    older = (exported / "checkpoints" / "000000000005").read_bytes()
    (exported / "proof").write_bytes(consistency(house.open(), older))
    command = ("--consistency", "proof", "--older", "checkpoints/000000000005", "--vkey", "vkey")
    done = verify_alone(exported, *command)
    assert done.returncode == 0, done.stdout
    assert "de første 5 av 9 linjer er uendret" in done.stdout
    origin = (exported / "vkey").read_text().partition("+")[0]
    (exported / "checkpoints" / "000000000005").write_bytes(checkpoint.sign(origin, 5, b"\x07" * 32, SEED))
    done = verify_alone(exported, *command)
    assert done.returncode == 4
    assert "historien er omskrevet" in done.stdout


def test_a_foreign_checkpoint_gets_no_consistency_proof(house: House, exported: Path) -> None:
    """The server proves nothing about a head that is not its own history."""
    log = house.open()
    with pytest.raises(Refused, match="R_NOT_COVERED"):
        consistency(log, checkpoint.sign(log.origin, 5, b"\x07" * 32, SEED))
    with pytest.raises(Refused, match="R_NOT_COVERED"):
        consistency(log, checkpoint.sign(log.origin, 10, b"\x07" * 32, SEED))
    with pytest.raises(Halt, match="H_CHECKPOINT"):
        consistency(log, b"not a note")


def test_without_a_checkpoint_nothing_is_proven(house: House) -> None:
    """A log that was never signed refuses proofs and says which job is missing."""
    with pytest.raises(Refused, match="checkpoint"):
        prove(house.open(), 0)


def test_the_commands_of_the_auditors_guide_run(house: House, exported: Path, verify_alone: Alone) -> None:
    """Every command line of the guide that starts the verifier runs in an export and finds nothing wrong."""
    guide = (Path(__file__).parents[2] / "docs" / "auditor.md").read_text()
    commands = [line.split()[2:] for line in guide.splitlines() if line.startswith("python verify.py")]
    shutil.copy(exported / "checkpoints" / "000000000005", exported / "kept.txt")
    (exported / "line-4.tlog-proof").write_bytes(prove(house.open(), 4))
    (exported / "consistency.txt").write_bytes(consistency(house.open(), (exported / "kept.txt").read_bytes()))
    assert len(commands) == 4
    for command in commands:
        done = verify_alone(exported, *command)
        assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stdout}"


def test_the_guide_explains_every_fault_code() -> None:
    """Each code that the verifier can print stands in the auditor's guide."""
    guide = (Path(__file__).parents[2] / "docs" / "auditor.md").read_text()
    calls = [node for node in ast.walk(ast.parse(Path(verify.__file__).read_text())) if isinstance(node, ast.Call)]
    codes = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "fault" and isinstance(call.args[0], ast.Constant)
    }
    assert codes > {"SCHEMA", "PREV"}
    for code in codes | {"CHECKPOINT", "OLDER", "FILE", "PROOF"}:
        assert f"`{code}`" in guide, code


def test_missing_files_and_wrong_use_have_their_exit_codes(exported: Path, verify_alone: Alone) -> None:
    """A file that is not there is 4 without a traceback; a wrong command line is 2."""
    for arguments in (
        ("none.jsonl", "--vkey", "vkey"),
        ("log.jsonl", "--vkey", "none"),
        ("log.jsonl", "--vkey", "log.jsonl"),
    ):
        done = verify_alone(exported, *arguments)
        assert (done.returncode, done.stderr) == (4, ""), arguments
    for arguments in (("--vkey", "vkey"), ("log.jsonl", "--proof", "x", "--vkey", "vkey"), ()):
        assert verify_alone(exported, *arguments).returncode == 2
