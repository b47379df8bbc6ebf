"""Requests of people, and about the registry itself → done, through every room.

A withdrawal: the person is marked in the vault, every read of the registry leaves them out from the next state on,
and what was not sealed yet is cancelled, to be made again without them. A merge: two numbers turn out to be one
person's; both pseudonyms stand, and one is read as the other in the vault and in the registry until a split.
"""

import hashlib
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import polars as pl

from enclave import durable
from enclave.audit.record import Purpose
from enclave.control.institutions import change_institution, find_institution
from enclave.control.releases import cancel_unsealed
from enclave.control.requests import ROTATION, Request, close_request, requests_of
from enclave.control.runs import apply_definition
from enclave.crypto import age
from enclave.errors import Refused, Rejected, explain
from enclave.flow import Act, RequestState
from enclave.grants import Access, Folder
from enclave.identity.rules import Mode, classify
from enclave.registry.compare import additions
from enclave.registry.load import load_kept
from enclave.release.gate import POLICIES
from enclave.second_person import verify_second_person
from enclave.store import tables
from enclave.wiring import Wiring
from jobs.old_keys import go_on, requests_left
from jobs.rotation import OF_DATABASES, move_rows, nobody_else_at_work

explain(
    "R_REQUEST_SEALED",
    "The sealed part of this request is missing, is not the one that was filed, or cannot be opened.",
    "File the request again; nothing was changed.",
)

explain(
    "R_MERGE_CONFLICT",
    "The two numbers state different sexes or dates of birth, as those of two people do.",
    "Ask the population register. If it says that both are one person's, file the merge again with --confirmed.",
)
explain(
    "R_REIDENTIFY_BOUNDS",
    "The request's last day is past, or it names more people than it says.",
    "File a new one, and let the project lead sign it.",
)

RECIPIENT_KEY = "recipient_key"
UNFILED = timedelta(hours=1)
TWO_PEOPLE = ("merge", "split", "reidentify", RECIPIENT_KEY)
DERIVED_FROM_ROWS = tuple(kind for kind, policy in POLICIES.items() if policy.from_rows)


def rights(wiring: Wiring) -> dict[str, int]:
    """Carry out every filed request; answers how many were done and refused."""
    counts = {"done": 0, "refused": 0}
    filed = [
        request
        for request in requests_of(wiring.control, wiring.registry, RequestState.FILED)
        if request.kind in _KINDS and not _is_waited_for(request) and not _waits_for_second_person(wiring, request)
    ]
    # Last, because what this run has opened stays under the keys that it was opened with.
    filed.sort(key=lambda request: request.kind == ROTATION)
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
    counts["under_old_key"] = go_on(wiring, "rights", requests_left)
    _sweep(wiring)
    return counts


def _is_waited_for(request: Request) -> bool:
    """Whether a request is the rotation of a key whose databases are not moved: another job's, or this one's own."""
    return request.kind == ROTATION and request.parameters["key"] not in OF_DATABASES


def _needs_second_person(wiring: Wiring, request: Request) -> bool:
    """Whether a request says who is who, or lowers what protects people: whom lists are sealed to, a threshold."""
    if request.kind != "apply_definition":
        return request.kind in TWO_PEOPLE
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
    (own,) = _known(wiring, request, _numbers(wiring, request))
    case = request.parameters["case_number"]
    why = Purpose.WITHDRAW
    with wiring.acts.act(Act.PERSON_MARK, "request", request.request_id, purpose=why, case_number=case) as act:
        wiring.vault.mark_withdrawn(own, act.position)
    # A crash here leaves the person marked and still read; the request is carried out again.
    with wiring.acts.act(Act.PERSON_WITHDRAW, "request", request.request_id, purpose=why, case_number=case) as act:
        wiring.registry_writer.withdraw(own, None, act.position)


def _merge(wiring: Wiring, request: Request) -> None:
    """Let the person of the second number be read as the person of the first."""
    numbers = _numbers(wiring, request)
    into, merged = _known(wiring, request, numbers)
    if request.parameters["confirmed"] != "yes":
        _require_agreement(_judged(wiring, numbers))
    about, case = request.request_id, request.parameters["case_number"]
    why = Purpose.CORRECT
    with wiring.acts.act(Act.PERSON_MERGE, "request", about, purpose=why, case_number=case) as act:
        merged, into = wiring.vault.merge(about, (merged, into), act.position)
    # A crash here leaves one person with rows of two; the request is carried out again, and finds its own merge.
    with wiring.acts.act(Act.ROWS_MERGE, "request", about, purpose=why, case_number=case) as act:
        wiring.registry_writer.merge(merged, into, act.position)


def _require_agreement(judged: pl.DataFrame) -> None:
    """Refused R_MERGE_CONFLICT where the numbers tell more than one date of birth or sex."""
    if any(judged[fact].drop_nulls().n_unique() > 1 for fact in ("birth_date", "sex")):
        raise Refused("R_MERGE_CONFLICT")


