"""What a form at Nettskjema asks holds the form's submissions until a person has looked: by the real jobs."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from enclave.audit.record import Phase
from enclave.cli.pages import write_pages
from enclave.control.drops import FORM_DEFINITION, NETTSKJEMA, count_attempt, drops_of
from enclave.control.form_definitions import Delivered, definitions_of, kept
from enclave.crypto import openpgp
from enclave.demo.nettskjema import INSTITUTION
from enclave.demo.nettskjema_form import EDITOR, definition_of, written
from enclave.flow import Act, DropState
from enclave.grants import Folder
from enclave.intake.form_definition import LARGEST
from enclave.settings import read_settings
from enclave.terminal.completeness import deliveries_seen
from enclave.terminal.form_desk import FormDesk
from enclave.terminal.status import Waiting, look
from enclave.wiring import open_log, utc_now
from tests.jobs.clinics import REGISTRY
from tests.jobs.test_nettskjema import ARRIVAL, DISCHARGE, ONE, THREE, TWO, Clinics
from tests.kills.forks import ROOT, Forks, Request
from tests.servers.gnupg import gnupg

OPTIONS = {"1": "Klinikk alfa", "2": "Klinikk beta"}
COLLECTED, ADMITTED = (NETTSKJEMA, DropState.COLLECTED, ""), ("alfa", DropState.ADMITTED, "")
Change = Callable[[dict[str, Any]], object]


class Forms(Clinics):
    """The clinics, whose forms say what they ask."""

    published = 0

    def definition(self, *changes: Change, form: str = ARRIVAL) -> bytes:
        """What a form asks, a day later each time, with changes."""
        self.published += 1
        made = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=self.published)
        document = json.loads(written(definition_of(self.nettskjema.forms[form], form, INSTITUTION, OPTIONS, made)))
        for change in changes:
            change(document)
        return json.dumps(document).encode()

    def publish(self, *changes: Change, form: str = ARRIVAL) -> None:
        """Have a version of a form delivered, and take it in."""
        content = self.definition(*changes, form=form)
        self.nettskjema.publish(form, content, self.published)
        self.collect()
        self.server.run("admit")

    @property
    def desk(self) -> FormDesk:
        """The terminal."""
        return FormDesk(self.server.folder, read_settings(self.server.folder.settings), REGISTRY)

    def delivered(self) -> tuple[Delivered, ...]:
        """Every version, as they were taken."""
        return definitions_of(self.server.control, REGISTRY)

    def versions(self) -> list[tuple[str, str, int, int, int]]:
        """State and reason of each version, and how much it removed, recoded and added."""
        return [(one.state, one.reason, one.removed, one.recoded, one.added) for one in self.delivered()]

    def approve(self) -> None:
        """A person lets through what waits."""
        self.desk.approve_forms([one.drop_uuid for one in self.delivered() if one.state == "waiting"])

    def waiting(self) -> list[Waiting]:
        """What the status says of forms."""
        return [one for one in look(self.server.folder, REGISTRY, utc_now()).waiting if " form " in one.what]

    def submit(self, *courses: Any) -> None:
        """Submit arrivals, and let the jobs have them."""
        for course in courses:
            self.arrive(course)
        self.collect()
        self.server.run("admit")


def options(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The options of a question."""
    return next(one for one in document["elements"] if one.get("externalElementId") == name)["answerOptions"]


def swapped(document: dict[str, Any]) -> None:
    """Two options of a question get each other's words."""
    first, second = options(document, "sex")[:2]
    first["text"], second["text"] = second["text"], first["text"]


def removed(document: dict[str, Any]) -> None:
    """An option cannot be chosen any more."""
    options(document, "sex").pop()


def added(document: dict[str, Any]) -> None:
    """An option can be chosen that could not."""
    options(document, "benefits").append({"externalAnswerOptionId": "other", "text": "Annet"})


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forms]:
    """A server with two clinics, whose forms are mapped."""
    with Forks() as forks:
        forms = Forms(tmp_path_factory.mktemp("forms"), forks)
        forms.server.run("checkpoint")
        yield forms


