"""Reporting periods: calendar years of arrivals that ended twelve months ago, so that all follow-ups can be in."""

from datetime import date

import polars as pl

from enclave.model.pseudonymous import SENDER
from enclave.model.purpose import Purpose
from enclave.wiring import Wiring

Period = tuple[date, date]


def closed_periods(wiring: Wiring) -> tuple[Period, ...]:
    """The calendar years with arrivals that ended at least twelve months before this run."""
    arrivals, dated_by = _arrivals(wiring)
    years = arrivals[dated_by].dt.year().unique().drop_nulls().sort().to_list()
    return tuple(_year(year) for year in years if closed_on(_year(year)) <= wiring.now.date())


def _year(year: int) -> Period:
    return date(year, 1, 1), date(year, 12, 31)


def closed_on(period: Period) -> date:
    """The day from which a period is closed: the first day twelve months after its end."""
    return date(period[1].year + 2, 1, 1)


def institutions_in(wiring: Wiring, period: Period) -> tuple[str, ...]:
    """The institutions with arrivals in a period, by id."""
    arrivals, dated_by = _arrivals(wiring)
    return tuple(arrivals.filter(pl.col(dated_by).is_between(*period))[SENDER].unique().sort().to_list())


def _arrivals(wiring: Wiring) -> tuple[pl.DataFrame, str]:
    definition = wiring.definition.definition
    form = definition.form(definition.period_form)
    return wiring.registry_reader.read(form.id, state=None, purpose=Purpose.COMPARISON), form.dated_by
