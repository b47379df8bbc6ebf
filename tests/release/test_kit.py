"""The kit: whole, the institution's own, without a secret, and let out by the gate only as it is."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import openpyxl
import pytest

from enclave.crypto import age, openpgp, sshsig
from enclave.crypto.allowed_signers import fingerprint, parse_allowed_signers
from enclave.crypto.passphrase import ALPHABET, check_sign, groups, new_passphrase
from enclave.errors import Refused
from enclave.founding import CONFIG
from enclave.model.draft import Draft, DraftFile
from enclave.model.drop import InnerManifest, Manifest
from enclave.model.made_up import MADE_UP_PERSON
from enclave.registry.load import load
from enclave.release.gate import admit
from enclave.release.guide import Whose, guide, to_html
from enclave.release.kit import KitFor, kit
from enclave.release.mail import Mail, mail_text
from tests.identity.numbers import synthetic
from tests.release.example import receipt_draft

LOADED = load(CONFIG / "registries" / "kar")
PUBLIC = sshsig.new_key("enclave")[1]
RECIPIENT, CERTIFICATE = age.new_identity()[1], openpgp.new_key("kar")[1]
OPENPGP_ID = openpgp.key_id(CERTIFICATE)
WHOM = KitFor("kar", "muritunet", "Muritunet <b>& co</b>", "muritunet-1", PUBLIC, RECIPIENT, CERTIFICATE)
TODAY = date(2026, 11, 23)
SCRIPTS = ("lag-innsending.cmd", "verifiser.cmd", "kontroller-passord.cmd")


@pytest.fixture(scope="module")
def made() -> Draft:
    """Muritunet's kit."""
    return kit(WHOM, LOADED, TODAY)


@pytest.fixture(scope="module")
def files(made: Draft) -> dict[str, bytes]:
    """Its files by name."""
    return {file.name: file.content for file in made.files}


def _admit(draft: Draft) -> Draft:
    return admit(draft, recipient="muritunet", institutions={"muritunet", "alfa"})


def _with_file(draft: Draft, name: str, change: Callable[[bytes], bytes]) -> Draft:
    changed = [DraftFile(one.name, change(one.content) if one.name == name else one.content) for one in draft.files]
    return replace(draft, files=tuple(changed))


def test_the_gate_lets_a_kit_out_to_its_institution_only(made: Draft) -> None:
    """A kit is admitted as it was made, and to nobody else."""
    assert _admit(made) == made
    with pytest.raises(Refused, match="R_RECIPIENT"):
        admit(made, recipient="alfa", institutions={"muritunet", "alfa"})


@pytest.mark.parametrize("name", ["veiledning.html", "skjema/arrival.csv", "lag-innsending.cmd", "allowed_signers"])
def test_a_real_looking_number_stops_a_kit(made: Draft, name: str) -> None:
    """The one made-up number may be in it; another is a leak, wherever it stands."""
    other = synthetic(date(1970, 2, 3))
    assert other != MADE_UP_PERSON
    with pytest.raises(Refused, match="R_LEAK"):
        _admit(_with_file(made, name, lambda content: content + f"\r\n{other}\r\n".encode()))


def test_the_made_up_number_is_allowed_in_a_kit_only() -> None:
    """In any other kind it is a national number like others."""
    with pytest.raises(Refused, match="R_LEAK"):
        admit(receipt_draft(text=MADE_UP_PERSON.encode()), recipient="alfa", institutions={"alfa"})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda draft: replace(draft, files=draft.files[1:]), "R_KIND"),
        (lambda draft: replace(draft, files=(*draft.files, DraftFile("passord.txt", b"x"))), "R_KIND"),
        (lambda draft: replace(draft, files=(*draft.files, DraftFile("skjema/a.exe", b"x"))), "R_KIND"),
        (lambda draft: _with_file(draft, "veiledning.html", lambda page: page + b"<script>1</script>"), "R_FORM"),
        (lambda draft: _with_file(draft, "maler/manifest-ute.json", lambda _: b"[1]"), "R_FORM"),
        (lambda draft: _with_file(draft, "skjema/arrival.xlsx", lambda _: b"PK\x03\x04"), "R_FORM"),
    ],
)
def test_a_kit_with_something_else_does_not_leave(made: Draft, change: Callable[[Draft], Draft], code: str) -> None:
    """Its files are a closed set, and each is what its name says."""
    with pytest.raises(Refused, match=code):
        _admit(change(made))


def test_the_same_kit_has_the_same_bytes(made: Draft) -> None:
    """Nothing in a kit depends on when it is made within a year, or on chance."""
    assert [file.content for file in kit(WHOM, LOADED, date(2026, 1, 2)).files] == [file.content for file in made.files]


