"""The road with stock tools on the institutions' side: 7-Zip, ssh-keygen and OpenSSH's sftp; nothing of ours."""

import csv
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import load_workbook
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from enclave.flow import DropState, LoanState
from tests.flow.conftest import CORRECTED, REFUSED, WITHDRAWN, Walked, corrected_files, sent_files
from tests.flow.road import LENDER, LOAN, REGISTRY, SENDERS, loan_rows, read_csv, seven_zip, ssh_verify

BOXES = ("receipts", "feedback", "bundles")
Numbers = tuple[int, str, str, str]


@pytest.fixture(scope="module")
def received(walked: Walked, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Path]]:
    """Every package of every institution, fetched by sftp, verified by ssh-keygen, opened by 7-Zip."""
    road, root = walked.road, tmp_path_factory.mktemp("received")
    allowed = root / "allowed_signers"
    allowed.write_text(f"enclave@{REGISTRY} {(road.lies.keys / 'bundle-sign.pub').read_text()}")
    found: dict[tuple[str, str], list[Path]] = {}
    for institution in (*SENDERS, LENDER):
        for box in BOXES:
            folder = root / institution / box
            folder.mkdir(parents=True)
            if not road.delivered(institution, box):
                continue
            done = road.sshd.sftp(road.sshd.institutions[institution], f"get out/{box}/* .\n", folder=folder)
            assert done.returncode == 0, done.stderr
            for package in sorted(folder.glob("*.zip")):
                assert ssh_verify(package, allowed, f"enclave@{REGISTRY}", f"bundle@{REGISTRY}")
                opened = folder / package.stem
                passphrase = road.letters[institution].outbound.reveal().decode()
                seven_zip("x", f"-p{passphrase}", f"-o{opened}", str(package), folder=folder)
                assert [file.name for file in opened.iterdir()] == ["innhold.zip"]
                seven_zip("x", "innhold.zip", folder=opened)
                found.setdefault((institution, box), []).append(opened)
    return found


def test_every_drop_is_admitted_and_the_loan_is_destroyed(walked: Walked) -> None:
    """Five signed drops of stock tools are admitted, the lender's file is gone, nothing is left at the airlock."""
    states = [(drop.sender, drop.state) for drop in walked.road.drops()]
    assert states == [
        ("airen", DropState.ADMITTED), ("airen", DropState.ADMITTED), ("boren", DropState.ADMITTED),
        ("ceren", DropState.ADMITTED), ("deren", DropState.ADMITTED), (LENDER, DropState.EXPIRED),
    ]  # fmt: skip
    assert json.loads(walked.road.enclave("loan", "list", "--json").out)[0]["state"] == LoanState.DESTROYED
    for institution in (*SENDERS, LENDER):
        assert not list((walked.road.sshd.root / institution / "in").iterdir())


def test_each_drop_is_answered(walked: Walked, received: dict[tuple[str, str], list[Path]]) -> None:
    """A receipt and a feedback come for each drop; the totals are those of the file and name the mistyped row."""
    for sender in SENDERS:
        expected = 2 if sender == "airen" else 1
        assert len(received[sender, "receipts"]) == len(received[sender, "feedback"]) == expected
        assert len(received[sender, "bundles"]) == 1
    faults = read_csv((received["ceren", "feedback"][0] / "tilbakemelding.csv").read_bytes())
    # With the arrival its consent is refused, so nothing of the course is taken in.
    refused = [(row["Forløpsnummer"], row["Regel"]) for row in faults if row["Følge"] == "Raden er ikke tatt inn"]
    assert sorted(refused) == [
        (REFUSED.course_id, rule)
        for rule in (
            "above_maximum", "discharge.arrival_known", "follow_up_12.arrival_known", "follow_up_6.arrival_known",
        )
    ]  # fmt: skip
    receipt = json.loads((received["ceren", "receipts"][0] / "kvittering.json").read_bytes())
    sent = dict(walked.drops)["ceren"].name
    assert receipt["drop_id"] == sent
    assert b"44" not in (received["ceren", "feedback"][0] / "tilbakemelding.csv").read_bytes()


