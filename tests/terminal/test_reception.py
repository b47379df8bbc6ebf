"""What an institution is handed: kit and letter, walked by the guide's own words with 7-Zip and ssh-keygen."""

import html
import json
import os
import pty
import re
import shutil
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner, Result

from enclave.audit.record import Phase, StoredEntry
from enclave.cli.main import app
from enclave.control.institutions import find_institution
from enclave.crypto import sshsig
from enclave.crypto.passphrase import check_sign
from enclave.demo.airlock import make_folders
from enclave.errors import EnclaveError, Refused
from enclave.flow import Act
from enclave.folders import WorkingFolder
from enclave.founding import CONFIG, Founding, found
from enclave.grants import Passphrases
from enclave.release import letter
from enclave.settings import read_settings
from enclave.terminal.reception import Reception
from enclave.wiring import open_log

TODAY = date(2026, 11, 23)
CLINIC = "muritunet"
NAME = "Muritunet rehabiliteringssenter"


@dataclass(frozen=True)
class Server:
    """A server with a folder as its airlock, and one institution that has a signing key of its own."""

    folder: WorkingFolder
    airlock: Path
    home: Path

    @property
    def reception(self) -> Reception:
        """The terminal, as a new command finds it."""
        return Reception(self.folder, read_settings(self.folder.settings), "kar")

    def enclave(self, *words: str) -> Result:
        """One command."""
        return CliRunner().invoke(app, ["--config", str(self.folder.settings), *words])

    def entries(self) -> list[StoredEntry]:
        """The audit log."""
        return list(open_log(self.folder).entries())

    def passphrase(self, which: Passphrases) -> str:
        """What the server has for the institution."""
        return (self.folder.registry("kar").passphrases(which) / f"{CLINIC}.passphrase").read_text().strip()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A new server; the institution's key is made as the guide says."""
    airlock, home = tmp_path / "airlock", tmp_path / "enclave" / "kar"
    home.mkdir(parents=True)
    make_folders(airlock, CLINIC)
    values: dict[str, str | int | float] = {
        "server": "enclave-1",
        "mode": "test",
        "kind": "folder",
        "folder": str(airlock),
    }
    folder = found(Founding(tmp_path / "work", "kar", CONFIG / "registries" / "kar", values, "person:tester"))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / "signing_key"], check=True)
    server = Server(folder, airlock, home)
    added = server.enclave("institution", "add", CLINIC, "--name", NAME, "--key", str(home / "signing_key.pub"))
    assert added.exit_code == 0
    return server


def _refusal(result: Result) -> str:
    assert isinstance(result.exception, EnclaveError)
    return result.exception.code


def _shown(page: Path) -> list[str]:
    """The passphrases that a letter shows, in order."""
    boxes = re.findall(r'<div class="groups">(.*?)</div>\n</div>', page.read_text(), re.DOTALL)
    return ["-".join(re.findall(r"<b>([A-Z2-9]+)</b>", box)) for box in boxes]


# --- Letter -----------------------------------------------------------------------------------------------------------


def test_a_letter_shows_both_passphrases_once(server: Server, tmp_path: Path) -> None:
    """The page has the passphrases in force, each group with its sign, and the key's fingerprint; then never again."""
    page = tmp_path / "brev.html"
    assert server.enclave("institution", "letter", CLINIC, str(page)).exit_code == 0

    assert _shown(page) == [server.passphrase(which) for which in (Passphrases.SENDERS, Passphrases.RECIPIENTS)]
    signs = re.findall(r"<i>(.)</i>", page.read_text())
    grouped = [group for shown in _shown(page) for group in enumerate(shown.split("-"), start=1)]
    assert signs == [check_sign(group, place) for place, group in grouped]
    assert NAME in page.read_text()
    key = tmp_path / "work" / "keys" / "kar" / "bundle-sign.pub"
    told = subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True).stdout.split()[1]
    assert told in html.unescape(page.read_text())
    assert page.stat().st_mode & 0o777 == 0o600
    assert _refusal(server.enclave("institution", "letter", CLINIC, str(tmp_path / "to.html"))) == "R_LETTER_SHOWN"
    assert not (tmp_path / "to.html").exists()


