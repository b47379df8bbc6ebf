"""What the data processor does with a loan that is open: receive a file that was carried in, judge uncertain links."""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from enclave import durable
from enclave.airlock.collect import pack
from enclave.airlock.rules import MANIFEST, SIGNATURE, peek
from enclave.audit.record import Purpose
from enclave.control.drops import Drop, add_drop, find_drop
from enclave.control.loans import Loan, find_loan, keep_review
from enclave.crypto import age
from enclave.errors import Refused, explain
from enclave.flow import Act, DropState, LoanState
from enclave.grants import Folder
from enclave.model.drop import SealedDrop
from enclave.terminal.desk import Desk
from enclave.wiring import utc_now

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


class LoanDesk(Desk):
    """The terminal, for open loans. It sees ciphertext and counts, never a row."""

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


def _read(folder: Path) -> SealedDrop:
    try:
        manifest = durable.read(folder / MANIFEST, limit=MOST_HEADER)
        signature = durable.read(folder / SIGNATURE, limit=MOST_HEADER)
        payload = durable.read(folder / PAYLOAD)
    except OSError:
        raise Refused("R_LOAN_FILE") from None
    digest = hashlib.sha256(b"".join((manifest, signature, payload))).digest()
    return SealedDrop(str(UUID(bytes=digest[:16], version=4)), "", manifest, signature, payload)
