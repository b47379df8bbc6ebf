"""The national pages on made-up courses: two years of KAR's own tables, news, a loan in use and a destroyed one."""

from datetime import date
from functools import cache

from enclave.disclosure.linked import suppress_together
from enclave.disclosure.policy import policy_for
from enclave.model.table import ReleasableTable, ResultTable
from enclave.report.news import read_words
from enclave.report.site import Borrowed, Period, site_files
from tests.analysis.kar import kar, made_up, tables_of

CODE = "0.1.0"
WORDS = read_words(
    """
about = ["Registeret skal <b>bidra</b>"]
join = ["Ta kontakt.", "Send inn."]

[[news]]
date = 2026-01-05
title = "Åpent & nytt"
text = "Resultatene er ute."

[[news]]
date = 2026-03-01
title = "Årsmøte"
text = "Velkommen."
""".replace("<b>", "«")
    .replace("</b>", "»")
    .encode()
)
LOANS = (
    Borrowed("nav-2025", "NAV", ("Sykepenger", "Uføretrygd"), date(2025, 6, 1), date(2025, 5, 2)),
    Borrowed("nav-2026", "NAV", ("Sykepenger",), date(2026, 6, 1), None),
)


@cache
def tables(people: int = 150) -> tuple[tuple[ResultTable, ...], tuple[ReleasableTable, ...]]:
    """The tables of everyone before and after disclosure control."""
    made = tuple(each for each in tables_of(made_up(2, people=people)) if not each.recipient)
    return made, suppress_together(made, kar(), "public", policy_for(kar()))


@cache
def national(people: int = 150) -> dict[str, bytes]:
    """The files of the site."""
    periods = [Period(tables(people)[1], kar())]
    return {file.name: file.content for file in site_files(periods, kar(), words=WORDS, loans=LOANS, code_version=CODE)}
