"""`enclave institution agree, rotate, revoke, keys`: what the data processor types, and what is shown."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from enclave.cli.main import app
from enclave.control.requests import requests_of
from enclave.crypto import age, sshsig
from enclave.crypto.allowed_signers import fingerprint
from enclave.errors import Refused
from tests.jobs.senders import SENDER, Senders, new_server


@pytest.fixture
def server(tmp_path: Path) -> Senders:
    """A server with one sender."""
    made = new_server(tmp_path)
    made.add(SENDER)
    return made


def typed(server: Senders, *words: str) -> Result:
    """What a command of `enclave institution` answers."""
    return CliRunner().invoke(app, ["--config", str(server.folder.settings), "institution", *words])


def listed(server: Senders, *words: str) -> list[dict[str, object]]:
    """A listing as a program reads it."""
    shown: list[dict[str, object]] = json.loads(typed(server, *words, "--json").stdout)
    return shown


def test_an_agreement_is_entered_and_shown(server: Senders) -> None:
    """Before it, the agreement holds until further notice; after it, the list names its last day."""
    assert [one["agreed_until"] for one in listed(server, "list")] == ["further notice"]

    done = typed(server, "agree", SENDER, "--from", "2026-01-01", "--to", "2027-12-31", "--may-send-unsigned")

    assert done.exit_code == 0, done.output
    assert [one["agreed_until"] for one in listed(server, "list")] == ["2027-12-31"]


def test_keys_are_rotated_listed_and_revoked(server: Senders, tmp_path: Path) -> None:
    """The list shows fingerprints and ids, never a passphrase; what it shows is what `revoke` takes."""
    _, public = sshsig.new_key("new")
    (tmp_path / "new.pub").write_text(public, encoding="utf-8")
    assert typed(server, "rotate", SENDER, "--key", str(tmp_path / "new.pub"), "--overlap-days", "7").exit_code == 0
    rotated = typed(server, "rotate", SENDER, "--letter", str(tmp_path / "brev.html"))
    assert rotated.exit_code == 0, rotated.output

    known = listed(server, "keys", SENDER)

    assert [(one["kind"], one["valid_to"] is None) for one in known] == [
        ("passphrase", False),
        ("passphrase", True),
        ("signing", False),
        ("signing", True),
    ]
    assert known[-1]["key"] == fingerprint(public)
    files = server.folder.registry("kar").keys.rglob("*.passphrase")
    secrets = {path.read_text(encoding="ascii").strip() for path in files}
    assert len(secrets) == 3
    assert not any(secret in str(known) or secret in rotated.output for secret in secrets)
    assert typed(server, "revoke", SENDER, str(known[-1]["key"])).exit_code == 0
    assert listed(server, "keys", SENDER)[-1]["revoked_at"] is not None
    assert listed(server, "keys", "somebody-else") == []


def test_a_recipients_key_is_asked_for_and_not_changed(server: Senders, tmp_path: Path) -> None:
    """It is a request that waits for two people; for an institution that is no lender there is none."""
    (tmp_path / "nav.age").write_text(age.new_identity()[1], encoding="utf-8")
    server.registrar.add_institution("nav", "NAV", "lender", sshsig.new_key("nav")[1], age.new_identity()[1])

    done = typed(server, "rotate", "nav", "--recipient-key", str(tmp_path / "nav.age"), "--case-number", "2026/3")

    assert done.exit_code == 0, done.output
    assert [one.kind for one in requests_of(server.control, "kar")] == ["recipient_key"]
    refused = typed(server, "rotate", SENDER, "--recipient-key", str(tmp_path / "nav.age"))
    assert isinstance(refused.exception, Refused)
    assert refused.exception.code == "R_AGE_KEY"


def test_one_key_is_rotated_at_a_time(server: Senders) -> None:
    """Neither none nor two."""
    assert typed(server, "rotate", SENDER).exit_code == 2