def test_a_file_for_a_program_counts_as_shown(server: Server, tmp_path: Path) -> None:
    """After `add --letter`, the paper letter needs new passphrases."""
    key, shown = server.home / "signing_key.pub", tmp_path / "brev.json"
    words = ("institution", "add", "hernes", "--name", "Hernes", "--key", str(key), "--letter", str(shown))
    assert server.enclave(*words).exit_code == 0

    assert json.loads(shown.read_text())["institution"] == "hernes"
    assert _refusal(server.enclave("institution", "letter", "hernes", str(tmp_path / "b.html"))) == "R_LETTER_SHOWN"


def test_a_renewed_letter_ends_the_old_one(server: Server, tmp_path: Path) -> None:
    """New passphrases under a new id replace both; the letter shows them and the server uses them."""
    server.reception.write_letter(CLINIC, tmp_path / "1.html", TODAY)
    server.reception.write_letter(CLINIC, tmp_path / "2.html", TODAY, renew=True)

    assert not set(_shown(tmp_path / "1.html")) & set(_shown(tmp_path / "2.html"))
    assert _shown(tmp_path / "2.html") == [server.passphrase(w) for w in (Passphrases.SENDERS, Passphrases.RECIPIENTS)]
    assert find_institution(server.reception.control, "kar", CLINIC).inbound_key_id == f"{CLINIC}-2"
    assert f"{CLINIC}-2" in (tmp_path / "2.html").read_text()


def test_a_lender_gets_the_one_passphrase_that_it_needs(server: Server, tmp_path: Path) -> None:
    """What a lender sends is sealed to a loan's key; its letter has no passphrase to send with."""
    key = server.home / "signing_key.pub"
    server.enclave("institution", "add", "nav", "--name", "NAV", "--key", str(key), "--role", "lender")
    server.reception.write_letter("nav", tmp_path / "nav.html", TODAY)

    assert len(_shown(tmp_path / "nav.html")) == 1
    assert "sende inn</h2>" not in (tmp_path / "nav.html").read_text()


def test_no_passphrase_is_in_the_log_or_on_the_terminal(server: Server, tmp_path: Path) -> None:
    """The log says that a letter was shown, by whom and for whom; no group of it."""
    result = server.enclave("institution", "letter", CLINIC, str(tmp_path / "brev.html"))
    log = "".join(entry.model_dump_json() for entry in server.entries())

    acts = [entry for entry in server.entries() if entry.act == Act.INSTITUTION_LETTER]
    assert [entry.phase for entry in acts] == [Phase.INTENT, Phase.DONE]
    assert acts[0].object_id == CLINIC
    long_groups = [group for shown in _shown(tmp_path / "brev.html") for group in shown.split("-")[:-1]]
    assert not [group for group in long_groups if group in log or group in result.output]
    assert "Secret" in repr(letter.LetterContent("r", "t", "i", "k", None, _secret(), "f", TODAY))


def _secret() -> Any:
    from enclave.crypto.passphrase import new_passphrase

    return new_passphrase()


def test_nothing_is_overwritten_and_nobody_unknown_gets_a_letter(server: Server, tmp_path: Path) -> None:
    """A taken place, a missing folder and an unknown institution are refused before anything is written or shown."""
    (tmp_path / "taken").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for place in ("taken", "link", "missing/brev.html"):
        with pytest.raises(Refused, match="R_OUT_EXISTS"):
            server.reception.write_letter(CLINIC, tmp_path / place, TODAY)
        with pytest.raises(Refused, match="R_OUT_EXISTS"):
            server.reception.write_kit(CLINIC, tmp_path / place, TODAY)
    for act in (server.reception.write_letter, server.reception.write_kit):
        with pytest.raises(Refused, match="R_INSTITUTION_UNKNOWN"):
            act("nobody", tmp_path / "new", TODAY)

    assert (tmp_path / "taken").read_text() == "mine"
    assert not (tmp_path / "new").exists()
    server.reception.write_letter(CLINIC, tmp_path / "brev.html", TODAY)


