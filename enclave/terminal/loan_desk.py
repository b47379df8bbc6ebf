"""What the data processor does with loans: open, order, receive a file that was carried in, judge links, destroy."""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import UUID

from enclave import durable
from enclave.airlock.collect import pack
from enclave.airlock.rules import MANIFEST, SIGNATURE, peek
from enclave.audit.record import Purpose
from enclave.control.drops import Drop, add_drop, find_drop
from enclave.control.institutions import find_institution
from enclave.control.loans import Loan, find_loan, keep_review, request_loan
from enclave.crypto import age
from enclave.crypto.keystore import Keystore
from enclave.errors import Refused, explain
from enclave.flow import Act, DropState, LoanState
from enclave.grants import Folder
from enclave.model.drop import SealedDrop
from enclave.model.loan import LoanAgreement
from enclave.terminal.definition_desk import DefinitionDesk
from enclave.wiring import utc_now

explain(
    "R_LOAN_TERMS",
    "The terms of the loan do not fit the registry's definition, its lender, or the calendar.",
    "The lender must be added with the role `lender`, the kind and its variables must be in the definition, and the "
    "due date must lie ahead.",
)
explain(
    "R_NO_AGE_KEY",
    "This lender has no public age key, so nothing can be sealed to it.",
    "Add the lender with `enclave institution add ID --role lender --age-key FILE`.",
)
explain(
    "R_LOAN_FILE",
    "This is no sealed loan file for an open loan of this registry, or its loan's day is past.",
    "Give the folder that `client seal` made: manifest.json, manifest.json.sig and payload.age, sealed to the loan's "
    "own key and nothing else. Rows in clear are never taken.",
)
explain("R_LOAN_RECEIVED", "This file was received already.", "None is needed; run the job `link`.")
explain(
    "R_LOAN_KINDS",
    "A kind of link that is to be decided is not in the list, or is decided already.",
    "Give the numbers of `enclave loan review ID`, each once.",
)

PAYLOAD = "payload.age"
MOST_HEADER = 64 * 1024  # bytes of a manifest or signature


