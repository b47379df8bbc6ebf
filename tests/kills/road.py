"""One road with everything that a crash could spoil, and the folders as every job of it finds them.

Two senders and a lender. `alfa` sends rows that pass and rows that fail, then one row corrected; `beta` seals one drop
with a wrong passphrase, sends a good one, one under a name that no drop may have, and one that is still growing; the
lender answers a loan first with a file that nothing opens, then with a good one. One person withdraws before the
analysis and one when drafts already wait for approval; the definition is applied anew on the way. `alfa` asks for its
own rows and is reminded of a follow-up; `gamma`, which never sent any, asks too and is refused. Two people order the
list of a second loan, which is then destroyed before its day, and of the first, which is too late. Two people
publish the national pages.

A new act of a job needs a step in which it is done: `STEPS` is one line for each, and what people and institutions do
before it stands in a function of its own.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from enclave.cli import client
from enclave.control.database import Control
from enclave.control.institutions import Role
from enclave.control.loans import find_loan
from enclave.control.releases import releases_of, tables_of
from enclave.control.requests import SIGNATURE_NAMESPACE, find_request
from enclave.crypto import age, sshsig
from enclave.crypto.secret import Secret
from enclave.demo.airlock import make_folders
from enclave.flow import ReleaseState
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.model.loan import LoanAgreement
from enclave.registry.load import load
from enclave.settings import Settings, read_settings
from enclave.terminal.desk import Letter
from enclave.terminal.loan_desk import LoanDesk
from tests.identity.numbers import synthetic

REGISTRY = "kar"
DEFINITION = CONFIG / "registries" / REGISTRY
SENDERS = ("alfa", "beta")
WITHOUT_ROWS = "gamma"
LENDER, LOAN, NEXT_LOAN = "nav", "nav-2026", "nav-2027"
PEOPLE = 12
RECENT = PEOPLE + 2
"""The number of alfa's person whose follow-up after six months is due."""
CANARY = "Kanari"
"""Begins every course's number, name and text on this road."""
FREE_TEXT = f"{CANARY}, fritekst om noen"
OCCUPATION = f"{CANARY}oppdretter"
CASEWORKER = f"{CANARY} Saksbehandler"
ODD_NAME = f"{CANARY} Nordmann"

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Step:
    """One job of the road; `before` is what people and institutions do just before it runs. `days` is how late."""

    name: str
    job: str
    before: Callable[["Road"], None] = lambda _: None
    days: int = 0


@dataclass
class Road:
    """Where the road is walked (`live`), and who walks it; `lead` and `lender` are the keys that those two hold."""

    root: Path
    folder: WorkingFolder
    lead: Secret
    lender: Secret
    letters: dict[str, Letter] = field(default_factory=dict)
    keys: dict[str, Secret] = field(default_factory=dict)
    filed: int = field(default=0)

    @property
    def live(self) -> Path:
        """What the jobs work on: `working/` and `airlock/`."""
        return self.root / "live"

    @property
    def settings(self) -> Settings:
        """What stands in enclave.toml."""
        return read_settings(self.folder.settings)

    @property
    def desk(self) -> LoanDesk:
        """The terminal."""
        return LoanDesk(self.folder, self.settings, REGISTRY)

    def add(self, institution: str, role: Role, age_key: str = "") -> None:
        """Add an institution with a folder at the airlock."""
        make_folders(self.live / "airlock", institution)
        self.keys[institution], public = sshsig.new_key(institution)
        self.letters[institution] = self.desk.add_institution(institution, institution.title(), role, public, age_key)

    def lead_signs(self, text: bytes) -> bytes:
        """The project lead's signature."""
        return sshsig.sign(text, self.lead, SIGNATURE_NAMESPACE)

    def keep(self, name: str) -> None:
        """Keep the folders as they are, under a name; nothing runs."""
        shutil.copytree(self.live, self.root / "kept" / name, symlinks=True)

    def restore(self, name: str) -> None:
        """Put the folders back as they were kept."""
        shutil.rmtree(self.live)
        shutil.copytree(self.root / "kept" / name, self.live, symlinks=True)

    def send(
        self,
        institution: str,
        files: dict[str, Rows],
        *,
        seq: int | None = None,
        passphrase: Secret | None = None,
        recipient: str | None = None,
    ) -> Path:
        """Seal a drop as the institution would, into its folder at the airlock."""
        self.filed += 1
        clear = self.root / "clear" / str(self.filed)
        clear.mkdir(parents=True)
        for form, rows in files.items():
            (clear / f"{form}.csv").write_bytes(_csv(rows))
        letter = self.letters[institution]
        key_id = LOAN if recipient else letter.inbound_key_id
        secret = None if recipient else passphrase or letter.inbound
        submission = client.Submission(REGISTRY, institution, key_id, datetime.now(UTC), seq)
        incoming = self.live / "airlock" / institution / "in"
        return client.seal(
            clear, incoming, submission, sign_key=self.keys[institution], passphrase=secret, recipient=recipient
        )


