"""One pinned, authenticated SSH connection to the airlock and the SFTP session in it."""

import io
import logging
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey
from paramiko.ssh_exception import AuthenticationException, IncompatiblePeer, SSHException

from enclave.airlock.sftp_messages import BrokenError
from enclave.airlock.sftp_wire import Session
from enclave.crypto.secret import Secret
from enclave.errors import Halt, explain

explain(
    "H_HOST_KEY",
    "The airlock showed a host key that is not the pinned one.",
    "Somebody may stand between. Ask whoever runs the airlock, by another way, for its key; only then change the pin.",
)
explain(
    "H_KNOWN_HOSTS",
    "The pinned host keys do not name the airlock, or hold a line that is not understood.",
    "Put one line for the airlock there as in OpenSSH's known_hosts: [host]:port ssh-ed25519 AAAA…",
)
explain(
    "H_AIRLOCK_LOGIN",
    "The airlock does not accept the server's login key.",
    "Ask whoever runs the airlock to authorise the key airlock-login.pub for the login in enclave.toml.",
)
explain(
    "H_AIRLOCK_KEY",
    "The server's login key is not an unencrypted Ed25519 key in OpenSSH form.",
    "Make a new one with `enclave key rotate airlock-login` and have it authorised at the airlock.",
)
explain(
    "H_AIRLOCK_WEAK",
    "The airlock offers no algorithm, or no host key of a pinned kind, that this server accepts.",
    "Ask whoever runs the airlock to offer current OpenSSH defaults and the pinned key; nothing here is widened.",
)

CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr")
MACS = (
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512",
    "hmac-sha2-256",
)
KEY_EXCHANGES = (
    "mlkem768x25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
)

NETWORK_FAULTS = (SSHException, EOFError, OSError, BrokenError)  # what a peer or the line can make fail
_GARBAGE = (ValueError, IndexError, KeyError, TypeError, struct.error)  # what paramiko raises on a peer's nonsense


@dataclass(frozen=True)
class Address:
    """Where the airlock is and how it proves itself; `root` is the folder of all institutions as our login sees it."""

    host: str
    port: int
    login: str
    known_hosts: str
    root: str = "/"


@dataclass(frozen=True)
class Timeouts:
    """Seconds to connect and log in, to wait for any answer, and for a whole call; `slowest` in bytes per second."""

    connect: float = 20.0
    answer: float = 30.0
    call: float = 300.0
    slowest: float = 100_000.0

    def for_bytes(self, size: int) -> float:
        """How long a call may take that moves `size` bytes."""
        return self.call + max(0, size) / self.slowest


@dataclass
class Connection:
    """A connection that is made when it is first needed and again after it broke; used by one thread."""

    address: Address
    login_key: Secret = field(repr=False)
    timeouts: Timeouts
    _transport: paramiko.Transport | None = field(default=None, repr=False)
    _session: Session | None = field(default=None, repr=False)
    _cut: threading.Timer | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # paramiko logs peers' texts at every level; none of its loggers may speak. Its children inherit the level.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

    @contextmanager
    def session(self, size: int) -> Iterator[Session]:
        """The session, for as long as `size` bytes may take: then it is cut, however busy a slow peer keeps it."""
        if self._session is None or self._transport is None or not self._transport.is_active():
            self.close()
            self._connect()
        if self._session is None or self._transport is None:
            raise BrokenError("not connected")
        self._start_cut(self._transport, self.timeouts.for_bytes(size))
        try:
            yield self._session
        finally:
            self._stop_cut()

    def allow(self, size: int) -> None:
        """Give the call under way the time that `size` bytes may take, from now."""
        if self._transport is not None:
            self._stop_cut()
            self._start_cut(self._transport, self.timeouts.for_bytes(size))

    def _start_cut(self, transport: paramiko.Transport, seconds: float) -> None:
        self._cut = threading.Timer(seconds, transport.close)
        self._cut.daemon = True
        self._cut.start()

    def _stop_cut(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut.join()
            self._cut = None

    def close(self) -> None:
        """Hang up."""
        transport, self._transport, self._session = self._transport, None, None
        if transport is not None:
            transport.close()

    def _connect(self) -> None:
        pinned = _pinned_keys(self.address)
        key = _login_key(self.login_key)
        seconds = self.timeouts.connect
        plug = socket.create_connection((self.address.host, self.address.port), timeout=seconds)
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            transport = paramiko.Transport(plug)
        except BaseException:
            plug.close()
            raise
        self._start_cut(transport, seconds)
        try:
            self._session = self._log_in(transport, pinned, key)
        except _GARBAGE:
            transport.close()
            raise BrokenError("nonsense before the session was up") from None
        except BaseException:
            transport.close()
            raise
        finally:
            self._stop_cut()
        self._transport = transport

    def _log_in(self, transport: paramiko.Transport, pinned: list[paramiko.PKey], key: paramiko.PKey) -> Session:
        # The cut of `_connect` comes first, so that a stalled login shows as a dead transport, not as a refusal.
        transport.banner_timeout = transport.auth_timeout = transport.channel_timeout = 2 * self.timeouts.connect
        options = transport.get_security_options()
        options.ciphers, options.digests = CIPHERS, MACS
        options.kex = tuple(name for name in KEY_EXCHANGES if name in options.kex)
        kinds = dict.fromkeys(key.get_name() for key in pinned)
        options.key_types = tuple(name for kind in kinds for name in _signatures_of(kind))
        try:
            transport.start_client(timeout=2 * self.timeouts.connect)
        except IncompatiblePeer:
            raise Halt("H_AIRLOCK_WEAK", place=self.address.host) from None
        if transport.get_remote_server_key() not in pinned:
            raise Halt("H_HOST_KEY", place=self.address.host)
        try:
            transport.auth_publickey(self.address.login, key)
        except AuthenticationException:
            if transport.is_active():
                raise Halt("H_AIRLOCK_LOGIN", place=self.address.host) from None
            raise BrokenError("hung up during login") from None
        channel = transport.open_session(timeout=self.timeouts.connect)
        channel.settimeout(self.timeouts.answer)
        channel.invoke_subsystem("sftp")
        return Session(channel)


def _pinned_keys(address: Address) -> list[paramiko.PKey]:
    """The pinned host keys of this address; none, or a line that is not understood, halts."""
    name = address.host if address.port == 22 else f"[{address.host}]:{address.port}"
    pinned: list[paramiko.PKey] = []
    for number, line in enumerate(address.known_hosts.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entry = None if line.startswith("@") else HostKeyEntry.from_line(line.strip(), number)
        except (InvalidHostKey, SSHException, ValueError):
            entry = None
        if entry is None:
            raise Halt("H_KNOWN_HOSTS", place=f"line {number}")
        keys = paramiko.HostKeys()  # one each, for it answers only the first key of a kind, and a host may have two
        for host in entry.hostnames:
            keys.add(host, entry.key.get_name(), entry.key)
        if keys.lookup(name):
            pinned.append(entry.key)
    if not pinned:
        raise Halt("H_KNOWN_HOSTS", place=address.host)
    return pinned


def _login_key(secret: Secret) -> paramiko.PKey:
    try:
        return paramiko.Ed25519Key.from_private_key(io.StringIO(secret.reveal().decode("ascii")))
    except (SSHException, ValueError, IndexError, struct.error):
        raise Halt("H_AIRLOCK_KEY") from None


def _signatures_of(kind: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
