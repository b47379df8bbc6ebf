"""A small registry of the tests' own, the databases that hold it, and shorthand for records and positions."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Engine

from enclave.audit.record import Position
from enclave.crypto.secret import Secret
from enclave.model.pseudonymous import PseudonymousRecords
from enclave.registry.definition import Code, Definition, Form, Kind, Label, LegalBasis, SetCheck, Variable
from enclave.store.bulk import row_schema
from enclave.store.engines import postgres_engine, sqlcipher_engine, transaction
from enclave.store.read import RegistryReader
from enclave.store.settlement import Outcome, Settlement
from enclave.store.tables import apply
from enclave.store.write import Plan, RegistryWriter

LABEL = Label(nb="x", en="x")
KEY = Secret(bytes(range(32)))


def variable(name: str, kind: Kind, *codes: str) -> Variable:
    """A variable of the test registry."""
    return Variable(name=name, kind=kind, label=LABEL, codes=tuple(Code(value=code, label=LABEL) for code in codes))


ARRIVAL = Form(
    id="arrival",
    label=LABEL,
    time_point="arrival",
    dated_by="arrival_date",
    variables=(
        variable("arrival_date", Kind.DATE),
        variable("end_date", Kind.DATE),
        variable("sex", Kind.CODE, "female", "male"),
        variable("score", Kind.INTEGER),
        variable("weight", Kind.DECIMAL),
        variable("employed", Kind.BOOLEAN),
        variable("benefits", Kind.MULTI, "sick_pay", "aap"),
        variable("occupation", Kind.TEXT),
    ),
)
FOLLOW_UP = Form(
    id="follow_up",
    label=LABEL,
    time_point="follow_up",
    dated_by="response_date",
    variables=(variable("response_date", Kind.DATE), variable("score", Kind.INTEGER)),
)
UNIT = Form(
    id="unit",
    label=LABEL,
    time_point="year",
    subject="institution",
    person_id=None,
    dated_by="counted_on",
    variables=(variable("counted_on", Kind.DATE), variable("beds", Kind.INTEGER)),
)


def definition(*forms: Form) -> Definition:
    """A definition of these forms."""
    return Definition(
        id="test",
        name=LABEL,
        version="1",
        country="no",
        proposed=True,
        source="own",
        period_form="arrival",
        legal_bases=(LegalBasis(kind="mandatory", source="own"),),
        forms=forms or (ARRIVAL, FOLLOW_UP, UNIT),
    )


def checked(form: Form, *checks: SetCheck) -> Form:
    """The form with these set checks."""
    return form.model_copy(update={"set_checks": checks})


def check(kind: str, *columns: str, **settings: Any) -> SetCheck:
    """A set check named after its kind."""
    return SetCheck(id=kind, kind=kind, columns=columns, label=LABEL, **settings)


PLAIN = definition()
_numbers = count(1)


def position() -> Position:
    """A position that no other transaction of the tests has."""
    return Position("log-1", next(_numbers))


def key(name: str) -> bytes:
    """Sixteen bytes that stand for a person or a course."""
    return sha256(name.encode()).digest()[:16]


@dataclass(frozen=True)
class Database:
    """One database: an engine that writes, and the maker of another that reads."""

    technology: str
    engine: Engine
    open_reader: Callable[[], Engine]

    def writer(self, of: Definition = PLAIN) -> RegistryWriter:
        """Apply a definition and open its writer."""
        source = of.model_dump_json().encode()
        apply(self.engine, of, sha256(source).hexdigest(), source, position())
        return RegistryWriter(self.engine, of)

    def reader(self, of: Definition = PLAIN) -> RegistryReader:
        """A reader on an engine that cannot write."""
        return RegistryReader(self.open_reader(), of)


def emptied_postgres(url: str) -> Database:
    """The PostgreSQL database at `url` with nothing in it."""
    engine = postgres_engine(url)
    with transaction(engine) as connection:
        connection.exec_driver_sql("SET client_min_messages = warning")
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return Database("postgres", engine, lambda: postgres_engine(url, read_only=True))


def new_sqlcipher(folder: Path) -> Database:
    """A new SQLCipher file."""
    path = folder / f"{uuid.uuid4()}.db"
    engine = sqlcipher_engine(path, KEY, create=True)
    return Database("sqlcipher", engine, lambda: sqlcipher_engine(path, KEY, read_only=True))


def records(form: Form, sender: str, rows: Sequence[dict[str, Any]], drop_uuid: str = "") -> PseudonymousRecords:
    """Records of one form; `person` and `course` are names, `_row` counts from 2, and what is left out is missing."""
    schema = pl.Schema({"_row": pl.Int64(), **row_schema(form)})
    full = []
    for number, row in enumerate(rows, start=2):
        keys = {"_row": number, "_episode": key(row["course"]), "_pseudonym": key(row.get("person", ""))}
        full.append({name: {**keys, **row}.get(name) for name in schema})
    return PseudonymousRecords(drop_uuid or str(uuid.uuid4()), sender, form.id, pl.DataFrame(full, schema=schema))


def settlement(plan: Plan) -> Settlement:
    """The settlement that admits a plan."""
    return Settlement(plan.drop_uuid, plan.sender, Outcome.ADMITTED, "", plan.counts)


def send(writer: RegistryWriter, sender: str, form: Form, *rows: dict[str, Any]) -> Plan:
    """Plan and settle a drop of one form; answer the plan."""
    plan = writer.plan([records(form, sender, rows)])
    writer.settle(plan, settlement(plan), [], position())
    return plan


def day(text: str) -> date:
    """An ISO date."""
    return date.fromisoformat(text)
