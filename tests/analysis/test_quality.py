"""Tables of data quality, against a recomputation in plain Python, numpy and pandas, from the rows themselves."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from enclave.analysis.courses import Delivery, Scope
from enclave.analysis.reliability import consistency_tables
from enclave.analysis.statistics import alpha_interval, kappa_interval, standardised_difference
from enclave.model.purpose import Purpose
from enclave.model.table import Figure, Group, Statistic
from enclave.registry.definition import Definition
from enclave.registry.quality import ConsistencyTable
from tests.analysis.example import label
from tests.analysis.kar import PERIOD, Course, FormReader, drop_of, kar, made_up, tables_of

COURSES = made_up(3, people=400)
SENDERS = ("alfa", "beta", "delta", "eps", "gamma")
PATIENTS = {"alfa": 200, "beta": 130, "delta": 150, "eps": 20, "gamma": 180, "zeta": 40}


def figures(table: str, recipient: str = "alfa", **given: object) -> dict[tuple[str, str, str, str], Figure]:
    """The figures of one table of one recipient, by category, time point, group and statistic."""
    made = tables_of(COURSES, only=table, **given)  # type: ignore[arg-type]
    (one,) = [each for each in made if each.recipient == recipient]
    return {(each.category, each.time_point, each.group, each.statistic): each for each in one.figures}


def counted(figure: Figure) -> tuple[int | None, int]:
    """The numerator and n."""
    return figure.count, figure.denominator


def of_group(group: Group) -> list[Course]:
    """The courses that count for alfa's own, others and all."""
    wanted = {Group.OWN: ("alfa",), Group.OTHERS: SENDERS[1:], Group.ALL: SENDERS}[group]
    return [course for course in COURSES if course.sender in wanted]


@pytest.mark.parametrize("group", list(Group))
def test_coverage_is_registered_people_of_reported_patients(group: Group) -> None:
    """Eps reported fewer than it registered, and counts for nobody; zeta registered nobody, and counts for others."""
    figure = figures("coverage", patients=PATIENTS)["registered", "arrival", group, Statistic.SHARE]
    registered = {sender: len({one.person for one in COURSES if one.sender == sender}) for sender in PATIENTS}
    credible = [sender for sender in PATIENTS if registered[sender] <= PATIENTS[sender]]
    assert "eps" not in credible
    assert "zeta" in credible
    others = [one for one in credible if one != "alfa"]
    senders = {Group.OWN: ["alfa"], Group.OTHERS: others, Group.ALL: credible}[group]
    people, patients = sum(registered[one] for one in senders), sum(PATIENTS[one] for one in senders)
    assert counted(figure) == (people, patients)
    low, high = proportion_confint(people, patients, method="wilson")
    assert (figure.value, figure.low, figure.high) == pytest.approx((people / patients, low, high))
    assert dict(figure.contributors) == {one: PATIENTS[one] for one in senders}
    assert dict(figure.positives) == {one: registered[one] for one in senders}


def test_an_institution_that_reported_too_few_or_nothing_has_no_coverage() -> None:
    """It still sees its own two numbers."""
    made = tables_of(COURSES, only="coverage", patients=PATIENTS, institutions=("eps", "beta"))
    (own,) = [one for one in made[1].figures if one.group is Group.OWN]
    assert (own.value, own.low, own.high, own.denominator) == (None, None, None, 20)
    assert own.count is not None
    assert own.count > 20
    without = {name: people for name, people in PATIENTS.items() if name != "beta"}
    (none,) = [
        one
        for one in tables_of(COURSES, only="coverage", patients=without, institutions=("beta",))[0].figures
        if one.group is Group.OWN
    ]
    assert (none.value, none.denominator) == (None, 0)


@pytest.mark.parametrize("group", list(Group))
def test_missing_answers_are_counted_where_the_question_was_asked(group: Group) -> None:
    """Recomputed by pandas: a code that is no answer is missing, and a position is asked of the employed only."""
    made = figures("missing")
    courses = of_group(group)
    for form, moment in (("arrival", "arrival"), ("discharge", "discharge"), ("follow_up_12", "follow_up_12")):
        rows = pd.DataFrame([course.rows[form] for course in courses if form in course.rows])
        health = made["health", moment, group, Statistic.SHARE]
        assert counted(health) == (int(rows["health"].isna().sum()), len(rows))
        employed = rows[rows["employed"].map(lambda answer: answer is True)]
        position = made["position_percent", moment, group, Statistic.SHARE]
        assert counted(position) == (int(employed["position_percent"].isna().sum()), len(employed))
        benefits = made["benefits", moment, group, Statistic.SHARE]
        boxes = rows[[name for name in rows if name.startswith("benefits_")]]
        assert counted(benefits) == (int(boxes.isna().all(axis=1).sum()), len(rows))
    arrivals = pd.DataFrame([course.rows["arrival"] for course in courses])
    silent = int((arrivals["education"] == "not_stated").sum())
    assert silent > 0
    assert counted(made["education", "arrival", group, Statistic.SHARE]) == (silent, len(arrivals))


