"""A keystore keeps one wrapped key for each drop and loan; destroying it there makes its ciphertext unreadable."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from enclave import durable
from enclave.crypto import age
from enclave.crypto.keystore import Keystore, unwrap_identity, wrap_identity
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused, Rejected

IDENTITY, RECIPIENT = age.new_identity()
LOAN_KEY, LOAN_RECIPIENT = age.new_identity()
WRAPPED = wrap_identity(LOAN_KEY, RECIPIENT)


def test_a_wrapped_key_opens_what_it_sealed(tmp_path: Path) -> None:
    """A key kept wrapped is got back whole, and opens what was sealed to its public half."""
    keystore = Keystore(tmp_path)
    keystore.put("nav-2026", WRAPPED)
    key = unwrap_identity(keystore.get("nav-2026"), IDENTITY)
    assert key == LOAN_KEY
    assert age.open(age.seal(b"rows", [LOAN_RECIPIENT]), key) == b"rows"
    assert keystore.names() == ("nav-2026",)
    assert (tmp_path / "nav-2026.age").stat().st_mode & 0o777 == 0o600


def test_a_wrapped_key_is_for_one_holder(tmp_path: Path) -> None:
    """Another identity does not unwrap it, and a cut or altered wrapping is refused."""
    for wrapped, identity in ((WRAPPED, LOAN_KEY), (WRAPPED[:-1], IDENTITY), (WRAPPED + b"x", IDENTITY)):
        with pytest.raises(Rejected, match="E_AGE"):
            unwrap_identity(wrapped, identity)


def test_what_is_wrapped_is_a_key() -> None:
    """An envelope with something else than an identity inside halts."""
    with pytest.raises(Halt, match="H_AGE_KEY"):
        unwrap_identity(wrap_identity(Secret(b"CANARY"), RECIPIENT), IDENTITY)


def test_a_bare_key_is_not_kept(tmp_path: Path) -> None:
    """A key that is not wrapped is never written."""
    for content in (LOAN_KEY.reveal(), b"", WRAPPED + bytes(20_000)):
        with pytest.raises(Halt, match="H_KEYSTORE_NAME"):
            Keystore(tmp_path).put("nav-2026", content)
    assert list(tmp_path.iterdir()) == []


def test_the_same_key_twice_is_one_act(tmp_path: Path) -> None:
    """Putting the same bytes again changes nothing; other bytes under the name halt and are not written."""
    keystore = Keystore(tmp_path)
    keystore.put("nav-2026", WRAPPED)
    keystore.put("nav-2026", WRAPPED)
    with pytest.raises(Halt, match="H_KEYSTORE_TAKEN"):
        keystore.put("nav-2026", wrap_identity(LOAN_KEY, RECIPIENT))
    assert keystore.get("nav-2026") == WRAPPED


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a.age", "a\n", "å", "a" * 81, "-a"])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    """A name outside the grammar halts in every call."""
    keystore = Keystore(tmp_path)
    for call in (keystore.get, keystore.has, keystore.destroy, lambda wrong: keystore.put(wrong, WRAPPED)):
        with pytest.raises(Halt, match="H_KEYSTORE_NAME"):
            call(name)


def test_destruction_is_final_and_repeatable(tmp_path: Path) -> None:
    """A destroyed key is gone under every question, and destroying it again is no error."""
    keystore = Keystore(tmp_path)
    keystore.put("nav-2026", WRAPPED)
    keystore.put("ssb-2026", WRAPPED)
    assert keystore.destroy("nav-2026")
    assert not keystore.destroy("nav-2026")
    assert not keystore.has("nav-2026")
    assert keystore.names() == ("ssb-2026",)
    with pytest.raises(Refused, match="R_KEY_DESTROYED"):
        keystore.get("nav-2026")
    assert [path.name for path in tmp_path.iterdir()] == ["ssb-2026.age"]


def test_the_old_blocks_are_overwritten(tmp_path: Path) -> None:
    """Whoever holds the file open across the destruction reads random bytes of the same length, not the key."""
    keystore = Keystore(tmp_path)
    keystore.put("nav-2026", WRAPPED)
    with (tmp_path / "nav-2026.age").open("rb") as held:
        keystore.destroy("nav-2026")
        left = held.read()
    assert len(left) == len(WRAPPED)
    assert left[:10] != WRAPPED[:10]
    assert sum(a == b for a, b in zip(left, WRAPPED, strict=True)) < len(WRAPPED) // 8


def test_a_planted_name_is_not_overwritten(tmp_path: Path) -> None:
    """A link in a key's place is neither followed nor overwritten when it is destroyed."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    os.link(victim, tmp_path / "hard.age")
    with pytest.raises(Halt, match="H_NOT_A_FILE"):
        Keystore(tmp_path).destroy("hard")
    (tmp_path / "soft.age").symlink_to(victim)
    with pytest.raises((Halt, OSError)):
        Keystore(tmp_path).destroy("soft")
    assert victim.read_bytes() == b"precious"


def test_a_half_destroyed_key_is_a_destroyed_key(tmp_path: Path) -> None:
    """Overwritten but not yet removed, a key cannot be got; a second call finishes."""
    keystore = Keystore(tmp_path)
    (tmp_path / "nav-2026.age").write_bytes(os.urandom(len(WRAPPED)))
    with pytest.raises(Refused, match="R_KEY_DESTROYED"):
        keystore.get("nav-2026")
    assert keystore.destroy("nav-2026")
    assert keystore.names() == ()


@pytest.mark.parametrize(
    ("call", "times", "readable", "left"),
    [("write", 1, True, True), ("fsync", 1, False, True), ("unlink", 1, False, True), ("fsync", 2, False, False)],
)
def test_a_killed_destruction_is_finished_by_the_next(
    tmp_path: Path, call: str, times: int, readable: bool, left: bool
) -> None:
    """Killed before the write, either fsync or the unlink, a destruction is finished by the next."""
    keystore = Keystore(tmp_path)
    keystore.put("nav-2026", WRAPPED)
    program = "import sys\nfrom pathlib import Path\nfrom enclave.crypto.keystore import Keystore\n"
    program += "Keystore(Path(sys.argv[1])).destroy('nav-2026')\n"
    kill = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={times}"]
    command: list[str | Path]
    command = ["strace", "-qq", "-o", tmp_path.parent / "trace", *kill, sys.executable, "-B", "-c", program, tmp_path]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -signal.SIGKILL
    if readable:
        assert keystore.get("nav-2026") == WRAPPED
    else:
        with pytest.raises(Refused, match="R_KEY_DESTROYED"):
            keystore.get("nav-2026")
    assert keystore.destroy("nav-2026") is left
    assert list(tmp_path.iterdir()) == []


def test_a_killed_put_leaves_nothing_to_find(tmp_path: Path) -> None:
    """What a killed writer left under a temporary name is no key of the keystore, and the sweep removes it."""
    keystore = Keystore(tmp_path)
    (tmp_path / f"{durable.TEMPORARY}0011").write_bytes(WRAPPED)
    for other in ("README", ".hidden.age", "two words.age"):
        (tmp_path / other).write_bytes(WRAPPED)
    assert keystore.names() == ()
    assert durable.sweep(tmp_path) == 1
    assert repr(keystore) == "Keystore()"
