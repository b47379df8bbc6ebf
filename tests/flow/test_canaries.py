"""No planted number, reference, name or text is found anywhere: not in a file, a name, an output, nor ever in between.

Every job of a road with good and bad drops, good and bad loan files and two withdrawals runs under strace, so that
also a file that was made and removed again is seen.
"""

import base64
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from enclave.flow import DropState, LoanState
from enclave.settings import read_settings
from jobs.confine import temporary_of
from jobs.confinement import confinement_of
from jobs.schedule import JOBS
from tests.flow.bad import BAD_DROPS, Making, Planter, place_bad_drops, place_faulty_files, smaller_limit
from tests.flow.canaries import Needles, forms
from tests.flow.road import LENDER, LOAN, REGISTRY, SENDERS, Road, found_road
from tests.flow.watch import Watched, beneath, read_trace, under_strace
from tests.servers.sshd import running_sshd

ANOTHER_KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
"""A recipient from the age specification's examples; not the loan's."""


@dataclass
class Scene:
    """A walked road, what was planted along it, and what each run of each job was seen to do."""

    road: Road
    planter: Planter
    work: Path
    watched: list[tuple[str, Watched]] = field(default_factory=list)
    left_in_memory: dict[str, set[str]] = field(default_factory=dict)

    def watch(self, *jobs: str) -> None:
        """Run jobs under strace."""
        for job in jobs:
            trace = self.work / f"trace-{len(self.watched)}-{job}"
            said = self.road.job(job, under=under_strace(trace))
            assert said.code == 0, (job, said.out, said.err)
            self.watched.append((job, read_trace(trace)))
            trace.unlink()
            own = temporary_of(self.road.folder, read_settings(self.road.folder.settings), job, REGISTRY)
            assert own.is_dir(), "a confined job cannot remove its folder, only empty it"
            self.left_in_memory |= Needles(self.planter.words).search([own])


