"""What the programs have in common: signals, the log, and options of the network."""

from __future__ import annotations

import _thread
import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .version import add_version

if TYPE_CHECKING:
    from mktl_daemon import Daemon


def is_refusal(error: Exception) -> bool:
    """Tell whether the text of *error* is enough, without a traceback."""
    from mktl_daemon import RefusedError  # noqa: PLC0415

    return isinstance(error, RefusedError | ConnectionError | PermissionError)


def begin_log(options: argparse.Namespace) -> None:
    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(format="%(asctime)s %(message)s", level=level)


# A terminal that is closed sends SIGHUP. Windows has no such signal.
_ENDING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
]


def end_at_signal() -> None:
    """Let a signal end a daemon that is being set up; it cleans up then."""
    for number in _ENDING:
        signal.signal(number, lambda *_: sys.exit())


def in_a_thread(function: Callable[[], None]) -> None:
    """Call *function*, which sets an event, because of a signal.

    A signal may arrive while this thread waits for the event and has the event's lock.
    Then it would wait for this lock forever.
    """
    _thread.start_new_thread(function, ())


def wait_for(ended: threading.Event) -> None:
    """Wait for an event that a signal sets.

    Python does not see a signal that arrives just before its main thread sleeps, until
    this thread is awake again.
    """
    while not ended.wait(1.0):
        pass


def run(daemon: Daemon, what: str) -> int:
    """Print *what* runs and where, wait for its end, and then end this process.

    A second signal ends the process at once: `cleanup` may hang.
    """

    def stop(number: int, _frame: Any) -> None:
        if daemon.shutdown.is_set():
            os._exit(128 + number)
        in_a_thread(daemon.stop)

    for number in _ENDING:
        signal.signal(number, stop)
    try:
        print(f"{what}, {_whereabouts(daemon)}", flush=True)
        wait_for(daemon.shutdown)
    finally:
        daemon.cleanup()
    return 0


def _whereabouts(daemon: Daemon) -> str:
    requests = f"requests at {daemon.hostname}:{daemon.rep.port}"
    reach = f"bound to {daemon.rep.host}"
    if daemon.is_local:
        reach += ": this machine only; use --interface 0.0.0.0 for all machines"
    return f"{requests}, values at {daemon.pub.port} ({reach})"


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that daemons and registries have in common."""
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="log every SET, and more"
    )
    add_version(parser)
    add_network_options(parser)


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of daemons and registries about the network."""
    parser.add_argument(
        "--interface",
        help="the address to bind to (default: MKTL_INTERFACE, or else loopback)",
    )
    parser.add_argument(
        "--advertise",
        metavar="NAME",
        help="the name or address that clients use (default: MKTL_ADVERTISE)",
    )
    parser.add_argument(
        "--allow",
        action="append",
        metavar="ADDRESS",
        help="an address or a network that may connect; may be given several times "
        "(default: MKTL_ALLOW, or else all)",
    )
