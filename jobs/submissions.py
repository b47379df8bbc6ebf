"""The part of `admit` that opens submissions through Nettskjema, and answers each institution once a day.

Nobody signed a submission: whom it is from is what it claims. It can therefore change no more than that institution's
own rows, and the answer goes only to that institution, sealed like everything that leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from enclave.audit.record import Position
from enclave.control.drops import NETTSKJEMA, Drop, find_drop, mark_answered, unanswered_submissions
from enclave.control.form_definitions import definitions_of, is_refused
from enclave.control.institutions import institutions_of
from enclave.control.releases import DIGEST, propose, releases_of
from enclave.crypto import openpgp
from enclave.errors import EnclaveError, Refused, Rejected, explain
from enclave.flow import Act, ReleaseState
from enclave.intake.answer import Answer, Totals
from enclave.intake.feedback import feedback
from enclave.intake.nettskjema import Submitted, read_submission
from enclave.intake.rules import identity_columns
from enclave.model.draft import Draft, Kind
from enclave.model.drop import SubmissionManifest
from enclave.model.fault import Fault
from enclave.registry.definition import Form
from enclave.release.gate import admit as admit_to_release
from enclave.release.gate import policy_of
from enclave.store.settlement import Counts, Settled, Settlement
from enclave.wiring import Wiring
from jobs import quarantine
from jobs.drafts import write_draft
from jobs.rule_texts import RULES, rule_of_code

explain(
    "E_SUBMISSION_UNMAPPED",
    "The form of the submission is no longer mapped in enclave.toml, or to a form that the registry does not have.",
    "Mend `nettskjema.forms` in enclave.toml, and ask for the form to be submitted again.",
    nb=("Nettskjemaet er ikke lenger koblet til et skjema i registeret.", "Ta kontakt med databehandleren."),
)
explain(
    "E_SUBMISSION_CHANGED",
    "A submission of this number was taken before with another content; nothing was changed.",
    "Submit the form anew: a correction gets a number of its own.",
    nb=(
        "En innsending med dette nummeret er mottatt før, med et annet innhold; ingenting ble endret.",
        "Send inn skjemaet på nytt; en rettelse får sitt eget nummer.",
    ),
)
explain(
    "E_SUBMISSION_REPEATED",
    "Exactly this submission was taken before; nothing was stored twice.",
    "None is needed.",
    nb=("Akkurat denne innsendingen er mottatt før; ingenting ble lagret to ganger.", "Dere trenger ikke gjøre noe."),
)
explain(
    "E_SUBMISSION_REFUSED",
    "The form asked something else than the registry's questions when it was filled in; nothing of it was stored.",
    "Submit the form anew, once the data processor says that it is mended.",
    nb=(
        "Skjemaet spurte om noe annet enn registerets spørsmål da det ble fylt ut; ingenting ble lagret.",
        "Send inn skjemaet på nytt når databehandleren sier fra at det er rettet.",
    ),
)

OPENED_TIMES = 8
"""How much larger than the largest encrypted file a file inside may be."""
HELD_BY_THE_GATE = ("R_LEAK", "R_FORM")


@dataclass(frozen=True, repr=False)
class OpenedSubmission:
    """A submission in memory: its form, the number that Nettskjema gave it, and what was read."""

    form: Form
    number: int
    submitted: Submitted


def open_submission(wiring: Wiring, drop: Drop) -> OpenedSubmission:
    """Open and read one submission from quarantine; Rejected where nothing of it could be read."""
    manifest, json, csv = _files(wiring, drop)
    mapped = None if wiring.nettskjema is None else wiring.nettskjema.forms.get(manifest.form)
    forms = {form.id: form for form in wiring.definition.definition.forms}
    if mapped is None or mapped.form not in forms:
        raise Rejected("E_SUBMISSION_UNMAPPED")
    form = forms[mapped.form]
    submitted = read_submission(json, csv, number=manifest.submission, mapped=mapped, form=form)
    senders = {one.institution_id for one in institutions_of(wiring.control, wiring.registry, "sender")}
    if submitted.institution and submitted.institution not in senders:
        submitted = Submitted("", submitted.reason or "E_SUBMISSION_INSTITUTION", None)
    if not submitted.reason and drop.taken_before is not None:
        code = "E_SUBMISSION_REPEATED" if _same_as_before(wiring, drop, json, csv) else "E_SUBMISSION_CHANGED"
        submitted = replace(submitted, reason=code, table=None)
    delivered = definitions_of(wiring.control, wiring.registry, manifest.form)
    if not submitted.reason and is_refused(delivered, drop.collected_at):
        submitted = replace(submitted, reason="E_SUBMISSION_REFUSED", table=None)
    return OpenedSubmission(form, manifest.submission, submitted)


def _files(wiring: Wiring, drop: Drop) -> tuple[SubmissionManifest, bytes, bytes]:
    """What lay under which names, and both files decrypted."""
    sealed = quarantine.get(wiring, drop, NETTSKJEMA)
    try:
        manifest = SubmissionManifest.model_validate_json(sealed.manifest, strict=True)
    except ValidationError:
        raise Rejected("E_QUARANTINE_FORM") from None
    files = (sealed.payload[: manifest.json_size], sealed.payload[manifest.json_size :])
    limit = OPENED_TIMES * max(map(len, files))
    json, csv = (openpgp.open_with_any(content, wiring.keys.opening("nettskjema"), limit=limit) for content in files)
    return manifest, json, csv


def _same_as_before(wiring: Wiring, drop: Drop, json: bytes, csv: bytes) -> bool:
    """Whether the drop that was taken under the same name held the very same files; unknown counts as no."""
    before = find_drop(wiring.control, drop.taken_before or "")
    try:
        return before is not None and _files(wiring, before)[1:] == (json, csv)
    except EnclaveError:
        return False  # its key is destroyed, or it could not be opened either


def draft_digests(wiring: Wiring) -> int:
    """One answer for each institution with settled submissions that nobody answered today; answers how many."""
    unanswered = unanswered_submissions(wiring.control, wiring.registry)
    settled = {one.settlement.drop_uuid: one for one in wiring.registry_reader.settlements()} if unanswered else {}
    drafted = 0
    # An institution of the door's own name would be told what came from nobody known.
    to_answer = wiring.institution_ids - _answered_today(wiring) - {NETTSKJEMA}
    for institution in sorted(to_answer & {drop.sender for drop in unanswered}):
        theirs = [drop for drop in unanswered if drop.sender == institution]
        drafted += _draft_digest(wiring, institution, theirs, [settled[drop.drop_uuid] for drop in theirs])
    return drafted


def _subject(wiring: Wiring) -> str:
    return f"{DIGEST}{wiring.now.astimezone(ZoneInfo(wiring.settings.time_zone)):%Y-%m-%d}"


def _answered_today(wiring: Wiring) -> set[str]:
    return {
        release.recipient
        for release in releases_of(wiring.control, wiring.registry)
        if release.subject == _subject(wiring) and release.state is not ReleaseState.CANCELLED
    }


def _draft_digest(wiring: Wiring, institution: str, drops: Sequence[Drop], settled: Sequence[Settled]) -> int:
    """Draft one institution's digest and enter it in the ledger, together with whom it answers; answers 1, or 0."""
    loaded = wiring.definition
    try:
        with wiring.acts.act(Act.DIGEST_DRAFT, "institution", institution, counts={"submissions": len(drops)}) as act:
            answer = _answer(wiring, institution, drops, settled, act.position)
            reasons = {one.settlement.reason for one in settled} - {""}
            rules = RULES | {reason: rule_of_code(reason) for reason in reasons}
            content = feedback(answer, loaded.definition, rules)
            draft = Draft(Kind.FEEDBACK, wiring.registry, institution, settled[-1].state, loaded.sha256, content)
            named = write_draft(
                wiring, admit_to_release(draft, recipient=institution, institutions=wiring.institution_ids)
            )
            with wiring.control.changing(act.position) as connection:
                needs_person = policy_of(named.kind).needs_person
                subject = _subject(wiring)
                propose(connection, wiring.registry, named, subject=subject, needs_person=needs_person, at=wiring.now)
                mark_answered(connection, drops, named.draft_id)
    except Refused as why:
        if why.code not in HELD_BY_THE_GATE:
            raise
        return 0  # recorded as failed; the submissions stay unanswered, which `status` shows
    return 1