def test_the_key_of_a_kit_is_the_one_that_signs_packages(files: dict[str, bytes]) -> None:
    """`allowed_signers` names the registry's key for packages and nothing else; the fingerprint is that key's."""
    (signer,) = parse_allowed_signers(files["allowed_signers"].decode())

    assert (signer.principal, signer.namespaces) == ("enclave@kar", ("bundle@kar",))
    assert fingerprint(signer.public_key) == fingerprint(PUBLIC)
    assert fingerprint(PUBLIC) in files["fingeravtrykk.txt"].decode("utf-8-sig")


def test_a_kit_knows_the_key_before_and_the_key_after() -> None:
    """While the key for packages is replaced a kit trusts both, and later the retired one too: packages stay good."""
    following, retired = (sshsig.new_key("enclave")[1] for _ in range(2))
    whom = replace(WHOM, next_bundle_key=following, earlier_bundle_keys=(retired,))
    files = {file.name: file.content for file in kit(whom, LOADED, TODAY).files}
    signers = parse_allowed_signers(files["allowed_signers"].decode())
    told = files["fingeravtrykk.txt"].decode("utf-8-sig")
    expected = [fingerprint(key) for key in (PUBLIC, following, retired)]
    assert [fingerprint(one.public_key) for one in signers] == expected
    assert {(one.principal, one.namespaces) for one in signers} == {("enclave@kar", ("bundle@kar",))}
    assert [one in told for one in expected] == [True, True, False]
    assert admit(kit(whom, LOADED, TODAY), recipient="muritunet", institutions={"muritunet"})


def test_the_keys_to_seal_to_are_the_registrys(files: dict[str, bytes]) -> None:
    """`age -R` and `gpg --recipient-file` read them as they are; the guide tells the ids that manifests name."""
    assert files["nokler/age.txt"] == f"{RECIPIENT}\n".encode()
    assert openpgp.key_id(files["nokler/openpgp.asc"].decode("ascii")) == OPENPGP_ID
    page = files["veiledning.html"].decode()
    assert f"<code>{RECIPIENT}</code>" in page
    assert f"<code>{OPENPGP_ID}</code>" in page
    assert not re.search(r"AGE-NOKKEL|OPENPGP-ID", page)


def test_a_workbook_explains_every_column_and_code(files: dict[str, bytes]) -> None:
    """The sheet to fill in has the CSV file's header; the sheet beside it has each column and each code once."""
    for form in LOADED.definition.forms:
        book = openpyxl.load_workbook(io.BytesIO(files[f"skjema/{form.id}.xlsx"]))
        header = [cell.value for cell in book.worksheets[0][1]]
        csv_header = files[f"skjema/{form.id}.csv"].decode("utf-8-sig").splitlines()[0]
        explained = list(book["Forklaring"].iter_rows(min_row=2, values_only=True))
        assert ";".join(f'"{name}"' for name in header) == csv_header
        assert [row[0] for row in explained if row[0]] == header
        codes = [code.value for variable in form.variables if variable.kind == "code" for code in variable.codes]
        assert [row[6] for row in explained if row[6]] == codes
        assert all(row[1] for row in explained if row[0])


def test_the_templates_have_exactly_the_keys_of_the_manifests(files: dict[str, bytes]) -> None:
    """Filled in, they pass the schemas that the server reads them by."""
    outer, inner = (json.loads(files[f"maler/manifest-{which}.json"]) for which in ("ute", "inne"))
    filled = {"drop_id": "7b1c35a2-60b0-4a2b-8d53-6f6a1d2f7c01"}
    digest = "a" * 64

    assert Manifest.model_validate_json(json.dumps({**outer, **filled, "payload_sha256": digest})).sender == "muritunet"
    listed = [{**file, "sha256": digest} for file in inner["files"]]
    assert InnerManifest.model_validate_json(json.dumps({**inner, **filled, "files": listed})).sender == "muritunet"
    assert [file["name"] for file in inner["files"]] == [f"{form.id}.csv" for form in LOADED.definition.forms]


# --- Guide ------------------------------------------------------------------------------------------------------------


def test_the_guide_is_the_institutions_own(files: dict[str, bytes]) -> None:
    """It bears the institution's name as text, its ids and its registry's forms; no mark of the source is left."""
    page = files["veiledning.html"].decode()
    shown = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)

    assert "Muritunet &lt;b&gt;&amp; co&lt;/b&gt;" in page
    assert not [mark for mark in ("DERES-ID", "```", "**", "|---", "](", "&amp;lt;") if mark in shown]
    assert all(f"{form.id}.csv" in page and form.label.nb in page for form in LOADED.definition.forms)
    assert "<script" not in page
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert page.count("<h1>") == 1


def test_the_guide_serves_another_registry() -> None:
    """The registry's id stands in commands and folders as its own, not as KAR's."""
    page = guide(Whose("oslo", "Oslo", "oslo-1", "age1x", "ABCD", "nnrr", "Rygg", (("basis.csv", "Basis"),))).decode()

    assert "drop@nnrr" in page
    assert not re.search(r"\bkar\b|arrival", page)


