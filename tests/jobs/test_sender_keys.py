"""Keys and agreements of senders: each is judged by the time at which a drop was collected."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enclave.control.institutions import find_institution
from enclave.control.requests import SIGNATURE_NAMESPACE, find_request
from enclave.control.sender_keys import keys_of
from enclave.crypto import age, sshsig
from enclave.crypto.passphrase import read_passphrase
from enclave.crypto.secret import Secret
from enclave.errors import Refused
from enclave.flow import ReleaseState, RequestState
from enclave.grants import Passphrases
from enclave.model.draft import Kind
from enclave.terminal.registrar import name_of
from enclave.terminal.status import look
from tests.jobs.senders import OTHER, REGISTRY, SENDER, Senders, arrival, new_server

LATER = timedelta(days=40)
TODAY = datetime.now(UTC).date()


@pytest.fixture
def server(tmp_path: Path) -> Senders:
    """A server with two senders."""
    made = new_server(tmp_path)
    made.add(SENDER, OTHER)
    return made


def row(number: int) -> list[dict[str, object]]:
    """One row that no other number has."""
    return [arrival(number, f"K-{number}")]


def test_row_27_a_key_that_ended_after_collection_still_holds_and_one_that_ended_before_does_not(
    server: Senders,
) -> None:
    """Through the overlap both keys are taken; the old one is refused after it, whenever the drop is opened."""
    new, public = sshsig.new_key("new")
    server.send(SENDER, row(1))
    server.run("collect")

    server.registrar.rotate_signing_key(SENDER, public, overlap_days=30)
    server.send(SENDER, row(2))
    server.send(SENDER, row(3), key=new)
    server.run("collect")
    server.run("admit", after=LATER)
    server.send(SENDER, row(4))
    server.run("collect", "admit", after=LATER)
    server.send(SENDER, row(5), key=new)
    server.run("collect", "admit", after=LATER)

    assert sorted(server.outcomes(SENDER)[:3]) == ["admitted"] * 3
    assert server.outcomes(SENDER)[3:] == ["E_SIGNER_EXPIRED", "admitted"]


def test_a_key_that_was_not_registered_at_collection_is_told_so(server: Senders) -> None:
    """A drop that waited for its own key to be registered is refused, with a code of its own."""
    new, public = sshsig.new_key("new")
    server.send(SENDER, key=new)
    server.run("collect")
    server.registrar.rotate_signing_key(SENDER, public, overlap_days=30)

    server.run("admit")

    assert server.outcomes(SENDER) == ["E_SIGNER_NOT_YET"]


def test_row_27_a_revoked_key_holds_at_no_time(server: Senders) -> None:
    """Revoked, it opens neither what lies collected nor what comes; another sender's key is not touched."""
    server.send(SENDER, row(1))
    server.send(OTHER, row(2))
    server.run("collect")
    (key,) = (one for one in keys_of(server.control, REGISTRY) if (one.institution_id, one.kind) == (SENDER, "signing"))

    server.registrar.revoke(SENDER, name_of(key))
    server.send(SENDER, row(3))
    server.run("collect", "admit")

    assert server.outcomes(SENDER) == ["E_SIGNER_REVOKED"] * 2
    assert server.outcomes(OTHER) == ["admitted"]
    (waiting,) = (one for one in look(server.folder, REGISTRY, datetime.now(UTC)).waiting if one.what == "signing key")
    assert (waiting.who, waiting.needs_person) == (SENDER, True)
    with pytest.raises(Refused, match="R_KEY_UNKNOWN"):
        server.registrar.revoke(SENDER, name_of(key))
    with pytest.raises(Refused, match="R_KEY_KNOWN"):
        server.registrar.rotate_signing_key(SENDER, key.key, overlap_days=1)


def test_row_27_a_passphrase_is_rotated_with_an_overlap(server: Senders, tmp_path: Path) -> None:
    """Both open through the overlap, the old one not after it; the letter shows the new one alone, to send with."""
    letter = server.letters[SENDER]
    server.registrar.rotate_passphrase(SENDER, tmp_path / "brev.html", TODAY, overlap_days=30)
    lies = server.folder.registry(REGISTRY)
    drawn = read_passphrase((lies.passphrases(Passphrases.SENDERS) / f"{SENDER}.{SENDER}-2.passphrase").read_bytes())
    new = (f"{SENDER}-2", drawn)

    server.send(SENDER, row(1))
    server.send(SENDER, row(2), passphrase=new)
    server.run("collect")
    server.run("admit", after=LATER)
    server.send(SENDER, row(3))
    server.run("collect", "admit", after=LATER)
    server.send(SENDER, row(4), passphrase=new)
    server.run("collect", "admit", after=LATER)

    assert server.outcomes(SENDER) == ["admitted", "admitted", "E_KID_EXPIRED", "admitted"]
    page = (tmp_path / "brev.html").read_text(encoding="utf-8")
    first, *_ = drawn.reveal().decode().split("-")
    outbound, *_ = letter.outbound.reveal().decode().split("-")
    assert f"<b>{first}</b>" in page
    assert f"<b>{outbound}</b>" not in page
    assert "gjelder til og med" in page
    assert find_institution(server.control, REGISTRY, SENDER).inbound_key_id == new[0]