@pytest.fixture
def forms(founded: Forms) -> Iterator[Forms]:
    """The clinics, put back as they were after each test."""
    with founded.server.undone():
        yield founded


def test_the_first_definition_of_a_form_holds_its_submissions_until_it_is_approved(forms: Forms) -> None:
    """Taken in the same run, the submission waits unopened; the next run after the approval admits it."""
    forms.nettskjema.publish(ARRIVAL, forms.definition())
    forms.submit(ONE)
    (drop,) = drops_of(forms.server.control, REGISTRY, DropState.COLLECTED)
    assert (forms.states(), drop.attempts, drop.form) == ([COLLECTED], 0, ARRIVAL)
    assert forms.versions() == [("waiting", "E_DEFINITION_NEW", 0, 0, 0)]
    forms.server.run("admit")
    assert forms.states() == [COLLECTED]

    forms.approve()
    forms.server.run("admit")

    assert forms.states() == [ADMITTED]
    assert forms.waiting() == []


@pytest.mark.parametrize(("change", "counts"), [(swapped, (0, 2, 0)), (removed, (1, 0, 0))])
def test_options_that_are_recoded_or_removed_hold_until_a_person_approves(
    forms: Forms, change: Change, counts: tuple[int, int, int]
) -> None:
    """What came before is in; what comes after waits, and `status` says for whom, since when and why."""
    forms.publish()
    forms.approve()
    forms.submit(ONE)
    forms.publish(change)
    forms.submit(TWO)

    assert forms.states() == [ADMITTED, COLLECTED]
    assert forms.versions()[1] == ("waiting", "E_DEFINITION_CHANGED", *counts)
    version, held = forms.waiting()
    assert (version.what, version.who, version.needs_person) == (f"version of form {ARRIVAL}", "data processor", True)
    assert version.why.startswith("E_DEFINITION_CHANGED")
    assert (held.what, held.who, held.needs_person) == (f"1 submissions of form {ARRIVAL}", "data processor", True)
    assert version.since <= held.since
    write_pages(forms.server.folder, read_settings(forms.server.folder.settings))
    assert held.what in (forms.server.folder.pages / "kar.html").read_text(encoding="utf-8")
    found = forms.desk.changes_by(forms.delivered()[1].drop_uuid)
    assert {one.what for one in found} == {"recoded" if change is swapped else "removed"}

    forms.approve()
    forms.server.run("admit")
    forms.publish(change)

    assert forms.states() == [ADMITTED, ADMITTED]
    assert forms.versions()[2] == ("noted", "", 0, 0, 0)


def test_options_that_are_added_are_noted_and_hold_nothing(forms: Forms) -> None:
    """The log counts them, `status` tells of them until somebody has seen them; taken away again they are missed."""
    forms.publish()
    forms.approve()
    forms.publish(added)
    forms.submit(ONE)

    assert forms.states() == [ADMITTED]
    assert forms.versions()[1] == ("noted", "", 0, 0, 1)
    assert [(one.what, one.needs_person) for one in forms.waiting()] == [(f"1 added to form {ARRIVAL}", False)]
    entries = [one for one in forms.server.wiring("admit").log.entries() if one.act == Act.FORM_KEEP]
    assert [dict(one.counts) for one in entries if one.phase is Phase.INTENT] == [
        {"removed": 0, "recoded": 0, "added": 0, "held": 1},
        {"removed": 0, "recoded": 0, "added": 1, "held": 0},
    ]
    forms.desk.approve_forms([forms.delivered()[1].drop_uuid])
    assert forms.waiting() == []

    forms.publish()
    assert forms.versions()[2] == ("waiting", "E_DEFINITION_CHANGED", 1, 0, 0)


