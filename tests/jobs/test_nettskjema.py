"""Submissions through Nettskjema, from TSD's tree to the registry and the daily answer, by the real jobs."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from enclave.audit.record import Phase
from enclave.control.drops import NETTSKJEMA, drops_of
from enclave.control.submissions import untaken_of
from enclave.crypto import keyring, openpgp
from enclave.demo.nettskjema import INSTITUTION, Nettskjema, answers_of, delivery
from enclave.errors import Refused
from enclave.flow import Act, DropState
from enclave.founding import CONFIG
from enclave.grants import Folder
from enclave.model.draft import Kind
from enclave.model.purpose import Purpose
from enclave.registry.load import load
from enclave.settings import read_settings
from enclave.terminal.key_desk import KeyDesk
from enclave.terminal.status import look
from enclave.wiring import utc_now
from tests.jobs.clinics import REGISTRY, Course, Server, days_ago, someone
from tests.kills.forks import Forks, Request
from tests.servers.gnupg import gnupg

ARRIVAL, DISCHARGE = "123456", "123457"
MAP = """
[registries.kar.nettskjema]
submissions = "{tree}"

[registries.kar.nettskjema.forms.123456]
form = "arrival"
institution = "institution"
institutions = {{ "1" = "alfa", "2" = "beta", "9" = "unknown" }}
ignored = ["thanks"]

[registries.kar.nettskjema.forms.123457]
form = "discharge"
institution = "institution"
institutions = {{ "1" = "alfa", "2" = "beta" }}
"""
ONE = Course("alfa", "Kurs-1", someone(20), days_ago(60))
TWO = Course("alfa", "Kurs-2", someone(21), days_ago(61))
THREE = Course("alfa", "Kurs-3", someone(22), days_ago(62))
KILLED_AT: Mapping[str, Callable[[int], range]] = {
    # Both are long, so that not every write has its turn.
    "collect": lambda last: range(2, last + 1, 4),
    "admit": lambda last: range(3, last + 1, 9),
}


def text(row: dict[str, object]) -> dict[str, str]:
    """A row with every value as a text."""
    return {name: str(value) for name, value in row.items()}


class Clinics:
    """A server with a Nettskjema that delivers to it."""

    def __init__(self, root: Path, forks: Forks) -> None:
        self.server = Server(root, forks)
        self.tree = self.server.live / "nettskjema-submissions"
        self.tree.mkdir()
        settings = self.server.folder.settings
        text = settings.read_text(encoding="utf-8")
        marked = text.index("# When jobs run")
        settings.write_text(text[:marked] + MAP.format(tree=self.tree) + "\n" + text[marked:], encoding="utf-8")
        self.public_key = keyring.public(self.server.folder.registry(REGISTRY).keys, "nettskjema")
        definition = load(CONFIG / "registries" / REGISTRY).definition
        forms = {ARRIVAL: definition.form("arrival"), DISCHARGE: definition.form("discharge")}
        self.nettskjema = Nettskjema(self.tree, self.public_key, forms)

    def arrive(self, course: Course, institution: str = "1", **changes: str) -> int:
        """Submit a course's arrival form."""
        return self.nettskjema.submit(ARRIVAL, {**text(course.arrival()), **changes}, institution, course.end)

    def files(
        self, number: int, course: Course, respondent: Mapping[str, object] | None = None, **changes: str
    ) -> tuple[bytes, bytes]:
        """Both files of a submission by alfa, not encrypted."""
        row = {**text(course.arrival()), **changes}
        said = {INSTITUTION: "1", **answers_of(self.nettskjema.forms[ARRIVAL], row)}
        return delivery(said, number, datetime(2026, 1, 2, tzinfo=UTC), respondent)

    def deliver_as(self, number: int, course: Course, **changes: str) -> None:
        """Deliver under this number, perhaps one that was delivered before."""
        self.nettskjema.deliver(ARRIVAL, number, *self.files(number, course, **changes))

    def deliver_apart(self, one: Course, other: Course) -> None:
        """A submission whose JSON is about one course and whose CSV is about another."""
        self.nettskjema.submitted += 1
        number = 27_830_787 + self.nettskjema.submitted
        said, columns = self.files(number, one)[0], self.files(number, other)[1]
        self.nettskjema.deliver(ARRIVAL, number, said, columns)

    def ended(self) -> object:
        """What a road has come to: states, rows, answers, files in quarantine, and acts that took effect."""
        reader = self.server.wiring("analyse").registry_reader
        lies = self.server.folder.registry(REGISTRY)
        rows = reader.read("arrival", state=None, purpose=Purpose.OWN_RESULTS).drop("_pseudonym", "_episode", "_drop")
        log = self.server.wiring("admit").log.entries()
        effects = [entry.act for entry in log if entry.phase in (Phase.DONE, Phase.RECOVERED)]
        once = {act: effects.count(act) for act in (Act.DROP_TAKE, Act.DROP_SETTLE, Act.DROP_PUBLISH, Act.DIGEST_DRAFT)}
        kept = [len(list(lies.folder(which).glob("*.age"))) for which in (Folder.QUARANTINE, Folder.DROP_KEYS)]
        drafts = len(list((lies.folder(Folder.DRAFTS) / "admit").iterdir()))
        return self.states(), rows.to_dicts(), self.digests(), once, kept, drafts

    def look_into_at_most(self, submissions: int) -> None:
        """Let a run look into this many submissions."""
        settings = self.server.folder.settings
        told = settings.read_text(encoding="utf-8")
        more = f"\nsubmissions_per_turn = {submissions}\n[registries.kar.nettskjema.forms.123456]"
        settings.write_text(told.replace("\n[registries.kar.nettskjema.forms.123456]", more), encoding="utf-8")

    def collect(self) -> None:
        """Two runs of `collect`, which are needed to see that files have stopped growing."""
        self.server.run("collect", "collect")

    def states(self) -> list[tuple[str, DropState, str]]:
        """Sender, state and reason of every submission, as they were taken."""
        drops = sorted(drops_of(self.server.control, REGISTRY), key=lambda one: one.stated_seq or 0)
        return [(one.sender, one.state, one.reason) for one in drops if one.door == NETTSKJEMA]

    def untaken(self) -> dict[str, int]:
        """What lies there and is not taken."""
        return {one.reason: one.files for one in untaken_of(self.server.control, REGISTRY)}

    def digests(self, institution: str = "alfa") -> list[str]:
        """The readable part of an institution's digests."""
        drafts = [self.server.draft(one) for one in self.server.releases(Kind.FEEDBACK) if one.recipient == institution]
        return [file.content.decode("utf-8-sig") for one in drafts for file in one.files if file.name.endswith(".csv")]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinics]:
    """A server with two clinics, whose forms are mapped."""
    with Forks() as forks:
        clinics = Clinics(tmp_path_factory.mktemp("nettskjema"), forks)
        clinics.server.run("checkpoint")
        yield clinics


