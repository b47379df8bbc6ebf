"""Durable writes: a name appears with its whole content or not at all, and no planted link is followed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enclave import durable
from enclave.errors import Halt


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    """Writing replaces the old content, leaves no temporary file, and answers the digest."""
    path = tmp_path / "file"
    durable.write(path, b"old")

    digest = durable.write(path, b"new")

    assert path.read_bytes() == b"new"
    assert digest == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    """`write_new` halts where the name is taken, and what was there stays."""
    path = tmp_path / "file"
    durable.write_new(path, b"first")

    with pytest.raises(Halt, match="H_EXISTS"):
        durable.write_new(path, b"second")

    assert path.read_bytes() == b"first"
    assert path.stat().st_nlink == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_is_written_in_pieces_appears_whole_or_not_at_all(tmp_path: Path, new: bool) -> None:
    """Until the end the name is not there, or has its old content; what fails in between leaves nothing of itself."""
    path = tmp_path / "file"
    if not new:
        durable.write(path, b"old")
    with pytest.raises(ValueError, match="stopped"), durable.writing(path, new=new) as file:
        file.write(b"half")
        raise ValueError("stopped")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([] if new else [b"old"])

    with durable.writing(path, new=new) as file:
        file.write(b"first, ")
        assert path.exists() is not new
        file.write(b"second")

    assert path.read_bytes() == b"first, second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (path.stat().st_mode & 0o777, path.stat().st_nlink) == (0o600, 1)
    with pytest.raises(Halt, match="H_EXISTS"), durable.writing(path, new=True) as file:
        file.write(b"third")
    assert path.read_bytes() == b"first, second"


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(3 << 20)])
def test_what_was_written_is_read(tmp_path: Path, content: bytes) -> None:
    """Empty, small and large contents come back."""
    durable.write(tmp_path / "file", content)

    assert durable.read(tmp_path / "file") == content


def test_links_pipes_and_second_names_are_not_read(tmp_path: Path) -> None:
    """A symbolic link, a hard link, a pipe and a folder are refused, and reading a pipe does not hang."""
    (tmp_path / "real").write_bytes(b"content")
    (tmp_path / "soft").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("soft", "pipe", "folder"):
        with pytest.raises((Halt, OSError)):
            durable.read(tmp_path / name)
    os.link(tmp_path / "real", tmp_path / "hard")
    for name in ("real", "hard"):
        with pytest.raises(Halt, match="H_NOT_A_FILE"):
            durable.read(tmp_path / name)


def test_a_write_through_a_planted_link_replaces_the_link(tmp_path: Path) -> None:
    """The rename puts a regular file under the name; what the link pointed to is untouched."""
    (tmp_path / "target").write_bytes(b"untouched")
    (tmp_path / "name").symlink_to(tmp_path / "target")

    durable.write(tmp_path / "name", b"content")

    assert (tmp_path / "target").read_bytes() == b"untouched"
    assert not (tmp_path / "name").is_symlink()


def test_a_file_above_its_limit_is_not_read(tmp_path: Path) -> None:
    """`limit` counts bytes."""
    durable.write(tmp_path / "file", b"12345")

    assert durable.read(tmp_path / "file", limit=5) == b"12345"
    with pytest.raises(Halt, match="H_NOT_A_FILE"):
        durable.read(tmp_path / "file", limit=4)


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    """Only temporary files go."""
    (tmp_path / ".tmp-0011").write_bytes(b"half")
    (tmp_path / "file").write_bytes(b"whole")

    assert durable.sweep(tmp_path) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A write that the system refuses half way (RLIMIT_FSIZE) removes its temporary file and keeps the old content."""
    durable.write(tmp_path / "file", b"old")
    script = """
import resource, signal, sys
from pathlib import Path
from enclave import durable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    durable.write(Path(sys.argv[1]) / "file", bytes(5000))
except OSError:
    print("refused")
"""

    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)

    assert done.stdout == "refused\n"
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """A second holder halts instead of waiting; a lock ends with its block."""
    with durable.lock(tmp_path / "lock"), pytest.raises(Halt, match="H_LOCKED"), durable.lock(tmp_path / "lock"):
        pass
    with durable.lock(tmp_path / "lock"):
        pass


def test_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    """Making a folder again is no mistake, and nobody else may look in."""
    durable.make_folder(tmp_path / "a" / "b")
    durable.make_folder(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
