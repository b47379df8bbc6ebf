"""The log is durable, one line for each act; damage halts, and only a torn last line is set aside."""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from enclave import durable
from enclave.audit import checkpoint, signed_note, verify
from enclave.audit.chain import Chain, key_digest
from enclave.audit.log import CLOCK_ACCEPTED, FileLog, create, open_log
from enclave.audit.record import Entry, Phase, Position, leaf_hash
from enclave.crypto.secret import Secret
from enclave.errors import Halt
from tests.audit.conftest import NEXT_SEED, SEED, House, Ticking, acts_of, fill, name_next_key

NOTE = Entry(act="server.started", phase=Phase.NOTE, actor="server")


def faults(house: House) -> list[str]:
    """What the stand-alone verifier finds wrong in the log of a house."""
    keys = verify.read_keys((house.folder / "vkey").read_text())
    notes = {path.name: path.read_bytes() for path in (house.folder / "checkpoints").iterdir()}
    return verify.verify_log(house.file.read_bytes(), keys, notes, {})[1].faults


def test_a_new_log_begins_with_its_server_and_key(house: House) -> None:
    """The first line names the server and the digest of the key that will sign its checkpoints."""
    (first,) = house.open().entries()
    assert (first.act, first.object_id, first.seq, first.prev) == ("log.created", "demo", 0, "0" * 64)
    assert first.digests["vkey"] == hashlib.sha256(signed_note.public_key_of(SEED)).hexdigest()


def test_positions_count_up_and_name_the_log(house: House) -> None:
    """Each record answers where it stands; the lines are chained and the head is the RFC 6962 root."""
    log = house.open()
    assert [log.record(NOTE) for _ in range(3)] == [Position(log.log_id, seq) for seq in (1, 2, 3)]
    entries = list(log.entries())
    leaves = [hashlib.sha256(b"\x00" + line[:-1]).digest() for line in house.lines()]
    assert [entry.prev for entry in entries[1:]] == [leaf.hex() for leaf in leaves[:-1]]
    assert log.head() == (4, verify.roots_at(leaves, {4})[4])
    assert faults(house) == []


