"""What the data processor does with de-identified data that is lent to research: file its opening and its end."""

import hashlib
import re

from enclave.audit.record import Purpose
from enclave.control.extracts import CLOSE as CLOSE_EXTRACT
from enclave.control.extracts import EXTRACT, extracts_of, find_lent
from enclave.control.institutions import find_institution
from enclave.crypto import age
from enclave.errors import Refused, explain
from enclave.model.extract import ExtractTerms
from enclave.release.extract import lendable
from enclave.terminal.definition_desk import DefinitionDesk
from enclave.wiring import utc_now

explain(
    "R_EXTRACT_TERMS",
    "The terms of the extract do not fit the registry's definition, its recipient, or the calendar.",
    "The recipient must be added with the role `researcher` and an age key; each variable is FORM.VARIABLE of a form "
    "about people and no free text; each text is one line of at most 200 characters; the due date must lie ahead.",
)

ONE_LINE = 200  # characters


def _lines(terms: ExtractTerms) -> tuple[str, ...]:
    return terms.project, terms.purpose, terms.legal_basis, terms.case_number


class ExtractDesk(DefinitionDesk):
    """The terminal, for extracts."""

    def open_extract(self, terms: ExtractTerms) -> str:
        """File the request for an extract: the project lead signs it, and the job `release` makes it."""
        if any(one.terms.extract_id == terms.extract_id for one in extracts_of(self.control, self._registry)):
            raise Refused("R_EXTRACT_EXISTS")
        recipient = find_institution(self.control, self._registry, terms.recipient)
        fits = (
            re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", terms.extract_id)
            and recipient.role == "researcher"
            and age.is_recipient(terms.age_key)
            and set(terms.variables) <= set(lendable(self.definition_in_force().definition))
            and all(0 < len(line) <= ONE_LINE and line.isprintable() for line in _lines(terms))
            and terms.first <= terms.last
            and terms.due > utc_now().date()
        )
        if not fits:
            raise Refused("R_EXTRACT_TERMS")
        return self.file(EXTRACT, terms.parameters(), case_number=terms.case_number, purpose=Purpose.RESEARCH)

    def age_key_of(self, institution_id: str) -> str:
        """The public age key that an institution was added with; "" where it has none."""
        return find_institution(self.control, self._registry, institution_id).age_key

    def close_extract(self, extract_id: str, confirmation: bytes, case_number: str) -> str:
        """File the project's written confirmation that an extract is deleted; its digest is kept, and no more."""
        extract = find_lent(self.control, self._registry, extract_id)
        digest = hashlib.sha256(confirmation).hexdigest()
        parameters = {"extract_id": extract.terms.extract_id, "confirmation_sha256": digest}
        return self.file(CLOSE_EXTRACT, parameters, case_number=case_number, purpose=Purpose.RESEARCH)
