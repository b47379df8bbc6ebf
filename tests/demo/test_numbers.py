"""Every number of the demo's results, computed again from what was typed and lent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.done import CLOSED, INSTITUTIONS, Done
from tests.demo.oracle import Registry, benefits, rows_of
from tests.demo.pages import Cell, tables_in

pytestmark = pytest.mark.timeout(600)
GROUPS = {"Vår institusjon": "own", "Øvrige institusjoner": "others", "Alle institusjoner": "all"}
MOMENTS = {
    "Ankomst": "arrival",
    "Avslutning": "discharge",
    "6 måneder": "follow_up_6",
    "12 måneder": "follow_up_12",
}
MEASURES = MOMENTS | {f"Endring: Ankomst → {name}": f"change {form}" for name, form in [*MOMENTS.items()][1:]}
LATER = {f"Ankomst → {name}": form for name, form in MOMENTS.items()}
COMPLETION = {"Fullført": "completed", "Delvis gjennomført": "partly", "Avbrutt": "interrupted"}
SICK_LEAVE = {"Ikke sykmeldt": "none", "Delvis sykmeldt": "partial", "Fullt sykmeldt": "full"}
BENEFITS = {
    "Sykepenger": "sick_pay",
    "Arbeidsavklaringspenger (AAP)": "aap",
    "Uføretrygd": "disability_pension",
    "Minst én av ytelsene": "any",
    "Ingen av ytelsene": "none",
}
RECEIVED = {
    "Sykepenger": "sick_pay",
    "Arbeidsavklaringspenger (AAP)": "aap",
    "Uføretrygd": "disability_pension",
    "Sosialhjelp": "social_assistance",
    "Dagpenger": "unemployment",
    "Minst én av ytelsene": "any",
    "Ingen av ytelsene": "none",
}
SHARES = {
    "work_participation": {"I arbeid, helt eller delvis": "at_work"},
    "full_return_to_work": {"Uten sykepenger, AAP og uføretrygd": "no_health_benefit"},
    "benefits": RECEIVED,
    "completion": COMPLETION,
}
"""The tables of shares: the label of each category, and its id."""
WITHHELD, NO_ANSWERS = "·", "–"


def shares(registry: Registry, name: str, institution: str, group: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(count, n) by category and form of a table of shares."""
    if name == "full_return_to_work":
        return {("no_health_benefit", "follow_up_12"): registry.full_return(institution, group)}
    if name == "completion":
        return {(code, "discharge"): pair for code, pair in registry.completion(institution, group).items()}
    return registry.shares(name, institution, group)


def number(text: str) -> float:
    """A number with a decimal comma."""
    return float(text.replace(",", ".").replace("−", "-"))


def table(done: Done, institution: str, year: str, name: str) -> list[dict[str, str]]:
    """A table of an institution's opened results of a year."""
    return rows_of(done.folder / "institutions" / institution / "opened" / f"bundles-{year}" / "csv" / f"{name}.csv")


@pytest.mark.parametrize("year", CLOSED)
@pytest.mark.parametrize("institution", INSTITUTIONS)
def test_work_ability_can_be_computed_again(done: Done, institution: str, year: str) -> None:
    """Own, others and all: n and mean at each time point and of each change from arrival, from `sent/` alone."""
    lines = table(done, institution, year, "work_ability")
    assert len(lines) == len(GROUPS) * len(MEASURES)
    for line in lines:
        n, mean = done.registry.of(year).work_ability(institution, GROUPS[line["Gruppe"]])[MEASURES[line["Måling"]]]
        if line["Gjennomsnitt"] != WITHHELD:
            assert int(line["Antall forløp (n)"]) == n
        if line["Gjennomsnitt"] not in {WITHHELD, NO_ANSWERS}:
            assert number(line["Gjennomsnitt"]) == pytest.approx(mean, abs=0.0501)
    assert_shown(lines, "Gjennomsnitt")


@pytest.mark.parametrize("year", CLOSED)
@pytest.mark.parametrize("institution", ["hysnes", "air"])
def test_completion_can_be_computed_again(done: Done, institution: str, year: str) -> None:
    """Each way in which a course ended, of those with a discharge."""
    lines = table(done, institution, year, "completion")
    assert len(lines) == len(GROUPS) * len(COMPLETION)
    for line in lines:
        expected = done.registry.of(year).completion(institution, GROUPS[line["Gruppe"]])[COMPLETION[line["Kategori"]]]
        assert_share(line, "Antall", "Antall forløp (n)", expected)
    assert_shown(lines, "Antall")


