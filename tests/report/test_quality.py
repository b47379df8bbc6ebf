"""The quality of the data as a clinic reads it: n beside every figure, and what cannot be measured."""

import re
from functools import cache

import pytest

from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import policy_for
from enclave.model.table import Group, ReleasableTable, Statistic
from enclave.report.grids import grid
from enclave.report.page import cards_of
from enclave.report.results import result_files
from enclave.report.sheet import WITHHELD, Sheet
from enclave.report.view import lay_out
from tests.analysis.kar import kar, made_up, tables_of

PATIENTS = {"alfa": 90, "beta": 95, "delta": 99, "eps": 88, "gamma": 97}
QUALITY = (
    "coverage",
    "missing",
    "refused",
    "implausible",
    "mix_sex",
    "mix_education",
    "mix_diagnosis",
    "sick_agreement",
)


@cache
def shown(recipient: str = "alfa") -> tuple[ReleasableTable, ...]:
    """The tables of the quality of the data that one recipient may see."""
    made = [one for one in tables_of(made_up(2, people=300), patients=PATIENTS) if one.recipient == recipient]
    quality = [one for one in made if one.table in QUALITY]
    return suppress_together(quality, kar(), "institution" if recipient else "public", policy_for(kar()))


@cache
def page(recipient: str = "alfa") -> str:
    """The page of one recipient."""
    name = "Alfa" if recipient else ""
    files = result_files(shown(recipient), kar(), recipient_name=name, code_version="0.1.0")
    return next(file.content for file in files if file.name == "rapport.html").decode()


def sheets(recipient: str = "alfa") -> dict[str, Sheet]:
    """The sheets by table."""
    return {table.table: lay_out(table, kar()) for table in shown(recipient)}


def test_kar_declares_each_aspect_of_quality() -> None:
    """What the seed names: completeness, validity, comparability, reliability; what cannot be measured, and why."""
    assert tuple(table.table for table in shown()) == QUALITY
    assert {one.aspect for one in kar().unmeasured} == {"reliability", "comparability", "validity"}
    for one in kar().unmeasured:
        assert one.reason.nb in page()


@pytest.mark.parametrize("recipient", ["alfa", ""])
def test_every_figure_of_the_page_stands_beside_its_n(recipient: str) -> None:
    """A number without n, or with another n than its table has, would be read for more than it is."""
    for sheet in sheets(recipient).values():
        figures = [
            line.figure for line in sheet.lines if line.figure.statistic is not Statistic.STANDARDISED_DIFFERENCE
        ]
        cells = [cell for row in grid(sheet).rows for cell in row[2:] if cell[0] not in ("", WITHHELD)]
        numbers = [cell for cell in cells if len(cell) > 1]
        assert len(numbers) == sum(figure.withheld is None for figure in figures)
        of_n = sorted(int(re.findall(r"\d+", cell[-1])[-1]) for cell in numbers)
        assert of_n == sorted(figure.denominator or 0 for figure in figures if figure.withheld is None)


def test_the_quality_stands_after_the_results_under_a_heading_of_its_own() -> None:
    """A reader who came for the results does not have to pass it."""
    assert page().index('id="kvalitet"') < page().index('id="tabell-coverage"')
    assert "Det er ingen tall å tegne" not in page().split('id="kvalitet"')[1].split('id="tabell-mix_sex"')[0]


def test_a_standardised_difference_stands_in_the_line_of_own_only() -> None:
    """It is the clinic's own against all others; the national page has none."""
    sheet = sheets()["mix_sex"]
    rows = grid(sheet).rows
    assert [row[-1][0] != "" for row in rows] == [row[1][0] == "Vår institusjon" for row in rows]
    differences = [line for line in sheet.lines if line.figure.statistic is Statistic.STANDARDISED_DIFFERENCE]
    assert {line.cells[2].shown() for line in differences} == {"Vår institusjon mot øvrige, standardisert forskjell"}
    assert all(line.figure.group is Group.OTHERS for line in differences)
    assert "standardisert forskjell" not in page("")


def test_the_coverage_is_a_card_and_the_rest_of_the_quality_none() -> None:
    """The one number of it that a leader asks for first."""
    assert {name for name, sheet in sheets().items() if cards_of(sheet)} == {"coverage"}
    assert "Registrert av oppgitte ARR-pasienter i 2023" in page()
