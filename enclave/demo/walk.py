"""`enclave demo`: the whole road on synthetic people, with real processes, keys and SFTP, and nobody's data.

The operator's acts are commands, as a person would type them. Institutions and lender are simulated in this process.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from enclave import durable
from enclave.control.institutions import Role
from enclave.control.requests import SIGNATURE_NAMESPACE
from enclave.crypto import age, keyring, sshsig
from enclave.crypto.secret import Secret
from enclave.demo import lender, nettskjema
from enclave.demo.airlock import EmbeddedAirlock, embedded_airlock
from enclave.demo.forms import arr_courses, arrivals, csv_bytes, discharges, follow_ups_6, follow_ups_12, institutions
from enclave.demo.institutions import REGISTRY, Correspondent, new_correspondent, wrong_passphrase
from enclave.demo.operator import Operator
from enclave.demo.people import INSTITUTIONS, PARTICIPANTS, YEARS, Course, people
from enclave.demo.summary import Remains, write_summary
from enclave.errors import Refused
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG
from enclave.grants import Folder
from enclave.settings import read_settings
from enclave.terminal.desk import Desk
from enclave.wiring import utc_now

LENDERS_NAME = "NAV (simulert)"
SHOWN = "nkarr"
"""The institution that is added by the command; the others the same way, without a process for each."""
LETTER_FOR = "hysnes"
"""The institution whose passphrases are shown in a paper letter, and which asks for its own rows."""
AT_NETTSKJEMA = "nkarr"
"""The institution whose follow-ups are filled in at Nettskjema."""
LOAN_DAYS = 30
LEGAL_BASIS = "Konsesjon 2017-02-03 og samtykke (oppdiktet)"
POPULATION = "Deltakere som kom i 2023 og 2024"
CASES = {"loan": "2026/101", "withdrawal": "2026/207", "own_rows": "2026/310"}
NEWS = """
[[news]]
date = 2026-11-02
title = "Resultater for 2023 og 2024"
text = "Resultater for alle institusjoner samlet er lagt ut for dem som kom i 2023 og 2024. Alle tall her er oppdiktet."
"""
"""What the demo's registry tells on its national pages, after the words that ship with its definition."""


@dataclass(frozen=True)
class Demo:
    """What the stages share."""

    folder: Path
    working: WorkingFolder
    operator: Operator
    courses: tuple[Course, ...]
    everyone: dict[str, Correspondent]
    lead: Secret
    """The project lead's signing key, which no server holds."""
    lenders_key: Secret
    """What the lender opens an order with."""
    lenders_public_key: str

    @property
    def lender(self) -> Correspondent:
        """The simulated NAV."""
        return self.everyone[lender.LENDER]

    def of(self, institution: str) -> list[Course]:
        """One institution's courses."""
        return [one for one in self.courses if one.institution == institution]


