"""What may be taken from the airlock and what must wait."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.airlock import rules
from enclave.airlock.port import Entry, EntryKind, Incoming
from enclave.airlock.rules import Limits, Standing, Verdict

SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
LIMITS = Limits(manifest=1000, signature=500, payload=10_000, patience=timedelta(hours=1))


def file(name: str, size: int = 100, kind: EntryKind = EntryKind.FILE) -> Entry:
    """A file in a drop folder."""
    return Entry(name, kind, size, 0)


WHOLE = (file("manifest.json"), file("manifest.json.sig"), file("payload.zip"))


def drop(*files: Entry, name: str = "drop") -> Incoming:
    """A drop folder."""
    return Incoming(name, EntryKind.FOLDER, files)


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "0", "a" * 80, "com", "console", "com10", "x.con"])
def test_a_plain_name_is_accepted(name: str) -> None:
    """Letters, digits, dots, hyphens and underscores make a name."""
    assert rules.is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "...", ".hidden", "-rf", "a.", "a" * 81, "a/b", "a\\b", "C:", "C:\\x", "a b", "a\n", "a\0", "ø",
        "con", "CON", "NUL.txt", "aux.", "com1", "LPT9.zip", "\u202egpj.exe", "a\udcff", "١", "~a", "a;b", "$(x)",
    ],
)  # fmt: skip
def test_an_odd_name_is_refused(name: str) -> None:
    """What leads elsewhere, means something to some system, or looks like something else is no name."""
    assert not rules.is_name(name)
    incoming = Incoming(name, EntryKind.FOLDER, WHOLE)
    assert rules.judge_shape(incoming, LIMITS) == Verdict(Standing.REFUSED, "E_DROP_NAME")


@settings(deadline=None)
@given(st.text())
def test_a_name_never_holds_more_than_it_shows(name: str) -> None:
    """Every name that is accepted is short printable ASCII without a separator, and is not hidden."""
    if rules.is_name(name):
        assert name.isascii()
        assert name.isprintable()
        assert 0 < len(name) <= 80
        assert name[0].isalnum()
        assert not set(name) & set("/\\: ")


def test_a_claimed_name_holds_our_uuid_and_nothing_else() -> None:
    """The name made of a `drop_uuid` gives it back; what is no random UUID makes none."""
    uuid = "4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d"
    assert rules.drop_uuid_of(rules.claimed_name(uuid)) == uuid
    for wrong in (uuid.upper(), uuid + "\n", "../" + uuid, "", uuid.replace("-4c55", "-1c55")):
        with pytest.raises(ValueError, match="UUID"):
            rules.claimed_name(wrong)
        assert not rules.is_claimed(f".taken-{wrong}")
    assert rules.judge_shape(drop(*WHOLE, name=f".taken-{uuid}"), LIMITS).standing is Standing.CLAIMED


@pytest.mark.parametrize(
    ("incoming", "verdict"),
    [
        (drop(*WHOLE), Verdict(Standing.READY)),
        (drop(*WHOLE[:2], file("payload.age")), Verdict(Standing.READY)),
        (drop(*WHOLE, name="drop.part"), Verdict(Standing.GROWING)),
        (drop(), Verdict(Standing.GROWING)),
        (drop(*WHOLE[:2]), Verdict(Standing.GROWING)),
        (drop(*WHOLE[1:]), Verdict(Standing.GROWING)),
        (drop(*WHOLE[:2], file("payload.zip", 0)), Verdict(Standing.GROWING)),
        (drop(*WHOLE[:2], file("payload.zip.filepart")), Verdict(Standing.GROWING)),
        (drop(*WHOLE, file("payload.age")), Verdict(Standing.REFUSED, "E_DROP_CONTENT")),
        (drop(*WHOLE, file("notes.txt")), Verdict(Standing.REFUSED, "E_DROP_CONTENT")),
        (drop(*WHOLE[:2], file("data.csv")), Verdict(Standing.REFUSED, "E_DROP_CONTENT")),
        (drop(*WHOLE, file("below", kind=EntryKind.FOLDER)), Verdict(Standing.REFUSED, "E_DROP_KIND")),
        (drop(*WHOLE[:2], file("payload.zip", kind=EntryKind.LINK)), Verdict(Standing.REFUSED, "E_DROP_KIND")),
        (drop(*WHOLE[:2], file("payload.zip", kind=EntryKind.OTHER)), Verdict(Standing.REFUSED, "E_DROP_KIND")),
        (drop(*WHOLE[:2], file("payload.zip", 10_000)), Verdict(Standing.READY)),
        (drop(*WHOLE[:2], file("payload.zip", 10_001)), Verdict(Standing.REFUSED, "E_DROP_SIZE")),
        (drop(file("manifest.json", 1001)), Verdict(Standing.REFUSED, "E_DROP_SIZE")),
        (drop(file("manifest.json.sig", 501)), Verdict(Standing.REFUSED, "E_DROP_SIZE")),
        (Incoming("drop", EntryKind.LINK, ()), Verdict(Standing.REFUSED, "E_DROP_KIND")),
        (Incoming("drop.part", EntryKind.LINK, ()), Verdict(Standing.REFUSED, "E_DROP_KIND")),
        (Incoming("drop", EntryKind.OTHER, ()), Verdict(Standing.REFUSED, "E_DROP_KIND")),
        (Incoming("drop.zip", EntryKind.FILE, ()), Verdict(Standing.REFUSED, "E_DROP_KIND")),
        (Incoming("drop.zip.part", EntryKind.FILE, ()), Verdict(Standing.GROWING)),
        (Incoming(".part", EntryKind.FOLDER, ()), Verdict(Standing.REFUSED, "E_DROP_NAME")),
    ],
)  # fmt: skip
def test_a_drop_is_a_folder_of_three_files(incoming: Incoming, verdict: Verdict) -> None:
    """Exactly manifest, signature and one payload, within their limits; too little waits, too much is refused."""
    assert rules.judge_shape(incoming, LIMITS) == verdict


def test_a_loose_file_is_looked_at_only_where_it_is_agreed_on() -> None:
    """Where it is not, it is refused as ever; where it is, links stay refused, and so is what is too large."""
    loose = Incoming("mars.zip", EntryKind.FILE, (), size=10)
    assert rules.judge_shape(loose, LIMITS) == Verdict(Standing.REFUSED, "E_DROP_KIND")
    assert rules.judge_shape(loose, LIMITS, loose=True) == Verdict(Standing.READY)
    assert rules.judge_shape(replace(loose, size=0), LIMITS, loose=True) == Verdict(Standing.GROWING)
    large = replace(loose, size=LIMITS.payload + 1)
    assert rules.judge_shape(large, LIMITS, loose=True) == Verdict(Standing.REFUSED, "E_DROP_SIZE")
    assert rules.judge_shape(replace(loose, kind=EntryKind.LINK), LIMITS, loose=True).code == "E_DROP_KIND"
    assert rules.judge_shape(replace(loose, name="a b.zip"), LIMITS, loose=True).code == "E_DROP_NAME"


def test_a_payload_below_its_stated_size_grows() -> None:
    """One byte less waits; the stated size, or more, is whole."""
    seen = rules.peek(json.dumps({"payload_size": 100}).encode())
    assert rules.judge_growth(seen, 99, SIGNATURE) is Standing.GROWING
    assert rules.judge_growth(seen, 100, SIGNATURE) is Standing.READY
    assert rules.judge_growth(seen, 101, SIGNATURE) is Standing.READY


def test_a_manifest_or_signature_cut_anywhere_grows() -> None:
    """No beginning of a manifest or of a signature passes for the whole."""
    manifest = json.dumps({"payload_size": 100, "v": 1}).encode()
    for cut in range(len(manifest)):
        assert rules.judge_growth(rules.peek(manifest[:cut]), 100, SIGNATURE) is Standing.GROWING
    for cut in range(len(SIGNATURE) - 1):
        assert rules.judge_growth(rules.peek(manifest), 100, SIGNATURE[:cut]) is Standing.GROWING


@pytest.mark.parametrize(
    "manifest",
    [
        *(b"[]", b"1", b'{"payload_size": -1}', b'{"payload_size": true}', b'{"payload_size": "9"}', b"{}"),
        pytest.param(b"[" * 60_000, id="nested beyond every parser's depth"),
        pytest.param(b'{"v":' + b"9" * 60_000, id="a number beyond every parser's length"),
    ],
)
def test_a_whole_manifest_that_says_nonsense_goes_on_to_be_rejected_with_an_answer(manifest: bytes) -> None:
    """It states no size, so nothing is waited for; `admit` rejects it and tells the sender why."""
    assert rules.peek(manifest).payload_size is None
    assert rules.judge_growth(rules.peek(manifest), 1, SIGNATURE) is Standing.READY


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_look_at_a_manifest_never_fails(manifest: bytes) -> None:
    """Any bytes give a peek."""
    rules.peek(manifest)


@pytest.mark.parametrize(
    ("field", "stated", "kept"),
    [
        ("drop_id", "4e8f1b3c-6a1f-4c55-8b1d-1d2f3a4b5c6d", True),
        ("drop_id", "01019012345", False),
        ("seq", 7, True),
        ("seq", True, False),
        ("seq", -1, False),
        ("created_at", "2026-03-01T06:00:00Z", True),
        ("created_at", "Kari Nordmann", False),
        ("recipient_kid", "in-2026", True),
        ("recipient_kid", "in 2026", False),
        ("payload_sha256", "a" * 64, True),
        ("payload_sha256", "A" * 64, False),
    ],
)
def test_a_look_keeps_only_what_has_the_form_of_its_field(field: str, stated: object, kept: bool) -> None:
    """What a sender writes elsewhere in the manifest, or in another form, is not carried on."""
    seen = rules.peek(json.dumps({field: stated}).encode())
    assert getattr(seen, field) == (stated if kept else None)


def test_patience_ends() -> None:
    """An incomplete drop is waited for exactly as long as the limits say."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert not rules.is_overdue(start, start + LIMITS.patience, LIMITS)
    assert rules.is_overdue(start, start + LIMITS.patience + timedelta(seconds=1), LIMITS)
