"""The demo, run once as a newcomer runs it; every promise looked at from outside."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from enclave.control.database import Control
from enclave.control.drops import NETTSKJEMA, drops_of
from enclave.control.form_definitions import definitions_of, kept
from enclave.demo.lender import CASEWORKER, STRANGERS
from enclave.demo.nettskjema import FORMS
from enclave.demo.people import PARTICIPANTS
from tests.demo.done import CLOSED, INSTITUTIONS, Done
from tests.demo.oracle import rows_of

pytestmark = pytest.mark.timeout(600)


def test_the_summary_counts_what_was_sent_and_refused(done: Done) -> None:
    """Drops, people and forms are as many as the plaintext in `sent/` says."""
    summary = done.summary
    sent = [path for path in done.folder.glob("institutions/*/sent/*") if "refused" not in path.name]
    admitted = [path for path in sent if path.name != "2-nettskjema"]
    filled_in = [rows_of(path) for path in done.folder.glob("institutions/*/sent/2-nettskjema/*.csv")]
    refused = {"E_DROP_KIND": 1, "E_PASSPHRASE": 1, "E_REPLAY": 1, "E_SENDER": 1}
    assert summary["drops"] == {"admitted": len(admitted), "rejected": refused}
    assert summary["submissions"] == {"admitted": sum(map(len, filled_in))}
    assert sum(map(len, filled_in)) > 0
    assert summary["people"] == len(done.registry.people)
    assert summary["records"] == done.registry.records
    assert summary["loan"] == {"state": "destroyed"}
    assert summary["bundles"] == {"delivered": len(INSTITUTIONS) * len(CLOSED)}
    assert len(done.withdrawn) == 1


def test_nothing_came_in_through_nettskjema_before_its_forms_were_looked_at(done: Done) -> None:
    """Both forms said what they ask, a person approved both, and every submission was settled after that."""
    control = Control(done.folder / "working" / "control.db")
    delivered = definitions_of(control, "kar")
    assert {(one.form, one.state, one.reason) for one in delivered} == {
        (form, "approved", "E_DEFINITION_NEW") for form in FORMS
    }
    assert all(kept(control, "kar", one.sha256) for one in delivered)
    settled = [one.settled_at or "" for one in drops_of(control, "kar") if one.door == NETTSKJEMA]
    assert len(settled) == done.summary["submissions"]["admitted"]
    assert min(settled) > max(one.decided_at or "" for one in delivered)


def test_the_link_rate_is_the_share_of_people_whom_the_lender_knew(done: Done) -> None:
    """Everybody in the registry with a row in the lender's file is linked, and nobody else."""
    lent = {row["person_id"] for row in rows_of(done.folder / "lender" / "clear" / "benefits.csv")}
    people = done.registry.people
    assert done.summary["link"]["rate"] == pytest.approx(len(people & lent) / len(people), abs=5e-5)
    assert 0.9 < done.summary["link"]["rate"] < 1


def test_the_files_that_the_summary_names_are_there(done: Done) -> None:
    """Each path leads to a file that is not empty, and each institution has what it needs to open and check."""
    assert set(done.summary["files"]) == {
        *("report", "workbook", "feedback", "certificate", "linkage_report", "status", "site"),
        *("own_rows", "reminder", "kit", "letter"),
    }
    for path in done.summary["files"].values():
        assert (done.folder / path).stat().st_size > 0
    assert {path.name for path in (done.folder / "institutions").iterdir()} == set(INSTITUTIONS)
    for institution in INSTITUTIONS:
        own = done.folder / "institutions" / institution
        for name in ("sent", "received", "opened", "passphrase.txt", "allowed_signers"):
            assert (own / name).exists()


def test_an_institution_has_its_own_rows_back(done: Done) -> None:
    """Every form that it sent and that was admitted is there under its own references, and nobody's who withdrew."""
    opened = done.folder / "institutions" / "hysnes" / "opened" / "own-rows-1" / "csv"
    for form, held in done.registry.forms.items():
        assert len(rows_of(opened / f"{form}.csv")) == sum(key[0] == "hysnes" for key in held)


def test_the_lender_was_asked_about_whom_it_knew_from_a_signed_order(done: Done) -> None:
    """What it lent is of people of the order and of its strangers; its order is opened with its own key only."""
    order = done.folder / "lender" / "opened" / "orders-1"
    assert (order / "bestilling.age").read_bytes().startswith(b"age-encryption.org/v1")
    assert "nav-2026" in (order / "bestilling.txt").read_text(encoding="utf-8-sig")
    lent = {row["person_id"] for row in rows_of(done.folder / "lender" / "clear" / "benefits.csv")}
    arrived = {row["person_id"] for row in done.registry.forms["arrival"].values()} | done.withdrawn
    assert len(lent - arrived) == STRANGERS