def test_a_package_holds_what_its_manifest_says(received: dict[tuple[str, str], list[Path]]) -> None:
    """Each package's manifest names its recipient and the SHA-256 of each file, of any kind."""
    import hashlib

    for (institution, _), folders in received.items():
        for folder in folders:
            manifest = json.loads((folder / "MANIFEST.json").read_bytes())
            assert manifest["recipient"] == institution
            assert manifest["files"]
            for file in manifest["files"]:
                content = (folder / file["name"]).read_bytes()
                assert (hashlib.sha256(content).hexdigest(), len(content)) == (file["sha256"], file["size"])


def test_the_lender_gets_a_certificate(received: dict[tuple[str, str], list[Path]]) -> None:
    """The certificate names the loan and states that key and files are gone and that decryption fails."""
    (folder,) = received[LENDER, "bundles"]
    certificate = json.loads((folder / "sertifikat.json").read_bytes())
    assert certificate["loan_id"] == LOAN
    checks = certificate["checks"]
    assert [checks[name] for name in ("decryption_fails", "files_absent", "key_absent")] == [True, True, True]
    assert (checks["files_with_residue"], checks["files_looked_through"] > 0) == (0, True)
    assert {"bevis.tlog-proof", "vkey", "verify.py"} <= {path.name for path in folder.iterdir()}
    assert LOAN in (folder / "sertifikat.txt").read_text()


FORMS = {"Ankomst": "arrival", "Avslutning": "discharge", "6 måneder": "follow_up_6", "12 måneder": "follow_up_12"}
Key = tuple[str, str]
Typed = dict[str, dict[Key, dict[str, str]]]


def typed(form: str) -> Typed:
    """What was typed and stands at the end: by institution, by (person, course); corrections replace.

    A mistyped arrival stands nowhere, and what follows on it neither.
    """
    stands: Typed = {}
    for sender in SENDERS:
        stands[sender] = {}
        for files in (sent_files(sender), corrected_files() if sender == "airen" else {}):
            for row in csv.DictReader(io.StringIO(files.get(f"{form}.csv", b"").decode()), delimiter=";"):
                if not 0 <= int(row["work_ability"]) <= 10 or row["course_id"] == REFUSED.course_id:
                    continue
                stands[sender][row["person_id"], row["course_id"]] = row
    return stands


def groups_of(institution: str) -> dict[str, list[str]]:
    """The label of each group in an institution's tables, and who is in it."""
    return {
        "Vår institusjon": [institution],
        "Øvrige institusjoner": [sender for sender in SENDERS if sender != institution],
        "Alle institusjoner": list(SENDERS),
    }


def told_of(form: str, senders: list[str]) -> dict[Key, dict[str, str]]:
    """The typed rows of some institutions without the person who withdrew."""
    stands = typed(form)
    rows = {key: row for sender in senders for key, row in stands[sender].items()}
    return {key: row for key, row in rows.items() if key[0] != WITHDRAWN.person_id}


def points_of(measure: str) -> list[str]:
    """The forms of `Ankomst` or of `Endring: Ankomst → Avslutning`."""
    return [FORMS[point] for point in measure.removeprefix("Endring: ").split(" → ")]


def mean_line(values: list[int]) -> Numbers:
    """(n, mean, low, high) as the CSV writes them."""
    n = len(values)
    mean = sum(values) / n
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(student.ppf(0.975, n - 1)) * spread / math.sqrt(n)
    return (n, *(f"{number:.1f}".replace(".", ",") for number in (mean, mean - half, mean + half)))  # type: ignore[return-value]


