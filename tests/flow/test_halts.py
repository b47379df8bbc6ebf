"""What stops the server: a damaged log, a bad setting, an unknown host key, a second server; and the way out."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from enclave import durable
from enclave.crypto.secret import Secret
from enclave.folders import WorkingFolder
from enclave.halted import MARK, halt_mark
from jobs.schedule import JOBS
from tests.flow.road import LENDER, REGISTRY, SENDERS, Road, files_of, found_road, ssh_sign
from tests.identity.numbers import synthetic
from tests.servers.sshd import new_key, running_sshd


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """A road with one admitted drop, a requested loan and two checkpoints."""
    work = tmp_path_factory.mktemp("halts")
    with running_sshd([*SENDERS, LENDER]) as sshd:
        road = found_road(sshd, work)
        road.place("airen", road.seal("airen", files_of("airen"), work / "sent"))
        road.jobs("checkpoint", "collect", "admit")
        road.open_loan()
        road.jobs("checkpoint")
        yield road


@pytest.fixture
def road(sound: Road, tmp_path: Path) -> Road:
    """A copy of the sound road's working folder, to be damaged."""
    shutil.copytree(sound.folder.root, tmp_path / "working")
    return replace(sound, folder=WorkingFolder(tmp_path / "working"), said=[])


# --- The log --------------------------------------------------------------------------------------------------------


def _lines(log: Path) -> list[bytes]:
    return log.read_bytes().splitlines(keepends=True)


def _edit(audit: Path) -> None:
    lines = _lines(audit / "log.jsonl")
    at = next(n for n, line in enumerate(lines) if b'"accepted":' in line)
    lines[at] = lines[at].replace(b'"accepted":', b'"accepted":1', 1)
    (audit / "log.jsonl").write_bytes(b"".join(lines))


def _reorder(audit: Path) -> None:
    lines = _lines(audit / "log.jsonl")
    lines[4], lines[5] = lines[5], lines[4]
    (audit / "log.jsonl").write_bytes(b"".join(lines))


def _leave_out(audit: Path) -> None:
    lines = _lines(audit / "log.jsonl")
    (audit / "log.jsonl").write_bytes(b"".join(lines[:6] + lines[7:]))


def _cut_below_checkpoint(audit: Path) -> None:
    lines = _lines(audit / "log.jsonl")
    (audit / "log.jsonl").write_bytes(b"".join(lines[:8]))


def _cut_with_checkpoints(audit: Path) -> None:
    """The log and every checkpoint beyond the cut: only the control database still knows of more."""
    _cut_below_checkpoint(audit)
    for note in (audit / "checkpoints").iterdir():
        if int(note.name) > 8:
            note.unlink()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "edited": (_edit, "H_LOG_BROKEN"),
    "reordered": (_reorder, "H_LOG_BROKEN"),
    "a line left out": (_leave_out, "H_LOG_BROKEN"),
    "shorter than its checkpoint": (_cut_below_checkpoint, "H_LOG_SHORTER"),
    "cut with its checkpoints": (_cut_with_checkpoints, "H_LOG_SHORTER"),
    "gone": (lambda audit: (audit / "log.jsonl").unlink(), "H_LOG_MISSING"),
}


EVERY_JOB = f"""
import os, sys
from pathlib import Path
from enclave.folders import WorkingFolder
from enclave.halted import MARK, halt_mark
from jobs.runner import run_job
from jobs.schedule import JOBS

for name in JOBS:
    child = os.fork()
    if child == 0:
        os._exit(run_job(WorkingFolder(Path(sys.argv[1])), name, "{REGISTRY}"))
    print("ended", name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Starts each job in a child of its own, without loading our modules anew for each; names it and its exit code."""


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_log_halts_the_start_of_every_job(what: str, road: Road) -> None:
    """Each job ends with exit code 4 and the log's own code, and writes nothing to the log."""
    damage, code = DAMAGES[what]
    damage(road.folder.audit)
    log = road.folder.audit / "log.jsonl"
    before = log.read_bytes() if log.exists() else None
    said = road.run([sys.executable, "-c", EVERY_JOB, str(road.folder.root)])
    ended = [line for line in said.out.splitlines() if line.startswith("ended ")]
    assert ended == [f"ended {name} 4" for name in JOBS]
    told = [said.err.count(f"{code}{end}") for end in (" ", ":")]
    # The first leaves the mark; the others name the mark's code: nothing runs before two people have looked.
    assert sum(told) + said.err.count(f"H_STOPPED ({code})") == len(JOBS), said.err
    assert (log.read_bytes() if log.exists() else None) == before


def test_run_once_does_nothing_on_a_damaged_log(road: Road) -> None:
    """`enclave run --once` on a damaged log ends with exit code 4; no job of the road did anything."""
    _edit(road.folder.audit)
    before = (road.folder.audit / "log.jsonl").read_bytes()
    said = road.enclave("run", "--once")
    assert said.code == 4
    told = [line for line in said.out.splitlines() if line.startswith(f"{REGISTRY}: ")]
    assert told == [f"{REGISTRY}: checkpoint → 4"]
    assert (road.folder.audit / "log.jsonl").read_bytes() == before