@pytest.mark.parametrize("year", CLOSED)
@pytest.mark.parametrize("institution", ["hysnes", "air"])
def test_transitions_can_be_computed_again(done: Done, institution: str, year: str) -> None:
    """From each degree of sick leave at arrival to each later one, of courses with both answers."""
    lines = table(done, institution, year, "sick_leave_transitions")
    assert len(lines) == len(GROUPS) * 2 * len(SICK_LEAVE) ** 2
    for line in lines:
        place = (LATER[line["Tidspunkt"]], SICK_LEAVE[line["Fra"]], SICK_LEAVE[line["Til"]])
        expected = done.registry.of(year).transitions(institution, GROUPS[line["Gruppe"]])[place]
        assert_share(line, "Antall", "Antall fra (n)", expected)
    assert_shown(lines, "Antall")


@pytest.mark.parametrize("year", CLOSED)
@pytest.mark.parametrize("institution", ["hysnes", "air"])
def test_response_rates_can_be_computed_again(done: Done, institution: str, year: str) -> None:
    """Answered among those that fell due before the period was closed."""
    lines = table(done, institution, year, "response")
    assert len(lines) == len(GROUPS) * 2
    for line in lines:
        expected = done.registry.of(year).response(institution, GROUPS[line["Gruppe"]])[MOMENTS[line["Oppfølging"]]]
        assert_share(line, "Antall besvart", "Antall forfalt (n)", expected)
    assert_shown(lines, "Antall besvart")


def assert_share(line: dict[str, str], count: str, n: str, expected: tuple[int, int]) -> None:
    """A share that is shown is what was counted."""
    if line[count] == WITHHELD:
        assert {line[name] for name in (n, "Andel (%)", "95 % KI fra", "95 % KI til")} == {WITHHELD}
        return
    assert (int(line[count]), int(line[n])) == expected
    if expected[1]:
        assert number(line["Andel (%)"]) == pytest.approx(100 * expected[0] / expected[1], abs=0.0501)


def assert_shown(lines: list[dict[str, str]], column: str) -> None:
    """One's own numbers are never withheld, and of the others' not all are."""
    own = [line[column] for line in lines if GROUPS[line["Gruppe"]] == "own"]
    others = [line[column] for line in lines if GROUPS[line["Gruppe"]] != "own"]
    assert WITHHELD not in own
    assert set(others) != {WITHHELD}


@pytest.mark.parametrize("year", CLOSED)
def test_benefits_can_be_computed_again(done: Done, year: str) -> None:
    """Each share is that of the lender's file in clear; what is withheld is small, and what is small is withheld."""
    expected = benefits(done.folder, done.registry.of(year))
    withheld = 0
    for line in table(done, "hysnes", year, "benefits_by_month"):
        receiving, n = expected[BENEFITS[line["Ytelse"]], int(line["Måned etter avslutning"])]
        small = not 5 <= receiving <= n - 5
        if line["Antall som mottar"] == WITHHELD:
            withheld += 1
            numbers = ("Antall forløp (n)", "Andel (%)", "95 % KI fra", "95 % KI til")
            assert {line[name] for name in numbers} == {WITHHELD}
            continue
        assert not small
        assert (int(line["Antall som mottar"]), int(line["Antall forløp (n)"])) == (receiving, n)
        assert number(line["Andel (%)"]) == pytest.approx(100 * receiving / n, abs=0.0501)
    assert withheld


@pytest.mark.parametrize("year", CLOSED)
def test_everyone_is_shown_the_same_benefits(done: Done, year: str) -> None:
    """A table made from a loan is the same file for all institutions."""
    path = Path("opened") / f"bundles-{year}" / "csv" / "benefits_by_month.csv"
    contents = {(done.folder / "institutions" / name / path).read_bytes() for name in INSTITUTIONS}
    assert len(contents) == 1


@pytest.mark.parametrize("year", CLOSED)
@pytest.mark.parametrize("institution", ["hysnes", "air"])
def test_shares_can_be_computed_again(done: Done, institution: str, year: str) -> None:
    """Who is at work, who receives what, and who has returned in full, at each time point."""
    registry = done.registry.of(year)
    for name, categories in SHARES.items():
        for line in table(done, institution, year, name):
            if "→" in line["Tidspunkt"]:
                continue
            group, form = GROUPS[line["Gruppe"]], MOMENTS[line["Tidspunkt"]]
            counted = shares(registry, name, institution, group)
            column = next(column for column in line if column.startswith("Andel (%)"))
            assert_share(
                {**line, "Andel (%)": line[column]},
                "Antall",
                "Antall forløp (n)",
                counted[categories[line["Kategori"]], form],
            )


