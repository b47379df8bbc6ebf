"""The contract of the airlock's port, on OpenSSH's sshd, on the demo's server and on a local folder."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from enclave.airlock.deliver import OutgoingFile, deliver, is_delivered
from enclave.airlock.port import MOST_FILES, MOST_INCOMING, Box, EntryKind, Incoming
from enclave.airlock.rules import claimed_name
from enclave.errors import Refused, Rejected
from tests.airlock.conftest import World

UUID = "4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d"
CLAIMED = claimed_name(UUID)


def listed(world: World) -> dict[str, Incoming]:
    """What lies in alpha's `in/`, by name."""
    return {incoming.name: incoming for incoming in world.airlock.list_incoming("alpha")}


def names(folder: Path) -> list[str]:
    """The names in a folder on disk."""
    return [path.name for path in folder.iterdir()]


def test_a_listing_tells_kinds_and_sizes_and_is_sorted(world: World) -> None:
    """A folder comes with its files and their sizes, a loose file without; names are in order."""
    world.plant("alpha", "b", {"manifest.json": b"12345", "payload.zip": b""})
    loose = world.root / "alpha" / "in" / "a"
    loose.write_bytes(b"1")
    found = world.airlock.list_incoming("alpha")
    assert [(incoming.name, incoming.kind) for incoming in found] == [
        ("a", EntryKind.FILE), ("b", EntryKind.FOLDER),
    ]  # fmt: skip
    assert [(file.name, file.kind, file.size) for file in found[1].files] == [
        ("manifest.json", EntryKind.FILE, 5), ("payload.zip", EntryKind.FILE, 0),
    ]  # fmt: skip
    assert found[0].files == ()
    assert world.airlock.list_incoming("beta") == ()


def test_links_pipes_and_second_names_are_told_from_files(world: World) -> None:
    """A symbolic link is a link whatever it points at; a pipe and a file with a second name are OTHER."""
    folder = world.plant("alpha", "drop", {"file": b"x"})
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    os.link(folder / "file", folder / "second")
    (world.root / "alpha" / "in" / "outer").symlink_to(folder)
    kinds = {file.name: file.kind for file in listed(world)["drop"].files}
    assert kinds == dict.fromkeys(("file", "pipe", "second"), EntryKind.OTHER) | {"link": EntryKind.LINK}
    assert listed(world)["outer"].kind is EntryKind.LINK
    assert listed(world)["outer"].files == ()


def test_a_name_that_is_not_utf8_is_listed_claimed_and_removed(world: World) -> None:
    """A name of any bytes can be handled, so that it can be refused and does not block the names beside it."""
    place = os.fsencode(world.root / "alpha" / "in")
    os.mkdir(place + b"/\xff\xfe" + "ø".encode())
    world.own(world.root / "alpha" / "in")
    world.plant("alpha", "good", {"file": b"x"})
    found = sorted(listed(world))
    assert len(found) == 2
    world.airlock.claim("alpha", found[1], CLAIMED)
    world.airlock.remove("alpha", CLAIMED)
    assert list(listed(world)) == ["good"]


def test_a_file_is_read_whole(world: World) -> None:
    """Contents of every size around a chunk come back as they are."""
    sizes = (0, 1, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 3_000_001)
    contents = {f"file{size}": os.urandom(size) for size in sizes}
    world.plant("alpha", "drop", contents)
    for name, content in contents.items():
        assert world.airlock.read("alpha", "drop", name, len(content)) == content


def test_a_file_above_the_limit_is_rejected(world: World) -> None:
    """One byte above the limit is E_DROP_SIZE."""
    world.plant("alpha", "drop", {"file": b"12345"})
    with pytest.raises(Rejected) as caught:
        world.airlock.read("alpha", "drop", "file", 4)
    assert caught.value.code == "E_DROP_SIZE"


@pytest.mark.parametrize(("file", "code"), [("gone", "E_DROP_CONTENT"), ("below", "E_DROP_KIND")])
def test_what_is_no_file_is_not_read(world: World, file: str, code: str) -> None:
    """A missing file is E_DROP_CONTENT, a folder E_DROP_KIND."""
    (world.plant("alpha", "drop", {}) / "below").mkdir()
    with pytest.raises(Rejected) as caught:
        world.airlock.read("alpha", "drop", file, 100)
    assert caught.value.code == code


