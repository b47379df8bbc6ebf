"""What the gate lets through, and what is planted to get past it."""

import contextlib
import io
import random
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave.errors import Refused
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.release.gate import POLICIES, Box, admit, policy_of
from enclave.release.leaks import has_control_digits, leaks
from enclave.release.ledger import ledger_record
from tests.release.example import receipt_draft, result_draft, site

INSTITUTIONS = {"alfa", "beta"}
PSEUDONYM = "0123456789abcdef" * 2
PERSON = "13897248098"  # synthetic (month + 80), with valid control digits


def _admit(draft: Draft, **changes: object) -> Draft:
    return admit(draft, **({"recipient": "alfa", "institutions": INSTITUTIONS} | changes))  # type: ignore[arg-type]


def _with_file(draft: Draft, name: str, change: Callable[[bytes], bytes]) -> Draft:
    return replace(
        draft,
        files=tuple(replace(file, content=change(file.content)) if file.name == name else file for file in draft.files),
    )


def _workbook_with(change: Callable[[openpyxl.Workbook], None]) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        book = openpyxl.load_workbook(io.BytesIO(content))
        change(book)
        written = io.BytesIO()
        book.save(written)
        return written.getvalue()

    return changed


def _with_part(name: str, text: str) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        copied = io.BytesIO(content)
        with zipfile.ZipFile(copied, "a") as archive:
            archive.writestr(name, text)
        return copied.getvalue()

    return changed


def test_what_the_stages_make_passes() -> None:
    """Results and receipts are admitted unchanged."""
    for draft in (result_draft(), receipt_draft()):
        assert _admit(draft) is draft


@pytest.mark.parametrize("recipient", ["beta", "gamma", ""])
def test_a_draft_for_someone_else_is_refused(recipient: str) -> None:
    """The recipient of the draft is the one expected, and one that the registry knows."""
    with pytest.raises(Refused, match="R_RECIPIENT"):
        _admit(result_draft(), recipient=recipient)
    with pytest.raises(Refused, match="R_RECIPIENT"):
        _admit(replace(receipt_draft(), recipient=recipient), recipient="alfa")


def test_only_what_may_be_public_has_no_recipient() -> None:
    """National tables go to everyone; a receipt never does; an unknown institution gets nothing."""
    public = replace(result_draft(), recipient="", files=site())
    assert _admit(public, recipient="") is public
    with pytest.raises(Refused, match="R_KIND"):
        _admit(replace(result_draft(), recipient=""), recipient="")
    with pytest.raises(Refused, match="R_KIND"):
        _admit(replace(result_draft(), files=site()))
    with pytest.raises(Refused, match="R_RECIPIENT"):
        _admit(replace(receipt_draft(), recipient=""), recipient="")
    with pytest.raises(Refused, match="R_RECIPIENT"):
        _admit(replace(receipt_draft(), recipient="gamma"), recipient="gamma")


@pytest.mark.parametrize(
    "planted",
    [
        b"<img src='//elsewhere.example/x.png'>",
        b'<a href="https://elsewhere.example/">x</a>',
        b'<a href="javascript:alert(1)">x</a>',
        b"<style>p { background: url(https://elsewhere.example/x) }</style>",
        b'<style>@import "x.css";</style>',
        b'<svg><use xlink:href="https://elsewhere.example/x.svg"/></svg>',
        b"<SCRIPT>1</SCRIPT>",
        b'<p onclick="x()">x</p>',
        b'<meta http-equiv="refresh" content="0">',
        b"<iframe></iframe>",
    ],
)
def test_what_everyone_may_open_fetches_and_runs_nothing(planted: bytes) -> None:
    """A national page that reaches out, in whatever way, is refused as a whole."""
    files = tuple(replace(file, content=file.content + planted) for file in site())
    with pytest.raises(Refused, match="R_FORM"):
        _admit(replace(result_draft(), recipient="", files=files), recipient="")


def test_a_kind_without_a_policy_does_not_leave() -> None:
    """The set is closed: what has no policy yet is refused, whatever its files."""
    for kind in set(Kind) - set(POLICIES):
        with pytest.raises(Refused, match="R_KIND"):
            _admit(replace(receipt_draft(), kind=kind))
    decided = {kind for kind, policy in POLICIES.items() if policy.needs_person}
    assert decided == {Kind.RELEASABLE_TABLE, Kind.OWN_RECORDS}
    assert policy_of(Kind.RECEIPT).box is Box.RECEIPTS
    assert not any(policy.names_people for policy in POLICIES.values())