def test_a_record_is_on_disk_before_its_position_is_known(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is written and fdatasync has returned before `record` does."""
    calls: list[str] = []
    write, sync = os.write, os.fdatasync
    monkeypatch.setattr(os, "write", lambda fd, content: (calls.append("write"), write(fd, content))[1])
    monkeypatch.setattr(os, "fdatasync", lambda fd: (calls.append("fdatasync"), sync(fd))[1])
    house.open().record(NOTE)
    assert calls == ["write", "fdatasync"]


def test_a_log_is_never_made_twice(house: House) -> None:
    """A folder with a log refuses a new one; a folder without one refuses to be opened."""
    with pytest.raises(Halt, match="H_EXISTS"):
        create(house.folder, "demo", signed_note.public_key_of(SEED), house.clock)
    with pytest.raises(Halt, match="H_LOG_MISSING"):
        open_log(house.folder.parent / "elsewhere", house.clock)
    with pytest.raises(Halt, match="H_LOG_MISSING"):
        create(house.folder.parent / "other", "Not a server", signed_note.public_key_of(SEED), house.clock)


def test_a_killed_creation_begins_anew(tmp_path: Path) -> None:
    """A folder with a key but no log, which a killed creation leaves, becomes a log."""
    for kept in ("vkey", ".tmp-0011"):
        (tmp_path / kept).write_text("left over")
    log = create(tmp_path, "demo", signed_note.public_key_of(SEED), Ticking())
    assert log.head()[0] == 1
    assert not (tmp_path / ".tmp-0011").exists()


def test_an_emptied_log_halts(house: House) -> None:
    """A log without its first line is no log."""
    house.file.write_bytes(b"")
    with pytest.raises(Halt, match="H_LOG_MISSING"):
        house.open()


@pytest.mark.parametrize(("bit", "step"), [(0x01, 5), (0x20, 11), pytest.param(0x02, 1, marks=pytest.mark.long)])
def test_a_flipped_byte_anywhere_halts(house: House, bit: int, step: int) -> None:
    """No byte below the checkpoint can change unnoticed, by the server at its start or by the verifier."""
    log = house.open()
    fill(log, 1)
    log.sign_checkpoint(SEED)
    whole = house.file.read_bytes()
    for place in {*range(0, len(whole), step), len(whole) - 1}:
        changed = bytearray(whole)
        changed[place] ^= bit
        house.file.write_bytes(changed)
        with pytest.raises(Halt, match=r"H_LOG_|H_CHECKPOINT"):
            house.open()
        assert house.file.read_bytes() == changed, "nothing is repaired"
        assert faults(house)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_is_taken_for_a_log(exported: Path, data: st.DataObject) -> None:
    """Whatever is spliced into a signed log, the chain halts, the verifier reports, and neither fails otherwise."""
    whole = (exported / "log.jsonl").read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start, min(len(whole), start + 200)))
    spliced = data.draw(st.binary(max_size=40) | st.sampled_from([b"\n", b"[" * 5000, b"9" * 5000, b'"\\ud800"']))
    damaged = whole[:start] + spliced + whole[end:]
    assume(damaged != whole)
    chain = Chain()
    with contextlib.suppress(Halt):
        for line in damaged.splitlines(keepends=True):
            chain.take(line)
    size, root = 9, verify.roots_at([leaf_hash(line) for line in whole.split(b"\n")[:-1]], {9})[9]
    assert (chain.size, chain.frontier.root()) != (size, root) or damaged.startswith(whole)
    keys = verify.read_keys((exported / "vkey").read_text())
    note = {"000000000009": (exported / "checkpoints" / "000000000009").read_bytes()}
    assert verify.verify_log(damaged, keys, note, {})[1].faults


@pytest.mark.parametrize("damage", ["deleted", "swapped", "inserted", "doubled", "emptied"])
def test_lines_that_are_not_where_they_were_halt(house: House, damage: str) -> None:
    """A line deleted, swapped, inserted, doubled or emptied halts the start, also where no checkpoint covers it."""
    fill(house.open(), 3)
    lines = house.lines()
    if damage == "deleted":
        del lines[3]
    elif damage == "swapped":
        lines[3], lines[4] = lines[4], lines[3]
    elif damage == "inserted":
        lines.insert(3, lines[5])
    elif damage == "doubled":
        lines.append(lines[-1])
    else:
        lines[3] = b"\n"
    house.file.write_bytes(b"".join(lines))
    with pytest.raises(Halt, match="H_LOG_BROKEN"):
        house.open()
    assert faults(house)


def test_a_log_shorter_than_its_checkpoint_halts(house: House) -> None:
    """Cut at any line or within one, a log that its checkpoint covers does not start, and the cut stays as it is."""
    log = house.open()
    fill(log, 3)
    log.sign_checkpoint(SEED)
    whole, ends = house.file.read_bytes(), [sum(map(len, house.lines()[:count])) for count in range(1, 7)]
    for end in [*ends, *(end + 5 for end in ends), len(whole) - 1]:
        house.file.write_bytes(whole[:end])
        with pytest.raises(Halt, match="H_LOG_SHORTER"):
            house.open()
        assert house.file.read_bytes() == whole[:end]
        assert faults(house)


def test_a_log_shorter_than_a_database_says_halts(house: House) -> None:
    """A position that a database holds and the log does not reach is found; other servers' positions are not ours."""
    log = house.open()
    position = log.record(NOTE)
    log.require(position)
    log.require(Position(str(uuid.uuid4()), 99))
    with pytest.raises(Halt, match="H_LOG_SHORTER"):
        log.require(position._replace(audit_seq=2))


def test_a_rewritten_log_is_told_by_its_checkpoint(house: House) -> None:
    """A log that is whole in itself but not the one that was signed halts."""
    log = house.open()
    fill(log, 2)
    note = log.sign_checkpoint(SEED)
    lines = house.lines()
    last = json.loads(lines[-1])
    last["counts"]["rows"] = 99
    house.file.write_bytes(
        b"".join(lines[:-1]) + json.dumps(last, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )
    with pytest.raises(Halt, match="H_LOG_FORKED"):
        house.open()
    assert any("OLDER" in fault or "CHECKPOINT" in fault for fault in faults(house))
    assert log.vkey in (house.folder / "vkey").read_text()
    assert note == (house.folder / "checkpoints" / "000000000005").read_bytes()


def test_the_key_cannot_be_exchanged(house: House) -> None:
    """A verification key that the first line does not name halts, with or without checkpoints."""
    log = house.open()
    (house.folder / "vkey").write_text(signed_note.vkey_of(log.origin, b"\x01" * 32))
    with pytest.raises(Halt, match="H_CHECKPOINT"):
        house.open()
    (house.folder / "vkey").write_bytes(b"\xff\xfe")
    with pytest.raises(Halt, match="H_CHECKPOINT"):
        house.open()


def test_a_key_that_a_line_names_takes_over(house: House) -> None:
    """Both sign, then the new one alone; every checkpoint verifies, also after a bookmark and by the verifier."""
    log = house.open()
    first = log.vkey
    log.sign_checkpoint(SEED)
    name_next_key(log)
    name_next_key(log)  # a kill came: it is named once more, and listed once
    both = log.sign_checkpoint(SEED, NEXT_SEED)
    listed = log.vkey.split("\n")
    assert (listed[0], len(listed)) == (first, 2)
    assert checkpoint.verify(both, listed[0]) == checkpoint.verify(both, listed[1])
    fill(log, 1)
    alone = log.sign_checkpoint(NEXT_SEED)
    with pytest.raises(Halt, match="H_CHECKPOINT"):
        checkpoint.verify(alone, listed[0])
    assert checkpoint.verify(alone, house.open().vkey).size == checkpoint.verify(alone, listed[1]).size
    (house.folder / "bookmark").unlink()
    fill(house.open(), 1)
    assert faults(house) == []


def test_a_key_that_no_line_names_signs_nothing(house: House) -> None:
    """Neither its seed nor a line of `vkey` is enough; and a line without a digest is none of this log."""
    log = house.open()
    public_key = signed_note.public_key_of(NEXT_SEED)
    for attempt in (lambda: log.add_key(public_key), lambda: log.sign_checkpoint(SEED, NEXT_SEED)):
        with pytest.raises(Halt, match="H_CHECKPOINT"):
            attempt()
    with (house.folder / "vkey").open("a") as file:
        file.write(signed_note.vkey_of(log.origin, public_key) + "\n")
    with pytest.raises(Halt, match="H_CHECKPOINT"):
        house.open()


def test_only_a_note_with_a_digest_names_a_key(house: House) -> None:
    """A note without one, or an intent with one, names none, here as in the verifier."""
    log = house.open()
    digest = {"vkey": key_digest(signed_note.public_key_of(NEXT_SEED))}
    log.record(Entry(act="log.key", phase=Phase.NOTE, actor="server"))
    with acts_of(log).act("log.key", "key", "audit-sign", digests=digest):
        pass
    house.open().sign_checkpoint(SEED, own=[key_digest(signed_note.public_key_of(SEED))])
    assert verify.verify_log(house.file.read_bytes(), verify.read_keys(log.vkey), {}, {})[0].named == {}


def test_a_foreign_key_that_a_line_names_is_never_signed_over(house: House) -> None:
    """Judged under the log's lock, so that no line slips in between the judgement and the signature."""
    log = house.open()
    digest = {"vkey": key_digest(signed_note.public_key_of(NEXT_SEED))}
    own = [key_digest(signed_note.public_key_of(SEED))]
    house.open().record(Entry(act="log.key", phase=Phase.NOTE, actor="server", digests=digest))
    with pytest.raises(Halt, match="H_LOG_KEY"):
        log.sign_checkpoint(SEED, own=own)
    assert list((house.folder / "checkpoints").iterdir()) == []
    log.sign_checkpoint(SEED, own=[*own, digest["vkey"]])


def test_a_seed_of_another_log_signs_nothing(house: House) -> None:
    """Signing with a key that is not this log's halts and leaves no checkpoint."""
    with pytest.raises(Halt, match="H_CHECKPOINT"):
        house.open().sign_checkpoint(Secret(b"x" * 32))
    assert list((house.folder / "checkpoints").iterdir()) == []


def test_an_unchanged_head_is_signed_once(house: House) -> None:
    """Signing again without a new line gives the same note."""
    log = house.open()
    assert log.newest_checkpoint() is None
    note = log.sign_checkpoint(SEED)
    assert log.sign_checkpoint(SEED) == note == house.open().newest_checkpoint()
    assert log.checkpoints() == [(1, note)]


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.long)])
def test_a_torn_tail_is_set_aside_at_every_cut(house: House, tmp_path: Path, step: int) -> None:
    """Cut at any byte of its last line, the log opens with the lines before it and notes the torn bytes."""
    fill(house.open(), 1)
    *before, last = house.lines()
    for cut in {*range(1, len(last), step), len(last) - 1}:
        copy = House(tmp_path / "copy", house.clock)
        shutil.copytree(house.folder, copy.folder)
        copy.file.write_bytes(b"".join(before) + last[:cut])
        *kept, noted = copy.open().entries()
        assert copy.lines()[:-1] == before
        assert len(kept) == len(before)
        digest = hashlib.sha256(last[:cut]).hexdigest()
        assert (noted.act, noted.counts, noted.digests) == ("log.torn_tail", {"at": 2, "bytes": cut}, {"tail": digest})
        assert (copy.folder / "torn" / f"{2:012d}-{digest}").read_bytes() == last[:cut]
        assert copy.open().head()[0] == len(before) + 1, "noted once"
        assert faults(copy) == []
        shutil.rmtree(copy.folder)


