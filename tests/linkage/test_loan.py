"""How a borrowed file is opened, and how it is refused."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.cli.client import Submission, seal
from enclave.crypto import age, sshsig
from enclave.errors import Halt, Rejected
from enclave.linkage.loan import new_loan_key
from enclave.linkage.read import read_rows
from enclave.model.drop import PlainFile
from enclave.registry.definition import Identifier
from tests.linkage.loans import AGREEMENT, FORM, NAMES, NOW, Lender

CANARY = "12345678901"
HEADER = "person_id;month;sick_pay;aap;disability_pension;salary\n"
GOOD = (HEADER + f"{CANARY};2024-03;ja;nei;;500000\n{CANARY};2024-04;1;0;FALSE;500000\n").encode()


def test_a_good_file_gives_its_agreed_rows_and_drops_the_rest() -> None:
    """Numbers as text, months as text, booleans typed, empty unknown; a column not agreed never enters."""
    rows = Lender(GOOD).open()
    assert rows.frame.columns == ["_person_id", "month", *NAMES]
    assert rows.frame.rows() == [
        (CANARY, "2024-03", True, False, None),
        (CANARY, "2024-04", True, False, False),
    ]
    assert rows.dropped_columns == 1
    assert CANARY not in repr(rows)


def test_the_client_s_own_loan_file_opens(tmp_path: Path) -> None:
    """What `client seal --recipient` makes is what this room opens."""
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "lan.csv").write_bytes(GOOD)
    lender = Lender(GOOD)
    about = Submission(registry="kar", sender="nav", recipient_kid="nav-2026", at=NOW)
    drop = seal(tmp_path / "csv", tmp_path, about, sign_key=lender.signing[0], recipient=lender.keys[1])
    sealed = [(drop / name).read_bytes() for name in ("manifest.json", "manifest.json.sig", "payload.age")]
    assert lender.open((sealed[0], sealed[1], sealed[2])).frame.equals(lender.open().frame)


def test_a_variable_outside_the_agreement_is_dropped_at_the_door() -> None:
    """What the definition knows but this loan's agreement does not name stays unknown, whatever the file says."""
    rows = Lender(GOOD).open(agreement=replace(AGREEMENT, variables=("aap",)))
    assert rows.frame["sick_pay"].is_null().all()
    assert rows.frame["aap"].to_list() == [False, False]
    assert rows.dropped_columns == 3


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("E_LOAN_REGISTRY", {"outer": {"registry": "kvarus"}}),
        ("E_LOAN_LENDER", {"outer": {"sender": "ssb"}}),
        ("E_LOAN_KEY", {"outer": {"recipient_kid": "nav-2025"}}),
        ("E_LOAN_FORMAT", {"outer": {"format": "aes-zip"}}),
        ("E_LOAN_DIGEST", {"outer": {"payload_size": 1}}),
        ("E_LOAN_DIGEST", {"outer": {"payload_sha256": "0" * 64}}),
        ("E_LOAN_MANIFEST", {"outer": {"comment": "hei"}}),
        ("E_LOAN_MANIFEST", {"outer": {"sender": CANARY}}),
        ("E_LOAN_MANIFEST", {"inner": {"comment": CANARY}}),
        ("E_LOAN_BINDING", {"inner": {"sender": "ssb"}}),
        ("E_LOAN_BINDING", {"inner": {"drop_id": "1e2f6a5e-6f0e-4a4c-9d5e-0c5b7a3b1f10"}}),
        ("E_LOAN_BINDING", {"inner": {"recipient_kid": "nav-2025"}}),
        ("E_LOAN_FILES", {"inner": {"files": []}}),
        ("E_LOAN_FILES", {"inner": {"files": [{"name": "lan.csv", "sha256": "0" * 64, "size": len(GOOD)}]}}),
        ("E_LOAN_FILES", {"more": (PlainFile("extra.csv", b"x"),)}),
        ("E_LOAN_FILES", {"name": "lan.txt"}),
        ("E_NAMESPACE", {"namespace": "drop@kar"}),
    ],
)
def test_each_disagreement_has_a_code_of_its_own(code: str, wrong: dict[str, Any]) -> None:
    """A file that disagrees with its manifests, its signature or the agreement is rejected, and no value is told."""
    with pytest.raises(Rejected) as caught:
        Lender(GOOD, **wrong).open()
    assert caught.value.code == code
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_signed_by_somebody_else_is_rejected() -> None:
    """The lender's key, and no other, vouches for a loan."""
    lender = Lender(GOOD)
    manifest, _, payload = lender.sealed()
    stranger, _ = sshsig.new_key("nav")
    with pytest.raises(Rejected, match="E_SENDER"):
        lender.open((manifest, sshsig.sign(manifest, stranger, "loan@kar"), payload))
    with pytest.raises(Rejected, match="E_SIG"):
        lender.open((manifest + b" ", lender.sealed()[1], payload))
    with pytest.raises(Rejected, match="E_SIG"):
        lender.open((manifest, b"", payload))


def test_a_file_sealed_to_another_loan_does_not_open() -> None:
    """Only this loan's key opens this loan's file."""
    lender = Lender(GOOD)
    with pytest.raises(Rejected, match="E_AGE"):
        lender.open(identity=new_loan_key()[0])


def test_an_envelope_without_a_manifest_or_without_a_container_is_rejected() -> None:
    """What age protects is still read strictly."""
    lender = Lender(GOOD)
    for plain in (b"person_id;month\n", b"", b"PK\x05\x06" + bytes(18)):
        payload = age.seal(plain, [lender.keys[1]])
        outer = json.loads(lender.sealed()[0])
        outer |= {"payload_sha256": hashlib.sha256(payload).hexdigest(), "payload_size": len(payload)}
        manifest = json.dumps(outer).encode()
        with pytest.raises(Rejected):
            lender.open((manifest, sshsig.sign(manifest, lender.signing[0], "loan@kar"), payload))


