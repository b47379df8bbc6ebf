"""The data processor's pages in `pages/`, written after each `run --once` and each `status`."""

from zoneinfo import ZoneInfo

from enclave import durable
from enclave.control.database import Control
from enclave.control.loans import Loan, derived_of, loans_of
from enclave.folders import WorkingFolder
from enclave.report.linkage import linkage_blocks, linkage_facts
from enclave.report.status import Block, status_page
from enclave.settings import Settings
from enclave.terminal.completeness import Deliveries, deliveries_seen
from enclave.terminal.status import Status, look
from enclave.wiring import utc_now
from jobs.reasons import meaning_of


def write_pages(folder: WorkingFolder, settings: Settings) -> None:
    """Write `pages/REGISTRY.html`, and `pages/REGISTRY-linkage-LOAN.html` for each loan that was linked."""
    now = utc_now()
    for registry in sorted(settings.registries):
        seen = look(folder, registry, now)
        delivered = deliveries_seen(folder, registry, now, ZoneInfo(settings.time_zone))
        page = status_page(
            title=f"Status of {registry}",
            server=settings.server,
            at=now,
            alarm=f"Halted: {seen.halted}. See `enclave recover`." if seen.halted else "",
            blocks=[*_blocks(seen), *_completeness(delivered)],
            facts={f"drops {name}": number for name, number in seen.drops},
            figures=_figures(delivered),
        )
        durable.write(folder.pages / f"{registry}.html", page, mode=0o644)
        control = Control(folder.control)
        for loan in loans_of(control, registry):
            if loan.report is not None:
                page = _linkage(control, loan, settings)
                durable.write(folder.pages / f"{registry}-linkage-{loan.loan_id}.html", page)


def _blocks(seen: Status) -> list[Block]:
    return [
        Block(
            "What waits",
            ("what", "for whom", "since", "why"),
            tuple((one.what, one.who, one.since[:16], one.why) for one in seen.waiting),
        ),
        Block(
            "Rejected drops",
            ("reason", "how many", "meaning"),
            tuple((code, str(number), meaning_of(code)) for code, number in seen.rejected),
        ),
        Block("Releases", ("state", "how many"), tuple((name, str(number)) for name, number in seen.releases)),
        Block("Loans", ("loan", "state", "due"), seen.loans),
        Block("Last runs that failed", ("job", "started", "reason"), seen.failed_runs),
    ]


def _completeness(seen: Deliveries) -> list[Block]:
    """Which forms came from whom, this year and last, in drops; what was expected and did not come says so."""
    return [
        Block(
            "Deliveries expected and come",
            ("institution", "form", "year", "due", "drops"),
            tuple(
                (
                    one.institution,
                    one.form,
                    str(one.year),
                    one.due.isoformat() if one.due else "",
                    str(one.came) if one.came else "none",
                )
                for one in seen.expected
            ),
        )
    ]


def _figures(seen: Deliveries) -> list[str]:
    if not seen.years:
        return []
    # Loads a drawing library, which a server without drops has no use for.
    from enclave.report.traffic import traffic_figure, years_figure

    days = seen.traffic
    return [
        traffic_figure(days.first, days.submitted, days.fetched),
        years_figure([(one.year, one.without_fault, one.with_faults, one.rejected) for one in seen.years]),
    ]


def _linkage(control: Control, loan: Loan, settings: Settings) -> bytes:
    report = loan.report or {}
    derived = [
        (one.table, one.period, str(one.state), one.definition[:16], one.content_sha256[:16], one.loan_file_sha256[:16])
        for one in derived_of(control, loan.registry, loan.loan_id)
    ]
    agreement = {
        "lender": loan.lender,
        "purpose": loan.purpose,
        "legal basis": loan.legal_basis or "not written down",
        "case number": loan.case_number,
        "population": loan.population or "not written down",
        "variables": ", ".join(loan.variables),
        "due": loan.due.isoformat(),
    }
    return status_page(
        title=f"Linkage report of {loan.loan_id}",
        server=settings.server,
        at=utc_now(),
        alarm="",
        blocks=linkage_blocks(report, derived, agreement),
        facts=linkage_facts(report),
    )