def test_a_renewed_letter_ends_what_was_rotated_too(server: Senders, tmp_path: Path) -> None:
    """Of a letter that was seen, nothing holds any more: neither the older passphrase nor the overlapping one."""
    server.registrar.rotate_passphrase(SENDER, tmp_path / "brev.html", TODAY, overlap_days=30)
    server.registrar.write_letter(SENDER, tmp_path / "nytt.html", TODAY, renew=True)

    server.send(SENDER, row(1))
    server.send(SENDER, row(2), passphrase=(f"{SENDER}-2", server.letters[SENDER].inbound))
    server.run("collect", "admit")

    assert server.outcomes(SENDER) == ["E_KID_REVOKED"] * 2
    lies = server.folder.registry(REGISTRY)
    renewed = read_passphrase((lies.passphrases(Passphrases.SENDERS) / f"{SENDER}.passphrase").read_bytes())
    server.send(SENDER, row(3), passphrase=(f"{SENDER}-3", renewed))
    server.run("collect", "admit")
    assert server.outcomes(SENDER)[-1] == "admitted"


@pytest.mark.parametrize("days", [-1, 367])
def test_an_overlap_has_an_end(server: Senders, days: int) -> None:
    """Nobody keeps an old key for ever by mistake."""
    with pytest.raises(Refused, match="R_OVERLAP"):
        server.registrar.rotate_signing_key(SENDER, sshsig.new_key("new")[1], overlap_days=days)


def test_a_recipients_key_is_changed_by_two_people(server: Senders) -> None:
    """A lender's age key waits for the project lead; without that signature, or with another's, nothing changes."""
    (_, first), (_, second) = age.new_identity(), age.new_identity()
    server.registrar.add_institution("nav", "NAV", "lender", sshsig.new_key("nav")[1], first)
    request_id = server.registrar.ask_for_recipient_key("nav", second, "2026/7")
    server.run("rights")
    assert find_institution(server.control, REGISTRY, "nav").age_key == first
    text = find_request(server.control, request_id).signed_text()
    with pytest.raises(Refused, match="R_SECOND_PERSON"):
        other: Secret = sshsig.new_key("other")[0]
        server.registrar.approve_request(request_id, sshsig.sign(text, other, SIGNATURE_NAMESPACE))

    server.registrar.approve_request(request_id, sshsig.sign(text, server.lead, SIGNATURE_NAMESPACE))
    server.run("rights")

    assert find_request(server.control, request_id).state is RequestState.DONE
    assert find_institution(server.control, REGISTRY, "nav").age_key == second


def test_a_drop_outside_the_agreement_is_answered_and_not_opened(server: Senders) -> None:
    """Collected before the first day or after the last it is rejected unopened; collected within, it is admitted."""
    server.registrar.agree(SENDER, TODAY - timedelta(days=30), TODAY + timedelta(days=10))
    server.send(SENDER, row(1))
    server.run("collect")
    server.run("admit", after=timedelta(days=20))  # the agreement is over when it is opened, not when it came
    server.send(SENDER, row(2))
    server.run("collect", "admit", after=timedelta(days=20))
    server.registrar.agree(SENDER, TODAY + timedelta(days=30), TODAY + timedelta(days=60))
    server.send(SENDER, row(3))
    server.run("collect", "admit", after=timedelta(days=20))

    assert server.outcomes(SENDER) == ["admitted", "E_AGREEMENT", "E_AGREEMENT"]
    assert [drop.attempts for drop in server.drops(SENDER)] == [1, 0, 0]
    assert server.receipt(server.drops(SENDER)[1])["status"] == "rejected"


def test_nothing_but_a_receipt_is_sealed_for_whom_no_agreement_holds(server: Senders) -> None:
    """Feedback waits and status tells why; a renewed agreement lets it go."""
    server.registrar.agree(SENDER, TODAY - timedelta(days=30), TODAY + timedelta(days=10))
    server.send(SENDER, [arrival(1, "K-1", sex="neither")])
    server.send(OTHER, [arrival(2, "K-2", sex="neither")])
    server.run("collect", "admit", "checkpoint")

    after = timedelta(days=20)
    assert server.run("seal", after=after)["held"] == 1
    states = {kind: [one.state for one in server.releases(kind)] for kind in (Kind.RECEIPT, Kind.FEEDBACK)}
    assert states == {Kind.RECEIPT: [ReleaseState.SEALED], Kind.FEEDBACK: [ReleaseState.APPROVED]}
    assert [one.state for one in server.releases(Kind.FEEDBACK, OTHER)] == [ReleaseState.SEALED]
    seen = look(server.folder, REGISTRY, datetime.now(UTC) + after)
    told = {(one.what, one.who, one.needs_person) for one in seen.waiting}
    assert {("agreement", SENDER, True), ("package of feedback", SENDER, True)} <= told

    server.registrar.agree(SENDER, TODAY, TODAY + timedelta(days=400))
    assert server.run("seal", after=after)["held"] == 0
    assert [one.state for one in server.releases(Kind.FEEDBACK)] == [ReleaseState.SEALED]


def test_an_agreement_runs_forward_and_in_a_language_that_the_registry_speaks(server: Senders) -> None:
    """Dates the wrong way round and languages without labels are refused, and nothing is changed."""
    with pytest.raises(Refused, match="R_AGREEMENT_DATES"):
        server.registrar.agree(SENDER, TODAY, TODAY - timedelta(days=1))
    with pytest.raises(Refused, match="R_LANGUAGE"):
        server.registrar.agree(SENDER, TODAY, TODAY + timedelta(days=1), language="sv")
    server.send(SENDER)
    server.run("collect", "admit")
    assert server.outcomes(SENDER) == ["admitted"]
