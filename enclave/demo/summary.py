"""What the demo leaves for its reader: `summary.json`, `persons.csv`, and a few sentences on the screen.

Everything is read back from where the road left it, so that the summary tells what happened, not what was planned.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from enclave import durable
from enclave.audit.acts import Acts
from enclave.control.database import Control
from enclave.control.drops import NETTSKJEMA, SIGNED, drops_of
from enclave.control.loans import find_loan
from enclave.control.releases import releases_of
from enclave.demo import lender
from enclave.demo.institutions import REGISTRY
from enclave.demo.people import YEARS, Course
from enclave.flow import DropState, ReleaseState
from enclave.folders import WorkingFolder
from enclave.model.draft import Kind
from enclave.model.pseudonymous import PSEUDONYM
from enclave.model.purpose import Purpose
from enclave.settings import read_settings
from enclave.wiring import Wiring, open_log, utc_now
from jobs.schedule import JOBS

SHOWN = "hysnes"
"""Whose report, workbook and feedback the summary points at."""
REPLACED = "superseded: a correction replaced an earlier answer"
WITHDRAWN = "withdrawn: left out of everything since"
MEANINGS = {
    "report": "what a clinic gets back, in a browser",
    "workbook": "the same numbers as a workbook",
    "feedback": "what was wrong with its rows, line by line",
    "own_rows": "its own rows, given back under its own numbers",
    "reminder": "whom it should remind of a follow-up",
    "kit": "what a new clinic gets, without any secret",
    "letter": "its passphrases, for paper",
    "certificate": "NAV's proof that what it lent is gone",
    "linkage_report": "how the loan met the registry",
    "status": "what the operator sees",
    "site": "the national pages, for everyone",
}
"""What a newcomer finds in each file of the summary."""
HEADER = ("pseudonym", "person_id", "institution", "course_id", "what_happened")


@dataclass(frozen=True)
class Remains:
    """What the auditor's stage found."""

    verified: bool
    records: int


def write_summary(
    folder: Path, working: WorkingFolder, courses: Sequence[Course], remains: Remains, console: Console
) -> None:
    """Write `summary.json` and `persons.csv` into the demo's folder and tell a newcomer what happened."""
    wiring = _as_linkage(working)
    control = Control(working.control)
    drops = Counter(drop.state for drop in drops_of(control, REGISTRY) if drop.door == SIGNED)
    submissions = [drop.state for drop in drops_of(control, REGISTRY) if drop.door == NETTSKJEMA]
    rejected = Counter(drop.reason for drop in drops_of(control, REGISTRY) if drop.reason)
    delivered = [one for one in releases_of(control, REGISTRY, ReleaseState.DELIVERED) if one.recipient]
    loan = find_loan(control, REGISTRY, lender.LOAN)
    report: Mapping[str, Any] = loan.report or {}
    forms = [form.id for form in wiring.definition.definition.forms]
    frames = [wiring.registry_reader.read(form, state=None, purpose=Purpose.NATIONAL) for form in forms]
    summary = {
        "drops": {"admitted": drops[DropState.ADMITTED], "rejected": dict(sorted(rejected.items()))},
        "submissions": {"admitted": submissions.count(DropState.ADMITTED)},
        "people": len({one for frame in frames if PSEUDONYM in frame for one in frame[PSEUDONYM].to_list()}),
        "records": sum(frame.height for frame in frames),
        "link": {"rate": round(report["linked_persons"] / report["registry_persons"], 4)},
        "loan": {"state": loan.state.value},
        "bundles": {"delivered": sum(one.kind is Kind.RELEASABLE_TABLE for one in delivered)},
        "audit": {"verified": remains.verified, "records": remains.records},
        "files": {name: str(path.relative_to(folder)) for name, path in _files(folder, working).items()},
    }
    durable.write(folder / "persons.csv", _persons(folder, wiring, courses), mode=0o600)
    durable.write(folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    _tell(folder, summary, console)


def _as_linkage(working: WorkingFolder) -> Wiring:
    """The server as the job `link` sees it: registry and vault, to read. Only a demo reads them from outside a job."""
    settings, log = read_settings(working.settings), open_log(working)
    acts = Acts(log, job="link", registry=REGISTRY, run="", actor="job:link")
    return Wiring(JOBS["link"], working, settings, REGISTRY, Control(working.control), acts, log, utc_now())


def _files(folder: Path, working: WorkingFolder) -> dict[str, Path]:
    opened = folder / "institutions" / SHOWN / "opened"
    return {
        "report": opened / f"bundles-{YEARS[-1]}" / "rapport.html",
        "workbook": opened / f"bundles-{YEARS[-1]}" / "resultater.xlsx",
        "feedback": next(path for path in _feedback(opened) if len(_lines(path)) > 1).with_suffix(".xlsx"),
        "own_rows": opened / "own-rows-1" / "egne_rader.xlsx",
        "reminder": opened / "notices-1" / "oppfolging.xlsx",
        "kit": folder / "institutions" / "nkarr" / "startpakke",
        "letter": folder / "institutions" / SHOWN / "brev.html",
        "certificate": folder / "lender" / "opened" / "bundles-1" / "sertifikat.txt",
        "linkage_report": working.pages / f"{REGISTRY}-linkage-{lender.LOAN}.html",
        "status": working.pages / f"{REGISTRY}.html",
        "site": folder / "site" / "index.html",
    }


def _feedback(opened: Path) -> list[Path]:
    return sorted(opened.glob("feedback-*/tilbakemelding.csv"))


def _lines(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), delimiter=";"))