@pytest.mark.parametrize("institution", SENDERS)
def test_the_work_ability_table_is_what_a_naive_count_gives(
    institution: str, received: dict[tuple[str, str], list[Path]]
) -> None:
    """Own, others and all: n, mean and interval equal a recount of the typed files without the withdrawn person."""
    table = read_csv((received[institution, "bundles"][0] / "csv/work_ability.csv").read_bytes())
    measures = [*FORMS, *(f"Endring: Ankomst → {later}" for later in list(FORMS)[1:])]
    checked = []
    for label, senders in groups_of(institution).items():
        for line in (line for line in table if line["Gruppe"] == label):
            first, *later = [told_of(form, senders) for form in points_of(line["Måling"])]
            values = [int(row["work_ability"]) for row in first.values()]
            if later:
                pairs = [(row, first[key]) for key, row in later[0].items() if key in first]
                values = [int(after["work_ability"]) - int(before["work_ability"]) for after, before in pairs]
            shown = (
                int(line["Antall forløp (n)"]), line["Gjennomsnitt"], line["95 % KI fra"], line["95 % KI til"],
            )  # fmt: skip
            assert shown == mean_line(values), (label, line["Måling"])
            checked.append((label, line["Måling"]))
    assert sorted(checked) == sorted((label, measure) for label in groups_of(institution) for measure in measures)


def share_line(held: int, n: int) -> list[str]:
    """Share, low and high as the CSV writes them."""
    low, high = proportion_confint(held, n, method="wilson")
    return [f"{100 * part:.1f}".replace(".", ",") for part in (held / n, low, high)]


def has(benefit: str) -> Callable[[dict[str, str]], bool]:
    """Whether a row states a benefit."""
    return lambda row: row[f"benefits_{benefit}"] == "1"


HELD: dict[tuple[str, str], Callable[[dict[str, str]], bool]] = {
    ("work_participation", "I arbeid, helt eller delvis"): lambda row: int(row["work_participation_percent"]) > 0,
    ("full_return_to_work", "Uten sykepenger, AAP og uføretrygd"): lambda row: (
        not any(has(name)(row) for name in ("sick_pay", "aap", "disability_pension"))
    ),
    ("benefits", "Sykepenger"): has("sick_pay"),
    ("benefits", "Arbeidsavklaringspenger (AAP)"): has("aap"),
    ("benefits", "Uføretrygd"): has("disability_pension"),
    ("benefits", "Sosialhjelp"): has("social_assistance"),
    ("benefits", "Dagpenger"): has("unemployment"),
    ("completion", "Fullført"): lambda row: row["completion"] == "completed",
    ("completion", "Delvis gjennomført"): lambda row: row["completion"] == "partly",
    ("completion", "Avbrutt"): lambda row: row["completion"] == "interrupted",
}
"""(table, category) → whether a typed row is of it."""


@pytest.mark.parametrize("institution", SENDERS)
@pytest.mark.parametrize("table", ["work_participation", "full_return_to_work", "benefits", "completion"])
def test_each_share_is_what_a_naive_count_gives(
    table: str, institution: str, received: dict[tuple[str, str], list[Path]]
) -> None:
    """Every share that is shown, of any category, time point and group: count, n and Wilson interval."""
    lines = read_csv((received[institution, "bundles"][0] / f"csv/{table}.csv").read_bytes())
    categories = {category for named, category in HELD if named == table}
    assert categories <= {line["Kategori"] for line in lines}
    own = {(line["Kategori"], line["Tidspunkt"]) for line in lines if line["Tidspunkt"] in FORMS}
    for line in lines:
        if not line["Antall"].isdigit() or line["Kategori"] not in categories:
            continue
        rows = told_of(FORMS[line["Tidspunkt"]], groups_of(institution)[line["Gruppe"]])
        held = sum(HELD[table, line["Kategori"]](row) for row in rows.values())
        where = (line["Kategori"], line["Tidspunkt"], line["Gruppe"])
        assert (int(line["Antall"]), int(line["Antall forløp (n)"])) == (held, len(rows)), where
        share = next(name for name in line if name.startswith("Andel"))
        assert [line[share], line["95 % KI fra"], line["95 % KI til"]] == share_line(held, len(rows)), where
        if line["Gruppe"] == "Vår institusjon":
            own.discard(where[:2])
    assert {category for category, _ in own} & categories == set(), "an institution's own shares are all shown to it"


