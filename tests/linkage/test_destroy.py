"""What destroying a loan leaves, and what its certificate says."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from enclave import durable
from enclave.audit.record import Position
from enclave.crypto import age
from enclave.crypto.keystore import Keystore, unwrap_identity, wrap_identity
from enclave.errors import Halt, Refused
from enclave.linkage import destroy as destroying
from enclave.linkage.certificate import NOT_COVERED, certificate
from enclave.linkage.destroy import Copy, destroy
from enclave.linkage.loan import new_loan_key
from enclave.model.loan import Derived, Destruction, Level
from tests.linkage.loans import AGREEMENT

AT = datetime(2026, 7, 3, 9, tzinfo=UTC)
POSITION = Position("0b1f6a5e-6f0e-4a4c-9d5e-0c5b7a3b1f10", 77)


class Held:
    """A loan as the server holds it: the wrapped key, and two copies of the lender's file."""

    def __init__(self, folder: Path) -> None:
        self.identity, self.recipient = new_loan_key()
        self.wrapping, public = age.new_identity()
        for name in ("keystore", "loans", "quarantine"):
            (folder / name).mkdir()
        self.keystore = Keystore(folder / "keystore")
        self.wrapped = wrap_identity(self.identity, public)
        self.keystore.put("nav-2026", self.wrapped)
        self.keystore.put("loan-other", wrap_identity(new_loan_key()[0], public))
        self.files = (
            ("loans/nav-2026.age", folder / "loans" / "a"),
            ("quarantine/nav-2026.age", folder / "quarantine" / "a"),
        )
        self.ciphertext = age.seal(b"borrowed", [self.recipient])
        for _, path in self.files:
            durable.write(path, self.ciphertext)
        digest = hashlib.sha256(self.ciphertext).hexdigest()
        self.copies = tuple(Copy(place, path, digest) for place, path in self.files)
        self.backups: list[tuple[str, Path]] = []
        self.managed = [(name, folder / name) for name in ("keystore", "loans", "quarantine")]

    def destroy(self, today: date = date(2026, 7, 1)) -> Destruction:
        """One attempt."""
        return destroy(
            "nav-2026", self.keystore, self.copies, in_clear="person_id;month;", managed=self.managed,
            backups=self.backups, recipient=self.recipient, due=AGREEMENT.due, today=today,
        )  # fmt: skip


@pytest.fixture
def held(tmp_path: Path) -> Held:
    """A loan that is still there."""
    return Held(tmp_path)


def test_a_destroyed_loan_has_no_key_and_no_file(held: Held) -> None:
    """Key and copies are gone, other loans' keys are not, and the wrapped key no longer opens through the keystore."""
    assert age.open(held.ciphertext, unwrap_identity(held.keystore.get("nav-2026"), held.wrapping)) == b"borrowed"
    found = held.destroy()
    assert (found.key_absent, found.files_absent, found.decryption_fails) == (True, True, True)
    digest = hashlib.sha256(held.ciphertext).hexdigest()
    assert found.files == (("loans/nav-2026.age", digest), ("quarantine/nav-2026.age", digest))
    assert found.overdue_days == 0
    assert held.keystore.names() == ("loan-other",)
    with pytest.raises(Refused, match="R_KEY_DESTROYED"):
        held.keystore.get("nav-2026")