def test_a_form_that_is_changed_back_still_waits_for_a_person(forms: Forms) -> None:
    """Between the two, answers could mean something else: refused, what waits is rejected, answered, and comes anew."""
    forms.publish()
    forms.approve()
    forms.publish(swapped)
    forms.submit(ONE)
    forms.publish()
    assert forms.versions()[2] == ("noted", "", 0, 0, 0)
    assert forms.states() == [COLLECTED]

    forms.desk.refuse_forms([forms.delivered()[1].drop_uuid])
    forms.server.run("admit")
    forms.submit(TWO)

    assert forms.states() == [("alfa", DropState.REJECTED, "E_SUBMISSION_REFUSED"), ADMITTED]
    assert "E_SUBMISSION_REFUSED" in forms.digests()[0]


def test_after_a_refusal_the_mended_form_is_waited_for(forms: Forms) -> None:
    """What was there is rejected at once, what comes now waits, and is taken when the form is as it was."""
    forms.publish()
    forms.approve()
    forms.publish(swapped)
    forms.submit(ONE)
    forms.desk.refuse_forms([forms.delivered()[1].drop_uuid])
    forms.submit(TWO)
    assert forms.states() == [("alfa", DropState.REJECTED, "E_SUBMISSION_REFUSED"), COLLECTED]

    forms.publish()
    assert forms.states()[1] == ADMITTED


def test_only_the_form_that_changed_waits(forms: Forms) -> None:
    """Submissions of another form, and of one that never said what it asks, go on."""
    forms.publish(form=DISCHARGE)
    forms.submit(ONE)

    assert forms.states() == [ADMITTED]
    assert [one.form for one in forms.delivered()] == [DISCHARGE]


def test_a_definition_of_a_form_that_is_not_mapped_is_not_taken(forms: Forms) -> None:
    """Its folder is not looked into; the form waits for the map, as without a definition."""
    forms.nettskjema.publish("999", forms.definition())
    forms.submit(ONE)

    assert (forms.delivered(), forms.untaken()) == ((), {"E_SUBMISSION_FORM": 1})
    assert forms.states() == [ADMITTED]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "E_DEFINITION_FORM"),
        (b"[" * 200_000, "E_DEFINITION_FORM"),
        (b'{"formId": 7, "elements": []}', "E_DEFINITION_NUMBER"),
    ],
    ids=["cut", "deep", "another form's"],
)
def test_a_definition_that_cannot_be_read_holds_until_a_person_says_otherwise(
    forms: Forms, content: bytes, code: str
) -> None:
    """Nobody knows what the form asks now: it is rejected with its code, and the one before stays in force."""
    forms.publish()
    forms.approve()
    forms.nettskjema.publish(ARRIVAL, content, 9)
    forms.submit(ONE)
    assert forms.versions()[1] == ("waiting", code, 0, 0, 0)
    assert forms.states() == [COLLECTED]
    assert code in [one.why.partition(":")[0] for one in forms.waiting()]
    (definition,) = drops_of(forms.server.control, REGISTRY, DropState.REJECTED)
    assert (definition.door, definition.reason) == (FORM_DEFINITION, code)
    assert look(forms.server.folder, REGISTRY, utc_now()).rejected == ()
    assert deliveries_seen(forms.server.folder, REGISTRY, utc_now(), ZoneInfo("Europe/Oslo")).years == ()

    forms.approve()
    forms.server.run("admit")
    forms.publish(swapped)

    assert forms.states() == [ADMITTED]
    assert forms.versions()[2] == ("waiting", "E_DEFINITION_CHANGED", 0, 2, 0)


def test_a_definition_that_unpacks_to_more_than_a_form_is_not_read(forms: Forms) -> None:
    """Compressed, five MiB are some hundred bytes at the airlock; opening them ends at the limit."""
    key = openpgp.key_id(forms.public_key)
    (forms.tree / key / ARRIVAL).mkdir(parents=True)
    with gnupg() as gpg:
        gpg.learn(forms.public_key)
        sealed = gpg.encrypt(b" " * (LARGEST + (1 << 20)), key)
    assert len(sealed) < 20_000
    (forms.tree / key / ARRIVAL / "form_1.json.asc").write_bytes(sealed)
    forms.collect()
    forms.server.run("admit")

    assert forms.versions() == [("waiting", "E_OPENPGP_SIZE", 0, 0, 0)]


