"""A keyring gives a job the keys of its row, whole and unseen by others, and no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enclave.crypto import age, keyring, sshsig
from enclave.crypto.key_rotation import clear_replaced, draw_next, publish_next, put_next_in_place
from enclave.crypto.keyring import KEY_KINDS, NEXT, Keyring, Kind, create
from enclave.errors import Halt
from enclave.halted import ONLY_THIS_RUN


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with one key of each kind."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for name in ("vault-db", "audit-sign", "quarantine", "bundle-sign"):
        create(folder, name)
    return folder


def halts(folder: Path, *names: str) -> str:
    """The code by which these keys are not loaded."""
    with pytest.raises(Halt) as caught:
        Keyring(folder, frozenset(names))
    assert caught.value.__cause__ is None
    return caught.value.code


@pytest.mark.parametrize("name", KEY_KINDS)
def test_every_kind_is_made_and_loaded(tmp_path: Path, name: str) -> None:
    """A key of each kind is made with mode 0600, loads, and is another one each time."""
    made = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        create(folder, name)
        assert (folder / f"{name}.key").stat().st_mode & 0o777 == 0o600
        made.append(Keyring(folder, frozenset({name})).get(name))
    assert made[0] != made[1]
    if KEY_KINDS[name] in (Kind.SYMMETRIC, Kind.ED25519):
        assert len(made[0].reveal()) == 32


def test_halves_belong_together(keys: Path) -> None:
    """What is sealed or signed with one half is opened or verified with the other."""
    ring = Keyring(keys, frozenset({"quarantine", "bundle-sign"}))
    assert age.recipient_of(ring.get("quarantine")) == ring.public("quarantine")
    assert ring.public("bundle-sign").startswith(sshsig.public_of(ring.get("bundle-sign")))


def test_a_key_outside_the_row_is_not_given(keys: Path) -> None:
    """A job that asks for a key that exists but is not its own halts; so does an unknown name, or a path."""
    ring = Keyring(keys, frozenset({"quarantine"}))
    for name in ("vault-db", "nothing", "../quarantine", ""):
        with pytest.raises(Halt, match="H_KEY_OUTSIDE_ROW"):
            ring.get(name)
    assert halts(keys, "../../etc/shadow") == "H_KEY_OUTSIDE_ROW"


def test_keys_outside_the_row_are_not_even_read(keys: Path) -> None:
    """Making a keyring opens the named private files and no other."""
    program = (
        "from pathlib import Path\nimport sys\nfrom enclave.crypto.keyring import Keyring\n"
        "ring = Keyring(Path(sys.argv[1]), frozenset({'quarantine'}))\nring.public('bundle-sign')\n"
    )
    command = ["strace", "-f", "-e", "trace=open,openat,openat2", "-qq", "-s", "300"]
    done = subprocess.run(
        [*command, sys.executable, "-B", "-c", program, str(keys)],
        capture_output=True,
        text=True,
        check=True,
    )
    opened = {line.split('"')[1] for line in done.stderr.splitlines() if '.key"' in line}
    assert opened == {str(keys / "quarantine.key")}


def test_public_halves_need_no_private_ones(keys: Path) -> None:
    """The public half is read where the private one is absent; a symmetric key has none."""
    (keys / "quarantine.key").unlink()
    assert keyring.public(keys, "quarantine").startswith("age1")
    for name in ("vault-db", "nothing"):
        with pytest.raises(Halt, match="H_KEY_OUTSIDE_ROW"):
            keyring.public(keys, name)
    with pytest.raises(Halt, match="H_KEY_MISSING"):
        keyring.public(keys, "drafts")


def test_a_missing_key_halts(keys: Path, tmp_path: Path) -> None:
    """A key that is named but absent halts when the keyring is made, as does an absent folder."""
    assert halts(keys, "quarantine", "drafts") == "H_KEY_MISSING"
    assert halts(tmp_path / "elsewhere", "quarantine") == "H_KEY_MISSING"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[("vault-db", content) for content in (b"", b"ab" * 31, b"ab" * 33, b"AB" * 32, b"xy" * 32, b"00" * 32)],
        *[("audit-sign", content) for content in (b"", os.urandom(32), b"a" * 5000)],
        *[("quarantine", content) for content in (b"", b"AGE-SECRET-KEY-1CANARY", b"age1abc")],
        *[("bundle-sign", content) for content in (b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY\n")],
    ],
    ids=lambda part: part if isinstance(part, str) else f"{len(part)} bytes",
)
def test_a_wrong_key_halts_unseen(keys: Path, name: str, content: bytes) -> None:
    """An empty, short, long, misspelt or placeholder key halts and shows nothing of itself."""
    (keys / f"{name}.key").write_bytes(content)
    with pytest.raises(Halt, match="H_KEY_WRONG") as caught:
        Keyring(keys, frozenset({name}))
    assert "CANARY" not in str(caught.value)


def test_a_key_with_much_behind_it_halts(keys: Path) -> None:
    """A right key followed by thousands of spaces is not a key file of ours."""
    path = keys / "quarantine.key"
    path.write_bytes(path.read_bytes() + b" " * 5000)
    assert halts(keys, "quarantine") == "H_KEY_WRONG"


@pytest.mark.parametrize("content", [b"", b"\n", "å".encode()])
def test_a_wrong_public_half_halts(keys: Path, content: bytes) -> None:
    """An empty or non-ASCII public half halts, read alone or beside its private half."""
    (keys / "quarantine.pub").write_bytes(content)
    with pytest.raises(Halt, match="H_KEY_WRONG"):
        keyring.public(keys, "quarantine")
    assert halts(keys, "quarantine") == "H_KEY_WRONG"


def test_a_pair_that_does_not_belong_together_halts(keys: Path, tmp_path: Path) -> None:
    """A private key beside another key's public half halts, for every kind with two halves."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    for name in ("audit-sign", "quarantine", "bundle-sign"):
        create(other, name)
        (keys / f"{name}.pub").write_bytes((other / f"{name}.pub").read_bytes())
        assert halts(keys, name) == "H_KEY_WRONG"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644])