def test_a_discharge_that_is_not_there_is_counted_and_a_follow_up_is_left_to_the_response_rate() -> None:
    """Every tenth course has no discharge; its answers at discharge are nobody's."""
    courses = [
        Course(one.sender, one.person, one.number, {"arrival": one.rows["arrival"]}) if one.number % 10 == 0 else one
        for one in COURSES
    ]
    made = tables_of(courses, only="missing")[0].figures
    lacking = [one for one in made if one.category == "form"]
    assert {(one.time_point, one.group) for one in lacking} == {("discharge", group) for group in Group}
    (everyone,) = [one for one in lacking if one.group is Group.ALL]
    assert counted(everyone) == (40, 400)
    (health,) = [one for one in made if (one.category, one.time_point, one.group) == ("health", "discharge", Group.ALL)]
    assert health.denominator == 360


@pytest.mark.parametrize("group", list(Group))
def test_implausible_rows_break_a_check_that_warns(group: Group) -> None:
    """Recomputed row by row; a check that cannot be judged because an answer is missing counts nowhere."""
    made = figures("implausible")
    for form, moment in (("arrival", "arrival"), ("follow_up_6", "follow_up_6")):
        judged = broken = 0
        for course in of_group(group):
            row = course.rows.get(form, {})
            pay, leave = row.get("benefits_sick_pay"), row.get("sick_leave")
            # NOT pay OR leave <> 'none', in three values.
            if pay is False or leave in ("partial", "full"):
                judged += 1
            elif pay is True and leave == "none":
                judged += 1
                broken += 1
        assert broken > 0
        assert counted(made["sick_pay_needs_sick_leave", moment, group, Statistic.SHARE]) == (broken, judged)


def test_refused_rows_are_those_of_the_drops_that_the_period_stands_in() -> None:
    """A drop of which no row of the period stands does not count; people are counted as few as they can be."""
    drops = sorted({(drop_of(course), course.sender) for course in COURSES})
    deliveries = tuple(Delivery(drop, sender, 100 + index, index) for index, (drop, sender) in enumerate(drops))
    elsewhere = Delivery("alfa-9", "alfa", 1000, 999)
    made = figures("refused", deliveries=(*deliveries, elsewhere))
    for group, senders in ((Group.OWN, ("alfa",)), (Group.OTHERS, SENDERS[1:]), (Group.ALL, SENDERS)):
        of_senders = [one for one in deliveries if one.sender in senders]
        figure = made["refused", "arrival", group, Statistic.SHARE]
        assert counted(figure) == (sum(one.refused for one in of_senders), sum(one.rows for one in of_senders))
        for sender, people in figure.positives:
            largest = max(one.refused for one in of_senders if one.sender == sender)
            assert people == int(np.ceil(largest / 4))


def test_a_standardised_difference_is_own_less_others_in_standard_deviations() -> None:
    """Recomputed by numpy; disclosure control judges it by the others' people, and everyone's table has none."""
    made = figures("mix_sex")
    own, others = (
        [course.rows["arrival"]["sex"] == "female" for course in of_group(group)] for group in (Group.OWN, Group.OTHERS)
    )
    spread = np.sqrt((np.var(own) + np.var(others)) / 2)
    wanted = (np.mean(own) - np.mean(others)) / spread
    figure = made["female", "arrival", Group.OTHERS, Statistic.STANDARDISED_DIFFERENCE]
    assert figure.value == pytest.approx(wanted)
    assert figure.positives == made["female", "arrival", Group.OTHERS, Statistic.SHARE].positives
    male = made["male", "arrival", Group.OTHERS, Statistic.STANDARDISED_DIFFERENCE]
    assert male.value == pytest.approx(-wanted)
    national = figures("mix_sex", recipient="")
    assert {statistic for _, _, _, statistic in national} == {Statistic.SHARE}


def test_nothing_that_does_not_vary_has_a_standardised_difference() -> None:
    """There is no standard deviation to tell it in."""
    assert standardised_difference(1.0, 1.0) is None
    assert standardised_difference(0.0, 0.0) is None
    assert standardised_difference(None, 0.5) is None
    assert standardised_difference(1.0, 0.0) is None


@pytest.mark.parametrize("group", list(Group))
def test_agreement_and_kappa_are_those_of_the_four_cells(group: Group) -> None:
    """Kappa by hand: (observed less expected) / (1 less expected)."""
    made = figures("sick_agreement")
    rows = [course.rows["arrival"] for course in of_group(group)]
    pairs = [
        (row["sick_leave"] != "none", bool(row["benefits_sick_pay"]))
        for row in rows
        if row["sick_leave"] is not None and row["benefits_sick_pay"] is not None
    ]
    n = len(pairs)
    alike = sum(first == second for first, second in pairs)
    agree = made["agree", "arrival", group, Statistic.SHARE]
    assert counted(agree) == (alike, n)
    first, second = (sum(each) / n for each in zip(*pairs, strict=True))
    expected = first * second + (1 - first) * (1 - second)
    kappa = made["agree", "arrival", group, Statistic.KAPPA]
    assert kappa.value == pytest.approx((alike / n - expected) / (1 - expected))
    assert kappa.low is not None
    assert kappa.high is not None
    assert kappa.low < kappa.value < kappa.high
    only_first = sum(first and not second for first, second in pairs)
    only_second = sum(second and not first for first, second in pairs)
    assert [sum(people for _, people in part) for part in kappa.parts] == [only_first, only_second]
    assert agree.parts == kappa.parts


