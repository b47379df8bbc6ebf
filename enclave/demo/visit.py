"""What a simulated institution or lender does at the airlock: send a drop, fetch what is for it."""

import io
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

import paramiko
from paramiko.hostkeys import HostKeyEntry

BOXES = ("receipts", "feedback", "bundles")


@dataclass(frozen=True)
class Visit:
    """One login's visit at the airlock."""

    sftp: paramiko.SFTPClient

    def send(self, name: str, files: Mapping[str, bytes]) -> None:
        """Upload a drop folder under `NAME.part` and rename it when all is there."""
        self.sftp.mkdir(f"in/{name}.part")
        for file, content in files.items():
            self.sftp.putfo(io.BytesIO(content), f"in/{name}.part/{file}")
        self.sftp.posix_rename(f"in/{name}.part", f"in/{name}")

    def fetch(self, box: str) -> dict[str, bytes]:
        """The files of one of `BOXES` by name; each is moved to `fetched/`, which tells the server that it arrived."""
        fetched: dict[str, bytes] = {}
        for name in sorted(self.sftp.listdir(f"out/{box}")):
            with self.sftp.open(f"out/{box}/{name}") as file:
                fetched[name] = file.read()
            self.sftp.posix_rename(f"out/{box}/{name}", f"fetched/{name}")
        return fetched


@contextmanager
def visiting(host: str, port: int, login: str, key: str, known_hosts: str) -> Iterator[Visit]:
    """Visit an airlock with a private key (OpenSSH PEM), after its host key was compared with the pinned line."""
    pinned = HostKeyEntry.from_line(known_hosts.strip())
    with closing(paramiko.Transport(socket.create_connection((host, port), timeout=20))) as transport:
        transport.start_client(timeout=20)
        if pinned is None or transport.get_remote_server_key() != pinned.key:
            raise ConnectionError("not the pinned host key")
        transport.auth_publickey(login, paramiko.Ed25519Key.from_private_key(io.StringIO(key)))
        sftp = paramiko.SFTPClient.from_transport(transport)
        if sftp is None:
            raise ConnectionError("no file transfer here")
        with sftp:
            yield Visit(sftp)