@pytest.mark.parametrize("step", ["destroy_key", "first_copy", "second_copy", "verify"])
def test_a_destruction_that_was_killed_ends_the_same_when_run_again(
    held: Held, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed before the key, between copies or before the checks, a second attempt gives the uninterrupted answer."""

    class Killed(BaseException):
        """The end of the process."""

    def killed(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patched:
        if step == "destroy_key":
            patched.setattr(Keystore, "destroy", killed)
        elif step == "verify":
            patched.setattr(destroying, "_no_key_is_given_out", killed)
        else:
            last = held.copies[0 if step == "first_copy" else 1].path
            whole = durable.remove
            patched.setattr(durable, "remove", lambda path: killed() if path == last else whole(path))
        with pytest.raises(Killed):
            held.destroy()
    again = held.destroy()
    assert certificate(again, AGREEMENT, AT, POSITION)
    assert again == held.destroy()
    assert not any(path.exists() for _, path in held.files)


def test_lateness_is_counted_in_days(held: Held) -> None:
    """A loan destroyed after its due date says by how much."""
    assert held.destroy(date(2026, 7, 4)).overdue_days == 3
    assert held.destroy(date(2026, 6, 1)).overdue_days == 0


LEFT: dict[str, tuple[str, Callable[[Held], bytes]]] = {
    "a-second-name.age": ("keystore", lambda held: held.wrapped),
    ".tmp-0011223344556677": ("keystore", lambda held: held.wrapped),
    "wrapped-up": ("quarantine", lambda held: b"inside something else: " + held.ciphertext + b"!"),
    "a-half": ("loans", lambda held: held.ciphertext[:150]),
    "in-clear.csv": ("loans", lambda _: b"\xef\xbb\xbfperson_id;month;aap\r\n1;2024-01;ja\r\n"),
    "in-clear.txt": ("quarantine", lambda _: "person_id;month;aap\n".encode("utf-16")),
    "far-in": ("quarantine", lambda _: bytes((1 << 20) - 5) + b"person_id;month;aap"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_anywhere_is_found_and_leaves_no_certificate(held: Held, tmp_path: Path, name: str) -> None:
    """The key under another name, a copy inside another file, a part of one, or rows in clear: no certificate."""
    folder, content = LEFT[name]
    durable.write(tmp_path / folder / name, content(held))
    found = held.destroy()
    assert found.residue.left_in == (folder,)
    with pytest.raises(Halt, match="H_LOAN_NOT_DESTROYED") as halted:
        certificate(found, AGREEMENT, AT, POSITION)
    assert folder in str(halted.value)
    assert name not in str(halted.value)
    (tmp_path / folder / name).unlink()
    assert held.destroy().residue.left_in == ()


def test_other_loans_and_drops_are_no_residue(held: Held, tmp_path: Path) -> None:
    """Ciphertext to other keys, links and what vanishes while it is looked for are passed by."""
    durable.write(tmp_path / "quarantine" / "other", age.seal(b"borrowed", [new_loan_key()[1]]))
    (tmp_path / "quarantine" / "link").symlink_to("/etc/hosts")
    found = held.destroy()
    assert (found.residue.left_in, found.residue.files) == ((), 3)  # another loan's key, a grave, a drop


def test_a_copy_of_the_key_that_is_put_back_opens_nothing(held: Held) -> None:
    """The keystore has a grave for the loan: a key that comes back from somewhere is not given out, and is shredded."""
    held.destroy()
    held.keystore.put("other", held.wrapped)
    (held.keystore._path("other")).rename(held.keystore._path("nav-2026"))
    with pytest.raises(Refused, match="R_KEY_DESTROYED"):
        held.keystore.get("nav-2026")
    with pytest.raises(Halt, match="H_KEYSTORE_TAKEN"):
        held.keystore.put("nav-2026", held.wrapped)
    again = held.destroy()
    assert (again.key_absent, held.keystore.has("nav-2026")) == (True, False)


def test_a_key_that_does_not_go_leaves_no_certificate(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report believes what it finds, not what was asked for."""
    monkeypatch.setattr(Keystore, "destroy", lambda *_: True)
    found = held.destroy()
    assert not found.key_absent
    with pytest.raises(Halt, match="H_LOAN_NOT_DESTROYED"):
        certificate(found, AGREEMENT, AT, POSITION)


def test_something_planted_in_a_file_s_place_does_not_stop_the_key_s_destruction(held: Held, tmp_path: Path) -> None:
    """A folder or link where a copy was: the key goes all the same; a link goes, a folder is reported as left."""
    first, second = (path for _, path in held.files)
    first.unlink()
    first.mkdir()
    second.unlink()
    target = tmp_path / "elsewhere"
    durable.write(target, b"not ours")
    second.symlink_to(target)
    found = held.destroy()
    assert found.key_absent
    assert not found.files_absent
    assert not second.is_symlink()
    assert target.read_bytes() == b"not ours"


def test_a_loan_that_never_came_is_destroyed_too(held: Held) -> None:
    """With no file at all the key still goes, and the certificate says that there was nothing."""
    held.copies = ()
    found = held.destroy()
    _, text = certificate(found, AGREEMENT, AT, POSITION)
    assert "Vi hadde ingen filer fra lånet." in text.content.decode("utf-8-sig")


def test_the_certificate_lists_what_was_made_of_the_loan_and_until_when_snapshots_last(held: Held) -> None:
    """Each kept table with its digest and origin; what would tell of single people leaves no certificate."""
    made = Derived("nav-2026", "benefits", "2024", Level.AGGREGATE, 7, "d" * 64, "c" * 64, "f" * 64)
    found = held.destroy()
    document, text = certificate(found, AGREEMENT, AT, POSITION, derived=(made,), snapshots_until=date(2026, 8, 2))
    (said,) = json.loads(document.content)["derived"]
    assert (said["table"], said["state"], said["loan_file_sha256"]) == ("benefits", 7, "f" * 64)
    assert json.loads(document.content)["snapshots_until"] == "2026-08-02"
    assert "de siste er borte 2026-08-02" in text.content.decode("utf-8-sig")
    assert "c" * 64 in text.content.decode("utf-8-sig")
    with pytest.raises(Halt, match="H_LOAN_ROW_LEVEL"):
        certificate(found, AGREEMENT, AT, POSITION, derived=(replace(made, level=Level.ROW),))


def test_the_certificate_says_what_was_checked_and_what_it_cannot_cover(held: Held) -> None:
    """The JSON and the Norwegian text agree on loan, files, checks, lateness, position and the limits."""
    found = held.destroy(date(2026, 7, 3))
    document, text = certificate(found, AGREEMENT, AT, POSITION)
    facts = json.loads(document.content)
    assert facts["checks"] == {
        "decryption_fails": True, "files_absent": True, "key_absent": True, "files_with_residue": 0,
        "files_looked_through": 2, "folders_looked_through": ["keystore", "loans", "quarantine"],
        "backup_manifests_read": 0, "backup_manifests_missing": 0, "backups_that_hold_it": 0,
    }  # fmt: skip
    assert facts["not_covered"] == [name for name, _ in NOT_COVERED]
    assert facts["audit"] == {"log_id": POSITION.log_id, "seq": 77}
    assert facts["overdue_days"] == 2
    readable = text.content.decode("utf-8-sig")
    for said in (
        "2 dager etter fristen",
        "26/123",
        found.key_fingerprint,
        found.files[0][1],
        *dict(NOT_COVERED).values(),
    ):
        assert said in readable
    assert certificate(found, AGREEMENT, AT, POSITION) == (document, text)
    assert held.identity.reveal() not in document.content + text.content


def backed_up(held: Held, folder: Path, *members: tuple[str, str]) -> str:
    """Keep the manifest of a backup of these (name, SHA-256); answers its digest."""
    text = json.dumps({"members": [{"name": name, "sha256": sha256} for name, sha256 in members]}).encode()
    digest = hashlib.sha256(text).hexdigest()
    durable.write(folder / f"{digest}.json", text)
    held.backups.append((digest, folder / f"{digest}.json"))
    return digest


def test_the_manifest_of_every_backup_is_read(held: Held, tmp_path: Path) -> None:
    """The certificate says how many were; one that is gone or was altered is counted as missing, not as well."""
    backed_up(held, tmp_path, ("control.db", "0" * 64), ("registries/kar/registry.db", "1" * 64))
    for altered in (b"{}", None):
        path = tmp_path / f"{backed_up(held, tmp_path, ('control.db', '2' * 64))}.json"
        held.backups[-1] = (held.backups[-1][0], path.rename(tmp_path / f"{altered!r}"))
        if altered is None:
            held.backups[-1][1].unlink()
        else:
            durable.write(held.backups[-1][1], altered)
    document, text = certificate(held.destroy(), AGREEMENT, AT, POSITION)
    checks = json.loads(document.content)["checks"]
    assert (checks["backup_manifests_read"], checks["backup_manifests_missing"]) == (1, 2)
    assert "fortegnelsen over 1 sikkerhetskopier er lest" in text.content.decode("utf-8-sig")


@pytest.mark.parametrize("name", ["keystore/kar/loans/nav-2026.age", "registries/kar/loans/x.drop", "site/kar/copy"])
def test_a_backup_that_holds_the_loan_leaves_no_certificate(held: Held, tmp_path: Path, name: str) -> None:
    """Whether by its key, by a file where loans lie, or by the same ciphertext under another name."""
    ciphertext = hashlib.sha256(held.ciphertext).hexdigest()
    digest = backed_up(held, tmp_path, ("control.db", "0" * 64), (name, ciphertext if "copy" in name else "3" * 64))
    with pytest.raises(Halt, match=f"H_LOAN_NOT_DESTROYED.*backup {digest[:16]}"):
        certificate(held.destroy(), AGREEMENT, AT, POSITION)
