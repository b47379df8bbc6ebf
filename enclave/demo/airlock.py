"""An airlock for the demo: an SFTP server in a thread of this process, on 127.0.0.1, with a host key of its own.

It speaks real SFTP to the real adapter, but it is no airlock to lean on: it keeps institutions apart by path only,
where a real one uses chroot and separate accounts.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

SERVER_LOGIN = "enclave"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class EmbeddedAirlock:
    """A running airlock: where it listens, the line that pins its host key, and its folder on disk."""

    port: int
    known_hosts: str
    root: Path
    host: str = HOST
    server_login: str = SERVER_LOGIN


@contextmanager
def embedded_airlock(root: Path, server: str, institutions: Mapping[str, str]) -> Iterator[EmbeddedAirlock]:
    """Run an airlock below `root` until the block ends.

    `server` is the public key line of our own login, which sees all folders; `institutions` maps each institution's
    id, which is also its login, to its public key line.
    """
    for institution in institutions:
        make_folders(root, institution)
    keys = {SERVER_LOGIN: server, **institutions}
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    connections: set[asyncssh.SSHServerConnection] = set()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="embedded-airlock", daemon=True)
    thread.start()
    try:
        listener = asyncio.run_coroutine_threadsafe(_listen(root, keys, host_key, connections), loop).result()
        try:
            port = listener.get_port()
            public = host_key.export_public_key().decode("ascii").strip()
            yield EmbeddedAirlock(port, f"[{HOST}]:{port} {public}\n", root)
        finally:
            asyncio.run_coroutine_threadsafe(_stop(listener, connections), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def make_folders(root: Path, institution: str) -> None:
    """Make the folders that whoever runs an airlock makes for an institution."""
    for name in ("in", "out/receipts", "out/feedback", "out/bundles", "fetched"):
        (root / institution / name).mkdir(parents=True, exist_ok=True)


async def _listen(
    root: Path,
    keys: Mapping[str, str],
    host_key: asyncssh.SSHKey,
    connections: set[asyncssh.SSHServerConnection],
) -> asyncssh.SSHAcceptor:
    known = {login: asyncssh.import_public_key(line) for login, line in keys.items()}

    def files(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        login = channel.get_extra_info("username")
        return _Files(channel, chroot=bytes(root if login == SERVER_LOGIN else root / login))

    return await asyncssh.listen(
        HOST,
        0,
        server_factory=lambda: _Door(known, connections),
        server_host_keys=[host_key],
        sftp_factory=files,
        allow_scp=False,
    )


async def _stop(listener: asyncssh.SSHAcceptor, connections: set[asyncssh.SSHServerConnection]) -> None:
    listener.close()
    await listener.wait_closed()
    for connection in list(connections):
        connection.abort()
        await connection.wait_closed()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # one more turn of the loop, in which it closes the sockets


class _Door(asyncssh.SSHServer):
    """Lets in a known login that shows its one key."""

    def __init__(self, keys: Mapping[str, asyncssh.SSHKey], connections: set[asyncssh.SSHServerConnection]) -> None:
        self._keys = keys
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note it, so that it ends with the airlock."""
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncssh names it
        """Forget it."""
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - asyncssh names it
        """Every login must prove itself."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys only."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether this is the login's key."""
        return username in self._keys and self._keys[username] == key


class _Files(asyncssh.SFTPServer):
    """An institution's folder, or all of them, without links: a planted one would lead out of it."""

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:  # noqa: ARG002 - asyncssh names them
        """Refuse."""
        raise asyncssh.SFTPPermissionDenied("no links here")

    def link(self, oldpath: bytes, newpath: bytes) -> None:  # noqa: ARG002 - asyncssh names them
        """Refuse."""
        raise asyncssh.SFTPPermissionDenied("no links here")
