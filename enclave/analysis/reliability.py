"""Reliability: whether two questions about the same agree, and whether the items of a scale hang together."""

from dataclasses import replace

import polars as pl

from enclave.analysis.courses import COURSE, Scope, courses_in_period, people_by_institution, tables_by_group
from enclave.analysis.reader import Reader
from enclave.analysis.shares import answers, share_figure
from enclave.analysis.statistics import alpha_interval, kappa_interval
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import Figure, Group, ResultTable, Statistic
from enclave.registry.definition import Definition, Form
from enclave.registry.expressions import columns_of, parse, to_polars
from enclave.registry.quality import AGREE, SCALE, AgreementTable, ConsistencyTable


def agreement_tables(
    reader: Reader, definition: Definition, table: AgreementTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """Per form: the share of rows in which both questions are true or both are not, and kappa.

    Together with the share of each question, which another table may show, both tell how many answered yes to the
    first only and to the second only: these are parts that disclosure control judges too.
    """
    forms = [definition.form(form) for form in table.forms]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        for form in forms:
            columns = columns_of(form)
            pair = pl.struct(
                first=to_polars(parse(table.first, columns)), second=to_polars(parse(table.second, columns))
            )
            rows = answers(reader, form, state=scope.state, purpose=purpose).select(*COURSE, pair.alias(form.id))
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
        return courses

    def figures(group: Group, courses: pl.DataFrame) -> list[Figure]:
        return [
            figure
            for form in forms
            for figure in _agreement(group, form, courses.select(SENDER, PSEUDONYM, form.id).unnest(form.id))
        ]

    return tables_by_group(table.id, scope, courses_of, figures)


def _agreement(group: Group, form: Form, rows: pl.DataFrame) -> list[Figure]:
    both = rows.drop_nulls()
    first, second = pl.col("first"), pl.col("second")
    only = both.filter(first & ~second), both.filter(~first & second)
    alike = both.select(SENDER, PSEUDONYM, holds=first == second)
    agreed = share_figure(Statistic.SHARE, AGREE, form.time_point, group, alike)
    parts = tuple(people_by_institution(rows) for rows in only)
    yes, no = both.filter(first & second).height, both.filter(~first & ~second).height
    kappa = kappa_interval(yes, only[0].height, only[1].height, no)
    return [
        replace(agreed, parts=parts),
        replace(
            agreed,
            statistic=Statistic.KAPPA,
            value=kappa.value,
            low=kappa.low,
            high=kappa.high,
            count=None,
            parts=parts,
        ),
    ]


def consistency_tables(
    reader: Reader, definition: Definition, table: ConsistencyTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """Per form: Cronbach's alpha of the items, of rows in which every one of them is answered."""
    forms = [definition.form(form) for form in table.forms]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        for form in forms:
            items = {_item(form, name): pl.col(name).cast(pl.Float64) for name in table.items}
            rows = answers(reader, form, state=scope.state, purpose=purpose).select(*COURSE, **items)
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
        return courses

    def figures(group: Group, courses: pl.DataFrame) -> list[Figure]:
        found = []
        for form in forms:
            items = [_item(form, name) for name in table.items]
            complete = courses.select(SENDER, PSEUDONYM, *items).drop_nulls()
            alpha = alpha_interval(complete.select(items).rows())
            found.append(
                Figure(
                    category=SCALE,
                    time_point=form.time_point,
                    group=group,
                    statistic=Statistic.ALPHA,
                    value=alpha.value,
                    low=alpha.low,
                    high=alpha.high,
                    count=None,
                    denominator=complete.height,
                    contributors=people_by_institution(complete),
                )
            )
        return found

    return tables_by_group(table.id, scope, courses_of, figures)


def _item(form: Form, name: str) -> str:
    return f"{form.id}.{name}"
