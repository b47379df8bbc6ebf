"""Single ZIP files placed by hand: only where the agreement says so, made by 7-Zip, and recorded as weaker."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enclave.audit.record import Phase
from enclave.flow import Act
from enclave.model.draft import Kind
from enclave.wiring import open_log
from tests.jobs.senders import SENDER, Senders, arrival, csv_of, new_server

TODAY = datetime.now(UTC).date()


@pytest.fixture
def server(tmp_path: Path) -> Senders:
    """A server with one sender whose agreement lets it place files by hand."""
    made = new_server(tmp_path)
    made.add(SENDER)
    made.registrar.agree(SENDER, TODAY - timedelta(days=1), TODAY + timedelta(days=30), may_send_unsigned=True)
    return made


def by_hand(server: Senders, name: str = "mars.zip", *options: str, passphrase: str = "", person: int = 1) -> Path:
    """A ZIP as a person makes it with 7-Zip, in the sender's `in/`; AES-256 where no other options are given."""
    folder = server.root / "clear" / f"{name}-{person}"
    folder.mkdir()
    (folder / "arrival.csv").write_bytes(csv_of([arrival(person, f"K-{person}")]))
    made = folder / "made.zip"
    words = passphrase or server.letters[SENDER].inbound.reveal().decode()
    chosen = options or ("-mem=AES256", f"-p{words}")
    subprocess.run(["7z", "a", "-tzip", *chosen, made, folder / "arrival.csv"], check=True, capture_output=True)
    placed = server.root / "airlock" / SENDER / "in" / name
    made.rename(placed)
    return placed


def test_a_zip_of_7_zip_is_admitted_where_it_is_agreed_on_and_recorded_as_weaker(server: Senders) -> None:
    """Taken when it was seen twice unchanged; state, audit log and receipt say that it was not signed."""
    by_hand(server)
    assert server.run("collect")["taken"] == 0
    assert server.run("collect")["taken"] == 1
    server.run("admit")

    (drop,) = server.drops(SENDER)
    assert (drop.reason, drop.signed, drop.stated_drop_id) == ("", False, None)
    log = open_log(server.folder)
    done = [one for one in log.entries() if one.phase is Phase.DONE and one.object_id == drop.drop_uuid]
    told = {one.act: one.counts["signed"] for one in done if "signed" in one.counts}
    assert told == {Act.DROP_TAKE: 0, Act.DROP_SETTLE: 0}
    assert server.receipt(drop)["signed"] is False
    assert "ikke signert" in server.answer(drop, Kind.RECEIPT)["kvittering.txt"].decode("utf-8-sig")


def test_a_signed_drop_is_recorded_as_signed(server: Senders) -> None:
    """The same sender's signed drops say so."""
    server.send(SENDER)
    server.run("collect", "admit")

    (drop,) = server.drops(SENDER)
    assert (drop.reason, drop.signed, server.receipt(drop)["signed"]) == ("", True, True)


def test_row_30_without_the_agreement_a_loose_file_is_refused(server: Senders) -> None:
    """An agreement that does not name it is no leave, also not for what was seen before."""
    by_hand(server)
    server.run("collect")
    server.registrar.agree(SENDER, TODAY - timedelta(days=1), TODAY + timedelta(days=30))
    server.run("collect", "admit")

    assert server.outcomes(SENDER) == ["E_DROP_KIND"]


@pytest.mark.parametrize(
    ("options", "passphrase", "code"),
    [
        (("-mem=ZipCrypto", "-pK7QX-2M4P-9RTV-W3HD-6JCN-8FYA"), "", "E_ZIPCRYPTO"),
        (("-mx=1",), "", "E_UNENCRYPTED"),
        ((), "K7QX-2M4P-9RTV-W3HD-6JCN-8FYA", "E_PASSPHRASE"),
    ],
)
def test_what_is_weaker_still_is_refused(server: Senders, options: tuple[str, ...], passphrase: str, code: str) -> None:
    """ZipCrypto, no encryption and another passphrase each have their code."""
    by_hand(server, "mars.zip", *options, passphrase=passphrase)
    server.run("collect")
    server.run("collect", "admit")

    assert server.outcomes(SENDER) == [code]


def test_what_is_no_zip_or_still_grows_is_not_taken_for_one(server: Senders) -> None:
    """Told by content, whatever its name says; a file that changed since it was seen waits once more."""
    incoming = server.root / "airlock" / SENDER / "in"
    (incoming / "notes.zip").write_bytes(b"not an archive")
    growing = by_hand(server, "mars.zip")
    whole = growing.read_bytes()
    growing.write_bytes(whole[:100])
    server.run("collect")
    growing.write_bytes(whole)
    assert server.run("collect") == {"taken": 1, "refused": 0, "unreachable": 0}
    assert growing.exists()
    server.run("collect", "admit")

    assert sorted(server.outcomes(SENDER)) == ["E_DROP_KIND", "admitted"]


def test_row_31_the_same_file_again_is_a_replay(server: Senders) -> None:
    """A file that was admitted and is placed again under another name stores nothing twice."""
    first = by_hand(server).read_bytes()
    server.run("collect")
    server.run("collect", "admit")
    (server.root / "airlock" / SENDER / "in" / "april.zip").write_bytes(first)
    server.run("collect")
    server.run("collect", "admit")

    assert sorted(server.outcomes(SENDER)) == ["E_REPLAY", "admitted"]