@pytest.fixture
def clinics(founded: Clinics) -> Iterator[Clinics]:
    """The clinics, put back as they were after each test."""
    with founded.server.undone():
        yield founded


def test_submissions_become_rows_and_one_answer_a_day(clinics: Clinics) -> None:
    """Two submissions of a clinic are admitted as its own, unsigned, and answered by one digest."""
    clinics.arrive(ONE)
    clinics.arrive(TWO)
    clinics.collect()
    assert clinics.states() == [(NETTSKJEMA, DropState.COLLECTED, "")] * 2

    clinics.server.run("admit")

    assert clinics.states() == [("alfa", DropState.ADMITTED, "")] * 2
    assert len(clinics.digests()) == 1
    clinics.server.run("seal", "deliver")
    assert len(list((clinics.server.live / "airlock" / "alfa" / "out" / "feedback").glob("*.zip"))) == 1


def test_the_answer_of_the_day_names_what_was_wrong(clinics: Clinics) -> None:
    """A submission with a fault and one that is rejected whole stand in one digest, found again by both numbers."""
    clinics.arrive(ONE)
    wrong = clinics.arrive(TWO, work_ability="11")
    apart = clinics.nettskjema.submitted + 1
    clinics.deliver_apart(ONE, THREE)
    clinics.collect()
    clinics.server.run("admit")

    assert [reason for _, _, reason in clinics.states()] == ["", "", "E_SUBMISSION_DISAGREE"]
    (digest,) = clinics.digests()
    lines = digest.splitlines()
    assert len(lines) == 3
    assert f"Kurs-2 (Nettskjema {wrong})" in digest
    assert "above_maximum" in digest
    assert f"(Nettskjema {27_830_787 + apart})" in digest
    assert "E_SUBMISSION_DISAGREE" in digest


