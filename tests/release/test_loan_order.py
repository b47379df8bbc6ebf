"""The order of a loan: the list is ciphertext to the lender, the letter names nobody, and the gate takes no other."""

import hashlib
from dataclasses import replace
from datetime import date

import pytest

from enclave.crypto import age
from enclave.errors import Refused, Rejected
from enclave.founding import CONFIG
from enclave.model.draft import Draft, DraftFile, Kind
from enclave.model.loan import LoanAgreement
from enclave.registry.definition import Identifier
from enclave.registry.load import load
from enclave.release.gate import admit
from enclave.release.loan_order import Wanted, order_files

KAR = load(CONFIG / "registries" / "kar").definition
AGREEMENT = LoanAgreement("nav-2026", "kar", "nav", "linkage", "2026/1", ("aap", "sick_pay"), date(2027, 1, 31))
PEOPLE = ("13897248098", "01815512345")
IDENTITY, RECIPIENT = age.new_identity()
ANSWER = age.new_identity()[1]


def order() -> Draft:
    """An order for two people, one of them named twice."""
    wanted = Wanted((PEOPLE[0], PEOPLE[1], PEOPLE[0]), "2024-02", "2025-12")
    files = order_files(wanted, AGREEMENT, KAR, KAR.loans[0], age_key=RECIPIENT, answer_key=ANSWER)
    return Draft(Kind.LOAN_ORDER, "kar", "nav", 3, "0" * 64, files)


def admitted(draft: Draft) -> Draft:
    """What the gate lets through to the lender."""
    return admit(draft, recipient="nav", institutions={"nav", "alfa"})


def test_the_lender_alone_opens_the_list() -> None:
    """One column, each number once, sorted; another key opens nothing."""
    sealed, _ = order().files

    assert age.open(sealed.content, IDENTITY).decode("utf-8-sig") == (
        '"person_id"\r\n' + "".join(f'"{number}"\r\n' for number in sorted(PEOPLE))
    )
    with pytest.raises(Rejected, match="E_AGE"):
        age.open(sealed.content, age.new_identity()[0])


def test_the_letter_says_what_is_asked_and_names_nobody() -> None:
    """Variables, months, case, day of destruction, the key for the answer, and the digest of the list."""
    sealed, letter = admitted(order()).files
    text = letter.content.decode("utf-8-sig")

    for said in ("nav-2026", "2026/1", "aap, sick_pay", "2024-02 til 2025-12", "2027-01-31", ANSWER, "numre:      2"):
        assert said in text
    assert hashlib.sha256(sealed.content).hexdigest() in text
    assert not [number for number in PEOPLE if number in text]


@pytest.mark.parametrize(
    "planted",
    [
        DraftFile("bestilling.age", "\r\n".join(PEOPLE).encode()),
        DraftFile("bestilling.age", b"age-encryption.org/v1\n" + PEOPLE[0].encode()),
        DraftFile("bestilling.age", b"age-encryption.org/v1\n-> X25519 \n" + PEOPLE[0].encode()),
        DraftFile("bestilling.txt", f"Numre: {PEOPLE[0]}".encode()),
        DraftFile("bestilling.csv", b"\xef\xbb\xbfperson_id"),
    ],
)
def test_a_list_in_clear_does_not_leave(planted: DraftFile) -> None:
    """Numbers where the ciphertext belongs, behind its header, in the letter, or in a file of their own are refused."""
    whole = order()
    files = (*(file for file in whole.files if file.name != planted.name), planted)

    with pytest.raises(Refused, match=r"R_FORM|R_LEAK|R_KIND"):
        admitted(replace(whole, files=files))


def test_the_letter_says_how_people_are_recognised_where_that_is_declared() -> None:
    """Legal basis and population of the agreement, and the columns that tell who a row without a number is about."""
    agreement = replace(AGREEMENT, legal_basis="artikkel 9 nr. 2 bokstav j", population="ankomst i 2024")
    born = Identifier(name="birth_date", kind="date", ours="birth_date")
    kind = KAR.loans[0].model_copy(update={"identifiers": (born,)})
    wanted = Wanted(PEOPLE, "2024-02", "2025-12")
    _, letter = order_files(wanted, agreement, KAR, kind, age_key=RECIPIENT, answer_key=ANSWER)
    text = letter.content.decode("utf-8-sig")

    assert "Hjemmel:           artikkel 9 nr. 2 bokstav j\r\n" in text
    assert "Gjelder:           ankomst i 2024\r\n" in text
    assert "kolonnene person_id; month; birth_date; aap; sick_pay" in text
    assert "birth_date" not in order().files[1].content.decode("utf-8-sig")
