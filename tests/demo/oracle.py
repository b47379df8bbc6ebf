"""What the demo's numbers must be, computed from what was typed and lent with lists and loops only."""

import csv
import io
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

Row = dict[str, str]
Line = tuple[int, float]
"""(n, mean)"""


def rows_of(path: Path) -> list[Row]:
    """A CSV file of the demo as a list of dictionaries."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), delimiter=";"))


def number_holds(number: str) -> bool:
    """Whether eleven digits have the control digits of a national number."""
    if len(number) != 11:
        return False
    first = sum(w * int(d) for w, d in zip((3, 7, 6, 1, 8, 9, 4, 5, 2, 1), number, strict=False))
    second = sum(w * int(d) for w, d in zip((5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), number, strict=True))
    return first % 11 == 0 and second % 11 == 0


def age_on(number: str, day: date) -> int:
    """The age of whom a synthetic number (month +80) stands for; everybody here was born in 1940 or later."""
    year = int(number[4:6]) + (2000 if int(number[6:9]) >= 500 else 1900)
    born = date(year, int(number[2:4]) - 80, int(number[:2]))
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


Course = tuple[str, str]
"""(institution, course)"""

PERSON_FORMS = ("arrival", "discharge", "follow_up_6", "follow_up_12")
BENEFITS = ("sick_pay", "aap", "disability_pension", "social_assistance", "unemployment")


@dataclass(frozen=True)
class Registry:
    """What the registry must hold: the rows of each form by institution and course, year or programme."""

    forms: dict[str, dict[Course, Row]]

    @property
    def people(self) -> set[str]:
        """Everybody with a form."""
        return {row["person_id"] for form in PERSON_FORMS for row in self.forms[form].values()}

    @property
    def records(self) -> int:
        """How many forms it holds."""
        return sum(map(len, self.forms.values()))

    def of(self, year: str) -> "Registry":
        """The courses that arrived in a year, and every form of theirs."""
        arrived = {key for key, row in self.forms["arrival"].items() if row["arrival_date"].startswith(year)}
        return Registry(
            {form: {key: row for key, row in held.items() if key in arrived} for form, held in self.forms.items()}
        )

    def seen_by(self, institution: str, group: str) -> list[Course]:
        """The courses as `institution` sees `group`."""
        return [
            key
            for key in self.forms["arrival"]
            if {"own": key[0] == institution, "others": key[0] != institution, "all": True}[group]
        ]

    def answers(self, form: str, courses: list[Course], column: str) -> dict[Course, str]:
        """What was answered in a column of a form, of those of the courses that have an answer."""
        rows = self.forms[form]
        return {key: rows[key][column] for key in courses if key in rows and rows[key][column]}

    def work_ability(self, institution: str, group: str) -> dict[str, Line]:
        """Count and mean at each time point, and of each change from arrival."""
        mine = self.seen_by(institution, group)
        at = {form: self.answers(form, mine, "work_ability") for form in PERSON_FORMS}
        lines = {form: [float(text) for text in at[form].values()] for form in PERSON_FORMS}
        for form in PERSON_FORMS[1:]:
            both = [key for key in at[form] if key in at["arrival"]]
            lines[f"change {form}"] = [float(at[form][key]) - float(at["arrival"][key]) for key in both]
        return {name: (len(values), sum(values) / max(1, len(values))) for name, values in lines.items()}

    def completion(self, institution: str, group: str) -> dict[str, tuple[int, int]]:
        """(count, n) of each way in which a course ended."""
        given = [*self.answers("discharge", self.seen_by(institution, group), "completion").values()]
        return {code: (given.count(code), len(given)) for code in ("completed", "partly", "interrupted")}

    def transitions(self, institution: str, group: str) -> dict[tuple[str, str, str], tuple[int, int]]:
        """(count, n from) by later form, first answer and later answer, of sick leave."""
        mine, codes = self.seen_by(institution, group), ("none", "partial", "full")
        first, counted = self.answers("arrival", mine, "sick_leave"), {}
        for form in ("follow_up_6", "follow_up_12"):
            later = self.answers(form, mine, "sick_leave")
            for origin in codes:
                reached = [later[key] for key in mine if first.get(key) == origin and key in later]
                for code in codes:
                    counted[form, origin, code] = (reached.count(code), len(reached))
        return counted

    def response(self, institution: str, group: str) -> dict[str, tuple[int, int]]:
        """(answered, due): every course of a closed year whose last day in time was before the period was closed."""
        counted = {}
        for form, months in (("follow_up_6", 6), ("follow_up_12", 12)):
            owed = []
            for key in self.seen_by(institution, group):
                if key in self.forms["discharge"]:
                    end = date.fromisoformat(self.forms["discharge"][key]["end_date"])
                    closed_on = date(int(self.forms["arrival"][key]["arrival_date"][:4]) + 2, 1, 1)
                    if months_after(end, months) + timedelta(days=42) < closed_on:
                        owed.append(key)
            counted[form] = (sum(key in self.forms[form] for key in owed), len(owed))
        return counted

    def shares(self, table: str, institution: str, group: str) -> dict[tuple[str, str], tuple[int, int]]:
        """(count, n) by category and form of the tables that count who is at work, and who receives what."""
        mine, counted = self.seen_by(institution, group), {}
        for form in PERSON_FORMS:
            rows = [self.forms[form][key] for key in mine if key in self.forms[form]]
            if table == "work_participation":
                given = [float(row["work_participation_percent"]) for row in rows if row["work_participation_percent"]]
                counted["at_work", form] = (sum(number > 0 for number in given), len(given))
                continue
            for code in BENEFITS:
                counted[code, form] = (sum(row[f"benefits_{code}"] == "ja" for row in rows), len(rows))
            ticked = [any(row[f"benefits_{code}"] == "ja" for code in BENEFITS) for row in rows]
            counted["any", form] = (sum(ticked), len(rows))
            counted["none", form] = (len(rows) - sum(ticked), len(rows))
        return counted

    def full_return(self, institution: str, group: str) -> tuple[int, int]:
        """(count, n) of those without a health-related benefit after 12 months."""
        rows = [self.forms["follow_up_12"].get(key) for key in self.seen_by(institution, group)]
        flags = [all(row[f"benefits_{code}"] == "nei" for code in BENEFITS[:3]) for row in rows if row]
        return sum(flags), len(flags)


def months_after(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, min(day.day, monthrange(index // 12, index % 12 + 1)[1]))


def registry_of(demo: Path, withdrawn: set[str]) -> Registry:
    """Take in what was sent as the definition says; a later drop of the same institution replaces a course's form."""
    forms: dict[str, dict[Course, Row]] = {form: {} for form in (*PERSON_FORMS, "institution", "arr_course")}
    for folder in sorted(demo.glob("institutions/*/sent/[123]-*")):
        institution = folder.parts[-3]
        if "refused" in folder.name:
            continue
        for form, held in forms.items():
            path = folder / f"{form}.csv"
            for row in rows_of(path) if path.exists() else []:
                key = (institution, row.get("course_id") or row["report_year"] + row.get("programme", ""))
                if form not in PERSON_FORMS or (
                    row["person_id"] not in withdrawn
                    and _holds(form, row, forms["arrival"].get(key), forms["discharge"].get(key))
                ):
                    held[key] = row
    return Registry(forms)


