"""The loss drill: a server without its vault keys, two people with their papers, and the server runs again."""

import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused
from enclave.folders import WorkingFolder
from enclave.settings import read_settings
from enclave.terminal.escrow import ESCROWED, EscrowDesk
from enclave.terminal.key_desk import KeyDesk
from enclave.wiring import open_log
from tests.jobs.working import REGISTRY, founded, wired


def desk(folder: WorkingFolder) -> EscrowDesk:
    """The terminal."""
    return EscrowDesk(folder, read_settings(folder.settings), REGISTRY)


def shares_in(papers: Path) -> list[Secret]:
    """What stands on the three papers."""
    return [Secret(path.read_bytes()) for path in sorted(papers.iterdir())]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[WorkingFolder, Path]:
    """A server after its ceremony, with escrowed keys; and the folder with papers and escrow."""
    root = tmp_path_factory.mktemp("escrow")
    folder = founded(root / "working")
    desk(folder).ceremony(root / "papers")
    desk(folder).escrow(root / "escrow.age")
    return folder, root


def test_the_loss_drill(made: tuple[WorkingFolder, Path], tmp_path: Path) -> None:
    """All four keys gone, no job opens the vault; any two of the three papers bring back exactly the keys."""
    folder, root = made
    lies = folder.registry(REGISTRY).keys
    kept = {name: (lies / f"{name}.key").read_bytes() for name in ESCROWED}
    for name in ESCROWED:
        (lies / f"{name}.key").unlink()
    with pytest.raises(Halt, match="H_KEY_MISSING"):
        wired(folder, "rights").open_vault()
    for number, pair in enumerate(combinations(shares_in(root / "papers"), 2)):
        into = tmp_path / str(number)
        assert desk(folder).restore(root / "escrow.age", pair, into) == tuple(
            sorted(f"{each}.key" for each in ESCROWED)
        )
        assert {name: (into / f"{name}.key").read_bytes() for name in ESCROWED} == kept
        assert {path.stat().st_mode & 0o777 for path in into.iterdir()} == {0o600}
    for path in into.iterdir():
        shutil.move(path, lies / path.name)
    wired(folder, "rights").open_vault()
    assert wired(folder, "rights").registry_writer


def test_one_paper_or_a_wrong_one_opens_nothing(made: tuple[WorkingFolder, Path], tmp_path: Path) -> None:
    """The same share twice, shares of two ceremonies, another registry's or no escrow: refused, and no file is made."""
    folder, root = made
    first, second, _ = shares_in(root / "papers")
    other = founded(tmp_path / "other")
    desk(other).ceremony(tmp_path / "papers")
    desk(other).escrow(tmp_path / "escrow.age")
    foreign = shares_in(tmp_path / "papers")
    for code, escrowed, pair in (
        ("R_SHARES", root / "escrow.age", (first, first)),
        ("R_ESCROW", root / "escrow.age", (first, foreign[1])),
        ("R_ESCROW", tmp_path / "escrow.age", (first, second)),
        ("R_ESCROW", tmp_path / "nothing.age", (first, second)),
    ):
        with pytest.raises(Refused, match=code):
            desk(folder).restore(escrowed, pair, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_ceremony_is_held_once_and_an_escrow_after_it(made: tuple[WorkingFolder, Path], tmp_path: Path) -> None:
    """A second master key would make the shares worthless; without one there is nothing to seal to."""
    with pytest.raises(Refused, match="R_CEREMONY_DONE"):
        desk(made[0]).ceremony(tmp_path / "papers")
    with pytest.raises(Refused, match="R_NO_CEREMONY"):
        desk(founded(tmp_path / "working")).escrow(tmp_path / "escrow.age")


def test_an_escrow_in_the_middle_of_a_rotation_holds_both_keys(
    made: tuple[WorkingFolder, Path], tmp_path: Path
) -> None:
    """Whichever of the two the rows stand under when the keys are lost, it is there."""
    folder, root = made
    KeyDesk(folder, read_settings(folder.settings), REGISTRY).rotate("vault-data")
    desk(folder).escrow(tmp_path / "escrow.age")
    first, second, _ = shares_in(root / "papers")
    assert "vault-data.next.key" in desk(folder).restore(tmp_path / "escrow.age", (first, second), tmp_path / "into")


def test_no_key_or_share_stands_in_the_servers_folder_or_its_log(made: tuple[WorkingFolder, Path]) -> None:
    """Shares are on their papers only; the escrow shows no key; the log tells that it was made."""
    folder, root = made
    papers = [path.read_bytes().strip() for path in (root / "papers").iterdir()]
    key = (folder.registry(REGISTRY).keys / "vault-data.key").read_bytes().strip()
    files = [path for path in folder.root.rglob("*") if path.is_file()]
    assert not [path.name for path in files if any(share in path.read_bytes() for share in papers)]
    assert key not in (root / "escrow.age").read_bytes()
    assert key not in b"".join(open_log(folder).lines())
    assert any(b'"key.escrow"' in line for line in open_log(folder).lines())


def test_the_commands(tmp_path: Path) -> None:
    """`key ceremony`, `escrow` and `restore` as they are typed: shares come by standard input, never as an argument."""
    folder = founded(tmp_path / "working")

    def typed(*words: str, lines: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "enclave", "--config", str(folder.settings), "key", *words]
        return subprocess.run(command, capture_output=True, input=lines, cwd=Path(__file__).parents[2])

    papers, escrowed, into = (str(tmp_path / name) for name in ("papers", "escrow.age", "into"))
    assert typed("ceremony", papers).stdout.count(b"shred") == 3
    assert typed("escrow", escrowed).returncode == 0
    first, second, _ = (share.reveal() for share in shares_in(Path(papers)))
    assert typed("restore", escrowed, into, lines=first + first).returncode == 3
    done = typed("restore", escrowed, into, lines=second + first)
    assert done.returncode == 0
    assert first.strip() not in done.stdout + done.stderr
    assert (Path(into) / "vault-data.key").read_bytes() == (folder.keys / REGISTRY / "vault-data.key").read_bytes()