def test_a_definition_above_the_limit_stays_where_it_is_and_holds_its_form(forms: Forms) -> None:
    """It is never read, and `status` says that a person is needed."""
    forms.nettskjema.publish(ARRIVAL, b" " * (2 << 20))
    forms.submit(ONE)

    assert (forms.states(), forms.untaken()) == ([], {"E_SUBMISSION_SIZE": 1, "E_SUBMISSION_GROWING": 1})
    assert look(forms.server.folder, REGISTRY, utc_now()).needs_person


def test_submissions_are_not_taken_before_what_their_form_asks(forms: Forms) -> None:
    """While a definition is half written, or is no file, the form's submissions stay where they are."""
    forms.arrive(ONE)
    folder = forms.tree / openpgp.key_id(forms.public_key) / ARRIVAL
    path = folder / "form_9.json.asc"
    whole = openpgp.seal(forms.definition(), forms.public_key)
    path.write_bytes(whole[:200])
    forms.collect()
    forms.collect()
    assert (forms.states(), forms.untaken()) == ([], {"E_SUBMISSION_GROWING": 2})
    path.unlink()
    path.symlink_to(folder / "elsewhere")
    forms.collect()
    assert (forms.states(), forms.untaken()) == ([], {"E_SUBMISSION_GROWING": 1, "E_SUBMISSION_NAME": 1})

    path.unlink()
    path.write_bytes(whole)
    forms.collect()
    forms.server.run("admit")

    assert (forms.states(), forms.untaken()) == ([COLLECTED], {})


def test_what_a_form_asked_is_kept_by_its_hash_and_its_editors_are_not(forms: Forms) -> None:
    """Every version can be read again after its drop is destroyed, and nobody's name or address is in any file."""
    forms.publish()
    forms.publish(swapped)
    first, second = forms.delivered()
    forms.server.run("destroy", days=60)
    lies = forms.server.folder.registry(REGISTRY)

    assert first.sha256 != second.sha256
    assert json.loads(kept(forms.server.control, REGISTRY, first.sha256))
    assert [one.state for one in drops_of(forms.server.control, REGISTRY)] == [DropState.EXPIRED] * 2
    assert not list(lies.folder(Folder.QUARANTINE).glob("*.age"))
    secrets = [str(EDITOR["name"]).encode(), b"oppdiktet@example.org"]
    files = [path for path in forms.server.folder.root.rglob("*") if path.is_file()]
    assert not [path for path in files for secret in secrets if secret in path.read_bytes()]


def test_a_definition_that_ended_the_program_three_times_is_not_opened_again(forms: Forms) -> None:
    """It counts as one that cannot be read."""
    forms.nettskjema.publish(ARRIVAL, forms.definition())
    forms.collect()
    (drop,) = drops_of(forms.server.control, REGISTRY)
    for _ in range(3):
        with forms.server.control.noting() as connection:
            count_attempt(connection, drop.drop_uuid)
    forms.server.run("admit")

    assert forms.versions() == [("waiting", "E_CRASHED", 0, 0, 0)]


def ended(forms: Forms) -> object:
    """What the road has come to: versions, what is kept, and everything that submissions came to."""
    log = open_log(forms.server.folder)
    effects = [entry.act for entry in log.entries() if entry.phase in (Phase.DONE, Phase.RECOVERED)]
    texts = [kept(forms.server.control, REGISTRY, one.sha256) for one in forms.delivered()]
    return forms.versions(), texts, effects.count(Act.FORM_KEEP), forms.ended()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("job", ["collect", "admit"])