@pytest.mark.parametrize(
    "change",
    [
        lambda draft: replace(draft, files=draft.files[1:]),
        lambda draft: replace(draft, files=(*draft.files, DraftFile("ekstra.txt", b"x"))),
        lambda draft: replace(draft, files=(*draft.files, draft.files[0])),
        lambda draft: replace(draft, files=(*draft.files, DraftFile("csv/../rapport.html", b"x"))),
        lambda draft: replace(draft, files=(*draft.files, DraftFile("csv/a.csv\n", b"\xef\xbb\xbf"))),
        lambda draft: replace(draft, tables=()),
        lambda _: replace(receipt_draft(), tables=(("work_ability", "2024-01-01/2024-12-31"),)),
    ],
    ids=["missing", "further", "twice", "path", "line end", "results without tables", "receipt with tables"],
)
def test_the_files_are_exactly_those_of_the_kind(change: Callable[[Draft], Draft]) -> None:
    """A draft with a file too few or too many is refused."""
    with pytest.raises(Refused, match="R_KIND"):
        _admit(change(result_draft()))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("resultater.xlsx", _workbook_with(lambda book: book.worksheets[0].cell(40, 1, "=1+1"))),  # type: ignore[arg-type, return-value]
        ("resultater.xlsx", _workbook_with(lambda book: setattr(book.worksheets[1], "sheet_state", "hidden"))),
        ("resultater.xlsx", _workbook_with(lambda book: setattr(book.worksheets[1], "sheet_state", "veryHidden"))),
        ("resultater.xlsx", _with_part("xl/vbaProject.bin", "x")),
        ("resultater.xlsx", _with_part("xl/externalLinks/externalLink1.xml", "<x/>")),
        ("resultater.xlsx", lambda content: content[:-30]),
        ("resultater.xlsx", lambda _: b"PK\x03\x04"),
        ("resultater.xlsx", lambda _: b"not a workbook"),
        ("rapport.html", lambda content: content.replace(b"</main>", b"<SCRIPT>1</SCRIPT></main>")),
        ("rapport.html", lambda content: content + b"\xff"),
        ("csv/work_ability.csv", lambda content: content[3:]),
        ("csv/work_ability.csv", lambda content: content + b"\x00"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(name: str, change: Callable[[bytes], bytes]) -> None:
    """Formulas, hidden sheets, macros, links, scripts and damaged files do not leave."""
    with pytest.raises(Refused, match="R_FORM"):
        _admit(_with_file(result_draft(), name, change))


def test_an_archive_under_the_name_of_a_text_is_refused() -> None:
    """Only a workbook is an archive; what pretends to be a text is not unpacked to be searched."""
    with pytest.raises(Refused, match="R_FORM"):
        _admit(receipt_draft(text=b"PK\x03\x04 text"))


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_workbook_is_refused_or_the_same(seed: int) -> None:
    """Wherever a byte is changed, the gate answers; it never fails in another way."""
    chance = random.Random(seed)
    content = bytearray(next(file.content for file in result_draft().files if file.name == "resultater.xlsx"))
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    with contextlib.suppress(Refused):
        _admit(_with_file(result_draft(), "resultater.xlsx", lambda _: bytes(content)))


@pytest.mark.parametrize("data", [b"[1]", b"{", b"\xff", b'"text"'])
def test_json_that_is_not_an_object_is_refused(data: bytes) -> None:
    """A receipt for programs is one object."""
    with pytest.raises(Refused, match="R_FORM"):
        _admit(receipt_draft(data=data))


@pytest.mark.parametrize(
    "planted",
    [
        PERSON,
        f"{PERSON[:6]} {PERSON[6:]}",
        f"x{PERSON}y",
        "19811218-9876",
        "_pseudonym",
        PSEUDONYM,
        "6,123456",
    ],
    ids=["number", "number with a space", "glued number", "Swedish number", "column", "pseudonym", "withheld number"],
)
def test_what_must_not_leave_is_found_wherever_it_is_planted(planted: str) -> None:
    """In text, page, CSV, a cell, a sheet's name, the properties and the file of styles of a workbook."""

    def in_cell(book: openpyxl.Workbook) -> None:
        book.worksheets[0].cell(60, 3, planted)

    def in_title(book: openpyxl.Workbook) -> None:
        with warnings.catch_warnings(action="ignore"):  # a title may be longer than Excel likes
            book.worksheets[0].title = planted

    def in_properties(book: openpyxl.Workbook) -> None:
        book.properties.description = planted

    results = result_draft()
    drafts = [
        receipt_draft(text=f"Rad 4: {planted}.".encode()),
        receipt_draft(data=f'{{"a": "{planted}"}}'.encode()),
        _with_file(results, "rapport.html", lambda page: page.replace(b"</desc>", planted.encode() + b"</desc>", 1)),
        _with_file(results, "csv/work_ability.csv", lambda content: content + f'"{planted}"\r\n'.encode()),
        *(
            _with_file(results, "resultater.xlsx", _workbook_with(change))
            for change in (in_cell, in_title, in_properties)
        ),
    ]
    for draft in drafts:
        with pytest.raises(Refused, match="R_LEAK") as refused:
            _admit(draft, withheld_texts=frozenset({"6,123456"}))
        assert planted not in str(refused.value)


def test_a_number_written_as_entities_is_found() -> None:
    """A browser would show it."""
    entities = "".join(f"&#{ord(digit)};" for digit in PERSON)
    assert leaks("a.html", entities.encode(), names_people=False, withheld_texts=())


@given(st.uuids(version=4), st.binary(min_size=32, max_size=32))
def test_random_identifiers_and_digests_are_no_leak(identifier: UUID, digest: bytes) -> None:
    """A receipt holds both; digits in them are chance, and chance must not hold an answer back."""
    text = f'{{"drop": "{identifier}", "sha256": "{digest.hex()}"}}'
    assert not leaks("kvittering.json", text.encode(), names_people=False, withheld_texts=())


@pytest.mark.parametrize(
    ("number", "valid"),
    [(PERSON, True), ("53897248081", True), ("13897248099", False), ("00000000001", False), ("12345678901", False)],
)
def test_control_digits_tell_a_national_number_from_a_number(number: str, valid: bool) -> None:
    """Both weighted sums must fit."""
    assert has_control_digits(number) is valid


def test_the_ledger_keeps_digests_and_not_contents() -> None:
    """What left can be told again by hash; the record holds none of it."""
    record = ledger_record(result_draft())
    assert [content.name for content in record.contents] == sorted(file.name for file in result_draft().files)
    assert all(len(content.sha256) == 64 for content in record.contents)
    assert (record.kind, record.recipient, record.state, record.tables[0][0]) == (
        Kind.RELEASABLE_TABLE,
        "alfa",
        7,
        "work_ability",
    )
