"""Who stands behind a pseudonym: asked at the terminal, allowed by two people, answered once, logged before it is seen.

The request names purpose, case, legal basis, the largest number of people and the last day; the project lead signs all
of it. The job `rights` seals the answer to the viewing key. It is shown once, and destroyed an hour after it was made.
"""

import json
import re
from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from enclave import durable
from enclave.audit.record import Purpose
from enclave.control.requests import find_request
from enclave.crypto import age
from enclave.crypto.keyring import Keyring
from enclave.errors import Refused, explain
from enclave.flow import Act, RequestState
from enclave.grants import Folder
from enclave.terminal.desk import Desk
from enclave.wiring import utc_now

explain(
    "R_REIDENTIFY_TERMS",
    "The terms of this re-identification are not complete, or not such as can be signed.",
    "Give 1 to 100 pseudonyms of 32 hexadecimal digits, no more than --most, a last day from today on, and a legal "
    "basis as a code such as gdpr-9-2-h.",
)
explain(
    "R_REIDENTIFY_GONE",
    "There is no answer to show: it was not made yet, was shown or destroyed already, or is past its last day.",
    "See `enclave request list`; where it is still needed, file a new request.",
)

MOST = 100
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
_LEGAL_BASIS = re.compile(r"[a-z]{2,20}(-[0-9a-z]{1,4}){0,5}")


class Why(StrEnum):
    """What somebody may be named for."""

    PATIENT_SAFETY = "patient_safety"
    DATA_QUALITY = "data_quality"
    RIGHTS_OF_PERSON = "rights_of_person"
    COURT_ORDER = "court_order"


class ReidentificationDesk(Desk):
    """The terminal's acts of re-identification."""

    def reidentify(
        self, pseudonyms: Sequence[str], why: Why, legal_basis: str, case_number: str, *, most: int, until: date
    ) -> str:
        """File a request to name who stands behind these; the project lead signs it. Answers its id."""
        asked = list(dict.fromkeys(pseudonyms))
        sound = all(_PSEUDONYM.fullmatch(each) for each in asked) and _LEGAL_BASIS.fullmatch(legal_basis)
        if not sound or not case_number or not 0 < len(asked) <= most <= MOST or until < utc_now().date():
            raise Refused("R_REIDENTIFY_TERMS")
        names = "\n".join(asked).encode()
        parameters = {"why": why.value, "legal_basis": legal_basis, "most": str(most), "until": until.isoformat()}
        why_asked = Purpose.REIDENTIFY
        return self.file("reidentify", parameters, case_number=case_number, purpose=why_asked, for_rights=names)

    def show_reidentified(self, request_id: str) -> list[tuple[str, str, str]]:
        """(pseudonym, number, kind) of an answered request, once. The log says so before anybody sees one."""
        request = find_request(self.control, request_id)
        path = self.lies.folder(Folder.REQUESTS) / answer_name(request_id)
        if request.state is not RequestState.DONE or not path.is_file():
            raise Refused("R_REIDENTIFY_GONE")
        if date.fromisoformat(request.parameters["until"]) < utc_now().date():
            raise Refused("R_REIDENTIFY_GONE")
        viewing = Keyring(self.lies.keys, frozenset({"viewing"})).opening("viewing")
        case = request.parameters["case_number"]
        with self._acts() as acts:
            with acts.act(Act.PERSON_SHOW, "request", request_id, purpose=Purpose.REIDENTIFY, case_number=case) as act:
                shown = [
                    (name, number, kind) for name, number, kind in json.loads(age.open(durable.read(path), *viewing))
                ]
                act.add(numbers=len(shown))
                with self.control.changing(act.position):
                    pass
            # A crash here leaves the sealed answer, which `rights` destroys after an hour; a second look is logged too.
            durable.shred(path)
        return shown


def answer_name(request_id: str) -> str:
    """The file of a sealed answer, beside the requests."""
    return f"{request_id}.answer.age"