def test_a_killed_recovery_of_a_torn_tail_goes_on(house: House) -> None:
    """Killed after keeping the tail, or after cutting the log, the next start ends where an unbroken one does."""
    torn = b'{"act":"drop'
    digest = hashlib.sha256(torn).hexdigest()
    (house.folder / "torn" / f"{1:012d}-{digest}").write_bytes(torn)
    house.file.write_bytes(house.file.read_bytes() + torn)
    assert [entry.act for entry in house.open().entries()] == ["log.created", "log.torn_tail"]
    other = b'{"a'
    (house.folder / "torn" / f"{2:012d}-{hashlib.sha256(other).hexdigest()}").write_bytes(other)
    assert [entry.counts["bytes"] for entry in list(house.open().entries())[1:]] == [len(torn), len(other)]
    assert faults(house) == []


def test_a_torn_tail_of_a_killed_neighbour_is_set_aside_while_running(house: House) -> None:
    """A process that goes on after another was killed within a write sets the torn bytes aside before its own line."""
    log = house.open()
    house.file.write_bytes(house.file.read_bytes() + b"{")
    log.record(NOTE)
    assert [entry.act for entry in house.open().entries()] == ["log.created", "log.torn_tail", "server.started"]


def test_a_log_exchanged_or_cut_under_a_running_process_halts(house: House) -> None:
    """A process notices at its next record that the file is another one or shorter than it knows."""
    log = house.open()
    fill(log, 1)
    whole = house.file.read_bytes()
    house.file.write_bytes(whole[:-20])
    with pytest.raises(Halt, match="H_LOG_CHANGED"):
        log.record(NOTE)
    house.file.unlink()
    house.file.write_bytes(whole)
    (house.folder / "another").write_bytes(b"")  # keeps the freed inode from being the same by chance
    with contextlib.suppress(Halt):
        os.replace(shutil.copy(house.file, house.folder / "copied"), house.file)
    with pytest.raises(Halt, match="H_LOG_CHANGED"):
        log.record(NOTE)


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo"])
def test_a_planted_file_is_not_followed(house: House, kind: str) -> None:
    """A log that is a link, has a second name, or is no file halts the start."""
    real = house.folder.parent / "real"
    house.file.rename(real)
    if kind == "symlink":
        house.file.symlink_to(real)
    elif kind == "hardlink":
        os.link(real, house.file)
    else:
        os.mkfifo(house.file)
    with pytest.raises(Halt, match=r"H_NOT_A_FILE|H_LOG_WRITE"):
        house.open()