def test_a_job_killed_at_any_write_keeps_every_definition_once(forms: Forms, job: str) -> None:
    """Killed where a definition is taken or entered and started again, it ends as if it had not been killed."""
    forms.publish()
    forms.approve()
    forms.nettskjema.publish(ARRIVAL, forms.definition(swapped), 8)
    forms.nettskjema.publish(DISCHARGE, forms.definition(form=DISCHARGE))
    forms.arrive(ONE)
    forms.server.run(*["collect"] * (2 if job == "admit" else 1))
    with forms.server.undone():
        whole = forms.server.forks.run(Request(str(forms.server.folder.root), job)).effects
        forms.server.run("admit")
        expected = ended(forms)
    places = [at for at, place in enumerate(whole, 1) if job == "collect" or "form_definitions.py" in place]
    assert len(places) > 10
    for at in places[:: 3 if job == "collect" else 2]:
        with forms.server.undone():
            killed = forms.server.forks.run(Request(str(forms.server.folder.root), job, at=at))
            assert killed.killed, at
            forms.server.run(job, "admit")
            assert ended(forms) == expected, (at, whole[at - 1])


def approving(forms: Forms, drop_uuid: str) -> list[str]:
    """The command that approves a version."""
    config = ["--config", str(forms.server.folder.settings)]
    return [sys.executable, "-m", "enclave", *config, "registry", "approve", drop_uuid]


def test_an_approval_that_is_killed_happened_whole_or_not_at_all(forms: Forms) -> None:
    """Killed in the kernel at any flush and typed again, it is approved once, and the log says so once."""
    forms.nettskjema.publish(ARRIVAL, forms.definition())
    forms.submit(THREE)
    (version,) = forms.delivered()
    outcomes = set()
    for at in (3, 5, 6, 7):
        with forms.server.undone():
            kill = ["-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:signal=SIGKILL:when={at}"]
            command = ["strace", "-f", "-o", "/dev/null", *kill, *approving(forms, version.drop_uuid)]
            died = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
            killed, state = died.returncode == -signal.SIGKILL, forms.delivered()[0].state
            outcomes.add((killed, state))
            again = subprocess.run(approving(forms, version.drop_uuid), cwd=ROOT, capture_output=True, check=False)
            assert again.returncode == (3 if state == "approved" else 0), again.stderr
            forms.server.run("admit")
            log = open_log(forms.server.folder)
            done = [
                one
                for one in log.entries()
                if one.act == Act.FORM_DECIDE and one.phase in (Phase.DONE, Phase.RECOVERED)
            ]
            assert (forms.states(), len(done)) == ([ADMITTED], 1), at

    assert {(True, "waiting"), (True, "approved")} <= outcomes


def test_the_command_line_lists_shows_and_decides(forms: Forms) -> None:
    """A person sees what waits and what changed, and decides by id; one unknown or decided before decides nothing."""

    def typed(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "enclave", "--config", str(forms.server.folder.settings), *words]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended.stderr
        return ended.stdout

    forms.publish()
    forms.approve()
    forms.publish(swapped)
    (waiting,) = json.loads(typed("registry", "forms", "--waiting", "--json"))
    assert (waiting["form"], waiting["why"], waiting["recoded"]) == (ARRIVAL, "E_DEFINITION_CHANGED", 2)
    shown = json.loads(typed("registry", "form", waiting["id"], "--json"))
    assert {(one["what"], one["question"], one["part"]) for one in shown} == {("recoded", "sex", "option")}
    assert {one["was"] for one in shown} == {one["now"] for one in shown}
    typed("registry", "approve", waiting["id"], "00000000-0000-4000-8000-000000000000", code=3)
    typed("registry", "approve", waiting["id"], forms.delivered()[0].drop_uuid, code=3)
    assert forms.versions()[1][0] == "waiting"

    typed("registry", "refuse", waiting["id"])
    assert forms.delivered()[1].state == "refused"
    typed("registry", "approve", waiting["id"])
    assert (forms.delivered()[1].state, forms.delivered()[1].decided_by) == (
        "approved",
        forms.delivered()[0].decided_by,
    )