def _split(wiring: Wiring, request: Request) -> None:
    """Let the person of a number that was merged be its own again."""
    (merged,) = _known(wiring, request, _numbers(wiring, request))
    about, case = request.request_id, request.parameters["case_number"]
    why = Purpose.CORRECT
    with wiring.acts.act(Act.PERSON_SPLIT, "request", about, purpose=why, case_number=case) as act:
        merged, _ = wiring.vault.split(about, merged, act.position)
    # A crash here leaves two people with rows of one; the request is carried out again, and finds its own split.
    with wiring.acts.act(Act.ROWS_SPLIT, "request", about, purpose=why, case_number=case) as act:
        wiring.registry_writer.split(merged, act.position)


def _reidentify(wiring: Wiring, request: Request) -> None:
    """Seal who stands behind the asked pseudonyms to the viewing key, within the signed bounds."""
    terms, about = request.parameters, request.request_id
    asked = [bytes.fromhex(line) for line in _numbers(wiring, request)]
    if date.fromisoformat(terms["until"]) < wiring.now.date() or len(asked) > int(terms["most"]):
        raise Refused("R_REIDENTIFY_BOUNDS")
    why, case = Purpose.REIDENTIFY, terms["case_number"]
    counts = {"people": len(asked)}
    with wiring.acts.act(Act.PERSON_REIDENTIFY, "request", about, purpose=why, case_number=case, counts=counts) as act:
        found = wiring.vault.identities(asked)
        if found["pseudonym"].n_unique() != len(asked):
            raise Refused("R_PERSON_UNKNOWN")
        answer = json.dumps([(name.hex(), number, kind) for name, number, kind in found.iter_rows()]).encode()
        sealed = age.seal(answer, [wiring.public_key("viewing")])
        durable.write(wiring.path(Folder.REQUESTS, Access.WRITE) / f"{about}.answer.age", sealed)
        # A crash here leaves a sealed answer that a second attempt replaces.
        with wiring.control.changing(act.position):
            pass


def _rotate_key(wiring: Wiring, request: Request) -> None:
    """Move a database, or the vault's rows, to the next key, while no other job of this registry has it open."""
    key, about = request.parameters["key"], request.request_id
    wiring.keys.require_next(key)
    with nobody_else_at_work(wiring):
        if key == "registry-db":
            with wiring.acts.act(Act.REGISTRY_REKEY, "request", about) as act:
                wiring.encrypt_anew(key)
                # A crash here leaves the file under the new key, which opens too; it is recorded by the next run.
                wiring.open_registry_writer().record(act.position)
        elif key == "vault-db":
            with wiring.acts.act(Act.VAULT_REKEY, "request", about) as act:
                wiring.encrypt_anew(key)
                wiring.open_vault().record(act.position)
        else:
            moved = 1
            while moved:
                with wiring.acts.act(Act.VAULT_REKEY, "request", about) as act:
                    moved = move_rows(wiring, key, act.position)
                    act.add(rows=moved)


def _numbers(wiring: Wiring, request: Request) -> list[str]:
    """The national numbers in a request's sealed file, a line each."""
    path = wiring.path(Folder.REQUESTS, Access.READ) / f"{request.request_id}.age"
    try:
        sealed = durable.read(path)
        # Anybody can seal to this job; only the file that was filed and recorded names the person who is meant.
        if hashlib.sha256(sealed).hexdigest() != request.sealed_sha256:
            raise Refused("R_REQUEST_SEALED")
        return age.open(sealed, *wiring.keys.opening("rights")).decode("ascii").split("\n")
    except (FileNotFoundError, Rejected, UnicodeDecodeError):
        raise Refused("R_REQUEST_SEALED") from None


def _judged(wiring: Wiring, numbers: list[str]) -> pl.DataFrame:
    return classify(pl.Series(numbers), Mode(wiring.settings.mode), wiring.now.date())


def _known(wiring: Wiring, request: Request, numbers: list[str]) -> list[bytes]:
    """The pseudonym that each number was first given; Refused R_PERSON_UNKNOWN where one is nobody's."""
    kinds = _judged(wiring, numbers)["kind"].fill_null("").to_list()
    names = wiring.vault.own_names(numbers, kinds, issuer=request.parameters.get("issuer", ""))
    known = [name for name in names if name is not None]
    if len(known) != len(numbers):
        raise Refused("R_PERSON_UNKNOWN")
    return known


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
    {
        "withdraw": _withdraw,
        "merge": _merge,
        "split": _split,
        "reidentify": _reidentify,
        ROTATION: _rotate_key,
        "apply_definition": _apply_definition,
        RECIPIENT_KEY: _change_recipient_key,
    }
)
