"""Requests of people, and about the registry itself → done, through every room.

A withdrawal: the person is marked in the vault, every read of the registry leaves them out from the next state on,
and what was not sealed yet is cancelled, to be made again without them.
"""

import hashlib
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from enclave import durable
from enclave.audit.record import Purpose
from enclave.control.institutions import change_institution, find_institution
from enclave.control.releases import cancel_unsealed
from enclave.control.requests import Request, close_request, requests_of
from enclave.control.runs import apply_definition
from enclave.crypto import age
from enclave.errors import Refused, Rejected, explain
from enclave.flow import Act, RequestState
from enclave.grants import Access, Folder
from enclave.registry.compare import additions
from enclave.registry.load import load_kept
from enclave.release.gate import POLICIES
from enclave.second_person import verify_second_person
from enclave.store import tables
from enclave.wiring import Wiring

explain(
    "R_REQUEST_SEALED",
    "The sealed part of this request is missing, is not the one that was filed, or cannot be opened.",
    "File the request again; nothing was changed.",
)

RECIPIENT_KEY = "recipient_key"
UNFILED = timedelta(hours=1)
DERIVED_FROM_ROWS = tuple(kind for kind, policy in POLICIES.items() if policy.from_rows)


def rights(wiring: Wiring) -> dict[str, int]:
    """Carry out every filed request; answers how many were done and refused."""
    counts = {"done": 0, "refused": 0}
    filed = [
        request
        for request in requests_of(wiring.control, wiring.registry, RequestState.FILED)
        if request.kind in _KINDS and not _waits_for_second_person(wiring, request)
    ]
    for request in filed:
        try:
            if _needs_second_person(wiring, request):
                verify_second_person(wiring.settings, request.signed_text(), request.signature.encode(), wiring.now)
            _KINDS[request.kind](wiring, request)
            state, reason = RequestState.DONE, ""
        except Refused as why:
            state, reason = RequestState.REFUSED, why.code
        _close(wiring, request, state, reason)
        counts[state.value] += 1
    _sweep(wiring)
    return counts


def _needs_second_person(wiring: Wiring, request: Request) -> bool:
    """Whether a request lowers what protects people: whom lists are sealed to, or a threshold of disclosure."""
    if request.kind == RECIPIENT_KEY:
        return True
    if request.kind != "apply_definition":
        return False
    new = load_kept(wiring.lies.definitions, request.parameters["sha256"]).definition.disclosure
    old = wiring.definition.definition.disclosure
    return (
        new.minimum_count < old.minimum_count
        or new.minimum_denominator < old.minimum_denominator
        or new.minimum_institutions < old.minimum_institutions
    )


def _waits_for_second_person(wiring: Wiring, request: Request) -> bool:
    """Whether a request stays filed until the project lead's signature is handed in."""
    return not request.signature and _needs_second_person(wiring, request)


def _withdraw(wiring: Wiring, request: Request) -> None:
    pseudonym = _person(wiring, request)
    case = request.parameters["case_number"]
    why = Purpose.WITHDRAW
    with wiring.acts.act(Act.PERSON_MARK, "request", request.request_id, purpose=why, case_number=case) as act:
        wiring.vault.mark_withdrawn(pseudonym, act.position)
    # A crash here leaves the person marked and still read; the request is carried out again.
    with wiring.acts.act(Act.PERSON_WITHDRAW, "request", request.request_id, purpose=why, case_number=case) as act:
        wiring.registry_writer.withdraw(pseudonym, None, act.position)


def _person(wiring: Wiring, request: Request) -> bytes:
    path = wiring.path(Folder.REQUESTS, Access.READ) / f"{request.request_id}.age"
    try:
        sealed = durable.read(path)
        # Anybody can seal to this job; only the file that was filed and recorded names the person who is meant.
        if hashlib.sha256(sealed).hexdigest() != request.sealed_sha256:
            raise Refused("R_REQUEST_SEALED")
        person_id = age.open(sealed, wiring.keys.get("rights")).decode("ascii")
    except (FileNotFoundError, Rejected, UnicodeDecodeError):
        raise Refused("R_REQUEST_SEALED") from None
    found = wiring.vault.find([person_id])
    if found.is_empty():
        raise Refused("R_PERSON_UNKNOWN")
    pseudonym: bytes = found["pseudonym"][0]
    return pseudonym


def _apply_definition(wiring: Wiring, request: Request) -> None:
    sha256 = request.parameters["sha256"]
    loaded = load_kept(wiring.lies.definitions, sha256)
    additions(wiring.definition.definition, loaded.definition)
    with wiring.acts.act(Act.DEFINITION_APPLY, "definition", sha256, digests={"definition": sha256}) as act:
        engine = wiring.registry_engine(Access.WRITE)
        tables.apply(engine, loaded.definition, loaded.sha256, loaded.source, act.position)
        # A crash here leaves new, empty columns that no form uses yet; applying again finds them there.
        with wiring.control.changing(act.position) as connection:
            apply_definition(connection, wiring.registry, sha256, wiring.now)


def _change_recipient_key(wiring: Wiring, request: Request) -> None:
    """From now on lists of people for this lender are sealed to the key that two people have seen."""
    known = find_institution(wiring.control, wiring.registry, request.parameters["institution_id"])
    with wiring.acts.act(Act.RECIPIENT_KEY, "institution", known.institution_id) as act:
        with wiring.control.changing(act.position) as connection:
            change_institution(connection, replace(known, age_key=request.parameters["age_key"]))


def _close(wiring: Wiring, request: Request, state: RequestState, reason: str) -> None:
    with wiring.acts.act(Act.REQUEST_CLOSE, "request", request.request_id) as act:
        with wiring.control.changing(act.position) as connection:
            close_request(connection, request.request_id, state, reason=reason, at=wiring.now)
            if request.kind == "withdraw" and state is RequestState.DONE:
                cancelled = cancel_unsealed(connection, wiring.registry, DERIVED_FROM_ROWS, "withdrawal")
                act.add(cancelled=cancelled)
    durable.shred(wiring.path(Folder.REQUESTS, Access.WRITE) / f"{request.request_id}.age")


def _sweep(wiring: Wiring) -> None:
    """Destroy sealed identities of requests that are closed, and old ones that no request names.

    A kill may have come between closing and destroying, or between writing the file and filing its request.
    """
    folder = wiring.path(Folder.REQUESTS, Access.WRITE)
    closed = requests_of(wiring.control, wiring.registry, RequestState.DONE, RequestState.REFUSED)
    for request in closed:
        durable.shred(folder / f"{request.request_id}.age")
    known = {request.request_id for request in requests_of(wiring.control, wiring.registry)}
    for path in folder.iterdir():
        of_nobody = path.name.startswith(durable.TEMPORARY) or path.name.removesuffix(".age") not in known
        # A younger one may be a command's that is just about to file its request.
        if of_nobody and _is_older(path, wiring.now - UNFILED):
            durable.shred(path)


def _is_older(path: Path, than: datetime) -> bool:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_mtime < than.timestamp()


_KINDS: Mapping[str, Callable[[Wiring, Request], None]] = MappingProxyType(
    {"withdraw": _withdraw, "apply_definition": _apply_definition, RECIPIENT_KEY: _change_recipient_key}
)