@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_renewal_that_was_killed_is_mended_by_renewing_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Wherever it dies, the next renewal leaves letter, files and key id that agree; the dead one is abandoned."""
    kept = Reception._keep
    calls = iter(range(1, 10))

    def dies(self: Reception, *words: Any) -> None:
        if next(calls) == dies_at:
            raise KeyboardInterrupt
        kept(self, *words)

    monkeypatch.setattr(Reception, "_keep", dies)
    with pytest.raises(KeyboardInterrupt):
        server.reception.write_letter(CLINIC, tmp_path / "1.html", TODAY, renew=True)
    monkeypatch.setattr(Reception, "_keep", kept)
    server.reception.write_letter(CLINIC, tmp_path / "2.html", TODAY, renew=True)

    phases = [entry.phase for entry in server.entries() if entry.act == Act.INSTITUTION_LETTER]
    assert phases == [Phase.INTENT, Phase.ABANDONED, Phase.INTENT, Phase.DONE]
    assert _shown(tmp_path / "2.html") == [server.passphrase(w) for w in (Passphrases.SENDERS, Passphrases.RECIPIENTS)]
    key_id = find_institution(server.reception.control, "kar", CLINIC).inbound_key_id
    assert f"<b>{key_id}</b>" in (tmp_path / "2.html").read_text()


def test_letter_and_guide_are_fit_to_print(server: Server, tmp_path: Path) -> None:
    """In Chromium: one A4 page, nothing cut off, the passphrases inside the fold; no script, request or error."""
    long_name = "Rehabiliteringssenteret for arbeid og helse i Midt-Norge, avdeling for arbeidsrettet rehabilitering"
    key = server.home / "signing_key.pub"
    server.enclave("institution", "add", "lang", "--name", long_name, "--key", str(key))
    server.reception.write_letter("lang", tmp_path / "brev.html", TODAY)
    server.reception.write_kit("lang", tmp_path / "kit", TODAY)
    noise: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 1200})
        page.on("console", lambda message: noise.append(message.text))
        page.on("request", lambda request: noise.append(request.url) if not request.url.startswith("file:") else None)
        page.goto((tmp_path / "kit" / "veiledning.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 900
        page.goto((tmp_path / "brev.html").as_uri())
        thirds = page.evaluate(
            "[...document.querySelectorAll('.third')]"
            ".map(e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth])"
        )
        boxes = page.evaluate(
            "[...document.querySelectorAll('.secret')].map(e => [e.getBoundingClientRect(), e.parentElement.className])"
        )
        printed = page.pdf(prefer_css_page_size=True)
        browser.close()

    assert noise == []
    assert all(over <= 0 for third in thirds for over in third)
    assert [where for _, where in boxes] == ["third second", "third second"]
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) == 1


# --- Kit, walked ------------------------------------------------------------------------------------------------------


def test_a_kit_holds_no_secret_and_is_recorded(server: Server, tmp_path: Path) -> None:
    """None of its files has a passphrase or a private key; the log has its digest."""
    assert server.enclave("institution", "kit", CLINIC, str(tmp_path / "kit")).exit_code == 0
    contents = b"".join(path.read_bytes() for path in (tmp_path / "kit").rglob("*") if path.is_file())

    assert not [w for w in Passphrases if server.passphrase(w).encode() in contents]
    assert b"PRIVATE KEY" not in contents
    (done,) = [entry for entry in server.entries() if entry.act == Act.INSTITUTION_KIT and entry.phase is Phase.INTENT]
    assert set(done.digests) == {"kit", "definition"}
    assert _refusal(server.enclave("institution", "kit", CLINIC, str(tmp_path / "kit"))) == "R_OUT_EXISTS"


@pytest.fixture
def opened(server: Server, tmp_path: Path) -> Iterator[Path]:
    """The institution's PC after "Første gang": the kit beside its key, and a folder to work in."""
    server.reception.write_kit(CLINIC, tmp_path / "kit", TODAY)
    shutil.copytree(tmp_path / "kit", server.home, dirs_exist_ok=True)
    work = tmp_path / "pc"
    for name in ("inne", "ute"):
        (work / name).mkdir(parents=True)
    return work