def test_a_link_or_pipe_put_where_a_file_was_is_not_read(world: World) -> None:
    """A link to a file outside, a link in place of the drop folder, and a pipe are E_DROP_KIND, and nothing waits."""
    folder = world.plant("alpha", "drop", {})
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    world.plant("beta", "theirs", {"file": b"theirs"})
    (world.root / "alpha" / "in" / "folder").symlink_to(world.root / "beta" / "in" / "theirs")
    for name, file in (("drop", "link"), ("drop", "pipe"), ("folder", "file")):
        with pytest.raises(Rejected) as caught:
            world.airlock.read("alpha", name, file, 10_000)
        assert caught.value.code == "E_DROP_KIND"


def test_a_claim_survives_repetition_and_a_new_upload_under_the_old_name(world: World) -> None:
    """Claimed again it stays as it is, and what was sent later under the old name is not touched."""
    world.plant("alpha", "drop", {"file": b"first"})
    world.airlock.claim("alpha", "drop", CLAIMED)
    world.plant("alpha", "drop", {"file": b"second"})
    world.airlock.claim("alpha", "drop", CLAIMED)
    assert world.airlock.read("alpha", CLAIMED, "file", 100) == b"first"
    world.airlock.remove("alpha", CLAIMED)
    world.airlock.remove("alpha", CLAIMED)
    assert world.airlock.look("alpha", CLAIMED) is None
    assert world.airlock.read("alpha", "drop", "file", 100) == b"second"


def test_a_claim_of_what_is_gone_is_rejected(world: World) -> None:
    """A drop that its sender took back is E_DROP_GONE."""
    with pytest.raises(Rejected) as caught:
        world.airlock.claim("alpha", "drop", CLAIMED)
    assert caught.value.code == "E_DROP_GONE"


def test_links_pipes_and_loose_files_can_be_claimed_and_removed(world: World) -> None:
    """What is refused goes the same way as what is taken, and what a link points at stays."""
    place = world.root / "alpha" / "in"
    (place / "loose").write_bytes(b"x")
    (place / "link").symlink_to(world.plant("beta", "theirs", {"file": b"theirs"}))
    os.mkfifo(place / "pipe")
    for name in ("loose", "link", "pipe"):
        world.own(place / name)
        world.airlock.claim("alpha", name, CLAIMED)
        assert world.airlock.look("alpha", CLAIMED) is not None
        world.airlock.remove("alpha", CLAIMED)
        assert world.airlock.look("alpha", CLAIMED) is None
    assert world.airlock.read("beta", "theirs", "file", 100) == b"theirs"


def test_a_removal_takes_what_is_below_and_follows_no_link(world: World) -> None:
    """Folders in folders go; a link among them goes without what it points at."""
    theirs = world.plant("beta", "theirs", {"file": b"theirs"})
    folder = world.plant("alpha", CLAIMED, {"file": b"x"})
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "link").symlink_to(theirs)
    world.own(folder)
    world.airlock.remove("alpha", CLAIMED)
    assert list(listed(world)) == []
    assert (theirs / "file").read_bytes() == b"theirs"


def test_a_removal_goes_down_only_so_far(world: World) -> None:
    """Folders nested beyond reason are Refused, and do not exhaust anything."""
    place = world.root / "alpha" / "in"
    (place / "drop" / "/".join("d" * 60)).mkdir(parents=True)
    world.own(place / "drop")
    world.airlock.claim("alpha", "drop", CLAIMED)
    with pytest.raises(Refused) as caught:
        world.airlock.remove("alpha", CLAIMED)
    assert caught.value.code == "R_AIRLOCK_ANSWER"
    shutil.rmtree(place / CLAIMED)


def test_a_listing_is_capped(world: World) -> None:
    """A folder of very many names is listed up to the cap, so that no sender keeps the others waiting."""
    world.plant("alpha", "many", {f"file{number}": b"" for number in range(MOST_FILES + 20)})
    assert len(listed(world)["many"].files) == MOST_FILES + 1
    for number in range(MOST_INCOMING + 20):
        (world.root / "alpha" / "in" / f"loose{number}").touch()
    assert len(world.airlock.list_incoming("alpha")) == MOST_INCOMING