def walk(folder: Path, participants: int = PARTICIPANTS, console: Console | None = None) -> None:
    """Walk the whole road below `folder`, which is made here; Refused where something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused("R_FOLDER_EXISTS")
    console = console or Console(markup=False, highlight=False, soft_wrap=True)
    folder = folder.resolve()
    durable.make_folder(folder)
    working = WorkingFolder(folder / "working")
    operator = Operator(working.settings, console)
    keys = {name: new_correspondent(name, _place(folder, name)) for name in (*INSTITUTIONS, lender.LENDER)}
    lead, _ = new_correspondent("project-lead", folder / "project-lead")
    with operator.stage("A new server: keys, encrypted databases, audit log"):
        operator.run(
            *("init", str(working.root), "--registry", REGISTRY, "--server", "demo-1", "--mode", "test"),
            *("--project-lead", str(folder / "project-lead" / "signing_key.pub")),
        )
    login = keyring.public(working.registry(REGISTRY).keys, "airlock-login")
    public = {name: key for name, (_, key) in keys.items()}
    with embedded_airlock(folder / "airlock", login, public) as airlock:
        everyone = {name: Correspondent(name, _place(folder, name), airlock, *key) for name, key in keys.items()}
        demo = Demo(folder, working, operator, people(participants), everyone, lead, *age.new_identity())
        _walk_road(demo, airlock)
        remains = _audit(demo)
    shutil.rmtree(folder / "airlock")
    write_summary(demo.folder, demo.working, demo.courses, remains, console)


def _place(folder: Path, name: str) -> Path:
    return folder / "lender" if name == lender.LENDER else folder / "institutions" / name


def _walk_road(demo: Demo, airlock: EmbeddedAirlock) -> None:
    stage, run = demo.operator.stage, demo.operator.run
    with stage("Seven institutions and one lender get keys, letters and folders at the airlock"):
        _point_at(demo, airlock)
        _add_everyone(demo)
    with stage("Institutions send sealed drops over SFTP: arrivals, discharges, follow-ups, the year's figures"):
        firsts = _send_first(demo)
    with stage("Open a loan from NAV with a key of its own; the project lead signs the order of its list of people"):
        _open_loan(demo)
    with stage("Collect, check, pseudonymise, store; answer each sender with a receipt and feedback"):
        # Twice: what lies at Nettskjema is taken once it looks the same again.
        run("job", "run", "checkpoint", "collect", "collect", "admit", "link", "seal", "deliver")
    with stage("A person looks at what the forms at Nettskjema ask, and lets their submissions in"):
        _approve_forms(demo)
    with stage("Institutions read their feedback; one corrects its rows, four drops come that must be refused"):
        _answer_feedback(demo, firsts)
    with stage("NAV opens the list with its own key, seals its answer to the loan's key and sends it"):
        _lend(demo)
    with stage("A person withdraws consent: the number is typed without echo, never an argument"):
        (person,) = (one for one in demo.courses if one.planted == "withdrawn")
        run("person", "withdraw", "--case-number", CASES["withdrawal"], typed=f"{person.person_id}\n")
    with stage("An institution asks for its own rows, under its own references; there is news for the national pages"):
        run("institution", "rows", LETTER_FOR, "--case-number", CASES["own_rows"])
        _tell_news(demo)
    with stage("The whole road, every job once: corrections, withdrawal, linkage, destruction, analysis, reports"):
        run("run", "--once")
    with stage("Two people read the national pages; the project lead signs exactly what is to be published"):
        waiting = demo.operator.listing("release", "list", "--waiting")
        (site,) = (str(one["release_id"]) for one in waiting if not one["recipient"])
        # Before the institutions' results: a withdrawal in between would stop the year's publication.
        _approve_site(demo, site)
    with stage(
        "A person approves what may leave; it is sealed, signed, delivered and read back; the pages are published"
    ):
        run("release", "approve", *(str(one["release_id"]) for one in waiting if one["recipient"]))
        run("job", "run", "seal", "deliver", "checkpoint")
    with stage("Institutions and NAV fetch, verify and open; the pages are copied to where everyone can read them"):
        for one in demo.everyone.values():
            one.fetch()
        _publish(demo)


def _point_at(demo: Demo, airlock: EmbeddedAirlock) -> None:
    """What an operator does after `init`: pin the airlock's host key, and write its port into enclave.toml."""
    settings = demo.working.settings.read_text(encoding="utf-8")
    at_airlock = settings.replace("port = 22\n", f"port = {airlock.port}\n")
    durable.write(demo.working.settings, at_airlock.encode())
    durable.write(demo.working.registry(REGISTRY).known_hosts, airlock.known_hosts.encode())


def _add_everyone(demo: Demo) -> None:
    server_key = keyring.public(demo.working.registry(REGISTRY).keys, "bundle-sign")
    shown = demo.everyone[SHOWN]
    letter = shown.folder / "letter.json"
    demo.operator.run(
        *("institution", "add", SHOWN, "--name", INSTITUTIONS[SHOWN]),
        *("--key", str(shown.folder / "signing_key.pub"), "--letter", str(letter)),
    )
    shown.take_letter(json.loads(letter.read_text(encoding="utf-8")), server_key)
    # A letter is for paper: it is read once, and gone.
    durable.shred(letter)
    desk = Desk(demo.working, read_settings(demo.working.settings), REGISTRY)
    for name in (*INSTITUTIONS, lender.LENDER):
        if name != SHOWN:
            role: Role = "lender" if name == lender.LENDER else "sender"
            one = demo.everyone[name]
            opens_with = demo.lenders_public_key if name == lender.LENDER else ""
            called = INSTITUTIONS.get(name, LENDERS_NAME)
            drawn = desk.add_institution(name, called, role, one.public_key, opens_with, shown=name != LETTER_FOR)
            words = {"inbound": drawn.inbound.reveal().decode(), "outbound": drawn.outbound.reveal().decode()}
            one.take_letter({"inbound_key_id": drawn.inbound_key_id, **words}, server_key)
    demo.operator.say(f"  and the other {len(demo.everyone) - 1} the same way; people get the passphrases on paper")
    letter = demo.everyone[LETTER_FOR].folder / "brev.html"
    demo.operator.run("institution", "letter", LETTER_FOR, str(letter))
    demo.operator.run("institution", "kit", SHOWN, str(shown.folder / "startpakke"))


