"""What the data processor does at the terminal: each change of the control database is an act of a named person."""

import hashlib
import os
import pwd
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from enclave import durable
from enclave.audit.acts import Acts
from enclave.audit.log import FileLog
from enclave.audit.record import Phase, Purpose
from enclave.control.database import Control
from enclave.control.institutions import Institution, Role, add_institution, find_institution
from enclave.control.releases import PUBLIC, decide, find_release, tables_of
from enclave.control.requests import (
    NEEDS_TWO_PEOPLE,
    Request,
    close_request,
    file_request,
    find_request,
    sign_request,
)
from enclave.crypto import age, keyring
from enclave.crypto.allowed_signers import key_blob
from enclave.crypto.passphrase import new_passphrase
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused, explain
from enclave.flow import COMMAND_LINE, Act, ReleaseState, RequestState
from enclave.folders import RegistryFolder, WorkingFolder
from enclave.grants import Folder, Passphrases
from enclave.halted import require_not_halted
from enclave.second_person import verify_second_person
from enclave.settings import Settings
from enclave.terminal.roles import require_data_processor
from enclave.wiring import open_log, utc_now

explain(
    "R_PUBLIC_KEY",
    "This is not an OpenSSH Ed25519 public key.",
    "Make one with `ssh-keygen -t ed25519` and give its .pub file.",
)

explain(
    "R_AGE_KEY",
    "This is not a public age key, or an institution that is neither lender nor researcher was given one.",
    "Whoever shall open it makes one with `age-keygen`; give the file with the line that begins with age1.",
)
explain(
    "R_NOT_A_SENDER",
    "This institution sends no rows, so none can be given back to it.",
    "See `enclave institution list` for the institutions with the role `sender`.",
)


def acting_person() -> str:
    """The OS user at the terminal, as the audit log names people."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = ""
    return name if re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name) else f"uid-{os.geteuid()}"


def public_line(signing_key: str) -> str:
    """An institution's public key without its comment; Refused R_PUBLIC_KEY where it is not one."""
    key = signing_key.strip()
    if not re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/=]{60,90}( .*)?", key):
        raise Refused("R_PUBLIC_KEY")
    key = " ".join(key.split()[:2])
    try:
        # A key that cannot be read would halt the server at this institution's first drop.
        key_blob(key)
    except Halt:
        raise Refused("R_PUBLIC_KEY") from None
    return key


def resolve_left_open(acts: Acts, log: FileLog, control: Control, registry: str) -> None:
    """Close what a killed command left open in a registry ("": in the server as a whole), by its evidence."""
    for intent in log.unresolved(COMMAND_LINE, registry):
        acts.resolve(intent, Phase.RECOVERED if control.has_act(intent.position) else Phase.ABANDONED)


def _issued_by(institution_id: str) -> dict[str, str]:
    return {"issuer": institution_id} if institution_id else {}


@dataclass(frozen=True)
class Letter:
    """What goes to an institution on paper, once: its two passphrases and the id of the inbound one."""

    institution_id: str
    inbound_key_id: str
    inbound: Secret
    outbound: Secret


