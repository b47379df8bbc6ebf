"""Which forms each opened drop held, and how many faults each had. Nothing about rows or people."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from enclave.control.database import Control
from enclave.control.tables import delivery, drop


@dataclass(frozen=True)
class Delivery:
    """One form of one drop."""

    drop_uuid: str
    form: str
    faults: int


def note_deliveries(control: Control, drop_uuid: str, forms: Mapping[str, int]) -> None:
    """Note the forms of a drop with their faults; noted again, the newer stand."""
    with control.noting() as connection:
        connection.execute(delete(delivery).where(delivery.c.drop_uuid == drop_uuid))
        for form, faults in sorted(forms.items()):
            connection.execute(insert(delivery).values(drop_uuid=drop_uuid, form=form, faults=faults))


def deliveries_of(control: Control, registry: str) -> tuple[Delivery, ...]:
    """Every form of every opened drop of a registry."""
    wanted = (
        select(delivery)
        .join(drop, drop.c.drop_uuid == delivery.c.drop_uuid)
        .where(drop.c.registry == registry)
        .order_by(delivery.c.drop_uuid, delivery.c.form)
    )
    with control.reading() as connection:
        return tuple(Delivery(**row._mapping) for row in connection.execute(wanted))
