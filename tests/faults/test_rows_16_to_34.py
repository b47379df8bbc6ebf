"""Rows 16–34 of the fault matrix: drops that are cut, altered, forged, misnamed, repeated. Each is a test of its own.

The drops are made by 7-Zip and ssh-keygen, lie at a folder airlock, and are taken by the real jobs. What every one of
them must end in stands once, in `judged.py`.
"""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from enclave.airlock import folder as folder_airlock
from enclave.crypto import age
from enclave.crypto.zip_directory import Limits
from enclave.errors import Rejected
from enclave.flow import DropState
from enclave.intake.envelopes import AesZipEnvelope
from enclave.intake.open import verify_and_open
from enclave.model.drop import SealedDrop
from enclave.wiring import open_log, utc_now
from tests.crypto.zip_writer import DEFLATED, Member, build, deflate
from tests.faults.judged import assert_nothing_left, assert_rejected
from tests.faults.site import ATTACKER, HONEST, Making, Site, run


def making(site: Site, **changes: object) -> Making:
    """A drop of one new person, with changes."""
    return Making(site.planter.file(rows=1), **changes)  # type: ignore[arg-type]


def zipped(site: Site, *members: Member) -> Making:
    """A drop whose payload is written byte by byte, under the sender's own passphrase."""
    passphrase = site.letters[ATTACKER].inbound.reveal()
    files = site.planter.file(rows=1)
    made = Making(files)
    honest = [
        Member(b"manifest.json", json.dumps(site.inner(made)).encode(), passphrase=passphrase),
        *(Member(name.encode(), content, passphrase=passphrase) for name, content in files.items()),
    ]
    made.packed = build(*honest, *(replaced_passphrase(member, passphrase) for member in members))
    return made


def replaced_passphrase(member: Member, passphrase: bytes) -> Member:
    """The member, sealed with this passphrase."""
    return Member(**{**vars(member), "passphrase": passphrase})


def field_changed(name: bytes, offset: int, value: bytes) -> Callable[[bytes], bytes]:
    """A change of some bytes of the local header of a member."""

    def change(content: bytes) -> bytes:
        at = content.index(name) - 30 + offset
        return content[:at] + value + content[at + len(value) :]

    return change