# --- The way out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["edited", "gone"])
def test_the_second_person_lets_a_damaged_log_be_set_aside(what: str, road: Road, tmp_path: Path) -> None:
    """`recover` prints a statement, refuses every signature but the lead's over it, and begins a new log."""
    damage, code = DAMAGES[what]
    damage(road.folder.audit)
    log = road.folder.audit / "log.jsonl"
    damaged = log.read_bytes() if log.exists() else None

    printed = road.enclave("recover")
    assert printed.code == 1, printed.err
    statement = json.loads(printed.out)
    assert (statement["code"], statement["log_is_sound"]) == (code, False)

    text = tmp_path / "text"
    text.write_text(printed.out)
    for key, namespace, signed in (
        (road.keys["airen"], "request@enclave", printed.out),  # somebody else
        (road.keys["lead"], f"drop@{REGISTRY}", printed.out),  # for another purpose
        (road.keys["lead"], "request@enclave", printed.out.replace(code, "H_OTHER")),  # of something else
    ):
        text.write_text(signed)
        ssh_sign(text, key, namespace)
        refused = road.enclave("recover", "--signature", f"{text}.sig")
        assert (refused.code, "R_SECOND_PERSON" in refused.err) == (3, True)
        Path(f"{text}.sig").unlink()
    assert (log.read_bytes() if log.exists() else None) == damaged
    assert road.job("destroy").code == 4

    signature = road.lead_signs(printed.out.encode(), tmp_path / "lead")
    recovered = road.enclave("recover", "--signature", str(signature))
    assert recovered.code == 0, recovered.err
    (aside,) = [path for path in road.folder.root.iterdir() if path.name.startswith("audit-")]
    kept = aside / "log.jsonl"
    assert (kept.read_bytes() if kept.exists() else None) == damaged
    said = json.loads(road.enclave("audit", "show", "--json").out)
    (note,) = [entry for entry in said if entry["act"] == "server.recover"]
    assert note["reason"] == code
    road.jobs("checkpoint", "collect", "rights")
    assert road.enclave("recover").code == 3, "a server that runs has nothing to recover from"


# --- The airlock ----------------------------------------------------------------------------------------------------


def test_an_unknown_host_key_halts_until_two_people_have_looked(road: Road, tmp_path: Path) -> None:
    """A host key that is not the pinned one halts collect; then no job starts until the lead has signed."""
    new_key(tmp_path / "impostor")
    pinned = road.lies.known_hosts.read_text()
    kind, key = (tmp_path / "impostor.pub").read_text().split()[:2]
    road.lies.known_hosts.write_text(f"{pinned.split()[0]} {kind} {key}\n")
    said = road.job("collect")
    assert (said.code, "H_HOST_KEY" in said.err) == (4, True)
    road.lies.known_hosts.write_text(pinned)
    waiting = road.job("checkpoint")
    assert (waiting.code, "H_STOPPED" in waiting.err) == (4, True)
    (road.folder.locks / MARK).unlink()
    waiting = road.job("checkpoint")
    assert (waiting.code, "H_HOST_KEY" in waiting.err) == (4, True), "the log remembers what a file does not tell"
    assert halt_mark(road.folder) is not None
    assert road.enclave("institution", "list").code == 0, "looking is never forbidden"
    halted = road.enclave("status", "--json")
    assert json.loads(halted.out)[0]["why"] == "halted: H_HOST_KEY"
    assert halted.code == 1
    signature = road.lead_signs(road.enclave("recover").out.encode(), tmp_path / "lead")
    assert road.enclave("recover", "--signature", str(signature)).code == 0
    road.jobs("collect")


def test_a_host_that_is_not_pinned_halts_collect(road: Road) -> None:
    """Without a pinned key for its address the airlock is not trusted on first use."""
    road.lies.known_hosts.write_text(f"elsewhere {' '.join(road.sshd.known_hosts.split()[1:])}\n")
    said = road.job("collect")
    assert (said.code, "H_KNOWN_HOSTS" in said.err) == (4, True)


# --- Settings -------------------------------------------------------------------------------------------------------

SETTINGS = {
    "a key mistyped": ("timeout_seconds =", "timeout_secs =", "registries.kar.airlock.timeout_secs"),
    "a number as text": ("attempts = 5", 'attempts = "5"', "registries.kar.airlock.attempts"),
    "an unknown mode": ('mode = "test"', 'mode = "tset"', "mode"),
    "a server's name with spaces": ('server = "flow-1"', 'server = "flow 1"', "server"),
    "an unknown time zone": ("Europe/Oslo", "Europe/Osloo", "time_zone"),
    "a number below its least": ("drop_bytes = 67108864", "drop_bytes = 1", "registries.kar.limits.drop_bytes"),
    "a remote database without TLS": (
        'vault_database = ""', 'vault_database = "postgresql+psycopg://a@db/v"', "registries.kar.vault_database",
    ),
    "no TOML": ("[schedule]", "[schedule", "line"),
}  # fmt: skip