def test_a_readable_key_halts(keys: Path, mode: int) -> None:
    """A key that group or others can read, write or run halts, also for root."""
    (keys / "vault-db.key").chmod(mode)
    assert halts(keys, "vault-db") == "H_KEY_READABLE"


def test_a_key_of_somebody_else_halts(keys: Path) -> None:
    """A key that belongs to another user than root or ourselves halts."""
    os.chown(keys / "vault-db.key", 12345, 12345)
    assert halts(keys, "vault-db") == "H_KEY_READABLE"


def test_a_folder_that_others_can_change_halts(keys: Path) -> None:
    """Keys in a folder in which others can put files halt."""
    keys.chmod(0o777)
    assert halts(keys, "vault-db") == "H_KEY_READABLE"


def test_planted_names_halt(keys: Path, tmp_path: Path) -> None:
    """A symbolic link, a second name, a FIFO or a folder in a key's place halts and does not hang."""
    path = keys / "vault-db.key"
    real = tmp_path / "real"
    path.rename(real)
    path.symlink_to(real)
    assert halts(keys, "vault-db") == "H_KEY_WRONG"
    path.unlink()
    os.link(real, path)
    assert halts(keys, "vault-db") == "H_KEY_WRONG"
    path.unlink()
    os.mkfifo(path, 0o600)
    assert halts(keys, "vault-db") == "H_KEY_WRONG"
    path.unlink()
    path.mkdir(mode=0o700)
    assert halts(keys, "vault-db") == "H_KEY_WRONG"


def test_nothing_is_overwritten(keys: Path) -> None:
    """Making a key that exists halts and changes neither half."""
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    for name in ("vault-db", "quarantine"):
        with pytest.raises(Halt, match="H_EXISTS"):
            create(keys, name)
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_making_a_key_finishes_after_a_crash(tmp_path: Path) -> None:
    """A public half that a crash left without its private one is replaced, and the new pair loads."""
    (tmp_path / "quarantine.pub").write_text(age.new_identity()[1])
    create(tmp_path, "quarantine")
    ring = Keyring(tmp_path, frozenset({"quarantine"}))
    assert age.recipient_of(ring.get("quarantine")) == ring.public("quarantine")


