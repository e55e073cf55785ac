"""Who is there: a call by UDP, and the port that answers it. Both editions."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable

from mktl_daemon.files import cache, environment

from .loop import Loop
from .reach import PATIENCE

# Each call has its own answer; a listener gives the one that was asked for.
ANSWERS = {b"Aloha mKTL": b"E komo mai:", b"I heard it": b"on the X:"}

_BROADCAST = "255.255.255.255"
_LOCAL_BROADCAST = "127.255.255.255"
_PATIENCE_HERE = 0.3  # seconds for the answers of one machine
# When everybody is called, as shares of that time: a datagram may be lost.
_CALLS = (0.0, 0.25, 0.5)
_PAUSE = 0.05  # seconds in which one caller gets one answer for each call
_CALLERS = 1000  # that are remembered
_BURST = 64
_SIOCGIFADDR, _SIOCGIFBRDADDR = 0x8915, 0x8919  # Linux
_IP_PKTINFO = 8  # Linux

_logger = logging.getLogger(__name__)

Address = tuple[str, int]


class Listener:
    """Answers calls with the request port of this process."""

    def __init__(
        self,
        loop: Loop,
        udp: int,
        rep: int,
        may_ask: Callable[[str], bool],
        address: str | None = None,
    ) -> None:
        """*may_ask* says which callers, by their address, are answered.

        The answers come from *address*, where the request port is; on Linux.
        """
        self._loop = loop
        self._source = _source(address)
        self._may_ask = may_ask
        self._rep = b"%d" % rep
        self._seen: dict[tuple[Address, bytes], float] = {}
        self._socket = _socket()
        try:
            self._socket.bind(("", udp))
        except OSError as error:
            self._socket.close()
            raise ConnectionError(
                f"unable to listen on UDP port {udp}: {error}"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        loop.run(lambda: loop.watch(self._socket.fileno(), self._read))

    def close(self) -> None:
        self._loop.run(self._close)

    def _close(self) -> None:
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        for _ in range(_BURST):
            try:
                data, caller = self._socket.recvfrom(4096)
            except OSError:
                return
            answer = ANSWERS.get(data.strip())
            if answer is not None and self._is_new(caller, answer):
                with contextlib.suppress(OSError):
                    self._send(answer + self._rep, caller)

    def _send(self, answer: bytes, caller: Address) -> None:
        if self._source:
            self._socket.sendmsg([answer], self._source, 0, caller)
        else:
            self._socket.sendto(answer, caller)

    def _is_new(self, caller: Address, answer: bytes) -> bool:
        if not self._may_ask(caller[0]):
            return False
        now = time.monotonic()
        if len(self._seen) >= _CALLERS:
            self._seen = {
                who: when for who, when in self._seen.items() if when > now - _PAUSE
            }
        if len(self._seen) >= _CALLERS or self._seen.get((caller, answer), 0) > now:
            return False
        self._seen[caller, answer] = now + _PAUSE
        return True


def search(
    udp: int,
    targets: Iterable[str] = (),
    wait: bool = False,
    local: bool = False,
    any_number: bool = False,
) -> list[Address]:
    """Call on *udp* and return who answered: address and request port.

    Without *wait* the first answers are enough. *local*: on this machine only.
    *any_number*: what is answered need not be a port.
    """
    if not environment.has_discovery():
        return []
    hosts = list(targets)
    answers: dict[Address, None] = {}
    with _socket() as calling:
        calling.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        began = time.monotonic()
        patience = _patience(hosts, local)
        until, due = began + patience, [began + share * patience for share in _CALLS]
        while (now := time.monotonic()) < until:
            if due and now >= due[0]:
                del due[0]
                _call(calling, udp, hosts, local)
            answer = _receive(calling, min([until, *due[:1]]), any_number)
            if answer is not None:
                answers[answer] = None
                if not wait:
                    # Who answered at the same moment is heard, too.
                    until = min(until, time.monotonic() + 0.01)
    return list(answers)


def _receive(calling: socket.socket, until: float, any_number: bool) -> Address | None:
    calling.settimeout(max(0.0, until - time.monotonic()))
    try:
        data, (host, _) = calling.recvfrom(4096)
    except OSError:  # most often: nothing came
        return None
    port = _port(data, any_number)
    return None if port is None else (host, port)


def _patience(hosts: list[str], local: bool) -> float:
    is_here = local or (environment.is_confined() and all(map(is_local, hosts)))
    return _PATIENCE_HERE if is_here else PATIENCE


def registries(
    targets: Iterable[str] = (), wait: bool = False, local: bool = False
) -> list[Address]:
    """Return the registries that answer, and remember their addresses."""
    hosts = [] if local else [*targets, *cache.known_registries()]
    udp, _ = environment.discovery_ports()
    answers = search(udp, hosts, wait=wait, local=local)
    try:
        cache.remember_registries({host for host, _ in answers})
    except OSError as error:
        _logger.info("the registries are not remembered: %s", error)
    return answers


def daemons(local: bool = False) -> list[Address]:
    """Return the daemons that answer."""
    _, udp = environment.discovery_ports()
    return search(udp, wait=True, local=local)


def is_local(host: str) -> bool:
    """Tell whether *host* is an address of this machine."""
    if host.startswith("127."):
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _call(
    calling: socket.socket, udp: int, targets: Iterable[str], local: bool
) -> None:
    everywhere = [] if local or environment.is_confined() else _broadcasts()
    for host in dict.fromkeys([*targets, _LOCAL_BROADCAST, *everywhere]):
        for call in ANSWERS:
            try:
                calling.sendto(call, (host, udp))
            except OSError as error:
                # A machine without a network has nobody to call there.
                if error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                    _logger.info("unable to call %s:%d: %s", host, udp, error)


def _broadcasts() -> list[str]:
    """Return the address of all networks, and that of each interface's own.

    The first goes where the default route goes, and nowhere if there is none.
    """
    return [_BROADCAST, *_ask_interfaces(_SIOCGIFBRDADDR)]


def addresses() -> list[str]:
    """Return the addresses of this machine's interfaces, but for loopback; on Linux."""
    own = _ask_interfaces(_SIOCGIFADDR)
    return [address for address in own if not address.startswith("127.")]


def _interfaces() -> list[str]:
    try:
        return [name for _, name in socket.if_nameindex()]
    except (AttributeError, OSError):
        return []


def _ask_interfaces(what: int) -> list[str]:
    """Return an address of each interface that has one of this kind; on Linux."""
    try:
        import fcntl  # noqa: PLC0415 - Windows has none
    except ImportError:
        return []
    known: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for interface in _interfaces():
            request = struct.pack("256s", interface.encode()[:15])
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(probe, what, request)
                known.append(socket.inet_ntoa(answer[20:24]))
    return [address for address in known if address != "0.0.0.0"]  # noqa: S104


def _source(address: str | None) -> list[tuple[int, int, bytes]]:
    """Return what has a message sent from one address of this machine; on Linux.

    The caller looks for the request port at the address from which it is answered, and
    the system would choose another one where a machine has several.
    """
    if address is None or sys.platform != "linux":
        return []
    fields = struct.pack("@i4s4s", 0, socket.inet_aton(address), b"")
    return [(socket.IPPROTO_IP, _IP_PKTINFO, fields)]


def _port(data: bytes, any_number: bool = False) -> int | None:
    for answer in ANSWERS.values():
        if data.startswith(answer):
            with contextlib.suppress(ValueError):
                port = int(data[len(answer) :])
                return port if any_number or 0 < port < 2**16 else None
    return None


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setblocking(False)
    return made
