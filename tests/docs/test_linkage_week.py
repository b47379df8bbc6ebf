"""The linkage week of docs/operator.md, typed from top to bottom by the operator, the project lead and the lender."""

import json
import re
from datetime import timedelta
from pathlib import Path

from enclave.control.loans import find_loan
from enclave.crypto import age
from enclave.flow import LoanState
from enclave.model.draft import Kind
from tests.docs.typed import typed
from tests.jobs.clinics import COURSES, LENDER, OLD, REGISTRY, TODAY, InProcess, Server

ROOT = Path(__file__).parents[2]
WEEK = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8").split("## The linkage week")[1].split("\n## ")[0]
ORDER, ANSWER, LINK = (
    re.findall(r"(?m)^\$ (.+)$", block) for block in re.findall(r"```console\n(.*?)```", WEEK, re.DOTALL)
)
LOAN = "nav-2026"
MONTHS = [f"{year}-{month:02}" for year in range(TODAY.year - 2, TODAY.year + 1) for month in range(1, 13)]


def test_the_linkage_week_can_be_walked(tmp_path: Path) -> None:
    """Ordered by two people, answered about those in the list, linked, destroyed, certified: as the guide has it."""
    server = Server(tmp_path, InProcess())
    server.send()
    server.run("seal", "deliver")
    for name, key in (("lead", server.lead), (LENDER, server.keys[LENDER])):
        (tmp_path / name).write_bytes(key.reveal())
        (tmp_path / name).chmod(0o600)
    due = (TODAY + timedelta(days=30)).isoformat()

    request_id = ""
    for line in ORDER:
        told = typed(server, line.replace("DAY", due).replace("ID", request_id))
        if " loan order " in line:
            request_id = told.split("filed as request ")[1].split(";")[0]

    numbers = _the_list_as_the_lender_opens_it(server)
    assert sorted(numbers) == sorted({one.person for one in COURSES if one.end.year == OLD[0].end.year})
    _write_answer(tmp_path / "answer", numbers)
    for line in ANSWER:
        public_key = find_loan(server.control, REGISTRY, LOAN).public_key
        here = str(server.live / "airlock" / LENDER / "in")
        typed(server, line.replace("age1…", public_key).replace("at-the-airlock", here))

    told = [typed(server, line) for line in LINK]

    assert (len(ORDER), len(ANSWER), len(LINK)) == (7, 1, 3)
    assert "SLETTESERTIFIKAT" in told[-1]
    loan = find_loan(server.control, REGISTRY, LOAN)
    assert (loan.state, loan.overdue_days) == (LoanState.DESTROYED, 0)
    assert (server.folder.pages / f"{REGISTRY}-linkage-{LOAN}.html").is_file()
    certificate = server.delivered(LENDER, Kind.CERTIFICATE)
    assert any("sertifikat" in name for name in certificate)
    assert server.holds(*numbers) == []


def _the_list_as_the_lender_opens_it(server: Server) -> list[str]:
    sealed = server.delivered(LENDER, Kind.LOAN_ORDER)["bestilling.age"]
    _, *lines = age.open(sealed, server.lender_key).decode("utf-8-sig").splitlines()
    return [json.loads(line) for line in lines]


def _write_answer(folder: Path, numbers: list[str]) -> None:
    """A year of benefits for everybody on the list."""
    folder.mkdir()
    rows = [f"{number};{month};1;0" for number in numbers for month in MONTHS]
    (folder / "benefits.csv").write_text("\r\n".join(["person_id;month;aap;sick_pay", *rows]), encoding="utf-8")