def begin(root: Path) -> Road:
    """A new server with a local folder as its airlock, two senders and a lender."""
    live = root / "live"
    lead, lead_public = sshsig.new_key("lead")
    lender, lender_public = age.new_identity()
    values = {"server": "enclave-1", "mode": "test", "kind": "folder", "folder": str(live / "airlock")}
    values |= {"project_lead": lead_public}
    folder = found(Founding(live / "working", REGISTRY, DEFINITION, dict(values), "person:tester"))
    road = Road(root, folder, lead, lender)
    for institution in SENDERS:
        road.add(institution, "sender")
    road.add(LENDER, "lender", lender_public)
    return road


def person(institution: str, number: int) -> str:
    """The national number of an institution's n-th person."""
    return synthetic(date(1970 + number, 1 + number % 12, 1 + number), SENDERS.index(institution))


def reference(institution: str, number: int) -> str:
    """The institution's own number for the course of its n-th person."""
    return f"{CANARY}-{institution}-{number}"


def canaries() -> tuple[bytes, ...]:
    """What stands in everything that a sender or lender wrote, and may be in no file of the server."""
    numbers = range(PEOPLE + 4)
    return (CANARY.encode(), *(person(who, number).encode() for who in SENDERS for number in numbers))


def _alfa_sends(road: Road) -> None:
    people = [("alfa", number) for number in range(PEOPLE)]
    failing: Rows = [
        {**_arrival("alfa", PEOPLE), "person_id": "123", "education": FREE_TEXT},
        {**_arrival("alfa", PEOPLE + 1), "work_ability": 44},
    ]
    today = datetime.now(UTC).date()
    came = {"arrival_date": (today - timedelta(days=240)).isoformat()}
    left = {"end_date": (today - timedelta(days=213)).isoformat()}
    arrivals = [*(_arrival(*one) for one in people), {**_arrival("alfa", RECENT), **came}]
    later = _later(people)
    later["discharge"].append({**_discharge("alfa", RECENT), **left})
    road.send("alfa", {"arrival": arrivals + failing, **later}, seq=1)
    road.send("alfa", {"arrival": [{**_arrival("alfa", 0), "work_ability": 9}, _arrival("alfa", 1)]}, seq=2)


def _beta_sends(road: Road) -> None:
    people = [("beta", number) for number in range(PEOPLE)]
    arrivals = [_arrival(*one) for one in people]
    road.send("beta", {"arrival": arrivals}, seq=1, passphrase=Secret(b"none-that-the-registry-was-ever-told"))
    road.send("beta", {"arrival": arrivals, **_later(people)}, seq=2)
    odd = road.send("beta", {"arrival": [_arrival("beta", PEOPLE)]}, seq=3)
    odd.rename(odd.with_name(ODD_NAME))
    growing = road.send("beta", {"arrival": [_arrival("beta", PEOPLE + 1)]}, seq=4)
    payload = growing / "payload.zip"
    payload.write_bytes(payload.read_bytes()[:100])


def _lender_answers(road: Road) -> None:
    loan = find_loan(Control(road.folder.control), REGISTRY, LOAN)
    months = [f"{year}-{month:02}" for year in (2024, 2025) for month in range(1, 13)]
    rows: Rows = [
        {"person_id": person(*one), "month": month, "sick_pay": one[1] % 2, "aap": 0, "saksbehandler": CASEWORKER}
        for one in ((institution, number) for institution in SENDERS for number in range(PEOPLE))
        for month in months
    ]
    stranger = age.new_identity()[1]
    road.send(LENDER, {"benefits": rows[:3]}, seq=1, recipient=stranger)
    road.send(LENDER, {"benefits": rows}, seq=2, recipient=loan.public_key)


def open_a_loan(road: Road, loan_id: str = LOAN) -> None:
    """The data processor enters a loan; `link` makes its key."""
    today = datetime.now(UTC).date()
    due = today + timedelta(days=90)
    agreement = LoanAgreement(loan_id, REGISTRY, LENDER, "linkage", "2026/1", ("aap", "sick_pay"), due)
    road.desk.open_loan(agreement, "nav", today)


def _order_the_list(road: Road, loan_id: str) -> None:
    """Two people: the data processor files it, the project lead signs it."""
    request_id = road.desk.order_loan(loan_id)
    road.desk.approve_request(request_id, road.lead_signs(find_request(road.desk.control, request_id).signed_text()))


