"""A real OpenSSH server for the tests: internal-sftp on loopback, each institution chrooted to its own folder.

All accounts share one user id, as at an airlock that a single service runs; the chroot and `Match User` keep them
apart. The folders lie below /srv, for sshd refuses a chroot below a folder that others can write.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
OWNER = 64_321  # the user id of the airlock's service; no such user need exist
BASE = Path("/srv")
INSTITUTION_FOLDERS = ("in", "out/receipts", "out/feedback", "out/bundles", "fetched")


@dataclass(frozen=True)
class Account:
    """A login at the airlock and the private key file that opens it; `institution` is "" for our own login."""

    institution: str
    login: str
    key: Path

    @property
    def public(self) -> str:
        """The public key line."""
        return self.key.with_suffix(".pub").read_text()


@dataclass
class Sshd:
    """A running sshd. `root` is the folder of all institutions on disk; our own login sees it as `/`."""

    folder: Path
    port: int
    server: Account
    institutions: dict[str, Account]
    options: tuple[str, ...] = ()
    host: str = HOST
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def root(self) -> Path:
        """Where the institutions' folders lie on disk."""
        return self.folder / "root"

    @property
    def known_hosts(self) -> str:
        """The line that pins the host key."""
        kind, key = (self.folder / "host_key.pub").read_text().split()[:2]
        return f"[{self.host}]:{self.port} {kind} {key}\n"

    def authorise(self, account: Account, public_line: str) -> None:
        """Let one more key open an account, as an airlock's operator does on request."""
        with (self.folder / "authorised" / account.login).open("a") as file:
            file.write(public_line.strip() + "\n")

    def own(self, path: Path) -> None:
        """Give what a test planted on disk to the airlock's service, as if it had come by SFTP."""
        for name in [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]:
            os.chown(name, OWNER, OWNER, follow_symlinks=False)

    def sftp(self, account: Account, batch: str, *, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run OpenSSH's own sftp client as an account, with a batch of its commands, in a local folder."""
        known = self.folder / "known_hosts"
        known.write_text(self.known_hosts)
        options = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"]
        arguments = ["sftp", "-q", "-F", "/dev/null", "-b", "-", "-P", str(self.port), "-i", str(account.key)]
        for option in options:
            arguments += ["-o", option]
        return subprocess.run(
            [*arguments, f"{account.login}@{self.host}"],
            input=batch, text=True, capture_output=True, timeout=60, check=False, cwd=folder,
        )  # fmt: skip

    def new_host_key(self) -> None:
        """Change the host key, as an impostor or a careless operator does; takes effect at the next start."""
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink(missing_ok=True)
        new_key(self.folder / "host_key")

    def start(self) -> None:
        """Start, and wait until it answers."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        (self.folder / "config").write_text(self._configuration())
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "config")],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        for _ in range(200):
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            with socket.socket() as plug:
                if plug.connect_ex((self.host, self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("sshd does not answer")

    def stop(self) -> None:
        """Stop it and every session that it serves."""
        if self.process is None:
            return
        for process in [self.process.pid, *_descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def _configuration(self) -> str:
        lines = [
            f"ListenAddress {self.host}:{self.port}", f"HostKey {self.folder / 'host_key'}", "PidFile none",
            "UsePAM no", "UseDNS no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
            f"AuthorizedKeysFile {self.folder / 'authorised'}/%u", "Subsystem sftp internal-sftp",
            "AllowTcpForwarding no", "X11Forwarding no", "PermitTunnel no", "MaxStartups 100", *self.options,
        ]  # fmt: skip
        for account in (self.server, *self.institutions.values()):
            chroot = self.root / account.institution if account.institution else self.root
            lines += [
                f"Match User {account.login}",
                f"  ChrootDirectory {chroot}",
                "  ForceCommand internal-sftp -P symlink,hardlink",
            ]
        return "\n".join(lines) + "\n"


@contextmanager
def running_sshd(institutions: Sequence[str], *, options: Sequence[str] = ()) -> Iterator[Sshd]:
    """Start an sshd with an account for the server and one for each institution; remove everything afterwards.

    `options` are further lines of sshd_config.
    """
    folder = Path(tempfile.mkdtemp(prefix="airlock-test-", dir=BASE))
    folder.chmod(0o755)
    for name in ("root", "authorised", "keys"):
        (folder / name).mkdir(mode=0o755)
    tag = secrets.token_hex(4)
    accounts: list[Account] = []
    try:
        for number, institution in enumerate(["", *institutions]):
            accounts.append(_new_account(folder, institution, f"airlock-{tag}-{number}"))
        sshd = Sshd(folder, free_port(), accounts[0], {a.institution: a for a in accounts[1:]}, tuple(options))
        for account in accounts:
            sshd.authorise(account, account.public)
        for institution in institutions:
            make_institution(sshd, institution)
        new_key(folder / "host_key")
        try:
            sshd.start()
            yield sshd
        finally:
            sshd.stop()
    finally:
        for account in accounts:
            _change_accounts("userdel", account.login)
        shutil.rmtree(folder)


def make_institution(sshd: Sshd, institution: str) -> None:
    """Make an institution's folders: it may write in all of them but can replace none."""
    for name in INSTITUTION_FOLDERS:
        place = sshd.root / institution / name
        place.mkdir(parents=True, mode=0o755)
        os.chown(place, OWNER, OWNER)


def new_key(path: Path) -> None:
    """Make an Ed25519 key pair without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as plug:
        plug.bind((HOST, 0))
        port: int = plug.getsockname()[1]
        return port


def _descendants(process: int) -> list[int]:
    """The processes that a process started, and theirs: sshd's sessions leave its process group."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _new_account(folder: Path, institution: str, login: str) -> Account:
    options = ["-o", "-u", str(OWNER), "-g", "nogroup", "-M", "-N", "-d", "/nonexistent", "-s", "/usr/sbin/nologin"]
    _change_accounts("useradd", *options, "-p", "*", login)  # `*` is no password, but not a locked account either
    key = folder / "keys" / (institution or "server")
    new_key(key)
    return Account(institution, login, key)


def _change_accounts(program: str, *arguments: str) -> None:
    """Run useradd or userdel, again while another process holds the password file."""
    for _ in range(100):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if done.returncode != 1:  # 1: the password file is locked
            break
        time.sleep(0.1)
    raise RuntimeError(f"{program}: {done.stderr}")