def _persons(folder: Path, wiring: Wiring, courses: Sequence[Course]) -> bytes:
    """One line for each course: the pseudonym that the vault gave, if any, and what became of it."""
    known = wiring.vault_reader.find([one.person_id for one in courses])
    pseudonyms = dict(zip(known["id"].to_list(), known["pseudonym"].to_list(), strict=True))
    refused: dict[str, str] = {}
    for reference, rule in _refusals(folder, {one.reference for one in courses}):
        # A course whose arrival was refused lacks it in every later form; that is no reason of its own.
        if reference not in refused or refused[reference].endswith(".arrival_known"):
            refused[reference] = rule
    corrected = set(_corrected(folder))
    rows = [
        (
            pseudonyms[one.person_id].hex() if one.person_id in pseudonyms else "",
            one.person_id,
            one.institution,
            one.reference,
            _what(one, refused, corrected),
        )
        for one in courses
    ]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";", lineterminator="\r\n").writerows([HEADER, *rows])
    return out.getvalue().encode("utf-8-sig")


def _what(course: Course, refused: Mapping[str, str], corrected: Iterable[str]) -> str:
    why = refused.get(course.reference, "")
    if course.planted == "withdrawn":
        return WITHDRAWN
    if course.reference in corrected:
        return f"refused ({why}), then stored from a correction" if why else REPLACED
    if course.planted == "answer_before_discharge":
        return f"stored, but for an answer that was refused: {why}"
    if why:
        return f"refused: {why}"
    return "stored; the person has a course at another institution too" if course.planted else "stored"


def _refusals(folder: Path, references: set[str]) -> Iterator[tuple[str, str]]:
    """The course and rule of each refused row, as the institutions read them in their feedback."""
    for path in sorted(folder.glob("institutions/*/opened/feedback-*/tilbakemelding.csv")):
        for line in _lines(path)[1:]:
            reference = next((cell for cell in line if cell in references), "")
            if reference and "ikke tatt inn" in line[-2]:
                yield reference, line[-1]


def _corrected(folder: Path) -> Iterator[str]:
    for path in folder.glob("institutions/*/sent/3-correction/arrival.csv"):
        for line in _lines(path)[1:]:
            yield line[1]


def _tell(folder: Path, summary: Mapping[str, Any], console: Console) -> None:
    drops, link, audit = summary["drops"], summary["link"], summary["audit"]
    refused = ", ".join(f"{count} × {code}" for code, count in drops["rejected"].items())
    for line in (
        "",
        f"{drops['admitted']} sealed drops were admitted; {sum(drops['rejected'].values())} were not ({refused}).",
        f"{summary['submissions']['admitted']} submissions through Nettskjema were admitted, as unsigned.",
        f"The registry holds {summary['records']} forms about {summary['people']} people, under random pseudonyms.",
        "Who they are stands only in the encrypted vault, and in clear in the folders of those who sent or lent it.",
        f"The loan met {link['rate']:.1%} of the people and is {summary['loan']['state']}: its key is gone,",
        "and NAV has a certificate.",
        f"The clinics have verified and opened {summary['bundles']['delivered']} result bundles, one a year each;",
        "small numbers are withheld (·). Two people approved the national pages, which are published.",
        f"The audit log of {audit['records']} records was verified by a program that needs nothing of this server.",
        "",
        f"Open these, below {folder}:",
        *(f"  {path:<60}{MEANINGS[name]}" for name, path in summary["files"].items()),
        f"  {'persons.csv':<60}who got which pseudonym, and what became of each",
        f"  {'summary.json':<60}what was counted, for programs",
    ):
        console.print(line)