def test_what_was_withdrawn_refused_or_superseded_counts_nowhere(done: Done) -> None:
    """Of the arrivals that were typed exactly those planted are missing, and of two answers the later one counts."""
    missing = {}
    for institution in INSTITUTIONS:
        typed = rows_of(done.folder / "institutions" / institution / "sent" / "1-arrivals" / "arrival.csv")
        for year in CLOSED:
            first = [row for row in typed if row["arrival_date"].startswith(year)]
            (line,) = (
                line
                for line in table(done, institution, year, "work_ability")
                if (line["Gruppe"], line["Måling"]) == ("Vår institusjon", "Ankomst")
            )
            missing[institution, year] = len(first) - int(line["Antall forløp (n)"])
            if institution == "hysnes":
                at_first = sum(int(row["work_ability"]) for row in first) / len(first)
                assert abs(number(line["Gjennomsnitt"]) - at_first) < 1
                mended = rows_of(done.folder / "institutions/hysnes/sent/3-correction/arrival.csv")
                replaced = {row["course_id"]: int(row["work_ability"]) for row in mended}
                now = [replaced.get(row["course_id"], int(row["work_ability"])) for row in first]
                assert now != [int(row["work_ability"]) for row in first]
                assert number(line["Gjennomsnitt"]) == pytest.approx(sum(now) / len(now), abs=0.0501)
    planted = {
        ("haugland", "2024"),
        ("hernes", "2023"),
        ("muritunet", "2023"),
        ("valnesfjord", "2024"),
        ("air", "2024"),
    }
    assert {place for place, count in missing.items() if count == 1} == planted
    assert set(missing.values()) == {0, 1}


@pytest.mark.parametrize("year", CLOSED)
def test_the_national_pages_can_be_computed_again(done: Done, year: str) -> None:
    """Every number that is shown to everyone is that of all institutions together; nearly all are shown."""
    registry = done.registry.of(year)
    found = tables_in(done.folder / "site" / f"resultater-{year}.html")
    shown = [
        *national_means(found["work_ability"], registry),
        *national_shares(found, registry),
        *national_response(found["response"], registry),
        *national_transitions(found["sick_leave_transitions"], registry),
        *national_months(found["benefits_by_month"], benefits(done.folder, registry)),
    ]
    assert sum(shown) > 0.75 * len(shown)
    assert len(shown) > 100


def national_means(rows: list[list[Cell]], registry: Registry) -> Iterator[bool]:
    """Whether each mean is shown, after it was compared."""
    expected = registry.work_ability("", "all")
    for (measure,), _, *cells in rows:
        for name, cell in zip(MOMENTS, cells, strict=True):
            if not cell:
                continue  # the first time point has no change from itself
            n, mean = expected[MEASURES[name if measure == "Gjennomsnitt" else f"Endring: Ankomst → {name}"]]
            if cell[0] != WITHHELD:
                assert (cell[-1], number(cell[0])) == (f"n = {n}", pytest.approx(mean, abs=0.0501))
            yield cell[0] != WITHHELD


def national_shares(found: dict[str, list[list[Cell]]], registry: Registry) -> Iterator[bool]:
    """Whether each share at a time point is shown, after it was compared."""
    for name, categories in SHARES.items():
        counted = shares(registry, name, "", "all")
        for (category,), _, *cells in found[name]:
            places = [place for place in counted if place[0] == categories[category]]
            for place, (share, *below) in zip(places, cells, strict=False):
                if share != WITHHELD:
                    count, n = counted[place]
                    assert number(share.removesuffix(" %")) == pytest.approx(100 * count / n, abs=0.0501)
                    assert below[-1] == f"n = {n}"
                yield share != WITHHELD


def national_response(rows: list[list[Cell]], registry: Registry) -> Iterator[bool]:
    """Whether each response rate is shown, after it was compared."""
    for (name,), _, (answered,), (due,), *_ in rows:
        if answered != WITHHELD:
            assert (int(answered), int(due)) == registry.response("", "all")[MOMENTS[name]]
        yield answered != WITHHELD


def national_transitions(rows: list[list[Cell]], registry: Registry) -> Iterator[bool]:
    """Whether each transition is shown, after it was compared."""
    for (moment,), (origin,), _, *cells in rows:
        for code, (share, *below) in zip(SICK_LEAVE.values(), cells, strict=True):
            count, n = registry.transitions("", "all")[LATER[moment], SICK_LEAVE[origin], code]
            if share != WITHHELD:
                assert below == [f"{count} av {n}"]
                assert number(share) == pytest.approx(100 * count / n, abs=0.0501)
            yield share != WITHHELD


def national_months(rows: list[list[Cell]], counted: dict[tuple[str, int], tuple[int, int]]) -> Iterator[bool]:
    """Whether each month's share of a benefit is shown, after it was compared."""
    for (month,), *cells, _ in rows:
        for code, (share,) in zip(BENEFITS.values(), cells, strict=True):
            count, n = counted[code, int(month)]
            if share != WITHHELD:
                assert number(share) == pytest.approx(100 * count / n, abs=0.0501)
            yield share != WITHHELD
