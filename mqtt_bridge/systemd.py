"""Sends messages to systemd: sd_notify(3) and WatchdogSec."""

from __future__ import annotations

import os
import socket


def tell(text: str) -> None:
    """Send *text* to the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        where = "\0" + address[1:] if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(text.encode(), where)


def pause() -> float | None:
    """Return the seconds between watchdog messages; None: systemd wants none."""
    interval = os.environ.get("WATCHDOG_USEC", "")
    return int(interval) / 3e6 if interval.isdecimal() else None
