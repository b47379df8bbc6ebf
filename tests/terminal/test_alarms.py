"""What about an institution asks for attention, from made-up facts and one moment."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from enclave.control.agreements import Agreement
from enclave.control.institutions import Institution
from enclave.control.sender_keys import SenderKey
from enclave.flow import DropState
from enclave.terminal.alarms import Facts, alarms_of, endings
from tests.control.test_control import a_drop

NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
"""In Oslo it is the 24th already."""
OSLO = ZoneInfo("Europe/Oslo")
ADDED = "2026-10-01T00:00:00+00:00"
SENDER = Institution("kar", "klinikk", "Klinikk", "sender", "ssh-ed25519 AAAA", "klinikk-1", ADDED)
SIGNING = SenderKey("kar", "klinikk", "signing", "ssh-ed25519 AAAA")
PASSPHRASE = SenderKey("kar", "klinikk", "passphrase", "klinikk-1")


def agreed(first: date | None, last: date | None) -> Agreement:
    """An agreement with the clinic."""
    return Agreement("kar", "klinikk", first, last, False, "nb", ADDED)


ALWAYS = agreed(None, None)


def told(
    *,
    agreements: tuple[Agreement, ...] = (ALWAYS,),
    keys: tuple[SenderKey, ...] = (SIGNING, PASSPHRASE),
    seqs: tuple[int, ...] = (),
    sent: datetime = NOW,
    one: Institution = SENDER,
) -> list[tuple[str, bool]]:
    """What is told about the clinic, and whether something stands still."""
    drops = tuple(a_drop(str(seq), seq=seq, state=DropState.ADMITTED, collected_at=sent.isoformat()) for seq in seqs)
    return [(alarm.what, alarm.stops) for alarm in alarms_of(Facts((one,), agreements, keys, drops, ()), NOW, OSLO)]


def test_an_institution_in_order_is_not_spoken_of() -> None:
    """Agreement, keys, numbering and recent drops in order: nothing is told."""
    assert told(seqs=(1, 2, 3)) == []


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (date(2026, 1, 1), date(2026, 11, 23), [("agreement", True)]),
        (date(2026, 1, 1), date(2026, 11, 24), [("agreement", False)]),
        (date(2026, 1, 1), date(2027, 1, 22), [("agreement", False)]),
        (date(2026, 1, 1), date(2027, 1, 23), []),
        (date(2026, 11, 25), date(2027, 11, 25), [("agreement", True)]),
    ],
)
def test_an_agreement_is_told_of_before_and_after_its_last_day(
    first: date, last: date, expected: list[tuple[str, bool]]
) -> None:
    """Days are those of the server's time zone; sixty days before the end it is told, and it stops when it is over."""
    assert told(agreements=(agreed(first, last),)) == expected


def test_an_agreement_that_is_renewed_in_time_is_not_told_of() -> None:
    """The next one begins the day after."""
    both = (agreed(date(2026, 1, 1), date(2026, 12, 31)), agreed(date(2027, 1, 1), date(2027, 12, 31)))
    assert told(agreements=both) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((PASSPHRASE,), [("signing key", True)]),
        ((SIGNING,), [("passphrase key", True)]),
        (
            (SIGNING, SenderKey("kar", "klinikk", "passphrase", "klinikk-1", revoked_at=NOW)),
            [("passphrase key", True)],
        ),
        (
            (SenderKey("kar", "klinikk", "signing", "a", valid_to=NOW + timedelta(days=3)), PASSPHRASE),
            [("signing key", False)],
        ),
        (
            (SenderKey("kar", "klinikk", "signing", "a", valid_from=NOW - timedelta(days=700)), PASSPHRASE),
            [("signing key", False)],
        ),
    ],
)
def test_keys_are_told_of_when_they_end_or_grow_old(
    keys: tuple[SenderKey, ...], expected: list[tuple[str, bool]]
) -> None:
    """None in force stops the sender; an overlap that ends, and a key of nearly two years, are told in time."""
    assert told(keys=keys) == expected


def test_row_33_gaps_and_silence_are_told_for_a_while() -> None:
    """A number left out is told for thirty days; nothing sent for 120 days is told until something comes."""
    assert told(seqs=(1, 3)) == [("gap in numbering", False)]
    assert told(seqs=(1, 3), sent=NOW - timedelta(days=31)) == []
    assert told(seqs=(1, 2), sent=NOW - timedelta(days=120)) == [("silence", False)]
    assert told(seqs=(1, 2), sent=NOW - timedelta(days=119)) == []


def test_a_lender_and_an_auditor_are_not_asked_for_what_they_do_not_use() -> None:
    """A lender seals with no passphrase of ours; an auditor signs nothing."""
    lender = Institution("kar", "klinikk", "NAV", "lender", "ssh-ed25519 AAAA", "klinikk-1", ADDED)
    auditor = Institution("kar", "klinikk", "Tilsyn", "auditor", "ssh-ed25519 AAAA", "klinikk-1", ADDED)
    assert told(one=lender, keys=(SIGNING,)) == []
    assert told(one=auditor, keys=()) == []


def test_doctor_is_told_of_what_ends_and_of_nothing_else() -> None:
    """Gaps and silence are for `status`."""
    over = agreed(date(2026, 1, 1), date(2026, 2, 1))
    drops = (a_drop("1", seq=1, state=DropState.ADMITTED), a_drop("3", seq=3, state=DropState.ADMITTED))
    assert [one.what for one in endings(Facts((SENDER,), (over,), (SIGNING,), drops, ()), NOW, OSLO)] == [
        "agreement",
        "passphrase key",
    ]