def test_only_a_claimed_name_is_removed(world: World) -> None:
    """A name that nobody claimed cannot be removed, whatever asks for it."""
    world.plant("alpha", "drop", {"file": b"x"})
    for name in ("drop", "..", ".taken-../drop", "", f"{CLAIMED}/../drop"):
        with pytest.raises(ValueError, match="claimed"):
            world.airlock.remove("alpha", name)
    assert list(listed(world)) == ["drop"]


@pytest.mark.parametrize("institution", ["..", "alpha/../beta", "", "Alpha", "alpha\n", "alpha/in"])
def test_an_institution_is_never_a_path(world: World, institution: str) -> None:
    """What is not an institution's id reaches no folder."""
    with pytest.raises(ValueError, match="institution"):
        world.airlock.list_incoming(institution)


def test_an_institution_without_a_folder_is_refused_alone(world: World) -> None:
    """A missing folder is Refused for that institution, and the next one works."""
    with pytest.raises(Refused) as caught:
        world.airlock.list_incoming("gamma")
    assert caught.value.code == "R_AIRLOCK_FOLDER"
    assert world.airlock.list_incoming("alpha") == ()


def test_a_place_that_is_a_link_is_refused(world: World) -> None:
    """An institution's folder replaced by a link to another institution's is not entered, to read or to write."""
    entries: dict[str, Callable[[World], object]] = {
        "in": lambda world: world.airlock.list_incoming("alpha"),
        "out": lambda world: world.airlock.put("alpha", Box.BUNDLES, "a.zip", b"x"),
    }
    for place, enter in entries.items():
        real = world.root / "alpha" / place
        kept = real.rename(world.root / "alpha" / "kept")
        real.symlink_to(world.root / "beta" / place)
        try:
            with pytest.raises(Refused, match="R_AIRLOCK_FOLDER"):
                enter(world)
        finally:
            real.unlink()
            kept.rename(real)
    assert list((world.root / "beta" / "out" / "bundles").iterdir()) == []


def test_a_delivery_is_placed_once_and_can_be_repeated(world: World) -> None:
    """A file is put whole under its own name only, and putting it again changes nothing."""
    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()
    assert world.airlock.find_delivered("alpha", Box.BUNDLES, "a.zip") is None
    assert world.airlock.put("alpha", Box.BUNDLES, "a.zip", content) == digest
    placed = (world.root / "alpha" / "out" / "bundles" / "a.zip").stat()
    assert world.airlock.put("alpha", Box.BUNDLES, "a.zip", content) == digest
    assert (world.root / "alpha" / "out" / "bundles" / "a.zip").stat().st_ino == placed.st_ino
    assert names(world.root / "alpha" / "out" / "bundles") == ["a.zip"]
    assert world.airlock.find_delivered("alpha", Box.BUNDLES, "a.zip") == digest


def test_a_fetched_delivery_is_not_delivered_again(world: World) -> None:
    """What the institution moved to `fetched/` is found there."""
    digest = world.airlock.put("alpha", Box.RECEIPTS, "r.zip", b"receipt")
    os.rename(world.root / "alpha" / "out" / "receipts" / "r.zip", world.root / "alpha" / "fetched" / "r.zip")
    assert world.airlock.find_delivered("alpha", Box.RECEIPTS, "r.zip") == digest
    assert world.airlock.put("alpha", Box.RECEIPTS, "r.zip", b"receipt") == digest
    assert names(world.root / "alpha" / "out" / "receipts") == []


def test_what_was_fetched_is_seen_and_nothing_else(world: World) -> None:
    """Only a file in `fetched/` counts: not one that still lies in `out/`, nor a link or a folder under its name."""
    for name in ("a.zip", "b.zip", "c.zip"):
        world.airlock.put("alpha", Box.BUNDLES, name, b"package")
    fetched = world.root / "alpha" / "fetched"
    os.rename(world.root / "alpha" / "out" / "bundles" / "a.zip", fetched / "a.zip")
    (fetched / "b.zip").symlink_to("a.zip")
    (fetched / "c.zip").mkdir()

    assert world.airlock.find_fetched("alpha", ("a.zip", "b.zip", "c.zip", "d.zip")) == {"a.zip"}