def _send_first(demo: Demo) -> dict[str, Path]:
    """Drop 1 and drop 2 of everyone; answers each institution's sealed drop 1."""
    firsts = {}
    for name in INSTITUTIONS:
        one, courses, later = demo.everyone[name], demo.of(name), _later_forms(demo.of(name))
        typed = one.type_forms("1-arrivals", {"arrival": arrivals(courses), "discharge": discharges(courses)})
        firsts[name] = one.seal(typed, 1)
        if name == AT_NETTSKJEMA:
            _submit_follow_ups(demo, one, later)
        typed = one.type_forms("2-follow-ups", later)
        one.send(firsts[name], one.seal(typed, 2))
    return firsts


def _submit_follow_ups(demo: Demo, one: Correspondent, later: dict[str, list[dict[str, str]]]) -> None:
    """One institution's follow-ups are filled in at Nettskjema, one by one, and are no part of its sealed drop."""
    tree = demo.folder / "airlock" / "nettskjema-submissions"
    at_nettskjema = nettskjema.open_forms(demo.working, REGISTRY, tree, [one.name], utc_now())
    filled_in = {form: later.pop(form) for form in nettskjema.FORMS.values()}
    one.type_forms("2-nettskjema", filled_in)
    at_nettskjema.submit_all(filled_in, "1", utc_now().date())


def _approve_forms(demo: Demo) -> None:
    """Each form's definition holds the form's submissions until somebody has seen what it asks."""
    waiting = demo.operator.listing("registry", "forms", "--waiting")
    seen = [str(one["id"]) for one in waiting if one["why"] == "E_DEFINITION_NEW"]
    for one in seen:
        demo.operator.run("registry", "form", one)
    demo.operator.run("registry", "approve", *seen)


def _later_forms(courses: Sequence[Course]) -> dict[str, list[dict[str, str]]]:
    return {
        "follow_up_6": follow_ups_6(courses),
        "follow_up_12": follow_ups_12(courses),
        "institution": institutions(courses),
        "arr_course": arr_courses(courses),
    }


def _answer_feedback(demo: Demo, firsts: Mapping[str, Path]) -> None:
    """The second round: one correction, and four drops of which nothing may enter."""
    for name in INSTITUTIONS:
        demo.everyone[name].fetch()
    hysnes = demo.everyone["hysnes"]
    mended = corrections(demo.of("hysnes"))
    typed = hysnes.type_forms("3-correction", {"arrival": arrivals(mended), "discharge": discharges(mended)})
    hysnes.send(hysnes.seal(typed, 3))
    demo.everyone["valnesfjord"].send(firsts["valnesfjord"])
    muritunet, hernes, haugland = (demo.everyone[name] for name in ("muritunet", "hernes", "haugland"))
    other_key, _ = sshsig.new_key("somebody-else")
    typed = muritunet.type_forms("3-refused-wrong-signature", {"arrival": arrivals(tampered(demo.of("muritunet")))})
    muritunet.send(muritunet.seal(typed, 3, sign_key=other_key))
    typed = hernes.type_forms("3-refused-wrong-passphrase", {"arrival": arrivals(tampered(demo.of("hernes")))})
    hernes.send(hernes.seal(typed, 3, passphrase=wrong_passphrase()))
    haugland.leave_loose("pasienter.csv", csv_bytes(arrivals(demo.of("haugland"))[:5]))


def corrections(courses: Sequence[Course]) -> list[Course]:
    """What an institution sends after its feedback: the refused course mended, and an answer of each year corrected."""
    (refused,) = (one for one in courses if one.planted == "end_before_arrival")
    mended = replace(refused, end=refused.arrival + timedelta(days=26))
    plain = [next(one for one in courses if not one.planted and one.arrival.year == year) for year in YEARS]
    return [mended, *(_with_ability(one, 10 - (one.at_arrival.work_ability or 0)) for one in plain)]


