"""Every number of the demo's results, computed again from what was typed and lent."""

from pathlib import Path

import pytest

from tests.demo.done import INSTITUTIONS, Done
from tests.demo.oracle import benefits, rows_of

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
WITHHELD, NO_ANSWERS = "·", "–"


def number(text: str) -> float:
    """A number with a decimal comma."""
    return float(text.replace(",", "."))


def table(done: Done, institution: str, name: str) -> list[dict[str, str]]:
    """A table of an institution's opened bundle."""
    return rows_of(done.folder / "institutions" / institution / "opened" / "bundles-1" / "csv" / f"{name}.csv")


@pytest.mark.parametrize("institution", INSTITUTIONS)
def test_work_ability_can_be_computed_again(done: Done, institution: str) -> None:
    """Own, others and all: n and mean at each time point and of each change from arrival, from `sent/` alone."""
    lines = table(done, institution, "work_ability")
    assert len(lines) == len(GROUPS) * len(MEASURES)
    for line in lines:
        n, mean = done.registry.work_ability(institution, GROUPS[line["Gruppe"]])[MEASURES[line["Måling"]]]
        if line["Gjennomsnitt"] != WITHHELD:
            assert int(line["Antall forløp (n)"]) == n
        if line["Gjennomsnitt"] not in {WITHHELD, NO_ANSWERS}:
            assert number(line["Gjennomsnitt"]) == pytest.approx(mean, abs=0.0501)
    assert_shown(lines, "Gjennomsnitt")


@pytest.mark.parametrize("institution", ["hysnes", "air"])
def test_completion_can_be_computed_again(done: Done, institution: str) -> None:
    """Each way in which a course ended, of those with a discharge."""
    lines = table(done, institution, "completion")
    assert len(lines) == len(GROUPS) * len(COMPLETION)
    for line in lines:
        expected = done.registry.completion(institution, GROUPS[line["Gruppe"]])[COMPLETION[line["Kategori"]]]
        assert_share(line, "Antall", "Antall forløp (n)", expected)
    assert_shown(lines, "Antall")


@pytest.mark.parametrize("institution", ["hysnes", "air"])
def test_transitions_can_be_computed_again(done: Done, institution: str) -> None:
    """From each degree of sick leave at arrival to each later one, of courses with both answers."""
    lines = table(done, institution, "sick_leave_transitions")
    assert len(lines) == len(GROUPS) * 2 * len(SICK_LEAVE) ** 2
    for line in lines:
        place = (LATER[line["Tidspunkt"]], SICK_LEAVE[line["Fra"]], SICK_LEAVE[line["Til"]])
        expected = done.registry.transitions(institution, GROUPS[line["Gruppe"]])[place]
        assert_share(line, "Antall", "Antall fra (n)", expected)
    assert_shown(lines, "Antall")


@pytest.mark.parametrize("institution", ["hysnes", "air"])
def test_response_rates_can_be_computed_again(done: Done, institution: str) -> None:
    """Answered among those that fell due before the period was closed."""
    lines = table(done, institution, "response")
    assert len(lines) == len(GROUPS) * 2
    for line in lines:
        expected = done.registry.response(institution, GROUPS[line["Gruppe"]])[MOMENTS[line["Oppfølging"]]]
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


def test_benefits_can_be_computed_again(done: Done) -> None:
    """Each share is that of the lender's file in clear; what is withheld is small, and what is small is withheld."""
    expected = benefits(done.folder, done.registry)
    withheld = 0
    for line in table(done, "hysnes", "benefits_by_month"):
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


def test_everyone_is_shown_the_same_benefits(done: Done) -> None:
    """A table made from a loan is the same file for all institutions."""
    path = Path("opened") / "bundles-1" / "csv" / "benefits_by_month.csv"
    contents = {(done.folder / "institutions" / name / path).read_bytes() for name in INSTITUTIONS}
    assert len(contents) == 1
