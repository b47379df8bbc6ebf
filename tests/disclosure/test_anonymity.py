"""Who is left out of an extract: whoever looks like too few others, in all of their courses together."""

from collections import Counter
from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from enclave.disclosure.anonymity import anonymous

LOOKS = ["sex", "education"]


def frame(courses: list[tuple[int, str | None, str | None]]) -> pl.DataFrame:
    """Courses of people, by number, with what others may know of each."""
    return pl.DataFrame(
        {
            "_pseudonym": pl.Series([number.to_bytes(16) for number, _, _ in courses], dtype=pl.Binary),
            "sex": pl.Series([sex for _, sex, _ in courses], dtype=pl.String),
            "education": pl.Series([education for _, _, education in courses], dtype=pl.String),
        }
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(["f", "m"]), st.sampled_from(["p", "u", None])),
        min_size=1,
        max_size=80,
    )
)
def test_everyone_who_is_kept_looks_like_five_people(courses: list[tuple[int, str | None, str | None]]) -> None:
    """Recomputed by counting: a person's look is all their courses, and who is left out is left out whole."""
    found = anonymous(frame(courses), LOOKS, [], least=5)
    looks: dict[int, list[tuple[str, str]]] = {}
    for number, sex, education in courses:
        looks.setdefault(number, []).append((sex or "", education or ""))
    counted = Counter(tuple(sorted(look)) for look in looks.values())
    wanted = {number for number, look in looks.items() if counted[tuple(sorted(look))] >= 5}
    kept = [int.from_bytes(value) for value in found.courses["_pseudonym"].to_list()]
    assert set(kept) == wanted
    assert Counter(kept) == Counter(number for number, _, _ in courses if number in wanted)
    assert (found.people, found.left_out) == (len(looks), len(looks) - len(wanted))
    assert found.smallest_class == min((counted[tuple(sorted(looks[number]))] for number in wanted), default=0)


def test_a_missing_answer_is_a_look_of_its_own() -> None:
    """Four without an answer are four, whatever the others say."""
    courses: list[tuple[int, str | None, str | None]] = [(number, "f", "p") for number in range(6)]
    courses += [(number, "f", None) for number in range(6, 10)]
    assert anonymous(frame(courses), LOOKS, [], least=5).left_out == 4


def test_dates_are_made_coarser_before_people_are_left_out() -> None:
    """A person a day is one a month in twelve months, fifteen a quarter: quarters are told, and nobody is left out."""
    days = [date(2024, 1 + number % 12, 1 + number % 28) for number in range(48)]
    courses = pl.DataFrame(
        {
            "_pseudonym": pl.Series([number.to_bytes(16) for number in range(48)], dtype=pl.Binary),
            "arrived": pl.Series(days, dtype=pl.Date),
        }
    )
    found = anonymous(courses, ["arrived"], ["arrived"], least=5)
    assert (found.step, found.left_out) == ("quarter", 0)
    assert set(found.courses["arrived"]) == {"2024-K1", "2024-K2", "2024-K3", "2024-K4"}
    assert anonymous(courses, ["arrived"], ["arrived"], least=4).step == "month"
    assert anonymous(courses, ["arrived"], ["arrived"], least=40).step == "year"


def test_without_anything_that_others_may_know_everyone_looks_alike() -> None:
    """There is nothing to tell people apart by."""
    courses: list[tuple[int, str | None, str | None]] = [(number, "f", "p") for number in range(3)]
    assert anonymous(frame(courses), [], [], least=5).left_out == 3
    assert anonymous(frame(courses * 2), [], [], least=3).left_out == 0
