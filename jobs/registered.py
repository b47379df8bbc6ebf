"""The registry's side of a linkage: who may be linked, what is known of them, and how the lender may recognise them."""

import polars as pl

from enclave.identity.resolve import Resolver
from enclave.linkage.link import Registered
from enclave.linkage.quality import characterise, first_days
from enclave.linkage.read import comparable
from enclave.model.pseudonymous import PSEUDONYM, SENDER
from enclave.model.purpose import Purpose
from enclave.registry.definition import Identifier, Loan
from enclave.wiring import Wiring


def registered_people(wiring: Wiring, kind: Loan, resolver: Resolver, state: int) -> Registered:
    """The people whose rows of this state may be read for linkage, in the registry's order."""
    definition = wiring.definition.definition
    forms = {form.id: _rows(wiring, form.id, state) for form in definition.forms if form.subject == "person"}
    people = pl.concat([rows.select(PSEUDONYM, SENDER) for rows in forms.values()])
    once = people.select(PSEUDONYM).unique(maintain_order=True)
    known = resolver.describe(once[PSEUDONYM].to_list())
    first = definition.form(definition.period_form)
    days = first_days(forms[first.id].select(PSEUDONYM, day=first.dated_by).drop_nulls())
    identifiers = once
    for one in kind.identifiers:
        identifiers = identifiers.join(
            _values(one, known, forms), on=PSEUDONYM, how="left", maintain_order="left", validate="1:1"
        )
    return Registered(people, characterise(once, known, days), identifiers)


def _rows(wiring: Wiring, form: str, state: int) -> pl.DataFrame:
    return wiring.registry_reader.read(form, state=state, purpose=Purpose.LINKAGE)


def _values(one: Identifier, known: pl.DataFrame, forms: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """`_pseudonym` and the identifier, one row for each person who has it: of several answers the last."""
    form, dot, column = one.ours.partition(".")
    source = forms[form] if dot else known.rename({"pseudonym": PSEUDONYM})
    return (
        source.select(PSEUDONYM, pl.col(column if dot else form).cast(pl.String).alias(one.name))
        .with_columns(comparable(one.name, one.kind))
        .drop_nulls()
        .unique(PSEUDONYM, keep="last", maintain_order=True)
    )
