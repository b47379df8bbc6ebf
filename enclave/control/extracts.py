"""What is lent to research, to whom and until when, as the requests and the ledger tell it."""

from dataclasses import dataclass
from datetime import date

from enclave.control.database import Control
from enclave.control.releases import releases_of
from enclave.control.requests import Request, requests_of
from enclave.errors import Refused, explain
from enclave.flow import ReleaseState, RequestState
from enclave.model.draft import Kind
from enclave.model.extract import ExtractTerms

explain("R_EXTRACT_UNKNOWN", "There is no such extract, or none that is lent.", "See `enclave extract list`.")
explain("R_EXTRACT_EXISTS", "An extract with this id exists already.", "Choose another id; an id is never used twice.")

EXTRACT = "extract"
CLOSE = "close_extract"


@dataclass(frozen=True)
class Extract:
    """One extract. `state`: `filed` (waits for the signature or the job), `refused`, `drafted`, `lent` or `closed`."""

    terms: ExtractTerms
    request_id: str
    state: str
    lent_at: str
    closed_at: str

    def is_overdue(self, today: date) -> bool:
        """Whether the project still holds it after its day."""
        return self.state == "lent" and self.terms.due < today


def extracts_of(control: Control, registry: str) -> tuple[Extract, ...]:
    """Every extract, by id."""
    requests = requests_of(control, registry)
    closed = {one.parameters["extract_id"]: one.filed_at for one in requests if one.kind == CLOSE}
    left = {
        one.subject: one.sealed_at or ""
        for one in releases_of(control, registry, ReleaseState.SEALED, ReleaseState.DELIVERED)
        if one.kind is Kind.EXTRACT
    }
    found = [_extract(one, left, closed) for one in requests if one.kind == EXTRACT]
    return tuple(sorted(found, key=lambda one: (one.terms.extract_id, one.request_id)))


def _extract(request: Request, left: dict[str, str], closed: dict[str, str]) -> Extract:
    terms = ExtractTerms.of(request.parameters)
    lent_at, closed_at = left.get(request.request_id, ""), closed.get(terms.extract_id, "")
    if request.state is not RequestState.DONE:
        state = request.state.value
    else:
        state = "closed" if closed_at else "lent" if lent_at else "drafted"
    return Extract(terms, request.request_id, state, lent_at, closed_at)


def find_lent(control: Control, registry: str, extract_id: str) -> Extract:
    """The extract with this id that a project holds; Refused where there is none."""
    found = [one for one in extracts_of(control, registry) if one.terms.extract_id == extract_id]
    if not found or found[0].state != "lent":
        raise Refused("R_EXTRACT_UNKNOWN")
    return found[0]
