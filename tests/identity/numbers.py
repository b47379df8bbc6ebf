"""Makes national numbers for tests, and judges them slowly: written apart from `enclave.identity.rules` on purpose."""

from calendar import monthrange
from datetime import date

ADDED = {"plain": 0, "nav": 40, "dolly": 65, "tenor": 80}


def with_control(nine: str, *, remainder: int = 0) -> str | None:
    """Nine digits with their two control digits, the first leaving `remainder`; None where there are none."""
    weighted = sum(weight * int(digit) for weight, digit in zip((3, 7, 6, 1, 8, 9, 4, 5, 2), nine, strict=True))
    first = (remainder - weighted) % 11
    if first == 10:
        return None
    ten = nine + str(first)
    second = -sum(weight * int(digit) for weight, digit in zip((5, 4, 3, 2, 7, 6, 5, 4, 3, 2), ten, strict=True)) % 11
    return None if second == 10 else ten + str(second)


def number(born: date, series: int = 0, *, month_added: int = 0, day_added: int = 0, remainder: int = 0) -> str:
    """The `series`-th possible number of somebody born that day."""
    first = 500 if born.year >= 2000 or born.year < 1900 else 0
    start = f"{born.day + day_added:02}{born.month + month_added:02}{born.year % 100:02}"
    possible = (with_control(f"{start}{n:03}", remainder=remainder) for n in range(first, first + 500))
    return [each for each in possible if each][series]


def synthetic(born: date, series: int = 0) -> str:
    """A synthetic number of the tax administration's kind (month +80)."""
    return number(born, series, month_added=80)


def slow(text: str | None, production: bool, today: date) -> tuple[str | None, date | None, str | None, str | None]:  # noqa: C901  # one rule after the other, on purpose
    """(kind, birth date, sex, fault) of one number, digit by digit."""
    if text is None or len(text) != 11 or not all("0" <= each <= "9" for each in text):
        ten = text is not None and len(text) == 10 and all("0" <= each <= "9" for each in text)
        return None, None, None, "id_lost_zero" if ten else "id_malformed"
    rest = sum(w * int(d) for w, d in zip((3, 7, 6, 1, 8, 9, 4, 5, 2, 1), text, strict=False)) % 11
    last = sum(w * int(d) for w, d in zip((5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), text, strict=True)) % 11
    old, new = rest == 0 and last == 0, rest in {0, 1, 2, 3} and last == 0
    if text[0] in "89":
        fault = "id_control_digits" if not old else None if production else "id_real_in_test"
        return "fhnr", None, None, fault
    day, month, year, individual = int(text[:2]), int(text[2:4]), int(text[4:6]), int(text[6:9])
    foreign = day > 40
    day -= 40 if foreign else 0
    kind = "dnr" if foreign else "fnr"
    for added, name in ((40, "syn_nav"), (65, "syn_65"), (80, "syn_tenor")):
        if 1 <= month - added <= 12:
            month, kind = month - added, name
            break
    if production and kind == "syn_nav" and not foreign:
        kind = "hnr"
    synthetic_number = kind.startswith("syn")
    centuries = [
        century
        for century, holds in (
            (1900, individual <= 499),
            (1800, 500 <= individual <= 749 and year >= 54),
            (2000, 500 <= individual <= 999 and year <= 39),
            (1900, 900 <= individual <= 999 and year >= 40),
        )
        if holds
    ]
    born = None
    if centuries and 1 <= month <= 12 and 1 <= day <= monthrange(centuries[0] + year, month)[1]:
        born = date(centuries[0] + year, month, day)
    issued = kind != "hnr" and new and (not old or (born is None and today >= date(2032, 1, 1)))
    readable = born is not None
    if issued:
        born = None
        some_year = 2000 if year % 4 == 0 else 2001
        readable = readable or (1 <= month <= 12 and 1 <= day <= monthrange(some_year, month)[1])
        kind = kind if synthetic_number else "pid2032"
    sex = ("female", "male")[int(text[8]) % 2] if born else None
    if not (old or issued) or (issued and not synthetic_number and production and today < date(2032, 1, 1)):
        fault = "id_control_digits"
    elif not readable:
        fault = "id_malformed"
    elif synthetic_number and production:
        fault = "id_synthetic_in_production"
    elif not synthetic_number and not production:
        fault = "id_real_in_test"
    else:
        fault = None
    return kind if readable else None, born, sex, fault