def test_shows_no_key(keys: Path) -> None:
    """A keyring's text names no key."""
    assert repr(Keyring(keys, frozenset({"vault-db"}))) == "Keyring(1 keys)"


def test_from_the_draw_on_the_next_half_is_sealed_to_and_both_open(keys: Path) -> None:
    """Before its private half is durable nobody knows of it; the present key goes on opening what was sealed to it."""
    before = keyring.recipient(keys, "quarantine")
    draw_next(keys, "quarantine")
    assert keyring.recipient(keys, "quarantine") == before
    publish_next(keys, "quarantine")
    ring = Keyring(keys, frozenset({"quarantine"}))
    assert keyring.halves(keys, "quarantine") == (before, keyring.recipient(keys, "quarantine"))
    assert [age.recipient_of(key) for key in ring.opening("quarantine")] == list(keyring.halves(keys, "quarantine"))
    put_next_in_place(keys, "quarantine")
    assert keyring.halves(keys, "quarantine") == (keyring.recipient(keys, "quarantine"),)
    clear_replaced(keys, "quarantine")
    assert Keyring(keys, frozenset({"quarantine"})).next("quarantine") is None


def test_a_key_that_is_to_replace_another_must_be_held(keys: Path, tmp_path: Path) -> None:
    """Credentials without the next private half halt this run, whether others seal to it or it signs."""
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    for name in ("quarantine", "bundle-sign"):
        draw_next(keys, name)
        publish_next(keys, name)
        (credentials / f"{name}.key").write_bytes((keys / f"{name}.key").read_bytes())
        (credentials / f"{name}.key").chmod(0o600)
        with pytest.raises(Halt, match="H_NEXT_KEY_MISSING"):
            Keyring(credentials, frozenset({name}), keys)
    assert "H_NEXT_KEY_MISSING" in ONLY_THIS_RUN
    following = credentials / f"quarantine{NEXT}.key"
    following.write_bytes((keys / following.name).read_bytes())
    following.chmod(0o600)
    held = Keyring(credentials, frozenset({"quarantine"}), keys)
    # Handed over in the old one's place too early, it does not open what was sealed before.
    first = credentials / "quarantine.key"
    kept = first.read_bytes()
    first.write_bytes(following.read_bytes())
    with pytest.raises(Halt, match="H_NEXT_KEY_MISSING"):
        Keyring(credentials, frozenset({"quarantine"}), keys)
    first.write_bytes(kept)
    # The server's own folder goes on; the credentials are replaced a little later.
    put_next_in_place(keys, "quarantine")
    clear_replaced(keys, "quarantine")
    assert Keyring(credentials, frozenset({"quarantine"}), keys).opening("quarantine") == held.opening("quarantine")


def test_a_foreign_key_halts_in_the_middle_of_a_rotation_too(keys: Path, tmp_path: Path) -> None:
    """A next key beside another's public half, or a present one that is neither half's, opens nothing and halts."""
    draw_next(keys, "quarantine")
    publish_next(keys, "quarantine")
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    create(other, "quarantine")
    for stem in (f"quarantine{NEXT}", "quarantine"):
        path = keys / f"{stem}.key"
        kept = path.read_bytes()
        path.write_bytes((other / "quarantine.key").read_bytes())
        assert halts(keys, "quarantine") == "H_KEY_WRONG"
        path.write_bytes(kept)
    (keys / f"quarantine{NEXT}.pub").write_bytes((other / "quarantine.pub").read_bytes())
    with pytest.raises(Halt, match="H_KEY_WRONG"):
        put_next_in_place(keys, "quarantine")


def test_the_old_private_key_is_overwritten(keys: Path) -> None:
    """Whoever has the old file open, as a disk has its blocks, finds nothing of the key in it."""
    draw_next(keys, "quarantine")
    publish_next(keys, "quarantine")
    with (keys / "quarantine.key").open("rb") as old:
        content = old.read()
        put_next_in_place(keys, "quarantine")
        old.seek(0)
        after = old.read()
    assert len(after) == len(content)
    assert sum(one == other for one, other in zip(after, content, strict=True)) < len(content) / 4