def test_the_guide_names_what_the_kit_has_and_nothing_else(files: dict[str, bytes]) -> None:
    """Every file of the kit that the guide tells people to use is in the kit."""
    page = files["veiledning.html"].decode()
    named = set(re.findall(r"<code>([a-z-]+\.cmd|fingeravtrykk\.txt)</code>", page))

    assert named == {*SCRIPTS, "fingeravtrykk.txt"}
    assert {name.replace("maler\\", "maler/") for name in re.findall(r"maler\\[a-z-]+\.json", page)} <= set(files)


def test_markup_in_the_source_is_shown_and_not_obeyed() -> None:
    """Only the guide's own marks become elements."""
    assert to_html("<img src=x> & `<b>` **a** *b*") == (
        "<p>&lt;img src=x&gt; &amp; <code>&lt;b&gt;</code> <strong>a</strong> <em>b</em></p>"
    )
    assert to_html("1. a\n   b\n\n   ```cmd\n   x < y\n   ```\n2. c") == (
        "<ol>\n<li>a b\n<pre><code>x &lt; y</code></pre></li>\n<li>c</li>\n</ol>"
    )


# --- Scripts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one_that_windows_runs(files: dict[str, bytes], name: str) -> None:
    """ASCII, CRLF only, every label that is jumped to exists, the end sets an exit code; no PowerShell, no network."""
    text = files[name].decode("ascii")
    labels = set(re.findall(r"(?m)^:([a-z]+)\r$", text))

    assert text.startswith("@echo off\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert set(re.findall(r"(?:goto|call :)\s?([a-z]+)", text)) <= labels
    assert text.rstrip().endswith(("exit /b 0", "exit /b 1"))
    assert not re.search(r"(?i)powershell|curl|bitsadmin|https?:|ftp|\{[a-z]", text)
    assert "|" not in text  # the exit code after a pipe is that of its last part; no script here depends on one


def test_the_script_names_the_institution_and_its_forms(files: dict[str, bytes]) -> None:
    """It takes the forms' files and their one workbook only, so that no other file's name reaches the command line."""
    text = files["lag-innsending.cmd"].decode("ascii")
    listed = " ".join((*(f"{form.id}.csv {form.id}.xlsx" for form in LOADED.definition.forms), "kar.xlsx"))

    assert text.count(f"for %%F in ({listed}) do") == 2
    assert '"sender": "muritunet"' in text
    assert '"recipient_kid": "muritunet-1"' in text
    assert "-n drop@kar " in text


def test_the_script_checks_letters_as_they_are_printed(files: dict[str, bytes]) -> None:
    """Its steps, done here, end in zero for each group of a letter with its sign."""
    text = files["kontroller-passord.cmd"].decode("ascii")
    values = {sign: int(value) for sign, value in re.findall(r'set "V_(.)=(\d+)"', text)}
    assert 'set /a "REST=REST<<1"' in text
    assert 'set /a "REST=REST ^ (37 * ((REST >> 5) & 1))"' in text
    assert f"skrives ABCDE{check_sign('ABCDE', 1)}\r\n" in text

    for place, group in enumerate(groups(new_passphrase()), start=1):
        rest = place
        for sign in group + check_sign(group, place):
            rest = rest << 1
            rest ^= 37 * (rest >> 5 & 1)
            rest ^= values[sign]
        assert rest == 0
    assert "in (1,1,6)" in text


def test_a_check_sign_shows_every_slip() -> None:
    """One wrong sign, two signs swapped, and two groups swapped never keep the sign."""
    group = "K7QWM"
    right = check_sign(group, 2)

    for place in range(5):
        for sign in set(ALPHABET) - {group[place]}:
            assert check_sign(group[:place] + sign + group[place + 1 :], 2) != right
    for one in range(5):
        for other in range(one + 1, 5):
            swapped = list(group)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            assert check_sign("".join(swapped), 2) != right
    assert all(check_sign(group, place) != right for place in (1, 3, 4, 5, 6))


# --- E-mail -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mail", Mail)
def test_no_mail_says_that_something_has_arrived(mail: Mail) -> None:
    """No e-mail speaks of results, receipts or news, names anybody, or has a number or an address in it."""
    text = mail_text(mail, "KAR")
    whole = f"{text.subject}\n{text.body}"

    news = r"(?i)resultat|kvittering|mottatt|ligger klar|har kommet|ny pakke|nytt|innsending|pasient"
    assert not re.search(news, whole)
    assert not re.search(r"\d|@|https?:|\{", whole)
    assert "\n" not in text.subject


def test_the_reminder_is_the_same_whatever_waits() -> None:
    """It says so itself, and there is nothing in it that could differ between institutions."""
    assert "enten det er noe å hente eller ikke" in mail_text(Mail.REMINDER, "KAR").body