@pytest.mark.parametrize("what", SETTINGS)
def test_a_bad_setting_stops_with_file_key_and_remedy(what: str, road: Road) -> None:
    """A job and a command end with exit code 4 and name the file, the key and what to do, but not the value."""
    right, wrong, key = SETTINGS[what]
    text = road.folder.settings.read_text()
    assert right in text
    road.folder.settings.write_text(text.replace(right, wrong, 1))
    for said in (road.job("collect"), road.enclave("status")):
        assert said.code == 4
        assert "enclave.toml" in said.err
        assert key in said.err
        assert "Mend the key" in said.err
        assert "postgresql" not in said.err.replace("postgresql+psycopg://…", "")


def test_a_registry_that_the_server_does_not_have_is_refused(road: Road) -> None:
    """An unknown registry stops a job with exit code 4, a command with 3, and both say where registries are named."""
    command = [word if word != REGISTRY else "kvarus" for word in road.job_command("collect")]
    said = road.run(command)
    assert (said.code, "R_REGISTRY_UNKNOWN" in said.err, "enclave.toml" in said.err) == (4, True, True)
    said = road.enclave("--registry", "kvarus", "drop", "list")
    assert (said.code, "R_WHICH_REGISTRY" in said.err) == (3, True)


def test_a_schedule_for_no_job_stops_the_scheduler(road: Road) -> None:
    """A mistyped job in [schedule] stops `enclave run`, before anything is scheduled, with its key."""
    text = road.folder.settings.read_text()
    road.folder.settings.write_text(text.replace("[schedule]", '[schedule]\ncolect = "* * * * *"'))
    (road.folder.locks / "paused").touch()
    said = road.enclave("run")
    assert (said.code, "schedule.colect" in said.err) == (4, True)


# --- One server, and the exit codes ---------------------------------------------------------------------------------


def test_a_second_server_exits(road: Road) -> None:
    """While one server holds the lock, `run --once` and `run` end with exit code 4 and start no job."""
    with durable.lock(road.folder.locks / "server.lock"):
        for words in (("run", "--once"), ("run",)):
            said = road.enclave(*words)
            assert (said.code, "H_LOCKED" in said.err, said.out) == (4, True, "")


def test_a_job_that_runs_already_is_not_run_twice(road: Road) -> None:
    """While one run of a job holds its lock, another ends with exit code 4; other jobs run."""
    with durable.lock(road.folder.locks / f"destroy@{REGISTRY}.lock"):
        said = road.job("destroy")
        assert (said.code, "H_LOCKED" in said.err) == (4, True)
        road.jobs("checkpoint")


def test_each_exit_code_is_as_the_manual_says(road: Road) -> None:
    """0 done, 1 something waits for a person, 2 usage, 3 refused, 4 halted."""
    assert road.enclave("audit", "verify").code == 0
    (road.lies.keys / "viewing.key").chmod(0o640)
    assert road.enclave("doctor").code == 1
    assert road.enclave("drop").code == 2
    assert road.enclave("drop", "lst").code == 2
    assert road.enclave("release", "approve", "00000000-0000-4000-8000-000000000000").code == 3
    _edit(road.folder.audit)
    assert road.enclave("audit", "verify").code == 4


def test_a_number_is_never_an_argument(road: Road) -> None:
    """`person withdraw` takes no number as an argument; it reads one line of standard input, and never prints it."""
    number = synthetic(synthetic_birthday(), 3)
    wrong = road.enclave("person", "withdraw", number, "--case-number", "2026/7")
    assert wrong.code == 2
    assert number not in wrong.out + wrong.err
    right = road.enclave("person", "withdraw", "--case-number", "2026/7", typed=f"{number}\n")
    assert right.code == 0
    assert number not in "".join((*right.words, right.out, right.err))
    assert json.loads(road.enclave("request", "list", "--json").out)[-1]["kind"] == "withdraw"


def synthetic_birthday() -> date:
    """Somebody's birthday."""
    return date(1980, 4, 4)


def test_every_listing_is_json_for_programs(road: Road) -> None:
    """With --json each listing is one JSON array of objects, whatever else the command would say."""
    first = {
        "drop": road.drops()[0].drop_uuid, "release": road.releases()[0].release_id,
        "request": road.desk.withdraw(Secret(b"1"), "2026/1"),
    }  # fmt: skip
    listings = [
        ("status",), ("doctor",), ("job", "list"), ("drop", "list"), ("drop", "show", first["drop"]),
        ("institution", "list"), ("loan", "list"), ("loan", "show", "nav-2026"), ("release", "list"),
        ("release", "list", "--waiting"), ("release", "show", first["release"]), ("request", "list"),
        ("request", "show", first["request"]), ("audit", "show"),
    ]  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda words: road.enclave(*words, "--json"), listings))
    for words, one in zip(listings, said, strict=True):
        assert one.out, (words, one.err)
        rows = json.loads(one.out)
        assert isinstance(rows, list), words
        assert rows or "--waiting" in words or words == ("status",), words
        assert all(isinstance(row, dict) for row in rows), words
