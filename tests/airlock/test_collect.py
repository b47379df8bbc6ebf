"""The way from the airlock to quarantine, step by step."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.airlock.collect import Survey, pack, survey, take, unpack
from enclave.airlock.folder import FolderAirlock
from enclave.airlock.rules import Limits, claimed_name
from enclave.crypto.secret import Secret
from enclave.demo.airlock import make_folders
from enclave.errors import Refused, Rejected
from enclave.model.drop import SealedDrop

UUID = "4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d"
NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
LIMITS = Limits(payload=10_000, patience=timedelta(hours=24))
KEY = Secret(b"k" * 32)
SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"


def files(payload: bytes = b"payload", **changes: object) -> dict[str, bytes]:
    """The three files of a drop that is whole as far as the airlock can tell."""
    stated = {"payload_size": len(payload), "payload_sha256": hashlib.sha256(payload).hexdigest(), **changes}
    manifest = json.dumps(stated | {"recipient_kid": "in-2026"}).encode()
    return {"manifest.json": manifest, "manifest.json.sig": SIGNATURE, "payload.zip": payload}


@dataclass(frozen=True)
class Sender:
    """An institution at a folder airlock."""

    root: Path
    airlock: FolderAirlock
    seen: dict[str, datetime] = field(default_factory=dict)

    def place(self, name: str, content: dict[str, bytes]) -> Path:
        """Place or extend a folder in `in/`."""
        folder = self.root / "alpha" / "in" / name
        folder.mkdir(exist_ok=True)
        for file, data in content.items():
            (folder / file).write_bytes(data)
        return folder

    def survey(self, now: datetime = NOW) -> Survey:
        """One survey, remembering what was deferred as the job does."""
        found = survey(self.airlock, "alpha", now=now, sightings=self.seen, sighting_key=KEY, limits=LIMITS)
        self.seen.clear()
        self.seen.update({deferred.key: deferred.first_seen for deferred in found.deferred})
        return found


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """An institution whose folders are empty."""
    make_folders(tmp_path, "alpha")
    return Sender(tmp_path, FolderAirlock(tmp_path))


def test_a_whole_drop_is_ready_with_what_its_manifest_claims(sender: Sender) -> None:
    """Name, key id and sizes come along, for routing and quotas."""
    sender.place("drop", files())
    (ready,) = sender.survey().ready
    assert (ready.name, ready.peek.recipient_kid, ready.peek.payload_size, ready.payload_size) == (
        "drop", "in-2026", 7, 7,
    )  # fmt: skip


def test_a_drop_is_deferred_at_every_step_of_its_upload(sender: Sender) -> None:
    """File by file and byte by byte it waits, and is ready with the last byte."""
    whole = files()
    steps = [(name, content[:cut]) for name, content in whole.items() for cut in (0, 1, len(content) - 2, len(content))]
    for name, content in steps[:-1]:
        sender.place("drop", {name: content})
        found = sender.survey()
        assert len(found.deferred) == 1
        assert not found.ready
        assert not found.refused
    sender.place("drop", whole)
    found = sender.survey()
    assert len(found.ready) == 1
    assert not found.deferred


def test_an_incomplete_drop_is_refused_when_patience_ends_though_it_still_changes(sender: Sender) -> None:
    """The time runs from when it was first seen, by our clock."""
    sender.place("drop", {"manifest.json": files()["manifest.json"]})
    sender.survey()
    sender.place("drop", {"payload.zip": b"pay"})
    assert sender.survey(NOW + LIMITS.patience).deferred
    (refused,) = sender.survey(NOW + LIMITS.patience + timedelta(seconds=1)).refused
    # A payload came, but no signature ever did.
    assert (refused.name, refused.code) == ("drop", "E_DROP_UNSIGNED")


def test_an_abandoned_upload_is_refused_when_patience_ends(sender: Sender) -> None:
    """A `.part` name does not wait for ever either."""
    sender.place("drop.part", files())
    sender.survey()
    (refused,) = sender.survey(NOW + LIMITS.patience * 2).refused
    assert refused.code == "E_DROP_INCOMPLETE"


def test_a_manifest_of_nonsense_becomes_ready_when_patience_ends(sender: Sender) -> None:
    """Then it is no longer growing but bad, and `admit` answers that."""
    sender.place("drop", files() | {"manifest.json": b"not json"})
    assert sender.survey().deferred
    assert sender.survey(NOW + LIMITS.patience * 2).ready


def test_what_is_remembered_of_a_growing_drop_does_not_tell_its_name(sender: Sender) -> None:
    """The key of a sighting is a keyed digest, and no repr shows a name."""
    sender.place("01019012345.part", {})
    sender.place("bad 01019012345", files())
    sender.place("01019012345", files())
    found = sender.survey()
    other = survey(sender.airlock, "alpha", now=NOW, sightings={}, sighting_key=Secret(b"o" * 32), limits=LIMITS)
    assert found.deferred[0].key != other.deferred[0].key
    assert "01019012345" not in repr((found, found.deferred, found.ready, found.refused, sender.seen))
    assert "01019012345" not in repr(sender.airlock.list_incoming("alpha"))


def test_a_clock_that_went_back_does_not_lengthen_the_wait(sender: Sender) -> None:
    """A first sighting in the future counts from now."""
    sender.place("drop.part", {})
    sender.survey(NOW + timedelta(days=365))
    assert sender.survey(NOW).deferred[0].first_seen == NOW


def test_bad_names_do_not_keep_good_ones_back(sender: Sender) -> None:
    """Each name is judged alone; claimed ones are told apart."""
    sender.place("good", files())
    sender.place("bad name", files())
    sender.place(claimed_name(UUID), files())
    (sender.root / "alpha" / "in" / "link").symlink_to("/etc")
    found = sender.survey()
    assert [ready.name for ready in found.ready] == ["good"]
    assert [(refused.name, refused.code) for refused in found.refused] == [
        ("bad name", "E_DROP_NAME"), ("link", "E_DROP_KIND"),
    ]  # fmt: skip
    assert found.claimed == (claimed_name(UUID),)


def test_a_taken_drop_is_the_three_files_as_they_are(sender: Sender) -> None:
    """After the claim its files are read under the new name, whatever is sent under the old one."""
    sender.place("drop", files())
    sender.airlock.claim("alpha", "drop", claimed_name(UUID))
    sender.place("drop", files(b"another"))
    drop = take(sender.airlock, "alpha", UUID, LIMITS)
    assert (drop.drop_uuid, drop.sender, drop.payload) == (UUID, "alpha", b"payload")
    assert (drop.manifest, drop.signature) == (files()["manifest.json"], SIGNATURE)


def test_a_wrong_digest_of_the_senders_own_is_taken_for_admit_to_reject(sender: Sender) -> None:
    """The same content twice is what the sender sent."""
    sender.place(claimed_name(UUID), files(payload_sha256="0" * 64))
    assert take(sender.airlock, "alpha", UUID, LIMITS).payload == b"payload"


def test_a_digest_that_differs_twice_in_two_ways_is_refused_and_nothing_removed(sender: Sender) -> None:
    """The line or the airlock damages files: the drop stays, for another try."""

    class Flaky(FolderAirlock):
        """Damages a payload in a new way at each read."""

        reads = 0

        def read(self, institution: str, name: str, file: str, limit: int) -> bytes:
            """One more byte each time."""
            self.reads += 1
            content = super().read(institution, name, file, limit)
            return content + bytes(self.reads) if file.startswith("payload") else content

    sender.place(claimed_name(UUID), files())
    with pytest.raises(Refused) as caught:
        take(Flaky(sender.root), "alpha", UUID, LIMITS)
    assert caught.value.code == "R_DROP_UNSTEADY"
    assert sender.airlock.look("alpha", claimed_name(UUID)) is not None


def test_a_drop_that_changed_between_survey_and_taking_is_judged_again(sender: Sender) -> None:
    """What was swapped in after the claim is rejected by the same rules as before it."""
    claimed = sender.place(claimed_name(UUID), files())
    changes: list[tuple[str, Callable[[], object]]] = [
        ("E_DROP_KIND", lambda: (claimed / "payload.zip").symlink_to("/etc/passwd")),
        ("E_DROP_SIZE", lambda: (claimed / "payload.zip").write_bytes(b"x" * 10_001)),
        ("E_DROP_CONTENT", lambda: None),
        ("E_DROP_CONTENT", lambda: sender.place(claimed.name, {"payload.zip": b"1", "payload.age": b"2"})),
    ]
    for code, change in changes:
        (claimed / "payload.zip").unlink(missing_ok=True)
        change()
        with pytest.raises(Rejected) as caught:
            take(sender.airlock, "alpha", UUID, LIMITS)
        assert caught.value.code == code
    shutil.rmtree(claimed)
    with pytest.raises(Rejected) as gone:
        take(sender.airlock, "alpha", UUID, LIMITS)
    assert gone.value.code == "E_DROP_GONE"
    claimed.symlink_to("/etc")
    with pytest.raises(Rejected) as link:
        take(sender.airlock, "alpha", UUID, LIMITS)
    assert link.value.code == "E_DROP_KIND"


@settings(deadline=None)
@given(st.binary(max_size=50), st.binary(max_size=50), st.binary(max_size=50))
def test_a_packed_drop_unpacks_to_itself(manifest: bytes, signature: bytes, payload: bytes) -> None:
    """One drop, one content, and back."""
    drop = SealedDrop(UUID, "alpha", manifest, signature, payload)
    assert unpack(pack(drop)) == drop


def test_a_packed_drop_cut_extended_or_altered_is_rejected_or_another_drop() -> None:
    """No cut and no extension unpacks; a flipped bit never fails in any other way than Rejected."""
    content = pack(SealedDrop(UUID, "alpha", b"manifest", b"signature", b"payload"))
    for cut in range(len(content)):
        with pytest.raises(Rejected):
            unpack(content[:cut])
    with pytest.raises(Rejected):
        unpack(content + b"\0")
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            with contextlib.suppress(Rejected):
                assert unpack(bytes(damaged)) != unpack(content)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_content_makes_unpacking_fail_otherwise_than_rejected(content: bytes) -> None:
    """Also behind a right beginning."""
    for candidate in (content, b"enclave drop 1\n" + content):
        with pytest.raises(Rejected):
            unpack(candidate)
