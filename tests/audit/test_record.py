"""The schema of a line has no place for a person, and the verifier's own schema is the same."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from enclave.audit import verify
from enclave.audit.record import Entry, Phase, Position, Purpose, StoredEntry, canonical, leaf_hash

UUID = "0193a1d2-0b6f-4c3e-9a55-2f6b8c9d0e1f"
SHA = hashlib.sha256(b"x").hexdigest()
PERSON = "01019012346"
FIELDS: dict[str, Any] = {
    "act": "drop.settle",
    "phase": "done",
    "registry": "kar",
    "job": "admit",
    "run": UUID,
    "object_kind": "drop",
    "object_id": UUID,
    "actor": "job:admit",
    "intent_seq": 3,
    "reason": "",
    "purpose": "own_rows",
    "case_number": "2026/12345-3",
    "counts": {"rows": 12},
    "digests": {"payload": SHA},
    "v": 1,
    "log": UUID,
    "seq": 4,
    "prev": SHA,
    "ts": "2026-03-01T04:00:00.123456Z",
    "boot": UUID,
    "mono": 17,
}
ALLOWED = {
    "act": ["log.torn_tail"],
    "actor": ["server", "person:uid1000", "institution:klinikk-a"],
    "object_id": ["", SHA, "nav-2026", "work_ability", "12", "kar", "inst-987654321", "seal.pub", "a--b-"],
    "case_number": ["", "26/00123", "SAK-12/2026"],
    "reason": ["E_SIG"],
    "purpose": ["", "withdraw"],
    "run": [""],
    "registry": [""],
    "counts": [{}, {"a": 0, "b_2": 10**9 - 1}],
    "digests": [{}],
}
REFUSED = {
    "act": ["", "drop", "Drop.settle", "drop.settle ", "drop.settle\n", "drop.set tle", "drop.kari_nordmann.x", 1],
    "phase": ["", "begun", None],
    "registry": ["KAR", "kar x", "Ærlig", f"x{PERSON}", "9"],
    "job": ["admit job"],
    "run": ["x", UUID.upper(), UUID.replace("-4", "-1", 1)],
    "object_kind": ["drop name"],
    "object_id": [
        PERSON,
        PERSON[1:],
        "010190-12346",
        "010190 12346",
        "Kari Nordmann",
        f"pasient-{PERSON}",
        "a" * 65,
        "0123456789abcdef0123456789abcdef",
        UUID.replace("-4", "-1", 1),
        "../etc/passwd",
        "ø",
        "-x",
        UUID.upper(),
        "kari@example.no",
        None,
    ],
    "actor": ["", "kari", "person:Kari Nordmann", f"person:x{PERSON}", "job:", "job:admit\n", "server "],
    "intent_seq": [-1, 1.5, "3", True, None],
    "reason": ["e_sig", "Signature of Kari", f"E_{PERSON}"],
    "purpose": ["curiosity", "ACCESS"],
    "case_number": ["2026 12345", PERSON, "010190-12346", "010190/12346", "æ", "1" * 41],
    "counts": [
        {"Rows": 1},
        {"rows": -1},
        {"rows": 1.0},
        {"rows": True},
        {"rows": "1"},
        {"rows": int(PERSON)},
        {"kari nordmann": 1},
        {f"x{PERSON}": 1},
        {"rows": 10**9},
        {"": 1},
        [],
        None,
    ],
    "digests": [{"payload": "x"}, {"payload": SHA.upper()}, {"Payload": SHA}, {"payload": PERSON}],
    "v": [2, "1", True, 1.0],
    "log": ["", "x"],
    "seq": [-1, "4", 4.0, True],
    "prev": ["", "0"],
    "ts": ["2026-03-01", "2026-03-01T04:00:00Z", "2026-03-01T04:00:00.123456+01:00", "2026-13-01T04:00:00.123456Z"],
    "boot": ["", PERSON],
    "mono": [-1, 1.5],
}


def in_both(fields: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the server's schema and the verifier's take these fields."""
    line = json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
    try:
        server = canonical(StoredEntry.model_validate_json(line)) == line + b"\n"
    except ValidationError:
        server = False
    report = verify.Report()
    verify.Log(report).take(line)
    return server, not any(" SCHEMA " in fault or "tidspunktet" in fault for fault in report.faults)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in ALLOWED for value in ALLOWED[name]])
def test_what_is_ours_is_taken(name: str, value: object) -> None:
    """Our own ids, codes, counts and digests fit the schema, in both implementations."""
    assert in_both(FIELDS | {name: value}) == (True, True)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in REFUSED for value in REFUSED[name]])
def test_free_text_and_persons_are_refused(name: str, value: object) -> None:
    """No field takes free text, a national id in any spelling, a pseudonym, or a number in a wrong type."""
    assert in_both(FIELDS | {name: value}) == (False, False)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_line_has_all_fields_and_no_other(name: str) -> None:
    """A missing field, as a further one, makes the line foreign."""
    assert in_both({key: value for key, value in FIELDS.items() if key != name}) == (False, False)
    assert in_both(FIELDS | {name + "_x": 1}) == (False, False)


@settings(deadline=None)
@given(st.sampled_from(sorted(FIELDS)), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_both_schemas_agree_on_anything(name: str, value: object) -> None:
    """Whatever stands in a field, the server and the verifier take or refuse it alike."""
    server, verifier = in_both(FIELDS | {name: value})
    assert server == verifier


@settings(deadline=None)
@given(st.sampled_from(sorted(verify.TEXTS)), st.data())
def test_both_schemas_agree_near_the_edge(name: str, data: st.DataObject) -> None:
    """Texts that fit a field's pattern, or nearly, are judged alike."""
    text = data.draw(st.from_regex(verify.TEXTS[name]) | st.from_regex(verify.TEXTS[name], fullmatch=True))
    server, verifier = in_both(FIELDS | {name: text})
    assert server == verifier


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_verifiers_reader_fail_otherwise(line: bytes) -> None:
    """Whatever stands on a line, the verifier answers with its one refusal."""
    with pytest.raises(verify.WrongError):
        verify.read_line(line)


def test_errors_hold_no_value() -> None:
    """What is refused does not show in the error's text."""
    with pytest.raises(ValidationError) as caught:
        Entry.model_validate({"act": "a.b", "phase": "note", "actor": "server", "object_id": PERSON})
    assert PERSON not in str(caught.value)


def test_a_line_is_spelled_in_one_way() -> None:
    """Keys sorted, ASCII, no spaces, closed by a newline; the leaf hash is over the line without it."""
    line = canonical(StoredEntry.model_validate(FIELDS))
    assert line == json.dumps(FIELDS, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert leaf_hash(line[:-1]) == hashlib.sha256(b"\x00" + line[:-1]).digest()
    assert StoredEntry.model_validate(FIELDS).position == Position(UUID, 4)


def test_the_verifier_knows_every_phase_and_purpose() -> None:
    """The verifier's patterns are total over the enums of the schema."""
    assert set(verify.TEXTS["phase"].split("|")) == set(Phase)
    assert set(verify.TEXTS["purpose"].split("|")) == set(Purpose)
    assert set(StoredEntry.model_fields) == verify.FIELDS