@dataclass
class Typing:
    """A drop made by hand in the folders `inne` and `ute`, as the guide says it."""

    server: Server
    work: Path
    ending: str = ".csv"
    manifests: dict[str, Any] = field(default_factory=dict)
    """what the guide says to write into both manifests besides what is there"""
    drop_id: str = ""
    forms: int = 0

    def blocks(self, heading: str) -> list[str]:
        """The commands of a section of the guide, in order."""
        guide = html.unescape((self.server.home / "veiledning.html").read_text())
        section = guide.split(f"{heading}</h2>")[1].split("<h2>")[0]
        blocks = re.findall(r"<pre><code>(.*?)</code></pre>", section, re.DOTALL)
        return [block.replace(".csv", self.ending) for block in blocks if block[0] != "{"]

    def inside(self, once: str, digests: str) -> None:
        """Points 1 to 3: an id, the files of all forms, and the manifest that goes inside."""
        inne = self.work / "inne"
        for form in (self.server.home / "skjema").glob(f"*{self.ending}"):
            shutil.copy(form, inne)
        found = re.search(r"(?m)^([0-9a-f]{64})$", _type(self.server, inne, once))
        assert found
        self.drop_id = re.sub(r"^(.{8})(.{4})(.{4})(.{4})(.{12}).*$", r"\1-\2-\3-\4-\5", found[1])
        assert not list(self.work.glob("engangs*"))
        inner = json.loads((self.server.home / "maler" / "manifest-inne.json").read_text()) | self.manifests
        inner["drop_id"] = self.drop_id
        for file in inner["files"]:
            file["name"] = file["name"].replace(".csv", self.ending)
            told = _type(self.server, inne, digests.replace(f"arrival{self.ending}", file["name"]))
            file |= {"sha256": told.strip().splitlines()[-1], "size": (inne / file["name"]).stat().st_size}
        (inne / "manifest.json").write_text(json.dumps(inner))
        self.forms = len(inner["files"])

    def outside(self, payload: str, digest: str, sign: str, **stated: str) -> None:
        """Points 5 to 8: the manifest outside and its signature, and the folder at the airlock."""
        ute = self.work / "ute"
        told = _type(self.server, self.work / "inne", digest.replace("payload.zip", payload))
        outer = json.loads((self.server.home / "maler" / "manifest-ute.json").read_text()) | self.manifests | stated
        size = (ute / payload).stat().st_size
        outer |= {"drop_id": self.drop_id, "payload_sha256": told.strip().splitlines()[-1], "payload_size": size}
        outer["created_at"] = datetime.now(UTC).isoformat()
        (ute / "manifest.json").write_text(json.dumps(outer))
        _type(self.server, ute, sign)
        incoming = self.server.airlock / CLINIC / "in"
        shutil.copytree(ute, incoming / f"{self.drop_id}.part")
        (incoming / f"{self.drop_id}.part").rename(incoming / self.drop_id)

    def assert_admitted(self) -> None:
        """Collected and admitted, every row of every form."""
        for job in ("collect", "admit"):
            assert self.server.enclave("job", "run", job).exit_code in (0, 1)
        (listed,) = json.loads(self.server.enclave("drop", "list", "--json").output)
        assert listed["state"] == "admitted"
        entries = self.server.entries()
        (settled,) = [entry for entry in entries if entry.act == Act.DROP_SETTLE and entry.phase is Phase.DONE]
        assert (settled.counts["accepted"], settled.counts["rejected"]) == (self.forms, 0)


@pytest.mark.parametrize("ending", [".csv", ".xlsx"])
def test_a_drop_made_by_the_guides_words_is_admitted(server: Server, opened: Path, ending: str) -> None:
    """Every command of the section by hand, typed in order, makes a drop of the samples that is taken whole.

    For Excel files `.xlsx` is written where the guide has `.csv`, as it says.
    """
    hand, secret = Typing(server, opened, ending), server.passphrase(Passphrases.SENDERS)
    once, digests, pack, outer_digest, sign = hand.blocks("for hånd")[:5]

    hand.inside(once, digests)
    _type(server, opened / "inne", pack, typed=[secret, secret])
    hand.outside("payload.zip", outer_digest, sign)

    hand.assert_admitted()