def loan_files(planter: Planter) -> list[bytes]:
    """Lender's files: each of the first is wrong in its own way, the last is good; all hold planted people."""
    known = [person.person_id for person in planter.planted[-40:]]
    header = "person_id;month;sick_pay;aap;disability_pension"

    def lines(head: str, *rows: str) -> bytes:
        return "".join(f"{line}\r\n" for line in (head, *rows)).encode()

    def draw() -> str:
        person = planter.draw()
        return f"{person.person_id};{person.name};{person.text}"

    good = [f"{number};2024-{month:02d};1;0;0;{planter.draw().name}" for number in known for month in range(3, 13)]
    return [
        lines(f"{header};{planter.draw().name}", f"{draw()};1;0"),
        lines(f"navn;{header.replace('aap', planter.draw().text)}", f"x;{draw()};1;0;0"),
        lines(header, *(f"{planter.draw().person_id};{planter.draw().text};1;0;0" for _ in range(3))),
        lines(header, f"{planter.draw().person_id};2024-01;{planter.draw().name};0;0"),
        lines(header, f'{planter.draw().person_id};2024-01;"{planter.draw().name}').replace(b"month", b"m\xff"),
        lines(f"{header};navn", *good, f"{planter.draw().name};2024-01;1;0;0;x", f"{draw()[:9]};2024-02;1;0;0;x"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The whole road under watch: bad and good drops, bad and good loan files, a known and an unknown withdrawal."""
    work = tmp_path_factory.mktemp("canaries")
    with running_sshd([*SENDERS, LENDER]) as sshd:
        road = found_road(sshd, work, settings=smaller_limit)
        planter = Planter(4)
        scene = Scene(road, planter, work)
        place_bad_drops(road, planter, work)
        place_faulty_files(road, planter, work)
        for sender in SENDERS:
            road.place(sender, Making(road, sender, planter.courses(12)).write(work / "good"))
        person = planter.draw()
        name = f"{person.person_id}-{person.course_id}"
        road.place("airen", Making(road, "airen", planter.file()).write(work / "good"), name)
        withdrawn = planter.planted[-5]
        scene.watch("checkpoint", "collect", "admit")
        road.open_loan()
        for number, content in enumerate(files := loan_files(planter)):
            other = ANOTHER_KEY if number == len(files) - 2 else ""
            road.place(LENDER, road.seal_loan(content, work / f"loan-{number}", recipient=other))
        scene.watch("collect", "link")
        scene.watch("destroy")
        for number in (withdrawn.person_id, planter.draw().person_id):
            assert road.enclave("person", "withdraw", "--case-number", "2026/7", typed=f"{number}\n").code == 0
        scene.watch("rights", "analyse", "release")
        road.approve_all()
        scene.watch("checkpoint", "seal", "deliver", "checkpoint")
        look_everywhere(road)
        yield scene


def look_everywhere(road: Road) -> None:
    """Let the command line say everything that it can say."""
    first = {"drop": road.drops()[0].drop_uuid, "release": road.releases()[0].release_id, "loan": LOAN}
    for words in (
        ("status",), ("doctor",), ("drop", "list"), ("drop", "show", first["drop"]), ("release", "list", "--json"),
        ("release", "show", first["release"]), ("loan", "show", LOAN), ("request", "list", "--json"),
        ("institution", "list"), ("audit", "show", "--last", "100000", "--json"), ("job", "list"),
    ):  # fmt: skip
        road.enclave(*words)


def test_the_road_was_walked_on_all_its_paths(scene: Scene) -> None:
    """Drops were admitted and rejected, the loan linked and destroyed, and bundles left: the search means something."""
    states = [drop.state for drop in scene.road.drops()]
    assert states.count(DropState.REJECTED) >= len(BAD_DROPS)
    assert states.count(DropState.ADMITTED) >= 5
    assert f'"{LoanState.DESTROYED}"' in scene.road.enclave("loan", "list", "--json").out
    assert scene.road.delivered("airen", "bundles")
    assert len(scene.planter.planted) > 250


def test_no_planted_word_is_in_any_file_or_name(scene: Scene) -> None:
    """Databases, journals, log, pages, locks, keys, quarantine, outbox and airlock: raw bytes and names."""
    roots = [scene.road.folder.root, scene.road.sshd.root]
    assert Needles(scene.planter.words).search(roots) == {}


def test_no_planted_word_was_left_in_memory(scene: Scene) -> None:
    """After each job its temporary folder on tmpfs held no planted word."""
    assert scene.left_in_memory == {}


def test_no_planted_word_was_said(scene: Scene) -> None:
    """No job and no command printed one, or was given one as an argument."""
    wanted = Needles(scene.planter.words)
    for said in scene.road.said:
        told = "\0".join((*said.words, said.out, said.err)).encode()
        assert wanted.found_in(told) == set(), said.words


def test_jobs_open_for_writing_only_what_their_row_names(scene: Scene) -> None:
    """Every path that any job opened for writing, also in passing, lies in its own row's places or its tmpfs folder."""
    settings = read_settings(scene.road.folder.settings)
    for job, watched in scene.watched:
        temporary = temporary_of(scene.road.folder, settings, job, REGISTRY)
        allowed = confinement_of(JOBS[job], scene.road.folder, settings, REGISTRY, temporary).write
        outside = {path for path in watched.opened if not beneath(path, allowed)}
        assert outside == set(), job
        assert watched.opened, "a job writes at least the log"


def test_no_planted_word_was_ever_written_outside_memory(scene: Scene) -> None:
    """No write() of any job to a file, pipe or socket held one; nor did a name; tmpfs alone is left out."""
    wanted = Needles(scene.planter.words)
    for job, watched in scene.watched:
        settings = read_settings(scene.road.folder.settings)
        temporary = temporary_of(scene.road.folder, settings, job, REGISTRY)
        outside: defaultdict[str, list[bytes]] = defaultdict(list)
        for where, content in watched.written:
            if not beneath(where, [temporary]):
                outside[where].append(content)
        for where, contents in outside.items():
            # Each write as it was, and all of one place in a row, in case a word was written in two parts.
            assert wanted.found_in(b"\0".join(contents)) | wanted.found_in(b"".join(contents)) == set(), (job, where)
        assert outside, "a job writes at least the log"
        assert wanted.found_in("\0".join(watched.named).encode("utf-8", "surrogateescape")) == set(), job


def test_nothing_was_written_unseen(scene: Scene) -> None:
    """No job writes by sendfile, splice, copy_file_range or a shared mapping of a file, which the watch cannot read."""
    for job, watched in scene.watched:
        assert watched.unseen == set(), job


def test_the_search_finds_what_is_there(scene: Scene, tmp_path: Path) -> None:
    """The same search finds the words in the senders' clear folder, and in any form and name in the working folder."""
    wanted = Needles(scene.planter.words)
    clear = scene.work / "loan-2" / "clear"
    hits = wanted.search([clear])
    assert len(set().union(*hits.values())) >= 6
    person = scene.planter.planted[17]
    for word in person.words:
        for number, form in enumerate(sorted(forms(word))):
            planted = scene.road.folder.pages / f"planted-{number}"
            planted.write_bytes(b"some bytes before" + form + b"and behind")
            hits = wanted.search([scene.road.folder.pages])
            # In base64 the last character of a word can be left out, so that its neighbours are found with it.
            assert list(hits) == [str(planted)]
            assert word in hits[str(planted)]
            planted.unlink()
    for shift in range(3):
        inside = base64.b64encode(b"x" * (9 + shift) + person.person_id.encode() + b"yz")
        assert wanted.found_in(inside) == {person.person_id}
    named = scene.road.folder.locks / f"{person.person_id}.lock"
    named.touch()
    assert wanted.search([scene.road.folder.locks]) == {str(named): {person.person_id}}
    named.unlink()


def test_the_watch_sees_a_file_that_was_made_and_removed(scene: Scene, tmp_path: Path) -> None:
    """A program that writes a word to a file in several ways, and removes it, is seen to have done so."""
    word = scene.planter.planted[3].name
    program = (
        "import os, pathlib, sys, threading\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "def write():\n"
        "    path.write_text(sys.stdin.read()); os.rename(path, str(path) + 'x'); os.unlink(str(path) + 'x')\n"
        "thread = threading.Thread(target=write); thread.start(); thread.join()\n"
    )
    passing = tmp_path / "passing"
    trace = tmp_path / "trace"
    scene.road.run([*under_strace(trace), sys.executable, "-c", program, str(passing)], typed=word)
    scene.road.said.pop()
    watched = read_trace(trace)
    assert not passing.exists()
    assert str(passing) in watched.opened
    assert f"{passing}x" in watched.named
    assert (str(passing), word.encode()) in watched.written
