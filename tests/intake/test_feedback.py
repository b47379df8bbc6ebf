"""Answers to senders: every fault with row, reference, rule and remedy; totals that add up; never a value."""

import csv
import io
import json
import subprocess
import sys
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from enclave.errors import CODES
from enclave.intake import feedback as wording
from enclave.intake.answer import Answer, Totals, references_of
from enclave.intake.answer_texts import WORDS
from enclave.intake.feedback import feedback, receipt
from enclave.intake.rules import ROW_RULES, RULES
from enclave.model.draft import Draft, Kind
from enclave.model.fault import Fault, Severity
from enclave.release.gate import admit
from enclave.release.leaks import leaks
from tests.intake.drops import DROP_ID
from tests.intake.forms import GOOD, REGISTRY, checked, file_of

CANARY = "kanarifugl"
LIKE_AN_ID = st.from_regex(r"[0-9]{6}[ \-/.&#;x]?[0-9]{5}", fullmatch=True)
RESULT = checked(
    file_of(
        {},
        {"course_id": "=cmd|' /C calc'!A0", "sex": CANARY, "occupation": "17912099997"},
        {"score": "9", "course_id": "F-7"},
        {"benefits_aap": CANARY},
        header=tuple(GOOD),
    )
)


def answer_of(**changes: object) -> Answer:
    """The answer to a drop of which two rows were taken."""
    facts: dict[str, object] = {
        "registry": "kar",
        "sender": "klinikk-a",
        "drop_uuid": "1" * 36,
        "drop_id": DROP_ID,
        "payload_sha256": "a" * 64,
        "log_id": "logg-1",
        "audit_seq": 41,
        "totals": Totals(delivered=4, accepted=1, unchanged=1, rejected=2, superseded=1),
        "faults": RESULT.faults,
        "references": references_of([RESULT], RESULT.faults),
    }
    return Answer(**{**facts, **changes})  # type: ignore[arg-type]  # each test changes what it needs


def csv_rows(answer: Answer) -> list[dict[str, str]]:
    """The lines of the CSV feedback."""
    content = feedback(answer, REGISTRY, RULES)[1].content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content, newline=""), delimiter=";"))


def test_each_fault_is_told_with_row_reference_rule_and_remedy() -> None:
    """The CSV has one line for each fault, in order, with labels in Norwegian."""
    rows = csv_rows(answer_of())

    assert [(row["Rad"], row["Regel"], row["Følge"]) for row in rows] == [
        ("3", "identity_in_text", "Raden er ikke tatt inn"),
        ("3", "code_unknown", "Raden er ikke tatt inn"),
        ("4", "arrival.low_score", "Tatt inn, men kontroller"),
        ("5", "type", "Raden er ikke tatt inn"),
    ]
    assert rows[1]["Forløpsnummer"] == "'=cmd|' /C calc'!A0"
    assert rows[1]["Variabel"] == "Kjønn (sex)"
    assert rows[1]["Hva er galt"] == ROW_RULES["code_unknown"].label.nb
    assert rows[1]["Hva dere kan gjøre"] == ROW_RULES["code_unknown"].remedy.nb
    assert rows[2]["Hva er galt"] == "Skår under 9"
    assert rows[2]["Variabel"] == "Skår (score)"
    assert rows[2]["Forløpsnummer"] == "F-7"
    assert rows[3]["Variabel"] == "Ytelser: aap (benefits_aap)"


def test_the_workbook_says_the_same_as_the_csv() -> None:
    """Its second sheet has the same lines; its first sums them up; nothing in it is a formula."""
    content = feedback(answer_of(), REGISTRY, RULES)[0].content
    workbook = load_workbook(io.BytesIO(content))
    lines = list(workbook["Feil"].iter_rows(values_only=True))
    summary = {str(row[0]): row[1] for row in workbook["Sammendrag"].iter_rows(values_only=True) if row[0]}

    assert lines[0] == WORDS["nb"].header
    assert [str(line[1]) for line in lines[1:]] == [row["Rad"] for row in csv_rows(answer_of())]
    assert lines[2][2] == "=cmd|' /C calc'!A0"
    assert summary["Rader levert"] == 4
    assert summary["– ikke tatt inn"] == 2
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert all(b"<f>" not in archive.read(name) for name in archive.namelist())