def cut_in_half(content: bytes) -> bytes:
    """The first half."""
    return content[: len(content) // 2]


def flipped(at: int) -> Callable[[bytes], bytes]:
    """A change of one bit, `at` bytes from the start."""
    return lambda content: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_row_16_cut_ciphertext_is_rejected(site: Site) -> None:
    """Cut before signing the container has no end; cut after it, the payload is waited for, and then given up."""
    site.send(making(site, after_sealing=cut_in_half))
    assert_rejected(site, "E_TRUNC")
    site.send(making(site, after_signing=cut_in_half))

    assert site.walk() == ()

    assert_rejected(site, "E_DROP_INCOMPLETE", days=2)


@pytest.mark.parametrize("cut", [-1, 64 * 1024 + 216, 2 * (64 * 1024 + 16) + 200, 100])
def test_row_16_cut_age_is_rejected_at_every_boundary(cut: int) -> None:
    """The lenders' envelope, cut at a chunk's end, in a chunk, in the header or in the tail, never opens."""
    identity, recipient = age.new_identity()
    sealed = age.seal(bytes(200_000), [recipient])

    with pytest.raises(Rejected, match="E_AGE"):
        age.open(sealed[:cut], identity)


def test_row_17_a_flipped_bit_is_rejected(site: Site) -> None:
    """In the ciphertext before signing the tag tells; after signing the digest does; in the manifest the signature."""
    site.send(making(site, after_sealing=lambda content: flipped(content.index(b"arrival.csv") + 60)(content)))
    site.send(making(site, after_signing=flipped(100)))
    site.send(making(site, manifest_after_signing=lambda content: content.replace(b"08:00", b"09:00")))

    assert_rejected(site, "E_TAG", "E_DIGEST", "E_SIG")


def swept(site: Site, step: int) -> int:
    """Open a drop with each `step`-th byte of payload and manifest flipped; answers how many were tried."""
    drop = site.make(making(site))
    files = {file.name: file.read_bytes() for file in drop.iterdir()}
    wiring, tried = site.wiring("admit"), 0
    letter = site.letters[ATTACKER]
    for name in ("payload.zip", "manifest.json"):
        for at in range(0, len(files[name]), step):
            changed = {**files, name: flipped(at)(files[name])}
            sealed = SealedDrop("0" * 36, ATTACKER, changed["manifest.json"], changed["manifest.json.sig"],
                                changed["payload.zip"])  # fmt: skip
            with pytest.raises(Rejected):
                verify_and_open(
                    sealed, registry="kar", signers=wiring.signers,
                    envelopes=[AesZipEnvelope({letter.inbound_key_id: letter.inbound})], at=utc_now(), limits=Limits(),
                )  # fmt: skip
            tried += 1
    return tried


def test_row_17_no_flipped_bit_opens(site: Site) -> None:
    """A bit flipped at places all over payload and manifest never gives a file."""
    assert swept(site, 23) > 40


@pytest.mark.long
def test_row_17_no_flipped_bit_opens_anywhere(site: Site) -> None:
    """A bit flipped in any byte of payload or manifest never gives a file."""
    assert swept(site, 1) > 1000


def test_row_18_crypt4gh_is_not_taken_at_all(site: Site) -> None:
    """It cannot tell that its segments were moved, so no name and no format of it is accepted, whatever it holds.

    Segments moved in what is taken: the digest differs, as in every payload that was changed after signing.
    """
    site.send(making(site, outer={"format": "crypt4gh"}))
    site.send(making(site, payload_name="payload.c4gh"))
    site.send(making(site, after_signing=lambda content: content[200:400] + content[:200] + content[400:]))
    site.send(making(site, after_sealing=lambda content: b"crypt4gh\x01\0\0\0" + content))

    assert_rejected(site, "E_MANIFEST", "E_DROP_CONTENT", "E_DIGEST", "E_FORMAT")


def test_row_19_an_altered_entry_is_rejected(site: Site) -> None:
    """Another name, size or method in one header contradicts the other; in both, a name contradicts the manifest."""
    name = b"arrival.csv"
    site.send(making(site, after_sealing=lambda content: content.replace(name, b"arrivel.csv", 1)))
    site.send(making(site, after_sealing=field_changed(name, 22, struct.pack("<I", 77_777))))
    site.send(making(site, after_sealing=field_changed(name, 8, struct.pack("<H", 8))))
    site.send(making(site, after_sealing=lambda content: content.replace(name, b"arrivel.csv")))

    assert_rejected(site, "E_CONTAINER", "E_CONTAINER", "E_CONTAINER", "E_FILES")


def test_row_20_a_plaintext_entry_appended_by_7zip_is_rejected(site: Site, tmp_path: Path) -> None:
    """7-Zip itself adds a file without encryption, and calls the archive sound; it is refused before a byte is read."""

    def append(content: bytes) -> bytes:
        archive, plain = tmp_path / "payload.zip", tmp_path / "more.csv"
        archive.write_bytes(content)
        plain.write_bytes(site.planter.draw().name.encode())
        assert run("7z", "a", str(archive), str(plain)).returncode == 0
        assert run("7z", "t", f"-p{site.letters[ATTACKER].inbound.reveal().decode()}", str(archive)).returncode == 0
        return archive.read_bytes()

    site.send(making(site, after_sealing=append))

    assert_rejected(site, "E_UNENCRYPTED")


def read_twice(content: bytes) -> bytes:
    """A second central entry that points at the first local header (the quoted overlap of CVE-2024-0450)."""
    count, size, start = struct.unpack("<HII", content[-12:-2])
    entry = content[start : start + 46 + len(b"manifest.json") + 11]
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count + 1, count + 1, size + len(entry), start, 0)
    return content[: start + size] + entry.replace(b"manifest.json", b"manifest.jsom") + end


def many_entries(count: int) -> bytes:
    """An archive of that many entries, each stored and empty."""
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 1, 99, 0, 0, 0, 28, 0, 5, 11)
    central = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 1, 99, 0, 0, 0, 28, 0, 5, 11, 0, 0, 0, 0, 0)
    extra = struct.pack("<HHH2sBH", 0x9901, 7, 2, b"AE", 3, 0)
    body = b"".join(local + b"%05d" % number + extra + bytes(28) for number in range(count))
    step = len(local) + 5 + 11 + 28
    directory = b"".join(
        central[:42] + struct.pack("<I", number * step) + b"%05d" % number + extra for number in range(count)
    )
    return body + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)