@pytest.mark.parametrize("institution", SENDERS)
def test_the_response_rate_is_what_a_naive_count_gives(
    institution: str, received: dict[tuple[str, str], list[Path]]
) -> None:
    """Answered of due, per follow-up and group: each discharge of 2024 is due both, and everybody answered in time."""
    lines = read_csv((received[institution, "bundles"][0] / "csv/response.csv").read_bytes())
    assert len(lines) == 6
    for line in lines:
        senders = groups_of(institution)[line["Gruppe"]]
        due, answered = told_of("discharge", senders), told_of(FORMS[line["Oppfølging"]], senders)
        assert int(line["Antall besvart"]) == len(answered.keys() & due.keys())
        assert int(line["Antall forfalt (n)"]) == len(due)
        assert [line["Andel (%)"], line["95 % KI fra"], line["95 % KI til"]] == share_line(len(answered), len(due))


@pytest.mark.parametrize("institution", SENDERS)
def test_each_transition_is_what_a_naive_count_gives(
    institution: str, received: dict[tuple[str, str], list[Path]]
) -> None:
    """Every transition of sick leave that is shown: count and row total of the courses that answered both times."""
    codes = {"Ikke sykmeldt": "none", "Delvis sykmeldt": "partial", "Fullt sykmeldt": "full"}
    lines = read_csv((received[institution, "bundles"][0] / "csv/sick_leave_transitions.csv").read_bytes())
    assert len(lines) == 2 * 3 * 3 * 3
    shown = 0
    for line in lines:
        if not line["Antall"].isdigit():
            continue
        before, after = (told_of(form, groups_of(institution)[line["Gruppe"]]) for form in points_of(line["Tidspunkt"]))
        begun = [key for key in after if key in before and before[key]["sick_leave"] == codes[line["Fra"]]]
        ended = [key for key in begun if after[key]["sick_leave"] == codes[line["Til"]]]
        assert (int(line["Antall"]), int(line["Antall fra (n)"])) == (len(ended), len(begun)), line
        shown += 1
    assert shown >= 9


def test_the_corrected_row_counts_and_not_the_first_one(received: dict[tuple[str, str], list[Path]]) -> None:
    """The naive count that the table equals takes the second drop's work ability of the corrected course."""
    row = typed("arrival")["airen"][CORRECTED.person_id, CORRECTED.course_id]
    assert row["work_ability"] != str(CORRECTED.work_ability)


def test_the_benefits_table_is_what_a_naive_count_gives(received: dict[tuple[str, str], list[Path]]) -> None:
    """Each benefit in months 1–12: count, n, share and Wilson interval equal a recount; all get the same table."""
    names = {"Sykepenger": "sick_pay", "Arbeidsavklaringspenger (AAP)": "aap", "Uføretrygd": "disability_pension"}
    borrowed = {(row["person_id"], row["month"]): row for row in loan_rows()}
    # The tables are finished at linkage: a withdrawal that comes after it cannot be taken out of an aggregate.
    people = [key for stands in typed("discharge").values() for key in stands.items()]
    contents = {(received[sender, "bundles"][0] / "csv/benefits_by_month.csv").read_bytes() for sender in SENDERS}
    assert len(contents) == 1
    shown = 0
    for line in read_csv(contents.pop()):
        if not line["Antall som mottar"].isdigit():
            continue
        nth = int(line["Måned etter avslutning"])
        answers = []
        for (person, _), row in people:
            year, month = int(row["end_date"][:4]), int(row["end_date"][5:7]) + nth
            loan = borrowed[person, f"{year + (month - 1) // 12}-{(month - 1) % 12 + 1:02d}"]
            any_benefit = any(loan[name] == "1" for name in names.values())
            answers.append(
                loan[names[line["Ytelse"]]] == "1" if line["Ytelse"] in names
                else any_benefit is line["Ytelse"].startswith("Minst")
            )  # fmt: skip
        low, high = proportion_confint(sum(answers), len(answers), method="wilson")
        expected = [f"{100 * part:.1f}".replace(".", ",") for part in (sum(answers) / len(answers), low, high)]
        assert int(line["Antall som mottar"]) == sum(answers)
        assert int(line["Antall forløp (n)"]) == len(answers)
        assert [line["Andel (%)"], line["95 % KI fra"], line["95 % KI til"]] == expected
        shown += 1
    assert shown >= 48, "nearly all of 60 lines are large enough to be shown"