@pytest.mark.parametrize(("form", "payload"), [("age", "payload.age"), ("openpgp", "payload.pgp")])
def test_a_drop_sealed_to_the_registrys_key_by_the_guides_words_is_admitted(
    server: Server, opened: Path, monkeypatch: pytest.MonkeyPatch, form: str, payload: str
) -> None:
    """With age and with GnuPG as the guide says, to the public keys of the kit, without any passphrase."""
    monkeypatch.setenv("GNUPGHOME", str(opened))
    hand = Typing(server, opened)
    pack, with_age, with_gpg = hand.blocks("i stedet for passord")
    guide = html.unescape((server.home / "veiledning.html").read_text())
    ids = re.search(r"<code>(age1[a-z0-9]+)</code> for age og <code>([0-9A-F]{16})</code> for OpenPGP", guide)
    assert ids
    hand.manifests = {"recipient_kid": ids[1] if form == "age" else ids[2]}
    once, digests, _, outer_digest, sign = hand.blocks("for hånd")[:5]

    hand.inside(once, digests)
    _type(server, opened / "inne", pack)
    _type(server, opened / "inne", with_age if form == "age" else with_gpg)
    hand.outside(payload, outer_digest, sign, format=form)

    hand.assert_admitted()


def test_a_package_is_verified_by_the_guides_words(server: Server, opened: Path) -> None:
    """The guide's command takes a package that the registry signed, and refuses it with one bit changed."""
    guide = html.unescape((server.home / "veiledning.html").read_text())
    (command,) = re.findall(r"<code>(ssh-keygen -Y verify .*?)</code>", guide)
    key = (server.folder.root / "keys" / "kar" / "bundle-sign.key").read_bytes()
    from enclave.crypto.secret import Secret

    package = opened / "PAKKE.zip"
    package.write_bytes(b"sealed")
    (opened / "PAKKE.zip.sig").write_bytes(sshsig.sign(b"sealed", Secret(key), "bundle@kar"))

    assert 'Good "bundle@kar" signature for enclave@kar' in _type(server, opened, command)
    package.write_bytes(b"sealee")
    with pytest.raises(AssertionError):
        _type(server, opened, command)


ASKS = re.compile(r"(?i)password[^\n]*: ?$")
"""A question that has been read to its end; 7-Zip says much before that ends with a colon too."""


def _type(server: Server, folder: Path, block: str, typed: list[str] | None = None) -> str:
    """Run lines for `cmd` as a shell would; `typed` is what a person types when a program asks."""
    here = str(server.home.parent.parent)
    lines = block.replace("%USERPROFILE%", here).replace('"C:\\Program Files\\7-Zip\\7z.exe"', "7z").replace("\\", "/")
    lines = re.sub(r"certutil -hashfile (\S+) SHA256", r"sha256sum < \1 | cut -c1-64", lines)
    lines = re.sub(r"(?m)^del ", "rm ", lines)
    master, slave = pty.openpty()
    command = ["setsid", "-c", "bash", "-e", "-o", "pipefail", "-c", lines]
    running = subprocess.Popen(command, cwd=folder, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said, question, answers = "", "", list(typed or [])
    try:
        while chunk := _read(master):
            said += chunk
            question += chunk
            if answers and ASKS.search(question):
                _wait_until_hidden(master)
                os.write(master, f"{answers.pop(0)}\n".encode())
                question = ""
        ended = running.wait(timeout=60)
    finally:
        running.kill()
        running.wait()
        os.close(master)
    assert ended == 0, said
    return said.replace("\r\n", "\n")


def _wait_until_hidden(terminal: int) -> None:
    """A program that asks for a passphrase prints its question first, then hides what is typed and forgets it all."""
    deadline = time.monotonic() + 60
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.monotonic() < deadline, "the program asked, and does not listen"
        time.sleep(0.01)


def _read(master: int) -> str:
    try:
        return os.read(master, 65536).decode()
    except OSError:  # EIO: the last program has let go of the terminal
        return ""