class LoanDesk(DefinitionDesk):
    """The terminal, for loans. It sees ciphertext and counts, never a row."""

    def open_loan(self, agreement: LoanAgreement, kind: str, today: date) -> None:
        """Enter a loan; the job `link` makes its key."""
        definition = self.definition_in_force().definition
        kinds = {loan.id: loan for loan in definition.loans}
        lender = find_institution(self.control, self._registry, agreement.lender)
        known = {variable.name for variable in kinds[kind].variables} if kind in kinds else set()
        fits = set(agreement.variables) <= known and bool(agreement.variables)
        if lender.role != "lender" or not fits or agreement.due <= today:
            raise Refused("R_LOAN_TERMS")
        if Keystore(self.lies.folder(Folder.LOAN_KEYS)).is_buried(agreement.loan_id):
            raise Refused("R_LOAN_EXISTS")  # an older copy of control.db was put back, which forgot it
        with (
            self._acts() as acts,
            acts.act(
                Act.REQUEST_FILE,
                "loan",
                agreement.loan_id,
                purpose=Purpose.LINKAGE,
                case_number=agreement.case_number,
                counts={"variables": len(agreement.variables)},
            ) as act,
            self.control.changing(act.position) as connection,
        ):
            request_loan(connection, agreement, kind)

    def order_loan(self, loan_id: str) -> str:
        """File the order of a loan: the project lead signs it, and the job `link` makes the lender's list.

        The request names the key that the list is sealed to, so that two people have seen whose it is.
        """
        loan = find_loan(self.control, self._registry, loan_id)
        if loan.state not in (LoanState.REQUESTED, LoanState.OPEN):
            raise Refused("R_LOAN_STATE")
        age_key = find_institution(self.control, self._registry, loan.lender).age_key
        if not age_key:
            raise Refused("R_NO_AGE_KEY")
        parameters = {"loan_id": loan_id, "kind": loan.kind, "lender": loan.lender, "age_key": age_key}
        return self.file("loan_order", parameters, case_number=loan.case_number, purpose=Purpose.LINKAGE)

    def receive_loan(self, folder: Path) -> str:
        """Take a sealed loan file that was carried in by hand, on the road of one from the airlock; answers its loan.

        Nothing is opened or believed here: signature, agreement and rows are judged by `link`, as for every loan file.
        """
        anybody = _read(folder)
        loan = self._loan_of(anybody)
        sealed = replace(anybody, sender=loan.lender)
        if find_drop(self.control, sealed.drop_uuid) is not None:
            raise Refused("R_LOAN_RECEIVED")
        content = b"".join((sealed.manifest, sealed.signature, sealed.payload))
        with (
            self._acts() as acts,
            acts.act(
                Act.LOAN_RECEIVE,
                "drop",
                sealed.drop_uuid,
                purpose=Purpose.LINKAGE,
                case_number=loan.case_number,
                counts={"kib": len(content) // 1024},
                digests={"content": hashlib.sha256(content).hexdigest()},
            ) as act,
        ):
            # Its name is made of its content: received again after a crash here, it lies under the same name.
            stored = durable.write(self.lies.folder(Folder.LOANS) / f"{sealed.drop_uuid}.drop", pack(sealed))
            seen = peek(sealed.manifest)
            with self.control.changing(act.position) as connection:
                add_drop(
                    connection,
                    Drop(
                        drop_uuid=sealed.drop_uuid,
                        registry=loan.registry,
                        sender=loan.lender,
                        state=DropState.LENT,
                        loan_id=loan.loan_id,
                        content_digest=hashlib.sha256(content).hexdigest(),
                        size=len(content),
                        stored_sha256=stored,
                        reason="",
                        attempts=0,
                        airlock_copy=False,
                        stated_drop_id=seen.drop_id,
                        stated_seq=seen.seq,
                        stated_at=seen.created_at,
                        collected_at=utc_now().isoformat(),
                        settled_at=None,
                    ),
                )
        return loan.loan_id

    def _loan_of(self, sealed: SealedDrop) -> Loan:
        named = peek(sealed.manifest).recipient_kid
        try:
            loan = find_loan(self.control, self._registry, named or "")
        except Refused:
            raise Refused("R_LOAN_FILE") from None
        late = loan.due < utc_now().date()
        if loan.state is not LoanState.OPEN or late or not sealed.payload.startswith(age.HEADER):
            raise Refused("R_LOAN_FILE")
        return loan

    def review_loan(self, loan_id: str, *, accept: Collection[int], reject: Collection[int]) -> int:
        """Decide kinds of uncertain link by their numbers in the list (1 …); answers how many are still undecided."""
        loan = find_loan(self.control, self._registry, loan_id)
        kinds = [dict(kind) for kind in loan.review or ()]
        waiting = {number for number, kind in enumerate(kinds, start=1) if "accepted" not in kind}
        chosen = [*accept, *reject]
        if loan.state is not LoanState.OPEN or not chosen:
            raise Refused("R_LOAN_STATE")
        if len(set(chosen)) != len(chosen) or not set(chosen) <= waiting:
            raise Refused("R_LOAN_KINDS")
        counts = {
            f"pairs_{word}": sum(int(str(kinds[number - 1]["pairs"])) for number in numbers)
            for word, numbers in (("accepted", accept), ("rejected", reject))
        }
        for number in chosen:
            kinds[number - 1]["accepted"] = number in set(accept)
        with (
            self._acts() as acts,
            acts.act(
                Act.LOAN_REVIEW,
                "loan",
                loan_id,
                purpose=Purpose.LINKAGE,
                case_number=loan.case_number,
                counts={"accepted": len(accept), "rejected": len(reject), **counts},
            ) as act,
            self.control.changing(act.position) as connection,
        ):
            keep_review(connection, loan, kinds)
        return len(waiting) - len(chosen)

    def destroy_loan(self, loan_id: str, case_number: str) -> str:
        """File a request to destroy a loan before its day; the job `destroy` carries it out."""
        if find_loan(self.control, self._registry, loan_id).state is not LoanState.OPEN:
            raise Refused("R_LOAN_STATE")
        return self.file("destroy_loan", {"loan_id": loan_id}, case_number=case_number, purpose=Purpose.OPERATION)


def _read(folder: Path) -> SealedDrop:
    try:
        manifest = durable.read(folder / MANIFEST, limit=MOST_HEADER)
        signature = durable.read(folder / SIGNATURE, limit=MOST_HEADER)
        payload = durable.read(folder / PAYLOAD)
    except OSError:
        raise Refused("R_LOAN_FILE") from None
    digest = hashlib.sha256(b"".join((manifest, signature, payload))).digest()
    return SealedDrop(str(UUID(bytes=digest[:16], version=4)), "", manifest, signature, payload)