@pytest.mark.parametrize("institution", SENDERS)
def test_the_workbook_opens_and_says_what_the_csv_says(
    institution: str, received: dict[tuple[str, str], list[Path]]
) -> None:
    """resultater.xlsx opens in openpyxl, holds the numbers of the CSV as numbers, and no formula."""
    folder = received[institution, "bundles"][0]
    book = load_workbook(folder / "resultater.xlsx")
    cells = [cell.value for sheet in book.worksheets for row in sheet.iter_rows() for cell in row]
    assert not any(isinstance(value, str) and value.startswith("=") for value in cells)
    numbers = {value for value in cells if isinstance(value, int | float)}
    for line in read_csv((folder / "csv/work_ability.csv").read_bytes()):
        assert float(line["Gjennomsnitt"].replace(",", ".")) in numbers


def test_the_page_refers_to_nothing_outside(received: dict[tuple[str, str], list[Path]]) -> None:
    """rapport.html loads no script, style, image or font from anywhere, and its policy forbids it to."""
    for sender in SENDERS:
        page = (received[sender, "bundles"][0] / "rapport.html").read_text()
        assert "default-src 'none'" in page
        assert "<script" not in page.lower()
        loaded = re.findall(r"""(?:src|href|action|data)\s*=\s*["']([^"'#][^"']*)""", page)
        assert not [where for where in loaded if not where.startswith("data:")]
        assert not re.findall(r"url\(\s*['\"]?(?!#|data:)", page)
        assert "@import" not in page


def test_no_package_names_a_person(received: dict[tuple[str, str], list[Path]]) -> None:
    """No file that leaves holds a national number, not even the numbers of the recipient's own people."""
    numbers = [row["person_id"].encode() for row in loan_rows()]
    for folders in received.values():
        for folder in folders:
            for file in folder.rglob("*"):
                content = file.read_bytes() if file.is_file() else b""
                assert not any(number in content for number in set(numbers)), file.name


def test_the_log_verifies_without_our_code(walked: Walked, tmp_path: Path) -> None:
    """The exported log verifies by verify.py alone, run by Python without site packages; one flipped byte shows."""
    out = tmp_path / "export"
    assert walked.road.enclave("audit", "export", str(out)).code == 0
    words = [sys.executable, "-I", "-S", "verify.py", "log.jsonl", "--checkpoints", "checkpoints", "--vkey", "vkey"]
    done = subprocess.run(words, cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert walked.road.enclave("audit", "verify").code == 0
    log = bytearray((out / "log.jsonl").read_bytes())
    log[len(log) // 2] ^= 1
    (out / "log.jsonl").write_bytes(log)
    assert subprocess.run(words, cwd=out, capture_output=True, check=False).returncode == 4


def test_the_checkpoint_in_a_bundle_is_of_this_log(
    walked: Walked, received: dict[tuple[str, str], list[Path]], tmp_path: Path
) -> None:
    """An auditor who holds only a clinic's bundle checks the exported log against the checkpoint in it."""
    out = tmp_path / "export"
    walked.road.enclave("audit", "export", str(out))
    older = received["airen", "bundles"][0] / "sjekkpunkt.txt"
    words = [sys.executable, "-I", "-S", "verify.py", "log.jsonl", "--checkpoints", "checkpoints", "--vkey", "vkey"]
    done = subprocess.run([*words, "--older", str(older)], cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
