"""Calls by UDP, and who answers them: registries, and daemons directly."""

from __future__ import annotations

from collections.abc import Iterable

from mktl_daemon.files import environment
from mktl_daemon.net import discovery, loop
from mktl_daemon.net.discovery import Address


class Server:
    """Answers calls for registries with the number *rep*, until `cleanup`."""

    def __init__(self, rep: int) -> None:
        self._listener = discovery.Listener(
            loop.shared(), self._udp(), rep, lambda _: True
        )

    def _udp(self) -> int:
        return environment.discovery_ports()[0]

    def cleanup(self) -> None:
        self._listener.close()


class DirectServer(Server):
    """Answers calls for daemons."""

    def _udp(self) -> int:
        return environment.discovery_ports()[1]


def search(
    port: int | None = None, wait: bool = False, targets: Iterable[str] = ()
) -> list[Address]:
    """Return who answers a call for registries: address and number.

    Without *wait* the first answers are enough.
    """
    udp = environment.discovery_ports()[0] if port is None else port
    return discovery.search(udp, targets, wait=wait, any_number=True)


def search_direct(port: int | None = None, wait: bool = True) -> list[Address]:
    """Return who answers a call for daemons, as `search`."""
    udp = environment.discovery_ports()[1] if port is None else port
    return search(udp, wait)
