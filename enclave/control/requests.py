"""Requests: what the command line asks of the jobs, and what waits for a second person's signature."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, insert, select, update

from enclave.control.database import Control
from enclave.control.states import move
from enclave.control.tables import request
from enclave.errors import Refused, explain
from enclave.flow import RequestState

explain("R_REQUEST_UNKNOWN", "There is no such request.", "See `enclave request list`.")
explain(
    "R_REQUEST_BEGUN",
    "This request waits for nobody's signature: a job may have begun it.",
    "Run the job that it waits for; `enclave status` names it.",
)
explain("R_REQUEST_CANCELLED", "The request was cancelled before it was signed.", "File a new one if it is needed.")
explain("R_REQUEST_CLOSED", "This request is closed already.", "File a new one.")

ROTATION = "rotate_key"
"""The kind of request that moves to the next key what is under the old one."""
NEEDS_TWO_PEOPLE = frozenset({"loan_order", "recipient_key", "extract", "merge", "split", "reidentify"})
"""Kinds that no job begins before the project lead's signature is there."""
SIGNATURE_NAMESPACE = "request@enclave"


@dataclass(frozen=True)
class Request:
    """One row of the request table. An identity is never here: it lies in the file sealed to `rights`."""

    request_id: str
    registry: str
    kind: str
    state: RequestState
    parameters: Mapping[str, str]
    sealed_sha256: str
    filed_at: str
    filed_by: str
    signature: str
    closed_at: str | None
    reason: str

    def signed_text(self) -> bytes:
        """What the second person signs: the whole request in canonical form."""
        facts = {
            "request_id": self.request_id,
            "registry": self.registry,
            "kind": self.kind,
            "parameters": dict(self.parameters),
            "sealed_sha256": self.sealed_sha256,
            "filed_at": self.filed_at,
            "filed_by": self.filed_by,
        }
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def file_request(connection: Connection, filed: Request) -> None:
    """Enter a request."""
    connection.execute(insert(request).values(**{**vars(filed), "parameters": dict(filed.parameters)}))


def find_request(control: Control, request_id: str) -> Request:
    """The request with this id; Refused where there is none."""
    with control.reading() as connection:
        row = connection.execute(select(request).where(request.c.request_id == request_id)).first()
    if row is None:
        raise Refused("R_REQUEST_UNKNOWN")
    return _request(row)


def requests_of(control: Control, registry: str, *states: RequestState) -> tuple[Request, ...]:
    """Requests in these states (all, when none is named), in the order of filing."""
    wanted = select(request).where(request.c.registry == registry)
    if states:
        wanted = wanted.where(request.c.state.in_(states))
    with control.reading() as connection:
        rows = connection.execute(wanted.order_by(request.c.filed_at, request.c.request_id))
        return tuple(_request(row) for row in rows)


def sign_request(connection: Connection, signed: Request, signature: str) -> None:
    """Keep the second person's signature; the job that executes the request checks it."""
    if signed.state is not RequestState.FILED:
        raise Refused("R_REQUEST_CLOSED")
    connection.execute(update(request).where(request.c.request_id == signed.request_id).values(signature=signature))


def close_request(connection: Connection, request_id: str, state: RequestState, *, reason: str, at: datetime) -> None:
    """Enter what became of a request."""
    move(connection, request, request.c.request_id == request_id, state, reason=reason, closed_at=at.isoformat())


def _request(row: Row[tuple[object, ...]]) -> Request:
    facts = dict(row._mapping)
    return Request(**{**facts, "state": RequestState(facts["state"])})
