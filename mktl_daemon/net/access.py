"""Who may connect: ZeroMQ asks (ZAP, RFC 27) before it lets an address in."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Iterable

import zmq

from . import descriptors
from .frames import receive
from .loop import Loop

_logger = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_QUIET = 600.0  # seconds in which it is not logged again that there are too many
_LOGGED = 1000  # addresses of which it has been said that they were turned away


def networks(addresses: Iterable[str]) -> list[Network]:
    """Return addresses and networks, as ``192.0.2.7`` or ``192.0.2.0/24``.

    ValueError: something else.
    """
    try:
        return [ipaddress.ip_network(each, strict=False) for each in addresses]
    except ValueError as error:
        raise ValueError(f"allow takes addresses and networks: {error}") from None


def is_allowed(address: str, allowed: list[Network]) -> bool:
    """Tell whether *address* is in one of *allowed*; everybody is where none is."""
    if not allowed:
        return True
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(host in network for network in allowed)


class ZapHandler:
    """Decides for one context who may connect. Sockets with a ZAP domain ask it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._allowed: dict[str, list[Network]] = {}
        self._reported: set[str] = set()
        self._crowded_at = -_QUIET
        loop.run(self._open)

    def admit(self, domain: str, allowed: list[Network]) -> None:
        """Let only *allowed* connect to sockets of *domain*."""
        self._allowed[domain] = allowed

    def _open(self) -> None:
        self._socket: zmq.Socket[bytes] = self._loop.context.socket(zmq.REP)
        self._socket.bind("inproc://zeromq.zap.01")
        self._loop.watch(self._socket, self._answer)

    def _answer(self) -> None:
        while (frames := receive(self._socket)) is not None:
            version, ident, domain, address = (frame.bytes for frame in frames[:4])
            host = address.decode()
            if descriptors.are_few() and descriptors.are_short():
                # ZeroMQ would ask the system without a pause for what it cannot have.
                verdict = [b"400", b"too many clients"]
                self._report_crowd()
            elif is_allowed(host, self._allowed.get(domain.decode(), [])):
                verdict = [b"200", b"OK"]
            else:
                verdict = [b"400", b"not on the list"]
                self._report(host)
            self._socket.send_multipart([version, ident, *verdict, b"", b""])

    def _report_crowd(self) -> None:
        if time.monotonic() - self._crowded_at > _QUIET:
            self._crowded_at = time.monotonic()
            _logger.warning(
                "clients are refused: this process may have %d open files (ulimit -n), "
                "and nearly has them",
                descriptors.limit(),
            )

    def _report(self, host: str) -> None:
        if host not in self._reported and len(self._reported) < _LOGGED:
            self._reported.add(host)
            _logger.warning("%s may not connect, and tried to", host)


def guard(loop: Loop, domain: str, allowed: list[Network]) -> None:
    """Let only *allowed* connect to sockets with the ZAP domain *domain*."""
    handler = loop.tenants.get(ZapHandler)
    if not isinstance(handler, ZapHandler):
        handler = loop.tenants[ZapHandler] = ZapHandler(loop)
    handler.admit(domain, allowed)
