"""What the validator of Norwegian national numbers knows."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave.identity.rules import IdKind, Mode, classify
from enclave.identity.texts import RULES
from tests.identity.numbers import number, slow, synthetic, with_control

TODAY = date(2026, 6, 1)
AFTER_2032 = date(2032, 1, 1)
BORN = date(1970, 2, 3)


def one(text: str | None, mode: Mode = Mode.PRODUCTION, today: date = TODAY) -> tuple[object, ...]:
    """The row for one id."""
    return classify(pl.Series([text], dtype=pl.String), mode, today).row(0)


@pytest.mark.parametrize(
    ("text", "kind", "born", "sex"),
    [
        ("31129956715", "fnr", date(1899, 12, 31), "male"),  # worked example, fnrinfo.no
        (number(BORN), "fnr", BORN, "female"),
        (number(date(2005, 2, 28)), "fnr", date(2005, 2, 28), "female"),
        (number(date(1996, 2, 29)), "fnr", date(1996, 2, 29), "female"),
        (number(BORN, day_added=40), "dnr", BORN, "female"),
        (number(BORN, month_added=40), "hnr", BORN, "female"),
    ],
)
def test_a_real_number_tells_kind_birth_date_and_sex(text: str, kind: str, born: date, sex: str) -> None:
    """Kind, birth date and sex of a real number are read from it in production."""
    assert one(text) == (kind, born, sex, True, None)


@pytest.mark.parametrize(
    ("added", "kind"),
    [({"month_added": 40}, "syn_nav"), ({"month_added": 65}, "syn_65"), ({"month_added": 80}, "syn_tenor")],
)
@pytest.mark.parametrize("foreign", [0, 40])
def test_a_synthetic_number_is_taken_in_a_test_folder_only(added: dict[str, int], kind: str, foreign: int) -> None:
    """Synthetic numbers are valid in a test folder only; in production month +40 on an ordinary day is an H-number."""
    text = number(BORN, day_added=foreign, **added)
    assert one(text, Mode.TEST) == (kind, BORN, "female", True, None)
    ambiguous = kind == "syn_nav" and not foreign
    assert one(text)[0] == ("hnr" if ambiguous else kind)
    assert one(text)[4] == (None if ambiguous else "id_synthetic_in_production")


@pytest.mark.parametrize("text", [number(BORN), number(BORN, day_added=40), with_control("812345678")])
def test_a_real_number_is_refused_in_a_test_folder(text: str) -> None:
    """Ordinary, D- and FH-numbers may be real people's, so a test folder refuses them."""
    assert one(text, Mode.TEST)[3:] == (False, "id_real_in_test")


def test_the_published_synthetic_number_is_told_by_its_month() -> None:
    """The public synthetic number with month 87 is of the tax administration's kind."""
    assert one("46879700922", Mode.TEST)[0] == IdKind.SYN_TENOR


@pytest.mark.parametrize("remainder", [1, 2, 3])
def test_the_rule_of_2032_holds_from_its_day_on(remainder: int) -> None:
    """Remainders 1 to 3 are an error until 2032, and from then a number without sex or birth date."""
    text = number(BORN, remainder=remainder)
    assert one(text)[4] == "id_control_digits"
    assert one(text, today=AFTER_2032) == ("pid2032", None, None, True, None)
    assert one(number(BORN, remainder=4 + remainder), today=AFTER_2032)[4] == "id_control_digits"
    assert one(number(BORN, month_added=80, remainder=remainder), Mode.TEST)[0] == "syn_tenor"


def test_an_fh_number_has_control_digits_but_no_birth_date() -> None:
    """An FH-number starts with 8 or 9 and tells nothing about the person."""
    for nine in ("812345678", "999999991"):
        text = with_control(nine)
        assert one(text) == ("fhnr", None, None, True, None)
    assert one("81234567800")[4] == "id_control_digits"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "id_malformed"), ("", "id_malformed"), ("3112995671", "id_lost_zero"), ("311299567155", "id_malformed"),
        ("31129956715\n", "id_malformed"), (" 31129956715", "id_malformed"), ("311299 56715", "id_malformed"),
        ("٣١١٢٩٩٥٦٧١٥", "id_malformed"), ("3112995671a", "id_malformed"), ("-3112995671", "id_malformed"),
        ("31129956716", "id_control_digits"), ("00000000000", "id_malformed"),
        (with_control("310299123"), "id_malformed"), (with_control("290299123"), "id_malformed"),
        (with_control("011345123"), "id_malformed"), (with_control("010145612"), "id_malformed"),
    ],
)  # fmt: skip
def test_what_is_not_a_number_is_refused_with_its_own_rule(text: str | None, rule: str) -> None:
    """Wrong length, foreign digits, spaces and impossible dates are refused; a lost zero is never padded."""
    assert one(text)[3:] == (False, rule)


@pytest.mark.parametrize("digit", range(11))
def test_every_single_wrong_digit_is_noticed(digit: int) -> None:
    """The control digits notice each change of one digit."""
    text = number(date(1985, 5, 17), 7)
    changed = [text[:digit] + each + text[digit + 1 :] for each in "0123456789" if each != text[digit]]
    assert not classify(pl.Series(changed), Mode.PRODUCTION, TODAY)["valid"].any()


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("today", [TODAY, AFTER_2032])
def test_the_columnar_validator_agrees_with_the_slow_one(mode: Mode, today: date) -> None:
    """Over 20 000 numbers, half of them with right control digits, both validators say the same."""
    random = np.random.default_rng(11)
    nines = ["".join(map(str, row)) for row in random.integers(0, 10, (3000, 9))]
    days, months, rest = random.integers(0, 82, 9000), random.integers(0, 95, 9000), random.integers(0, 10**5, 9000)
    nines += [f"{day:02}{month:02}{tail:05}" for day, month, tail in zip(days, months, rest, strict=True)]
    remainders = random.integers(0, 5, 12000)
    texts = [with_control(nine, remainder=int(left)) or "" for nine, left in zip(nines, remainders, strict=True)]
    texts += [f"{nine}{tail:02}" for nine, tail in zip(nines, random.integers(0, 100, 12000), strict=True)]
    found = classify(pl.Series(texts), mode, today).select("kind", "birth_date", "sex", "rule").rows()
    assert found == [slow(text, mode is Mode.PRODUCTION, today) for text in texts]


@given(st.lists(st.one_of(st.none(), st.text(max_size=14), st.from_regex(r"[0-9]{9,12}", fullmatch=True)), max_size=8))
@settings(max_examples=80, deadline=None)
def test_any_text_gets_an_answer_with_a_rule_that_has_a_text(texts: list[str | None]) -> None:
    """Whatever is written in the column, each row is valid or has one explained rule."""
    for mode in Mode:
        found = classify(pl.Series(texts, dtype=pl.String), mode, TODAY)
        assert found.height == len(texts)
        assert (found["valid"] == found["rule"].is_null()).all()
        assert set(found["rule"].drop_nulls()) <= set(RULES)
        assert found["rule"].to_list() == [slow(text, mode is Mode.PRODUCTION, TODAY)[3] for text in texts]


def test_the_makers_of_test_numbers_make_synthetic_ones() -> None:
    """The number that tests give to their people is valid in a test folder and nowhere else."""
    assert one(synthetic(BORN), Mode.TEST)[3]
    assert not one(synthetic(BORN))[3]