def test_a_manifest_that_says_a_key_twice_is_rejected() -> None:
    """Two programs must never read two things from one manifest."""
    lender = Lender(GOOD)
    manifest, _, payload = lender.sealed()
    twice = manifest[:-1] + b', "sender": "nav"}'
    with pytest.raises(Rejected, match="E_LOAN_MANIFEST"):
        lender.open((twice, sshsig.sign(twice, lender.signing[0], "loan@kar"), payload))
    with pytest.raises(Rejected, match="E_LOAN_MANIFEST"):
        lender.open((b"[" * 60_000, b"", payload))


def test_an_agreement_that_does_not_fit_the_definition_halts() -> None:
    """A variable that the definition does not have is our mistake, not the lender's."""
    for variables in (("income",), ()):
        with pytest.raises(Halt, match="H_LOAN_AGREEMENT"):
            Lender(GOOD).open(agreement=replace(AGREEMENT, variables=variables))


def test_a_signature_after_its_key_expired_is_rejected() -> None:
    """The time that counts is the run's, not the manifest's."""
    lender = Lender(GOOD)
    signer = sshsig.AllowedSigner(
        principal="nav",
        public_key=" ".join(lender.signing[1].split()[:2]),
        namespaces=("loan@kar",),
        valid_after=None,
        valid_before=datetime(2026, 5, 31, tzinfo=UTC),
    )
    with pytest.raises(Rejected, match="E_SIGNER_EXPIRED"):
        lender.open(signers=[signer])


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("E_LOAN_CSV", b""),
        ("E_LOAN_CSV", HEADER.encode() + b"\xff\xfe;2024-01;ja;nei;nei;1\n"),
        ("E_LOAN_CSV", HEADER.encode() + f"{CANARY};2024-01;ja\n".encode()),
        ("E_LOAN_CSV", HEADER.encode() + f'{CANARY};2024-01;"ja;nei;nei;1\n'.encode()),
        ("E_LOAN_CSV", HEADER.encode() + b"x" * 200_000),
        ("E_LOAN_EMPTY", HEADER.encode()),
        ("E_LOAN_HEADER", HEADER.replace("month", "maaned").encode()),
        ("E_LOAN_HEADER", HEADER.replace("salary", "aap").encode()),
        ("E_LOAN_HEADER", HEADER.replace("salary", "salary;salary").encode()),
        ("E_LOAN_HEADER", HEADER.replace(";", ",").encode()),
        ("E_LOAN_VALUES", HEADER.encode() + f"{CANARY};2024-13;ja;nei;nei;1\n".encode()),
        ("E_LOAN_VALUES", HEADER.encode() + f"{CANARY};;ja;nei;nei;1\n".encode()),
        ("E_LOAN_VALUES", HEADER.encode() + f"{CANARY};2024-01;kanskje;nei;nei;1\n".encode()),
    ],
)
def test_each_unreadable_file_has_a_code_and_tells_no_value(code: str, content: bytes) -> None:
    """Structure, header and values each have a code; what stands in the file is not repeated."""
    with pytest.raises(Rejected) as caught:
        read_rows(content, AGREEMENT, FORM)
    assert caught.value.code == code
    assert not [text for text in (CANARY, "kanskje", "2024-13", "salary") if text in str(caught.value)]


def test_all_wrong_columns_are_told_at_once() -> None:
    """Each wrong column is named with how many rows are wrong and where the first one stands."""
    content = HEADER + "1;2024-01;ja;x;nei;1\n1;x;ja;nei;y;1\n1;2024-02;ja;z;nei;1\n"
    with pytest.raises(Rejected) as caught:
        read_rows(content.encode(), AGREEMENT, FORM)
    assert caught.value.place == (
        "month: 1 rows, the first is row 3; aap: 2 rows, the first is row 2; "
        "disability_pension: 1 rows, the first is row 3"
    )


@given(
    st.binary(max_size=300) | st.text(alphabet="janei01;\n\r\"'2-4 \x00æ", max_size=80).map(lambda t: GOOD + t.encode())
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_rows_or_a_rejection(content: bytes) -> None:
    """No content of a borrowed file raises anything but Rejected."""
    try:
        rows = read_rows(content, AGREEMENT, FORM)
    except Rejected:
        return
    assert rows.frame.schema["sick_pay"] == pl.Boolean


def test_identifiers_are_read_as_both_sides_are_compared_by_them() -> None:
    """Dates as dates, text in small letters without needless spaces, empty unknown; a date that is none is told."""
    told = (
        Identifier(name="birth_date", kind="date", ours="birth_date"),
        Identifier(name="family_name", kind="text", ours="arrival.name"),
    )
    form = FORM.model_copy(update={"identifiers": told})
    header = "person_id;month;sick_pay;aap;disability_pension;birth_date;family_name\n"
    rows = read_rows(
        f"{header};2024-03;ja;nei;;1980-01-31;  De  la CRUZ \n;2024-03;ja;nei;;;\n".encode(), AGREEMENT, form
    )
    assert rows.frame.select("birth_date", "family_name").rows() == [(date(1980, 1, 31), "de la cruz"), (None, None)]
    with pytest.raises(Rejected, match="E_LOAN_VALUES") as caught:
        read_rows(f"{header};2024-03;ja;nei;;31.01.1980;x\n".encode(), AGREEMENT, form)
    assert caught.value.place == "birth_date: 1 rows, the first is row 2"
    with pytest.raises(Rejected, match="E_LOAN_HEADER"):
        read_rows(GOOD, AGREEMENT, form)