def found_in(paths: Iterable[Path], canaries: set[str]) -> set[str]:
    """The canaries that are in the bytes of these files, also as UTF-16."""
    content = b"\n".join(path.read_bytes() for path in paths if path.is_file())
    return found_in_bytes(content, canaries) | found_in_bytes(content.replace(b"\0", b""), canaries)


def found_in_bytes(content: bytes, canaries: set[str]) -> set[str]:
    """One pass for each shape that canaries have here; one search for each of the few others."""
    seen: set[str] = set()
    rest = set(canaries)
    for shape in (r"[0-9]{11}", r"[0-9]{10}", r"[A-Z]+-20[0-9]{2}-[0-9]{4}"):
        shaped = {one for one in rest if re.fullmatch(shape, one)}
        seen |= shaped & {match[1].decode() for match in re.finditer(rb"(?=(" + shape.encode() + rb"))", content)}
        rest -= shaped
    return seen | {one for one in rest if one.encode() in content}


def test_no_identity_leaves_the_senders_folders(done: Done) -> None:
    """No national number, reference or typed text is in any file of the server, in an auditor's file, or printed."""
    sent = list(done.folder.glob("institutions/*/sent/*/*.csv"))
    clear = done.folder / "lender" / "clear" / "benefits.csv"
    typed = [row for path in sent for row in rows_of(path) if "person_id" in row]
    identities = {row["person_id"] for row in (*typed, *rows_of(clear))}
    canaries = identities | {row["course_id"] for row in typed} | {row.get("occupation", "") for row in typed}
    canaries = (canaries | {CASEWORKER}) - {""}
    assert found_in([*sent, clear], canaries) == canaries
    assert len(canaries) > 1.9 * PARTICIPANTS
    server = [path for path in (done.folder / "working").rglob("*") if path.is_file()]
    assert len(server) > 50
    for public in ("auditor", "site", "project-lead"):
        server += (done.folder / public).rglob("*")
    assert found_in(server, canaries) == set()
    assert found_in_bytes(str(server).encode() + done.printed.encode(), canaries) == set()
    assert found_in(done.folder.glob("institutions/*/opened/**/*"), identities) == set()


def test_pseudonyms_are_in_no_answer_and_no_page(done: Done) -> None:
    """What `persons.csv` shows of the vault is in nothing that left, and in no page or log of the server."""
    pseudonyms = {row["pseudonym"] for row in rows_of(done.folder / "persons.csv")} - {""}
    assert len(pseudonyms) > 0.95 * PARTICIPANTS
    left = [*done.folder.glob("institutions/*/opened/**/*"), *(done.folder / "lender").rglob("*")]
    shown = [path for name in ("auditor", "site", "project-lead") for path in (done.folder / name).rglob("*")]
    inside = [*(done.folder / "working" / "pages").iterdir(), *shown]
    contents = b"\0".join(path.read_bytes() for path in (*left, *inside) if path.is_file())
    for pseudonym in pseudonyms:
        assert pseudonym.encode() not in contents
        assert bytes.fromhex(pseudonym) not in contents


def test_a_bundle_is_verified_by_ssh_keygen_and_opened_by_7z(done: Done, tmp_path: Path) -> None:
    """An institution needs stock programs only: the signature holds for its bytes, and 7-Zip opens the same report."""
    own = done.folder / "institutions" / "air"
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(own / "allowed_signers"), "-I", "enclave@kar", "-n", "bundle@kar"]
    passphrase = (own / "passphrase.txt").read_text().strip()
    archives = sorted((own / "received" / "bundles").glob("*.zip"))
    assert len(archives) == len(CLOSED)
    for archive in archives:
        content, folder = archive.read_bytes(), tmp_path / archive.stem
        check = [*verify, "-s", f"{archive}.sig"]
        assert subprocess.run(check, input=content, capture_output=True, check=False).returncode == 0
        assert subprocess.run(check, input=content + b"x", capture_output=True, check=False).returncode != 0
        subprocess.run(["7z", "x", f"-p{passphrase}", f"-o{folder}", archive], check=True, capture_output=True)
        subprocess.run(["7z", "x", f"-o{folder}", folder / "innhold.zip"], check=True, capture_output=True)
        manifest = json.loads((folder / "MANIFEST.json").read_text())
        (year,) = {table["period"][:4] for table in manifest["tables"]}
        opened = own / "opened" / f"bundles-{year}"
        assert manifest["recipient"] == "air"
        for file in manifest["files"]:
            assert hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest() == file["sha256"]
            assert (folder / file["name"]).read_bytes() == (opened / file["name"]).read_bytes()


