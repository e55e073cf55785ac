"""The ports of a daemon, and who may connect to them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from mktl_daemon.core.errors import RefusedError
from mktl_daemon.files import environment, places
from mktl_daemon.net import access, descriptors, discovery, pub, router
from mktl_daemon.net.addresses import ANYWHERE
from mktl_daemon.net.loop import Loop

from .running import uuid_at

T = TypeVar("T")

_TRIES = 10  # at the port that the daemon had


class Ports:
    """A ROUTER and a PUB, at the ports that the daemon had before, if they are free.

    RefusedError: the daemon *uuid* answers there already.
    """

    def __init__(
        self,
        loop: Loop,
        handler: router.RequestHandler,
        daemon: tuple[str, str, str],
        host: str,
        allowed: Iterable[str],
        advertised: str = "",
        *,
        anew: bool = False,
    ) -> None:
        """*daemon* is its store, alias and UUID; *advertised* the name for others.

        *anew*: at other ports than before.
        """
        self._loop = loop
        self._daemon = daemon
        store, _, uuid = daemon
        rep, published = places.ports(store, uuid)
        if rep is not None:
            self._check_twin(host, rep)
        if anew:
            rep = published = None  # what is saved is avoided, like others' ports
        self.allowed = access.networks(allowed)
        domain = self._guard()
        avoid = places.taken_ports()
        self.pub = _open(
            lambda port: pub.Server(loop, host, port, avoid, domain), published
        )
        avoid |= {self.pub.port}
        try:
            self.rep = _open(
                lambda port: router.Server(loop, handler, host, port, avoid, domain),
                rep,
            )
        except BaseException:
            self.pub.close()
            raise
        places.save_ports(store, uuid, self.rep.port, self.pub.port)
        self.hostname = advertised or _reachable(self.rep.host)

    @property
    def hears_loopback(self) -> bool:
        """Whether a program of this machine reaches the ports by loopback."""
        return self.rep.host in ANYWHERE or self.rep.host.startswith("127.")

    def close(self) -> None:
        self.rep.close()
        self.pub.close()

    def _check_twin(self, host: str, port: int) -> None:
        """RefusedError: this daemon answers at its port already.

        It was started from a copy of this home, or from another machine.
        """
        store, alias, uuid = self._daemon
        where = environment.LOOPBACK if host in ANYWHERE else host
        if uuid_at(where, port, store, alias) == uuid:
            raise twin(store, alias, f"{where}:{port}")

    def _guard(self) -> str:
        """Return the ZAP domain of the daemon's ports; without a list there is none.

        But where the process may have few connections, somebody has to count them.
        """
        if not self.allowed and not descriptors.are_few():
            return ""
        _, _, uuid = self._daemon
        access.guard(self._loop, uuid, self.allowed)
        return uuid


def network_options(options: Any) -> tuple[str, Iterable[str]]:
    """Return the interface and who may connect, of *options* or of the environment.

    A user's options may have these names for something else: a serial interface is a
    path, and a switch is no list.
    """
    interface = getattr(options, "interface", None)
    if not isinstance(interface, str) or not interface or "/" in interface:
        interface = environment.interface()
    if ":" in interface:
        raise ValueError(
            f"{interface!r}: mKTL uses only IPv4 here; give an interface's IPv4 "
            "address, or 0.0.0.0 for all of them"
        )
    allowed = getattr(options, "allow", None)
    if not isinstance(allowed, list | tuple | set | frozenset) or not allowed:
        allowed = environment.allowed()
    return interface, allowed


def advertised_name(options: Any) -> str:
    """Return the name or address under which clients are to find the daemon, or ""."""
    name = getattr(options, "advertise", None)
    return name if isinstance(name, str) and name else environment.advertised()


def twin(store: str, alias: str, where: str) -> RefusedError:
    """Return what a daemon raises that runs already."""
    return RefusedError(f"{alias!r} of {store!r} runs already, at {where}")


def _open(make: Callable[[int | None], T], port: int | None) -> T:
    """Open a server on the port that it had, or else on any."""
    for _ in range(_TRIES if port is not None else 0):
        with contextlib.suppress(ConnectionError):
            return make(port)
        # ZeroMQ gives a port back a moment after its socket has been closed.
        time.sleep(0.02)
    return make(None)


def _reachable(host: str) -> str:
    """Return an address that answers for something bound to *host*."""
    if host not in ANYWHERE:
        return host
    name = socket.getfqdn()
    with contextlib.suppress(OSError):
        if not socket.gethostbyname(name).startswith("127."):
            return name
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks which address the way out has.
            probe.connect(("192.0.2.1", 9))
        except OSError:  # there is no way out of this network
            return next(iter(discovery.addresses()), environment.LOOPBACK)
        return str(probe.getsockname()[0])