def test_the_interval_of_kappa_is_that_of_fleiss_cohen_and_everitt() -> None:
    """Their 1969 formula, written out for the four cells 45, 15, 25, 15."""
    cells = np.array([[45, 15], [25, 15]]) / 100
    rows, columns = cells.sum(axis=1), cells.sum(axis=0)
    observed, expected = np.trace(cells), rows @ columns
    kappa = (observed - expected) / (1 - expected)
    first = sum(cells[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in (0, 1))
    second = (1 - kappa) ** 2 * sum(cells[i, 1 - i] * (columns[i] + rows[1 - i]) ** 2 for i in (0, 1))
    third = (kappa - expected * (1 - kappa)) ** 2
    error = np.sqrt((first + second - third) / (100 * (1 - expected) ** 2))
    found = kappa_interval(45, 15, 25, 15)
    half = stats.norm.ppf(0.975) * error
    assert (found.value, found.low, found.high) == pytest.approx((kappa, kappa - half, kappa + half))
    assert kappa_interval(10, 0, 3, 0).value is None


def test_alpha_is_that_of_the_covariances_and_its_interval_is_feldts() -> None:
    """Recomputed from the covariance matrix: k/(k-1) (1 - trace/sum)."""
    answers = np.random.default_rng(5).integers(1, 6, size=(40, 4)).astype(float)
    answers += answers.mean(axis=1, keepdims=True)
    matrix = np.cov(answers, rowvar=False)
    alpha = 4 / 3 * (1 - np.trace(matrix) / matrix.sum())
    found = alpha_interval([tuple(row) for row in answers])
    low = 1 - (1 - alpha) * stats.f.ppf(0.975, 39, 39 * 3)
    high = 1 - (1 - alpha) * stats.f.ppf(0.025, 39, 39 * 3)
    assert (found.value, found.low, found.high) == pytest.approx((alpha, low, high))
    assert alpha_interval([(1.0, 2.0)]).value is None
    assert alpha_interval([(1.0, 2.0), (1.0, 2.0)]).value is None


def test_the_consistency_of_a_scale_counts_complete_rows_only() -> None:
    """A row that lacks one item is no row of the scale."""
    table = ConsistencyTable(
        id="scale", kind="consistency", label=label("Skala"), forms=("arrival",), items=("work_ability", "health")
    )
    made = consistency_tables(FormReader(COURSES, {}), kar(), table, Scope(PERIOD, ("alfa",), 7, "d" * 64))
    for figure in made[0].figures:
        rows = [course.rows["arrival"] for course in of_group(figure.group)]
        complete = [
            (row["work_ability"], row["health"]) for row in rows if None not in (row["work_ability"], row["health"])
        ]
        matrix = np.cov(np.array(complete, dtype=float), rowvar=False)
        assert figure.denominator == len(complete) < len(rows)
        assert figure.value == pytest.approx(2 * (1 - np.trace(matrix) / matrix.sum()))


def test_who_may_not_be_compared_counts_in_nobody_elses_quality() -> None:
    """A reservation against comparison takes a person out of others and all, of every table; not out of own."""
    alfa = next(course for course in COURSES if course.sender == "alfa")
    reserved = {Purpose.COMPARISON: {alfa.person}}
    for table in ("missing", "implausible", "mix_sex", "sick_agreement", "coverage"):
        before, after = (figures(table, patients=PATIENTS, reserved=each) for each in ({}, reserved))
        assert all(after[place] == figure for place, figure in before.items() if figure.group is Group.OWN)
        assert any(after[place] != figure for place, figure in before.items() if figure.group is Group.ALL)


def test_the_order_of_rows_changes_no_digit() -> None:
    """The same rows turned about give the same tables, contributors and all."""
    turned = list(reversed(COURSES))
    wanted = [one for one in kar().tables if one.kind in ("missing", "implausible", "agreement", "coverage")]
    few = Definition.model_validate({**dict(kar()), "tables": tuple(wanted)})
    assert tables_of(COURSES, definition=few, patients=PATIENTS) == tables_of(turned, definition=few, patients=PATIENTS)


def test_the_year_is_the_periods() -> None:
    """What was reported of the year before is not this year's."""
    reader = FormReader(COURSES, {}, PATIENTS)
    rows = reader.read("institution", state=7, purpose=Purpose.NATIONAL)
    assert rows.filter(pl.col("report_year") == 2022)["arr_patients"].unique().to_list() == [1]
    assert date(2023, 1, 1) == PERIOD[0]