class Desk:
    """The terminal of one server and registry. It holds no vault, loan or signing key."""

    def __init__(self, folder: WorkingFolder, settings: Settings, registry: str) -> None:
        require_not_halted(folder)
        self._folder = folder
        self._settings = settings
        self._registry = registry
        self.control = Control(folder.control)

    @property
    def lies(self) -> RegistryFolder:
        """Where this registry's files lie."""
        return self._folder.registry(self._registry)

    @contextmanager
    def _acts(self) -> Iterator[Acts]:
        """Acts of this person, after what a killed command left open is resolved; one command at a time."""
        with durable.lock(self._folder.locks / f"{COMMAND_LINE}@{self._registry}.lock", wait=True):
            log: FileLog = open_log(self._folder)
            actor = f"person:{acting_person()}"
            acts = Acts(log, job=COMMAND_LINE, registry=self._registry, run=str(uuid4()), actor=actor)
            resolve_left_open(acts, log, self.control, self._registry)
            require_data_processor(self._settings.roles, acts)
            yield acts

    def add_institution(
        self, institution_id: str, name: str, role: Role, signing_key: str, age_key: str = "", *, shown: bool = True
    ) -> Letter:
        """Add an institution, and draw its passphrases; they are shown once: here, if `shown`, or in the paper letter.

        `age_key` is the public key that the list of a loan order, or a research extract, is sealed to.
        """
        if age_key and (role not in ("lender", "researcher") or not age.is_recipient(age_key)):
            raise Refused("R_AGE_KEY")
        key = public_line(signing_key)
        letter = Letter(institution_id, f"{institution_id}-1", new_passphrase(), new_passphrase())
        added = Institution(
            self._registry, institution_id, name, role, key, letter.inbound_key_id, utc_now().isoformat(), age_key
        )
        with (
            self._acts() as acts,
            acts.act(Act.INSTITUTION_ADD, "institution", institution_id, counts={"shown": int(shown)}) as act,
        ):
            with self.control.changing(act.position) as connection:
                add_institution(connection, added)
                # Inside the transaction: a known institution is refused above, before its passphrases are replaced.
                for which, secret in ((Passphrases.SENDERS, letter.inbound), (Passphrases.RECIPIENTS, letter.outbound)):
                    durable.write(
                        self.lies.passphrases(which) / f"{institution_id}.passphrase", secret.reveal() + b"\n"
                    )
        return letter

    def give_back_rows(self, institution_id: str, case_number: str) -> str:
        """File a request for an institution's own rows; the job `give_back` drafts them, and a person approves."""
        if find_institution(self.control, self._registry, institution_id).role != "sender":
            raise Refused("R_NOT_A_SENDER")
        parameters = {"institution_id": institution_id}
        return self.file("own_rows", parameters, case_number=case_number, purpose=Purpose.OWN_ROWS)

    def withdraw(self, person_id: Secret, case_number: str, *, issuer: str = "") -> str:
        """File a withdrawal. `issuer` is the institution that an H-number came from."""
        return self._file_about(
            "withdraw", (person_id,), _issued_by(issuer), case_number=case_number, purpose=Purpose.WITHDRAW
        )

    def merge(
        self, stays: Secret, merged: Secret, case_number: str, *, issuer: str = "", confirmed: bool = False
    ) -> str:
        """File that two numbers are one person's; the project lead signs it, and the job `rights` carries it out.

        `confirmed` says that the population register knows them as one, though sex or date of birth differ.
        """
        parameters = {"confirmed": "yes" if confirmed else "no", **_issued_by(issuer)}
        both = (stays, merged)
        return self._file_about("merge", both, parameters, case_number=case_number, purpose=Purpose.CORRECT)

    def split(self, merged: Secret, case_number: str, *, issuer: str = "") -> str:
        """File that a number which was merged is another person's after all; the project lead signs it."""
        return self._file_about(
            "split", (merged,), _issued_by(issuer), case_number=case_number, purpose=Purpose.CORRECT
        )

    def _file_about(
        self,
        kind: str,
        numbers: tuple[Secret, ...],
        parameters: Mapping[str, str],
        *,
        case_number: str,
        purpose: Purpose,
    ) -> str:
        """File a request about people; their numbers go into a file that only the job `rights` can open."""
        content = b"\n".join(number.reveal() for number in numbers)
        return self.file(kind, parameters, case_number=case_number, for_rights=content, purpose=purpose)

    def file(
        self, kind: str, parameters: Mapping[str, str], *, case_number: str, purpose: Purpose, for_rights: bytes = b""
    ) -> str:
        """File a request for the job of the right class; answers its id. `for_rights` is for the job `rights` alone."""
        request_id = str(uuid4())
        with self._acts() as acts:
            with acts.act(Act.REQUEST_FILE, "request", request_id, purpose=purpose, case_number=case_number) as act:
                # Sealed while no other command is at work: no key is drawn or retired between that and the filing.
                sealed = age.seal(for_rights, [keyring.recipient(self.lies.keys, "rights")]) if for_rights else b""
                digest = durable.write(self._sealed_request(request_id), sealed) if sealed else ""
                filed = Request(
                    request_id,
                    self._registry,
                    kind,
                    RequestState.FILED,
                    {**parameters, "case_number": case_number},
                    digest,
                    utc_now().isoformat(),
                    acting_person(),
                    "",
                    None,
                    "",
                )
                # A crash here leaves a sealed file that no request names; `rights` sweeps it away.
                with self.control.changing(act.position) as connection:
                    file_request(connection, filed)
        return request_id

    def _sealed_request(self, request_id: str) -> Path:
        return self.lies.folder(Folder.REQUESTS) / f"{request_id}.age"

    def approve_request(self, request_id: str, signature: bytes) -> None:
        """Keep the project lead's signature over a request, after checking it."""
        signed = find_request(self.control, request_id)
        verify_second_person(self._settings, signed.signed_text(), signature, utc_now())
        with self._acts() as acts, acts.act(Act.REQUEST_FILE, "request", request_id) as act:
            with self.control.changing(act.position) as connection:
                sign_request(connection, signed, signature.decode("ascii", "strict"))

    def cancel_request(self, request_id: str) -> None:
        """Close a request that waits for the project lead's signature and will not get it; no job has begun it."""
        with self._acts() as acts:
            waiting = find_request(self.control, request_id)
            if waiting.state is not RequestState.FILED:
                raise Refused("R_REQUEST_CLOSED")
            if waiting.signature or waiting.kind not in NEEDS_TWO_PEOPLE:
                raise Refused("R_REQUEST_BEGUN")
            with acts.act(Act.REQUEST_CLOSE, "request", request_id) as act:
                # A crash here leaves the request as it was; what is sealed to `rights` for it, that job sweeps away.
                with self.control.changing(act.position) as connection:
                    refused, reason = RequestState.REFUSED, "R_REQUEST_CANCELLED"
                    close_request(connection, request_id, refused, reason=reason, at=utc_now())

    def decide_release(self, release_id: str, state: ReleaseState, signature: bytes = b"") -> None:
        """Approve or withhold what waits for a person; to publish takes the project lead's signature too."""
        release = find_release(self.control, release_id)
        digests, signed = {"draft": release.draft_sha256}, ""
        if state is ReleaseState.APPROVED and release.recipient == PUBLIC:
            text = release.signed_text(tables_of(self.control, release_id))
            verify_second_person(self._settings, text, signature, utc_now())
            digests["signature"] = hashlib.sha256(signature).hexdigest()
            signed = signature.decode("ascii", "strict")
        with (
            self._acts() as acts,
            acts.act(
                Act.RELEASE_DECIDE,
                "release",
                release_id,
                digests=digests,
                counts={"approved": int(state is ReleaseState.APPROVED)},
            ) as act,
            self.control.changing(act.position) as connection,
        ):
            decide(connection, release_id, state, by=acting_person(), at=utc_now(), signature=signed)