def tampered(courses: Sequence[Course]) -> list[Course]:
    """Answers that would change every mean, if they were let in."""
    return [_with_ability(one, 10) for one in courses if not one.planted]


def _with_ability(course: Course, work_ability: int) -> Course:
    return replace(course, at_arrival=replace(course.at_arrival, work_ability=work_ability))


def _tell_news(demo: Demo) -> None:
    """The words that ship with the definition, with one entry of news."""
    words = demo.folder / "news.toml"
    durable.write(words, (CONFIG / "registries" / REGISTRY / "news.toml").read_bytes() + NEWS.encode())
    demo.operator.run("registry", "news", str(words))


def _open_loan(demo: Demo) -> None:
    today = utc_now().date()
    demo.operator.run(
        *("loan", "open", lender.LOAN, "--kind", "nav", "--lender", lender.LENDER),
        *("--variables", "sick_pay,aap,disability_pension", "--case-number", CASES["loan"]),
        *("--due", (today + timedelta(days=LOAN_DAYS)).isoformat()),
        *("--legal-basis", LEGAL_BASIS, "--population", POPULATION),
    )
    filed = demo.operator.run("loan", "order", lender.LOAN)
    request_id = filed.split("filed as request ")[1].split(";")[0]
    signature = _signed_by_lead(demo, "order", demo.operator.run("request", "show", request_id, "--text"))
    demo.operator.run("request", "approve", request_id, "--signature", str(signature))


def _signed_by_lead(demo: Demo, name: str, text: str) -> Path:
    """The project lead's signature over exactly this text, made with the key that is on their own machine only."""
    lead = demo.folder / "project-lead"
    durable.write(lead / name, text.encode())
    durable.write(lead / f"{name}.sig", sshsig.sign(text.encode(), demo.lead, SIGNATURE_NAMESPACE))
    return lead / f"{name}.sig"


def _approve_site(demo: Demo, release_id: str) -> None:
    """The pages are written out for both to read; the lead signs the release that names them."""
    run = demo.operator.run
    run("release", "show", release_id, "--out", str(demo.folder / "project-lead" / "look"))
    signature = _signed_by_lead(demo, "site", run("release", "show", release_id, "--text"))
    run("release", "approve", release_id, "--signature", str(signature))


def _publish(demo: Demo) -> None:
    """What a web server would show: the folder that `seal` wrote, copied."""
    durable.make_folder(demo.folder / "site")
    for path in sorted(demo.working.registry(REGISTRY).folder(Folder.SITE).iterdir()):
        durable.write(demo.folder / "site" / path.name, durable.read(path), mode=0o644)


def _lend(demo: Demo) -> None:
    demo.lender.fetch()
    asked = lender.asked_about(demo.lender, demo.lenders_key)
    facts = {row["fact"]: row["value"] for row in demo.operator.listing("loan", "show", lender.LOAN)}
    rows = lender.answer(lender.benefits(demo.courses), asked)
    demo.lender.send(lender.seal_to_loan(demo.lender, rows, str(facts["public_key"])))


def _audit(demo: Demo) -> Remains:
    """The auditor's part: log, checkpoints and verifier, verified apart from the server; and the loan's proof."""
    auditor, run = demo.folder / "auditor", demo.operator.run
    with demo.operator.stage("An auditor verifies the log without the server, against an institution's old checkpoint"):
        run("audit", "export", str(auditor))
        older = demo.everyone[SHOWN].folder / "opened" / "receipts-1" / "sjekkpunkt.txt"
        verified = demo.operator.python(
            *(str(auditor / "verify.py"), str(auditor / "log.jsonl"), "--checkpoints", str(auditor / "checkpoints")),
            *("--vkey", str(auditor / "vkey"), "--older", str(older)),
        )
        records = [json.loads(line) for line in (auditor / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        (destroyed,) = (one["seq"] for one in records if (one["act"], one["phase"]) == ("loan.destroy", "done"))
        run("audit", "prove", str(destroyed), "--out", str(demo.lender.folder / "proof.txt"))
        run("status", ends=(0, 1))
    return Remains(verified=bool(verified), records=len(records))