def _holds(form: str, row: Row, arrival: Row | None, discharge: Row | None) -> bool:
    if not number_holds(row["person_id"]):
        return False
    if form == "arrival":
        day = date.fromisoformat(row["arrival_date"])
        return bool(row["consent_date"]) and age_on(row["person_id"], day) >= 18
    if arrival is None:
        return False
    if form == "discharge":
        return row["end_date"] >= arrival["arrival_date"]
    day, month, year = row["response_date"].split(".")
    return discharge is None or f"{year}-{month}-{day}" >= discharge["end_date"]


def benefits(demo: Path, registry: Registry) -> dict[tuple[str, int], tuple[int, int]]:
    """(receiving, n) by benefit and month after discharge; `any` is at least one of the three, `none` none."""
    names = ("sick_pay", "aap", "disability_pension")
    lent = {(row["person_id"], row["month"]): row for row in rows_of(demo / "lender" / "clear" / "benefits.csv")}
    counted: dict[tuple[str, int], tuple[int, int]] = {}
    for month in range(1, 13):
        seen = []
        for row in registry.forms["discharge"].values():
            end = date.fromisoformat(row["end_date"])
            index = end.year * 12 + end.month - 1 + month
            found = lent.get((row["person_id"], f"{index // 12}-{index % 12 + 1:02}"))
            if found:
                seen.append([found[name] == "1" for name in names])
        for place, name in enumerate(names):
            counted[name, month] = (sum(flags[place] for flags in seen), len(seen))
        counted["any", month] = (sum(any(flags) for flags in seen), len(seen))
        counted["none", month] = (sum(not any(flags) for flags in seen), len(seen))
    return counted