def test_a_loose_file_is_listed_with_its_size_and_read_as_a_drops_file_is(world: World) -> None:
    """Its size and content are those on disk; a link, a folder and what is above the limit are not read."""
    incoming = world.root / "alpha" / "in"
    (incoming / "mars.zip").write_bytes(b"PK and more")
    world.own(incoming / "mars.zip")
    (incoming / "link.zip").symlink_to("mars.zip")
    (incoming / "folder").mkdir()

    sizes = {one.name: one.size for one in world.airlock.list_incoming("alpha") if one.kind is EntryKind.FILE}

    assert sizes == {"mars.zip": 11}
    assert world.airlock.read_loose("alpha", "mars.zip", 11) == b"PK and more"
    for name, limit, code in (
        ("mars.zip", 10, "E_DROP_SIZE"),
        ("link.zip", 99, "E_DROP_KIND"),
        ("folder", 99, "E_DROP_KIND"),
        ("gone", 99, "E_DROP_CONTENT"),
    ):
        with pytest.raises(Rejected, match=code):
            world.airlock.read_loose("alpha", name, limit)


@pytest.mark.parametrize("place", ["out/bundles", "fetched"])
def test_something_else_under_a_delivered_name_is_refused_and_kept(world: World, place: str) -> None:
    """An unequal file, a link and a folder under the name are R_DELIVERED_DIFFERS, and are not overwritten."""
    name = world.root / "alpha" / place / "a.zip"
    name.write_bytes(b"other")
    world.own(name)
    with pytest.raises(Refused) as caught:
        world.airlock.put("alpha", Box.BUNDLES, "a.zip", b"ours")
    assert caught.value.code == "R_DELIVERED_DIFFERS"
    assert name.read_bytes() == b"other"
    name.unlink()
    theirs = world.root / "beta" / "out" / "bundles" / "theirs.zip"
    theirs.write_bytes(b"theirs")
    name.symlink_to(theirs)
    with pytest.raises(Refused):
        world.airlock.put("alpha", Box.BUNDLES, "a.zip", b"ours")
    assert theirs.read_bytes() == b"theirs"


def test_what_a_killed_delivery_left_does_not_stand_in_the_way(world: World) -> None:
    """A half-written temporary file, or a link planted under its name, is replaced and never written through."""
    theirs = world.root / "beta" / "out" / "bundles" / "theirs.zip"
    theirs.write_bytes(b"theirs")
    box = world.root / "alpha" / "out" / "bundles"
    (box / ".a.zip.part").write_bytes(b"half")
    (box / ".b.zip.part").symlink_to(theirs)
    (box / ".tmp-0123456789abcdef").write_bytes(b"half")
    for left in box.iterdir():
        world.own(left)
    for name in ("a.zip", "b.zip"):
        world.airlock.put("alpha", Box.BUNDLES, name, b"ours")
        assert (box / name).read_bytes() == b"ours"
        assert not (box / name).is_symlink()
    assert theirs.read_bytes() == b"theirs"


@pytest.mark.parametrize("name", ["../a.zip", "a/b", ".a", "-a", "a.part", "CON", "a.", "", "ø.zip", "a" * 81])
def test_a_name_that_leaves_is_plain(world: World, name: str) -> None:
    """No file is delivered under a name that leads elsewhere or means something to some system."""
    with pytest.raises(ValueError, match="name"):
        world.airlock.put("alpha", Box.BUNDLES, name, b"x")


def test_a_package_is_complete_when_its_main_file_appears(world: World) -> None:
    """Signature and checker come first; the whole can be done again; its evidence is true only when all is there."""
    files = [OutgoingFile("b.zip", b"z"), OutgoingFile("b.zip.sig", b"s"), OutgoingFile("b.zip.cmd", b"c")]
    digests = {file.name: hashlib.sha256(file.content).hexdigest() for file in files}
    assert not is_delivered(world.airlock, "alpha", Box.BUNDLES, digests)
    assert deliver(world.airlock, "alpha", Box.BUNDLES, files) == digests
    assert list(deliver(world.airlock, "alpha", Box.BUNDLES, files))[-1] == "b.zip"
    assert is_delivered(world.airlock, "alpha", Box.BUNDLES, digests)
    (world.root / "alpha" / "out" / "bundles" / "b.zip.sig").unlink()
    assert not is_delivered(world.airlock, "alpha", Box.BUNDLES, digests)