def test_a_second_answer_comes_the_next_day(clinics: Clinics) -> None:
    """What is settled after the day's digest waits for the next one, and `status` says so."""
    clinics.arrive(ONE)
    clinics.collect()
    clinics.server.run("admit")
    clinics.arrive(TWO)
    clinics.collect()
    clinics.server.run("admit")
    waiting = look(clinics.server.folder, REGISTRY, utc_now()).waiting
    assert [(one.what, one.who, one.needs_person) for one in waiting if "submissions" in one.what] == [
        ("1 submissions", "alfa", False)
    ]
    assert len(clinics.digests()) == 1

    clinics.server.run("admit", days=1)

    assert len(clinics.digests()) == 2
    clinics.server.run("admit", days=1)
    assert len(clinics.digests()) == 2


def test_a_submission_changes_only_rows_of_whom_it_claims(clinics: Clinics) -> None:
    """Whoever writes beta's name and alfa's course supersedes nothing of alfa's, and alfa hears nothing of it."""
    clinics.arrive(ONE)
    clinics.collect()
    clinics.server.run("admit")
    clinics.arrive(ONE, institution="2", work_ability="9")
    clinics.collect()
    clinics.server.run("admit")
    reader = clinics.server.wiring("analyse").registry_reader
    rows = reader.read("arrival", state=None, purpose=Purpose.OWN_RESULTS)

    assert rows.select("_sender", "work_ability").rows() == [("alfa", 3), ("beta", 9)]
    assert (len(clinics.digests("alfa")), len(clinics.digests("beta"))) == (1, 1)


def test_a_later_submission_supersedes_an_earlier_one_of_the_same_sender(clinics: Clinics) -> None:
    """A correction is a new submission; both are settled in the order of their numbers, in one run too."""
    clinics.arrive(ONE)
    clinics.arrive(ONE, work_ability="7")
    clinics.collect()
    clinics.server.run("admit")
    reader = clinics.server.wiring("analyse").registry_reader

    assert reader.read("arrival", state=None, purpose=Purpose.OWN_RESULTS)["work_ability"].to_list() == [7]
    assert [one.settlement.counts.superseded for one in reader.settlements()] == [0, 1]


def test_nothing_in_the_tree_is_touched_and_nothing_is_taken_twice(clinics: Clinics) -> None:
    """After any number of runs the tree is as it was and each submission is one drop; a new time changes nothing."""
    clinics.arrive(ONE)
    before = {path: path.read_bytes() for path in clinics.tree.rglob("*.asc")}
    clinics.collect()
    clinics.server.run("admit")
    for path in before:
        os.utime(path, ns=(1, 1))
    clinics.collect()
    clinics.collect()
    clinics.server.run("admit")

    assert {path: path.read_bytes() for path in clinics.tree.rglob("*.asc")} == before
    assert clinics.states() == [("alfa", DropState.ADMITTED, "")]