def test_row_21_bombs_are_rejected(site: Site) -> None:
    """Ratio, lying size, quoted overlap, 65 000 entries and a ZIP in the ZIP; what they cost is in `test_bounds.py`."""
    zeros = bytes(3 << 20)
    site.send(Making({**site.planter.file(rows=1), "arrival_more.csv": zeros}))
    site.send(zipped(site, Member(b"lying.csv", zeros, method=DEFLATED, size=900_000, packed_content=deflate(zeros))))
    overlapping = zipped(site, Member(b"more.csv"))
    overlapping.packed = read_twice(overlapping.packed or b"")
    site.send(overlapping)
    site.send(making(site, packed=many_entries(65_000)))
    site.send(zipped(site, Member(b"more.zip", build(Member(encrypted=False)))))

    assert_rejected(site, "E_BOMB", "E_BOMB", "E_CONTAINER", "E_ENTRIES", "E_NESTED")


BAD_NAMES = (b"../kanari.csv", b"/kanari.csv", b"C:\\kanari.csv", b"kan\0ari.csv", b"CON.csv",
             "kanari\u202evsc.csv".encode(), b"kanari" * 50 + b".csv")  # fmt: skip


def test_row_22_names_that_mean_something_elsewhere_are_rejected(site: Site) -> None:
    """In a container and at the airlock: climbing, absolute, drives, NUL, devices, turned text, 300 signs; unlogged."""
    for name in BAD_NAMES:
        site.send(zipped(site, Member(name)))
    for name in ("CON", "kanari\u202egpj", "-kanari", "kanari" * 40):
        site.place(site.make(making(site)), name=name)

    assert_rejected(site, *["E_NAME"] * len(BAD_NAMES), *["E_DROP_NAME"] * 4, words=["kanari"])


def test_row_23_links_pipes_and_devices_are_rejected_unopened(site: Site, tmp_path: Path) -> None:
    """A symbolic link, a second name, a pipe and a device where the payload should be: none of them is opened."""
    target = tmp_path / "secret"
    target.write_bytes(site.planter.draw().name.encode())
    os.utime(target, (1, 1))
    plants: list[Callable[[Path], None]] = [
        lambda path: path.symlink_to(target),
        lambda path: os.link(target, path),
        os.mkfifo,
        lambda path: os.mknod(path, 0o20600, os.makedev(1, 5)),
    ]
    for plant in plants:
        drop = site.send(making(site))
        (drop / "payload.zip").unlink()
        plant(drop / "payload.zip")

    assert_rejected(site, *["E_DROP_KIND"] * 4)

    assert target.stat().st_atime == 1
    assert target.read_bytes(), "what a link names is not removed with it"


def test_row_24_a_file_swapped_while_it_is_read_is_not_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check, reading and digest are of one open file: another that is put in its place is read anew, and is not it."""
    drop = site.send(making(site))
    other = site.make(making(site)) / "payload.zip"
    read, swapped = os.read, []

    def swap(descriptor: int, most: int) -> bytes:
        payloads = list(site.incoming().glob(".taken-*/payload.zip"))
        if payloads and not swapped and most == payloads[0].stat().st_size + 1:
            shutil.copy(other, payloads[0].with_name("new"))
            swapped.append(payloads[0].with_name("new").rename(payloads[0]))
        return read(descriptor, most)

    monkeypatch.setattr(folder_airlock.os, "read", swap)

    assert_rejected(site, "E_DIGEST")

    assert len(swapped) == 1
    assert not drop.exists()


def test_row_25_a_growing_file_is_waited_for(site: Site) -> None:
    """Shorter than stated, or under an uploader's name: not rejected, not taken, and admitted once it is whole."""
    before = site.rows()
    growing = site.send(making(site)) / "payload.zip"
    whole = growing.read_bytes()
    growing.write_bytes(whole[:-10])
    uploading = site.place(site.make(making(site)), name="drop-1.part")

    assert site.walk() == ()

    assert site.rows() == before
    growing.write_bytes(whole)
    uploading.rename(uploading.with_name("drop-1"))
    assert [drop.state for drop in site.walk()] == [DropState.ADMITTED] * 2
    assert_nothing_left(site)


def test_row_26_what_never_becomes_a_drop_is_given_up(site: Site) -> None:
    """An empty payload, a manifest alone, a drop without its manifest: waited for a day, then rejected and answered."""
    for missing in (("payload.zip",), ("payload.zip", "manifest.json.sig"), ("manifest.json",)):
        drop = site.send(making(site))
        for name in missing:
            (drop / name).unlink()
    (site.send(making(site)) / "payload.zip").write_bytes(b"")

    assert site.walk() == ()

    assert_rejected(site, *["E_DROP_INCOMPLETE"] * 4, days=2)