def test_no_value_of_a_row_is_in_an_answer() -> None:
    """What was written in a faulty field, and the person's number, appear in no file of the answer."""
    files = [*feedback(answer_of(), REGISTRY, RULES), *receipt(answer_of(), REGISTRY)]
    parts = [file.content for file in files]
    with zipfile.ZipFile(io.BytesIO(parts[0])) as archive:
        parts += [archive.read(name) for name in archive.namelist()]

    for part in parts:
        assert CANARY.encode() not in part
        assert GOOD["person_id"].encode() not in part
    assert CANARY not in repr(files) + repr(answer_of())


@pytest.mark.parametrize(
    "reference",
    [
        "17912099997",
        "179120 99997",
        "179120\u00a099997",
        "x17912099997x",
        "1791209&#57;997",
        "19121212-1212",
        "0123456789abcdef0123456789ABCDEF",
        "_pseudonym",
        "_PSEUDONYM 1",
        "&#x5f;pseudonym",
    ],
)
def test_a_reference_that_looks_like_a_person_is_not_repeated(reference: str) -> None:
    """A sender's odd course number neither leaves the server nor stops its answer at the gate."""
    result = checked(file_of({"course_id": f'"{reference}"', "sex": CANARY}))
    answer = answer_of(faults=result.faults, references=references_of([result], result.faults))

    assert csv_rows(answer)[0]["Forløpsnummer"] == "(vises ikke)"
    for kind, files in ((Kind.FEEDBACK, feedback(answer, REGISTRY, RULES)), (Kind.RECEIPT, receipt(answer, REGISTRY))):
        draft = Draft(kind, "kar", "klinikk-a", 3, "d" * 64, files)
        assert admit(draft, recipient="klinikk-a", institutions={"klinikk-a"}) is draft


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=30) | LIKE_AN_ID)
def test_no_reference_stops_an_answer(reference: str) -> None:
    """Whatever a sender calls its courses, the answer passes the gate's scan."""
    answer = answer_of(faults=(Fault("arrival", 2, "sex", "code_unknown"),), references={("arrival", 2): reference})

    for file in feedback(answer, REGISTRY, RULES):
        assert not leaks(file.name, file.content, names_people=False, withheld_texts=())


def test_a_long_list_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit of lines the list says that there is more, and the summary counts every fault."""
    monkeypatch.setattr(wording, "MOST_LISTED", 2)
    rows = csv_rows(answer_of())
    workbook = load_workbook(io.BytesIO(feedback(answer_of(), REGISTRY, RULES)[0].content))

    assert [row["Regel"] for row in rows] == ["identity_in_text", "code_unknown", "too_many_faults"]
    assert rows[2]["Følge"] == "Til opplysning"
    assert sum(row[4] for row in workbook["Sammendrag"].iter_rows(values_only=True) if isinstance(row[4], int)) == 4


def test_what_is_not_listed_is_counted() -> None:
    """Faults beyond the list stand in the summary and in the receipt by kind, so that the totals are exact."""
    answer = answer_of(unlisted={Fault("arrival", 0, "sex", "code_unknown"): 1_000_000})
    workbook = load_workbook(io.BytesIO(feedback(answer, REGISTRY, RULES)[0].content))
    counts = [row[4] for row in workbook["Sammendrag"].iter_rows(values_only=True) if isinstance(row[4], int)]

    assert max(counts) == 1_000_001
    assert json.loads(receipt(answer, REGISTRY)[0].content)["faults"] == {"refuse": 1_000_003, "warn": 1}


def test_a_whole_file_fault_says_so() -> None:
    """A fault of the file has no row and tells that the whole file stays out."""
    result = checked(file_of({}).replace(b";free", b";fri"))
    rows = csv_rows(answer_of(faults=result.faults, references=references_of([result], result.faults)))

    told = {(row["Rad"], row["Forløpsnummer"], row["Følge"]) for row in rows}
    assert told == {("", "", "Hele filen er ikke tatt inn")}


def test_a_rule_without_a_text_is_told_by_its_name() -> None:
    """An answer whose wording is missing still reaches its sender."""
    (row,) = csv_rows(answer_of(faults=(Fault("arrival", 3, "sex", "new_rule", Severity.WARN),)))

    assert (row["Hva er galt"], row["Hva dere kan gjøre"]) == ("new_rule", "Ta kontakt med registeret.")


def test_a_receipt_of_an_admitted_drop_adds_up() -> None:
    """Delivered rows are those accepted, unchanged and rejected; replaced earlier rows are counted apart."""
    content = json.loads(receipt(answer_of(), REGISTRY)[0].content)
    totals = content["totals"]

    assert content["status"] == "admitted"
    assert content["reason"] is None
    assert content["audit"] == {"log_id": "logg-1", "audit_seq": 41}
    assert totals["delivered"] == totals["accepted"] + totals["unchanged"] + totals["rejected"]
    assert totals["superseded"] == 1
    assert content["faults"] == {"refuse": 3, "warn": 1}
    assert (content["drop_id"], content["payload_sha256"]) == (DROP_ID, "a" * 64)


def test_a_receipt_of_a_rejected_drop_gives_the_reason_and_the_remedy() -> None:
    """Code, text and remedy stand in both files, also where the sender's id could not be read."""
    rejected = answer_of(reason="E_MANIFEST", drop_id=None, totals=Totals(), faults=(), references=None)
    for_programs, for_people = receipt(rejected, REGISTRY)
    content = json.loads(for_programs.content)
    text = for_people.content.decode("utf-8-sig")

    assert content["status"] == "rejected"
    assert content["reason"]["code"] == "E_MANIFEST"
    assert content["reason"]["text"] == CODES["E_MANIFEST"].text_nb
    assert content["drop_id"] is None
    assert CODES["E_MANIFEST"].remedy_nb in text
    assert "kunne ikke leses" in text
    assert "\r\n" in text