def _answer(
    wiring: Wiring, institution: str, drops: Sequence[Drop], settled: Sequence[Settled], position: Position
) -> Answer:
    """The digest before it is worded: its rows are the submissions, numbered as they were taken."""
    faults: list[Fault] = []
    references: dict[tuple[str, int], str] = {}
    for number, (drop, one) in enumerate(zip(drops, settled, strict=True), start=1):
        broken = wiring.registry_reader.faults(drop.drop_uuid)
        of_drop = [replace(fault, row=number if fault.row else 0) for fault in broken]
        if one.settlement.reason:
            of_drop.append(Fault("", number, "", one.settlement.reason))
        if of_drop:
            shown = _reference(wiring, drop)
            references |= {(fault.form, fault.row): shown for fault in of_drop}
        faults += of_drop
    return Answer(
        wiring.registry,
        institution,
        "",
        None,
        "",
        *position,
        totals=_totals([one.settlement for one in settled]),
        faults=tuple(sorted(faults)),
        references=references,
        submissions=len(drops),
    )


def _totals(settlements: Sequence[Settlement]) -> Totals:
    """Each submission is one row, also one that was rejected before a row of it was read."""
    counted = [one.counts if not one.reason else replace(one.counts, delivered=1, rejected=1) for one in settlements]
    return Totals(**{name: sum(getattr(one, name) for one in counted) for name in vars(Counts(0))})


def _reference(wiring: Wiring, drop: Drop) -> str:
    """What the institution finds a submission again by: its own number of the course, and Nettskjema's number."""
    try:
        opened = open_submission(wiring, drop)
    except EnclaveError:
        return ""  # it could not be opened, or its key is destroyed by now
    table, column = opened.submitted.table, opened.form.reference
    known = table is not None and column in identity_columns(opened.form) and column in table.frame.columns
    course = str(table.frame[column].item()).strip() if known and table is not None and table.frame.height else ""
    return f"{course} (Nettskjema {opened.number})".strip()
