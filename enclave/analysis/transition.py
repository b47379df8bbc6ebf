"""From each answer at the first form of a course, the share with each answer at a later one."""

import polars as pl

from enclave.analysis.courses import COURSE, Scope, courses_in_period, tables_by_group
from enclave.analysis.reader import Reader
from enclave.analysis.shares import answers, share_figure
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.model.table import Figure, Group, ResultTable, Statistic
from enclave.registry.definition import Definition, TransitionTable


def transition_tables(
    reader: Reader, definition: Definition, table: TransitionTable, scope: Scope
) -> tuple[ResultTable, ...]:
    """One table for each institution (own, others, all), in order of id, and last the national one (recipient "").

    A course counts where it is answered at both forms; a figure is the share of those with one first answer (`origin`)
    who gave one later answer (`category`), for every two codes.
    """
    forms = [definition.form(form) for form in table.forms]
    variable = next(variable for variable in forms[0].variables if variable.name == table.variable)
    codes = [code.value for code in variable.codes if not code.not_answered]

    def courses_of(purpose: Purpose) -> pl.DataFrame:
        courses = courses_in_period(reader, definition, period=scope.period, state=scope.state, purpose=purpose)
        for form in forms:
            rows = answers(reader, form, state=scope.state, purpose=purpose).select(
                *COURSE, pl.col(table.variable).alias(form.id)
            )
            courses = courses.join(rows, on=COURSE, how="left", validate="1:1", maintain_order="left")
        return courses

    def figures(group: Group, courses: pl.DataFrame) -> list[Figure]:
        found = []
        for form in forms[1:]:
            both = courses.select(SENDER, PSEUDONYM, first=forms[0].id, later=form.id).drop_nulls()
            for origin in codes:
                begun = both.filter(pl.col("first") == origin)
                found += [
                    share_figure(
                        Statistic.TRANSITION,
                        code,
                        form.time_point,
                        group,
                        begun.select(SENDER, PSEUDONYM, holds=pl.col("later") == code),
                        origin,
                    )
                    for code in codes
                ]
        return found

    return tables_by_group(table.id, scope, courses_of, figures)