def test_totals_that_do_not_add_up_are_a_mistake() -> None:
    """A receipt whose counts disagree cannot be made."""
    with pytest.raises(ValueError, match="add up"):
        Totals(delivered=3, accepted=1, rejected=1)
    with pytest.raises(ValueError, match="below zero"):
        Totals(delivered=0, accepted=-1, rejected=1)


def test_an_answer_is_the_same_bytes_in_another_process() -> None:
    """Feedback and receipt have no clock, order or process in them."""
    program = (
        "import sys; from tests.intake.test_feedback import answer_of, feedback, receipt, REGISTRY, RULES;"
        "files = [*feedback(answer_of(), REGISTRY, RULES), *receipt(answer_of(), REGISTRY)];"
        "sys.stdout.buffer.write(b''.join(file.content for file in files))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    here = [*feedback(answer_of(), REGISTRY, RULES), *receipt(answer_of(), REGISTRY)]

    assert b"".join(file.content for file in here) == elsewhere


def test_every_built_in_rule_has_its_texts() -> None:
    """Label and remedy stand in Norwegian and English, and end as sentences."""
    for rule in RULES.values():
        for text in (rule.label.nb, rule.label.en, rule.remedy.nb, rule.remedy.en):
            assert text.endswith(".")


def test_references_follow_faults_of_other_stages() -> None:
    """A fault that identity or store finds on a row that passed here is told with its reference too."""
    later = Fault("arrival", 2, "person_id", "id_control_digits")

    assert references_of([RESULT], [later]) == {("arrival", 2): "F-1"}


def test_feedback_speaks_the_institutions_language() -> None:
    """Each fault is told in English where that was agreed on with the same rows, references and rules."""
    norwegian = csv_rows(answer_of())
    content = feedback(answer_of(language="en"), REGISTRY, RULES)[1].content.decode("utf-8-sig")
    english = list(csv.DictReader(io.StringIO(content, newline=""), delimiter=";"))

    assert [row["Rule"] for row in english] == [row["Regel"] for row in norwegian]
    assert [row["Row"] for row in english] == [row["Rad"] for row in norwegian]
    assert [row["Course number"] for row in english] == [row["Forløpsnummer"] for row in norwegian]
    built_in = [row for row in english if row["Rule"] in RULES]
    assert built_in
    assert all(row["What is wrong"] == RULES[row["Rule"]].label.en for row in built_in)
    assert all(row["What you can do"] == RULES[row["Rule"]].remedy.en for row in built_in)
    assert not set(WORDS["nb"].header) & set(english[0])


def test_what_a_language_lacks_is_told_in_norwegian() -> None:
    """A definition without Swedish labels still answers, with the frame in Swedish and the labels as they are."""
    content = feedback(answer_of(language="sv"), REGISTRY, RULES)[1].content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content, newline=""), delimiter=";"))

    assert rows[0].keys() == set(WORDS["sv"].header)
    assert {row["Formulär"] for row in rows} == {row["Skjema"] for row in csv_rows(answer_of())}