def test_the_national_pages_are_published_as_two_people_read_them(done: Done) -> None:
    """The pages for everyone are those that the lead was shown and signed for, and nothing more."""
    site, lead = done.folder / "site", done.folder / "project-lead"
    pages = {
        "index.html",
        "nyheter.html",
        "koblinger.html",
        "bli-med.html",
        *(f"resultater-{year}.html" for year in CLOSED),
    }
    assert {path.name for path in site.iterdir()} == pages | {"MANIFEST.json", "MANIFEST.json.sig", "sjekkpunkt.txt"}
    published = done.folder / "working" / "site" / "kar"
    for path in site.iterdir():
        assert path.read_bytes() == (published / path.name).read_bytes()
    for name in pages:
        assert (site / name).read_bytes() == (lead / "look" / name).read_bytes()
    key = (lead / "signing_key.pub").read_text().strip()
    signers = lead / "allowed_signers"
    signers.write_text(f"lead {key}\n")
    for name in ("site", "order"):
        verify = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "lead", "-n", "request@enclave"]
        signed = subprocess.run(
            [*verify, "-s", str(lead / f"{name}.sig")],
            input=(lead / name).read_bytes(),
            capture_output=True,
            check=False,
        )
        assert signed.returncode == 0, signed.stderr
    told = json.loads((site / "MANIFEST.json").read_text())
    assert {one["name"]: one["sha256"] for one in told["files"]} == {
        name: hashlib.sha256((site / name).read_bytes()).hexdigest() for name in pages
    }


def test_an_institution_is_reminded_of_those_it_still_follows(done: Done) -> None:
    """Its reminder names every course that misses an answer now, and none that has answered."""
    listed = rows_of(done.folder / "institutions" / "air" / "opened" / "notices-1" / "oppfolging.csv")
    held = done.registry.forms
    ends = {key[1]: row["end_date"] for key, row in held["discharge"].items() if key[0] == "air"}
    assert {row["Status"] for row in listed} <= {"over fristen", "kan svares nå", "kommer"}
    assert listed
    for row in listed:
        assert row["Forløpsnummer"] in ends
        assert ("air", row["Forløpsnummer"]) not in held[row["Skjemanavn i CSV"]]
    still = {course for course, end in ends.items() if end >= "2026" and ("air", course) not in held["follow_up_6"]}
    assert still <= {row["Forløpsnummer"] for row in listed if row["Skjemanavn i CSV"] == "follow_up_6"}


def test_the_audit_log_verifies_without_the_server(done: Done) -> None:
    """The exported verifier accepts the log, every institution's old checkpoint and the proof of the destruction."""
    auditor = done.folder / "auditor"
    verify = [sys.executable, "-I", "-S", str(auditor / "verify.py")]
    log = [str(auditor / "log.jsonl"), "--checkpoints", str(auditor / "checkpoints"), "--vkey", str(auditor / "vkey")]
    kept = sorted(done.folder.glob("institutions/*/opened/*/sjekkpunkt.txt"))
    older = [word for path in kept for word in ("--older", str(path))]
    assert len(kept) > len(INSTITUTIONS)
    assert subprocess.run([*verify, *log, *older], capture_output=True, check=False).returncode == 0
    proof = [*verify, "--proof", str(done.folder / "lender" / "proof.txt"), "--vkey", str(auditor / "vkey")]
    proved = subprocess.run(proof, capture_output=True, text=True, check=False)
    assert proved.returncode == 0, proved.stdout + proved.stderr
    records = (auditor / "log.jsonl").read_bytes().splitlines()
    assert done.summary["audit"] == {"verified": True, "records": len(records)}


def test_nothing_of_the_loan_is_left(done: Done) -> None:
    """The server has no file of the loan and no key for it but an empty grave, and the lender holds a certificate."""
    registries = done.folder / "working" / "registries" / "kar"
    assert list((registries / "loans").iterdir()) == []
    kept = (done.folder / "working" / "keystore" / "kar" / "loans").iterdir()
    assert [(path.name, path.read_bytes()) for path in kept] == [("nav-2026.destroyed", b"")]
    certificate = json.loads((done.folder / "lender" / "opened" / "bundles-1" / "sertifikat.json").read_text())
    assert "nav-2026" in json.dumps(certificate)


def test_the_persons_list_tells_what_became_of_each(done: Done) -> None:
    """Refused with the rule, corrected, superseded, withdrawn, at two institutions: each is told, and nobody twice."""
    told = [row["what_happened"] for row in rows_of(done.folder / "persons.csv")]
    for rule in ("underage", "id_control_digits", "id_lost_zero", "consent_missing"):
        assert told.count(f"refused: {rule}") == 1
    assert sum(text.startswith("superseded") for text in told) == 2
    assert sum("then stored from a correction" in text for text in told) == 1
    assert sum("another institution" in text for text in told) == 1
    assert sum(text.startswith("stored, but for an answer") for text in told) == 1


def test_the_demo_overwrites_nothing(done: Done) -> None:
    """A folder with something in it is refused, and stays as it is."""
    before = (done.folder / "summary.json").read_bytes()
    again = subprocess.run(
        [sys.executable, "-m", "enclave", "demo", str(done.folder)], capture_output=True, text=True, check=False
    )
    assert again.returncode == 3
    assert "R_FOLDER_EXISTS" in again.stderr
    assert (done.folder / "summary.json").read_bytes() == before