def _order_too_late(road: Road) -> None:
    _order_the_list(road, LOAN)  # its answer lies there already, and is linked first


def _open_and_order(road: Road) -> None:
    open_a_loan(road, NEXT_LOAN)
    _order_the_list(road, NEXT_LOAN)


def _destroy_early(road: Road) -> None:
    road.desk.destroy_loan(NEXT_LOAN, "2026/6")


def everybody_sends(road: Road) -> None:
    """Both senders and the lender lay their drops at the airlock."""
    for sends in (_alfa_sends, _beta_sends, _lender_answers):
        sends(road)


def _one_withdraws(road: Road) -> None:
    road.desk.withdraw(Secret(person("alfa", 3).encode()), "2026/2")
    road.desk.apply_definition(DEFINITION)


def _another_withdraws(road: Road) -> None:
    road.desk.withdraw(Secret(person("beta", 3).encode()), "2026/3")
    road.desk.withdraw(Secret(person("beta", PEOPLE + 3).encode()), "2026/4")  # nobody whom the registry knows


def _two_ask_for_their_rows(road: Road) -> None:
    road.add(WITHOUT_ROWS, "sender")
    for institution in ("alfa", WITHOUT_ROWS):
        road.desk.give_back_rows(institution, "2026/5")


def people_decide(road: Road) -> None:
    """The data processor approves what waits; the national pages are approved by two people."""
    for release in releases_of(road.desk.control, REGISTRY, ReleaseState.PROPOSED):
        text = release.signed_text(tables_of(road.desk.control, release.release_id))
        signature = b"" if release.recipient else road.lead_signs(text)
        road.desk.decide_release(release.release_id, ReleaseState.APPROVED, signature)


STEPS = (
    Step("checkpoint", "checkpoint"),
    Step("link-opens", "link", open_a_loan),
    Step("collect", "collect", everybody_sends),
    Step("admit", "admit"),
    Step("rights", "rights", _one_withdraws),
    Step("link", "link", _order_too_late),
    Step("destroy", "destroy"),
    Step("analyse", "analyse"),
    Step("release", "release"),
    Step("rights-cancels", "rights", _another_withdraws),
    Step("give-back", "give_back", _two_ask_for_their_rows),
    Step("link-orders", "link", _open_and_order),
    Step("analyse-again", "analyse"),
    Step("release-again", "release"),
    Step("checkpoint-again", "checkpoint", people_decide),
    Step("seal", "seal"),
    Step("deliver", "deliver"),
    Step("checkpoint-last", "checkpoint"),
    Step("destroy-expired", "destroy", _destroy_early, days=60),
)


def _later(people: list[tuple[str, int]]) -> dict[str, Rows]:
    """What is known of each course after its arrival, by form."""
    return {
        "discharge": [_discharge(*one) for one in people],
        "follow_up_12": [_follow_up(*one) for one in people],
    }


def _arrival(institution: str, number: int) -> dict[str, object]:
    return {
        "person_id": person(institution, number),
        "course_id": reference(institution, number),
        "consent_date": "2024-01-02",
        "arrival_date": f"2024-{1 + number % 9:02}-05",
        "sex": "female",
        "education": "primary",
        "occupation": OCCUPATION,
        "diagnosis_group": "mental",
        "work_ability": number % 7,
        "employed": "ja",
        "sick_leave": "none",
        "benefits_none": 1,
    }


def _discharge(institution: str, number: int) -> dict[str, object]:
    return {
        "person_id": person(institution, number),
        "course_id": reference(institution, number),
        "end_date": f"2024-{1 + number % 9:02}-28",
        "completion": "completed",
        "work_ability": number % 7 + 1,
    }


def _follow_up(institution: str, number: int) -> dict[str, object]:
    return {
        "person_id": person(institution, number),
        "course_id": reference(institution, number),
        "response_date": f"2025-{1 + number % 9:02}-20",
        "work_ability": number % 7 + 2,
    }


_FORMS = {form.id: form for form in load(DEFINITION).definition.forms}


def _csv(rows: Rows) -> bytes:
    dated = {form.dated_by: form for form in _FORMS.values() if form.subject == "person" and form.id != "follow_up_6"}
    form = next((dated[name] for name in rows[0] if name in dated), None) if "course_id" in rows[0] else None
    names = ["person_id", "course_id", *form.columns()] if form else [*rows[0]]
    benefits = {name: 0 for name in names if name.startswith("benefits_")} if form else {}
    lines = [";".join(names)] + [";".join(str({**benefits, **row}.get(name, "")) for name in names) for row in rows]
    return ("\r\n".join(lines) + "\r\n").encode()