def test_while_the_key_is_replaced_both_its_folders_are_read(clinics: Clinics, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is encrypted to either half is admitted; afterwards a folder of the old key is somebody else's."""
    desk = KeyDesk(clinics.server.folder, read_settings(clinics.server.folder.settings), REGISTRY)
    keys = clinics.server.folder.registry(REGISTRY).keys
    old = clinics.nettskjema
    clinics.arrive(ONE)
    desk.rotate("nettskjema")
    after = Nettskjema(clinics.tree, keyring.recipient(keys, "nettskjema"), old.forms, old.submitted)
    monkeypatch.setattr(clinics, "nettskjema", after)
    clinics.arrive(TWO)
    clinics.collect()
    with pytest.raises(Refused, match="R_KEY_NEEDED"):
        desk.retire("nettskjema", told=True)
    clinics.server.run("admit")
    assert clinics.states() == [("alfa", DropState.ADMITTED, "")] * 2

    desk.retire("nettskjema", told=True)
    clinics.arrive(THREE)
    clinics.collect()
    clinics.server.run("admit")
    assert clinics.states() == [("alfa", DropState.ADMITTED, "")] * 3
    assert clinics.untaken() == {"E_SUBMISSION_KEY": 1}


def test_with_a_new_login_nothing_is_taken_twice(clinics: Clinics) -> None:
    """The ledger of submissions is keyed by the login: after its rotation they are read once more and known again."""
    desk = KeyDesk(clinics.server.folder, read_settings(clinics.server.folder.settings), REGISTRY)
    clinics.arrive(ONE)
    clinics.collect()
    clinics.server.run("admit")
    desk.rotate("airlock-login")
    clinics.collect()
    desk.retire("airlock-login", told=True)
    clinics.collect()
    clinics.collect()
    clinics.server.run("admit")
    assert clinics.states() == [("alfa", DropState.ADMITTED, "")]


def test_the_same_number_again_is_a_replay_or_is_rejected(clinics: Clinics) -> None:
    """Encrypted anew with the same content it changes nothing; with another content it is rejected and answered."""
    number = 27_830_999
    for changes in ({}, {}, {"work_ability": "9"}):
        clinics.deliver_as(number, ONE, **changes)
        clinics.collect()
        clinics.server.run("admit")

    assert [reason for _, _, reason in clinics.states()] == ["", "E_SUBMISSION_REPEATED", "E_SUBMISSION_CHANGED"]
    reader = clinics.server.wiring("analyse").registry_reader
    assert reader.read("arrival", state=None, purpose=Purpose.OWN_RESULTS)["work_ability"].to_list() == [3]


def test_what_gnupg_encrypts_is_admitted(clinics: Clinics) -> None:
    """A pair made by GnuPG to the key that lies in keys/ goes the whole way."""
    number = clinics.arrive(ONE)
    key = openpgp.key_id(clinics.public_key)
    with gnupg() as gpg:
        gpg.learn(clinics.public_key)
        for kind, content in zip(("json", "csv"), clinics.files(number, ONE), strict=True):
            (clinics.tree / key / ARRIVAL / f"{number}.{kind}.asc").write_bytes(gpg.encrypt(content, key))
    clinics.collect()
    clinics.server.run("admit")

    assert clinics.states() == [("alfa", DropState.ADMITTED, "")]


def test_a_half_written_file_waits_and_is_taken_when_it_is_whole(clinics: Clinics) -> None:
    """Stable but cut is not whole; after a day `status` asks for a person; completed, it is taken all the same."""
    number = clinics.arrive(ONE)
    path = clinics.tree / openpgp.key_id(clinics.public_key) / ARRIVAL / f"{number}.json.asc"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    clinics.collect()
    clinics.collect()
    assert (clinics.states(), clinics.untaken()) == ([], {"E_SUBMISSION_GROWING": 1})

    clinics.server.run("collect", days=2)
    assert clinics.untaken() == {"E_SUBMISSION_INCOMPLETE": 1}
    assert look(clinics.server.folder, REGISTRY, utc_now()).needs_person

    path.write_bytes(whole)
    clinics.collect()
    assert (clinics.states(), clinics.untaken()) == ([(NETTSKJEMA, DropState.COLLECTED, "")], {})


def test_what_nobody_can_be_answered_for_is_seen_in_status(clinics: Clinics) -> None:
    """An institution outside the map, and one that is not added here, are rejected with a code and need a person."""
    clinics.arrive(ONE, institution="7")
    clinics.arrive(TWO, institution="9")
    (clinics.tree / openpgp.key_id(clinics.public_key) / "999").mkdir()
    (clinics.tree / "0123456789ABCDEF").mkdir()
    clinics.collect()
    clinics.server.run("admit")
    status = look(clinics.server.folder, REGISTRY, utc_now())

    assert clinics.states() == [(NETTSKJEMA, DropState.REJECTED, "E_SUBMISSION_INSTITUTION")] * 2
    assert [(one.what, one.why) for one in status.waiting if one.needs_person] == [
        ("1 at Nettskjema", "E_SUBMISSION_FORM"),
        ("1 at Nettskjema", "E_SUBMISSION_KEY"),
        ("2 submissions of nobody known", "E_SUBMISSION_INSTITUTION"),
    ]
    assert clinics.server.releases(Kind.FEEDBACK) == []


def test_no_identity_of_a_submission_is_anywhere_in_the_clear(clinics: Clinics) -> None:
    """Canaries in answers, metadata, attachment names and numbers are in no file, log or output of the server."""
    guardian = someone(28)
    respondent = {"provider": "helsenorge", "sub": "Kanari-sub", "personal_identifier": guardian}
    number = clinics.nettskjema.submitted + 27_830_788
    clinics.arrive(ONE, occupation="Kanari-yrke")
    said, columns = clinics.files(number, ONE, respondent=respondent, occupation="Kanari-yrke")
    clinics.nettskjema.deliver(ARRIVAL, number, said, columns)
    bad, _ = clinics.files(number + 1, TWO, respondent=respondent, occupation="Kanari-feil")
    clinics.nettskjema.deliver(ARRIVAL, number + 1, bad, b"Kanari-csv")
    folder = clinics.tree / openpgp.key_id(clinics.public_key) / ARRIVAL
    (folder / f"{number}-Kanari-vedlegg.pdf.asc").write_bytes(b"x")
    printed = [clinics.server.forks.run(Request(str(clinics.server.folder.root), job)).output
               for job in ("collect", "collect", "admit", "seal", "deliver", "checkpoint")]  # fmt: skip
    canaries = ("Kanari", guardian, ONE.person, TWO.person, ONE.reference, str(number), str(number + 1))
    files = [path for path in clinics.server.live.rglob("*") if path.is_file() and clinics.tree not in path.parents]

    assert clinics.states() == [("alfa", DropState.ADMITTED, ""), ("alfa", DropState.REJECTED, "E_SUBMISSION_CSV")]
    assert [word for word in canaries if word in "".join(printed)] == []
    assert [path for path in files for word in canaries if word in str(path)] == []
    assert [(path, word) for path in files for word in canaries if word.encode() in path.read_bytes()] == []


def test_the_log_says_that_nobody_signed(clinics: Clinics) -> None:
    """Taking and settling a submission are recorded as unsigned, and the ledger keeps the door."""
    clinics.arrive(ONE)
    clinics.collect()
    clinics.server.run("admit")
    log = clinics.server.wiring("admit").log.entries()
    unsigned = [entry.act for entry in log if entry.counts.get("signed") == 0]
    (drop,) = (one for one in drops_of(clinics.server.control, REGISTRY) if one.state is DropState.ADMITTED)

    assert unsigned == [Act.DROP_TAKE, Act.DROP_SETTLE]
    assert drop.door == NETTSKJEMA


def test_files_that_are_no_messages_hold_up_nobody(clinics: Clinics) -> None:
    """A run looks into so many, each only once: those behind them are taken in the runs after."""
    folder = clinics.tree / openpgp.key_id(clinics.public_key) / ARRIVAL
    clinics.arrive(ONE)
    for number in range(5):
        for kind in ("json", "csv"):
            (folder / f"{number}.{kind}.asc").write_bytes(b"x")
    clinics.look_into_at_most(2)
    taken = []
    for _ in range(4):
        clinics.server.run("collect")
        taken.append(len(clinics.states()))

    assert taken == [0, 0, 0, 1]
    assert clinics.untaken() == {"E_SUBMISSION_GROWING": 5}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("job", ["collect", pytest.param("admit", marks=pytest.mark.long)])
def test_a_kill_at_any_write_loses_and_doubles_nothing(clinics: Clinics, job: str) -> None:
    """Killed at durable writes throughout and started again, the job ends as if it had not been killed."""
    clinics.arrive(ONE)
    clinics.arrive(TWO, work_ability="11")
    clinics.server.run("collect")
    if job == "admit":
        clinics.server.run("collect")
    effects = KILLED_AT[job]
    with clinics.server.undone():
        whole = clinics.server.forks.run(Request(str(clinics.server.folder.root), job)).effects
        clinics.server.run("admit")
        expected = clinics.ended()
    for at in effects(len(whole)):
        with clinics.server.undone():
            killed = clinics.server.forks.run(Request(str(clinics.server.folder.root), job, at=at))
            assert killed.killed, at
            clinics.server.run(job, "admit")
            assert clinics.ended() == expected, (at, whole[at - 1])