def test_a_full_disk_poisons_the_writer(house: House) -> None:
    """A write that falls short halts, the process writes no more, and the next process sets the half line aside."""
    log = house.open()
    child = os.fork()
    if child == 0:
        codes = []
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (house.file.stat().st_size + 100, resource.RLIM_INFINITY))
        for _ in range(2):
            try:
                log.record(NOTE)
            except Halt as halt:
                codes.append(halt.code)
        os._exit(0 if codes == ["H_DISK_FULL", "H_LOG_POISONED"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [entry.act for entry in house.open().entries()] == ["log.created", "log.torn_tail"]
    assert faults(house) == []


SCRIPT = """
    import sys, uuid
    from datetime import UTC, datetime
    from pathlib import Path
    from enclave.audit.log import open_log
    from enclave.audit.record import Entry, Phase
    from enclave.errors import Halt
    log = open_log(Path(sys.argv[1]), lambda: datetime(2026, 3, 1, 4, 0, 30, tzinfo=UTC))
    for number in range(int(sys.argv[2])):
        try:
            log.record(Entry(act="server.started", phase=Phase.NOTE, actor="server", counts={"n": number}))
        except Halt as halt:
            print(halt.code)
"""


def in_process(house: House, count: int, *before: str) -> subprocess.Popen[str]:
    """Another process that records notes."""
    command = [*before, sys.executable, "-c", textwrap.dedent(SCRIPT), str(house.folder), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_an_input_output_error_poisons_the_writer(house: House) -> None:
    """When fdatasync fails, nothing more is recorded by that process: never a second try on the same page."""
    inject = ("strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=2")
    output, _ = in_process(house, 4, *inject).communicate(timeout=60)
    assert output.split() == ["H_LOG_WRITE", "H_LOG_POISONED", "H_LOG_POISONED"]
    assert faults(house) == []


def test_a_kill_at_fdatasync_leaves_a_log_that_opens(house: House) -> None:
    """SIGKILL at the moment of the third fdatasync leaves whole lines only."""
    inject = ("strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:signal=KILL:when=3")
    in_process(house, 5, *inject).communicate(timeout=60)
    assert house.open().head()[0] == 4
    assert faults(house) == []


def test_two_processes_append_to_one_log(house: House) -> None:
    """Two processes that record at the same time leave one chain with every line of both."""
    running = [in_process(house, 60) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["", ""]
    entries = list(house.open().entries())
    assert [entry.seq for entry in entries] == list(range(121))
    assert sorted(entry.counts["n"] for entry in entries[1:]) == sorted([*range(60), *range(60)])
    assert faults(house) == []


def test_a_forked_child_shares_the_log_with_its_parent(house: House) -> None:
    """A child forked with an open log appends beside its parent."""
    log = house.open()
    child = os.fork()
    if child == 0:
        for _ in range(20):
            log.record(NOTE)
        os._exit(0)
    for _ in range(20):
        log.record(NOTE)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert log.head() == house.open().head()
    assert log.head()[0] == 41


def test_a_clock_gone_back_halts(house: House) -> None:
    """Five minutes back are tolerated, more are not, and only an accepted new time lets the log go on."""
    log = house.open()
    log.record(NOTE)
    house.clock.now -= timedelta(minutes=4)
    log.record(NOTE)
    house.clock.now -= timedelta(minutes=6)
    before = house.file.read_bytes()
    with pytest.raises(Halt, match="H_CLOCK"):
        log.record(NOTE)
    assert house.file.read_bytes() == before
    log.record(Entry(act=CLOCK_ACCEPTED, phase=Phase.NOTE, actor="person:uid1000"))
    log.record(NOTE)
    assert faults(house) == []


def test_an_outcome_needs_its_open_intent(house: House) -> None:
    """No outcome without an intent, none for another act, and none twice."""
    log = house.open()
    acts = acts_of(log)
    with acts.act("drop.settle", "drop", "a"):
        pass
    for seq, act in ((1, "drop.settle"), (0, "log.created"), (7, "drop.settle")):
        entry = Entry(
            act=act, phase=Phase.DONE, actor="server", registry="kar", object_kind="drop", object_id="a", intent_seq=seq
        )
        with pytest.raises(Halt, match="H_LOG_ORDER"):
            log.record(entry)


def test_what_cannot_be_locked_cannot_be_recorded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that does not let itself be locked halts every record."""
    log = house.open()

    def fails(path: Path, *, wait: bool = False) -> None:
        raise PermissionError

    monkeypatch.setattr(durable, "lock", fails)
    with pytest.raises(Halt, match="H_LOG_WRITE"):
        log.record(NOTE)


def test_leftovers_of_killed_writers_are_swept(house: House) -> None:
    """Temporary files in the log's folders are gone after the next start."""
    for folder in ("", "checkpoints", "torn"):
        (house.folder / folder / ".tmp-00ff").write_bytes(b"half")
    log = house.open()
    assert not list(house.folder.rglob(".tmp-*"))
    assert isinstance(log, FileLog)
