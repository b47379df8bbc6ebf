"""A GnuPG of its own, with a keyring in a short-lived folder: messages as others make them."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GnuPg:
    """GnuPG with its home folder."""

    home: Path

    def run(self, *arguments: str, content: bytes = b"") -> bytes:
        """What GnuPG writes for these arguments."""
        command = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--quiet", "--trust-model", "always"]
        return subprocess.run([*command, *arguments], input=content, capture_output=True, check=True).stdout

    def learn(self, public_key: str) -> None:
        """Import a public key."""
        self.run("--import", content=public_key.encode())

    def encrypt(self, content: bytes, to: str, *arguments: str) -> bytes:
        """An armoured message to a key, by its long id."""
        return self.run("--armor", *arguments, "--encrypt", "--recipient", to, content=content)

    def new_key(self, name: str) -> str:
        """A key of its own; answers its public half."""
        self.run("--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "never")
        return self.run("--armor", "--export", name).decode()


@contextmanager
def gnupg() -> Iterator[GnuPg]:
    """GnuPG with an empty keyring, its agent ended afterwards."""
    # A socket's path has at most 107 characters, so this is neither below pytest's folder nor below a test's TMPDIR.
    home = Path(tempfile.mkdtemp(prefix="gnupg-", dir="/tmp"))
    try:
        yield GnuPg(home)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