def test_row_27_each_wrong_key_has_its_code(site: Site, tmp_path: Path) -> None:
    """Another passphrase, a key id that never was, one taken out of use: told apart, and each says what to do."""
    kid = site.letters[ATTACKER].inbound_key_id
    site.send(making(site, passphrase="QQQQQ-WWWWW-EEEEE-RRRRR-TTTTT-2"))
    site.send(making(site, outer={"recipient_kid": "somebody-1"}, inner={"recipient_kid": "somebody-1"}))
    assert_rejected(site, "E_PASSPHRASE", "E_KID")
    retired = site.make(making(site))
    site.desk.write_letter(ATTACKER, tmp_path / "letter.html", utc_now().date(), renew=True)
    site.letters = {**site.letters, ATTACKER: site.renewed(site.letters[ATTACKER])}
    site.place(retired)

    assert_rejected(site, "E_KID_REVOKED")

    assert site.letters[ATTACKER].inbound_key_id != kid
    site.send(making(site))
    assert [drop.state for drop in site.walk()] == [DropState.ADMITTED]


def test_row_28_anothers_valid_signature_is_rejected(site: Site) -> None:
    """The signature is sound and registered, but of another institution than the folder's."""
    site.send(making(site, signer=HONEST))

    assert_rejected(site, "E_SENDER")


def test_row_29_a_signature_for_something_else_is_rejected(site: Site) -> None:
    """For a loan, for another registry's drops, or over a manifest that names another registry."""
    site.send(making(site, namespace="loan@kar"))
    site.send(making(site, namespace="drop@kvarus"))
    site.send(making(site, outer={"registry": "kvarus"}))

    assert_rejected(site, "E_NAMESPACE", "E_NAMESPACE", "E_REGISTRY")


def test_row_30_an_unsigned_drop_is_rejected(site: Site) -> None:
    """Without its signature, with an empty one, or with words where it should be, a drop is never opened."""
    (site.send(making(site)) / "manifest.json.sig").unlink()
    (site.send(making(site)) / "manifest.json.sig").write_bytes(b"")
    words = b"unsigned, but trust me\n-----END SSH SIGNATURE-----\n"
    (site.send(making(site)) / "manifest.json.sig").write_bytes(words)

    assert [drop.reason for drop in site.walk()] == ["E_SIG"]

    assert_rejected(site, "E_DROP_UNSIGNED", "E_DROP_UNSIGNED", days=2)


def test_row_31_an_exact_replay_stores_nothing(site: Site) -> None:
    """The same bytes again: recognised, answered, and not a row more."""
    drop = site.make(making(site))
    site.place(drop)
    (first,) = site.walk()
    assert first.state is DropState.ADMITTED
    site.place(drop, name="again")
    site.place(drop, name="and-again")

    replays = assert_rejected(site, "E_REPLAY", "E_REPLAY")

    assert {drop.state for drop in replays} == {DropState.REPLAYED}


def notes(site: Site, act: str) -> list[tuple[str, str]]:
    """What the log notes about an act: whom it concerns and why."""
    return [(entry.object_id, entry.reason) for entry in open_log(site.folder).entries() if entry.act == act]


def test_row_32_a_reused_id_is_rejected_and_noted(site: Site) -> None:
    """The same drop_id over another content is rejected, and the log raises it for a person to look at."""
    drop_id = UUID("4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d")
    site.send(making(site, drop_id=drop_id))
    assert [drop.state for drop in site.walk()] == [DropState.ADMITTED]
    site.place(site.make(making(site, drop_id=drop_id)), name="another")

    assert_rejected(site, "E_DROP_ID_REUSED")

    assert notes(site, "drop.reused") == [(ATTACKER, "E_DROP_ID_REUSED")]


def test_row_33_numbers_rise_and_gaps_are_noted(site: Site) -> None:
    """A gap is noted and the drop taken; a number that is not above the last admitted one is rejected."""
    for seq in (1, 4):
        site.send(making(site, outer={"seq": seq}))
        assert [drop.state for drop in site.walk()] == [DropState.ADMITTED]
    assert notes(site, "drop.gap") == [(ATTACKER, "")]
    site.send(making(site, outer={"seq": 3}))
    site.send(making(site, outer={"seq": 4}))

    assert_rejected(site, "E_SEQ", "E_SEQ")


def test_row_34_a_payload_of_another_drop_is_rejected(site: Site) -> None:
    """The manifest inside names another drop, another sender or another key than the one that is signed outside."""
    site.send(making(site, inner={"drop_id": "00000000-0000-4000-8000-000000000001"}))
    site.send(making(site, inner={"sender": HONEST}))
    site.send(making(site, inner={"recipient_kid": "somebody-1"}))

    assert_rejected(site, "E_BINDING", "E_BINDING", "E_BINDING")
