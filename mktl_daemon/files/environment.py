"""The home directory, and the environment variables about the network."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mktl_daemon import process

LOOPBACK = "127.0.0.1"
REGISTRY_PORT = 10103  # UDP, from the protocol
DAEMON_PORT = 10111  # UDP, from the protocol


def _default_home() -> Path:
    return Path(os.environ.get("MKTL_HOME") or Path.home() / ".mKTL")


_home = process.Once(_default_home)


def forget_home() -> None:
    """Determine the home directory again when it is next needed."""
    _home.put(None)


def home(path: str | os.PathLike[str] | None = None) -> str:
    """Return the directory of mKTL's files, or make *path* that directory.

    It is ``MKTL_HOME`` or, without it, ``~/.mKTL``; looked up once. ValueError: a
    *path* that is not absolute.
    """
    if path is not None:
        wanted = Path(os.path.expandvars(path))
        if not wanted.is_absolute():
            raise ValueError(f"the home directory must be an absolute path, not {path}")
        wanted.mkdir(mode=0o775, parents=True, exist_ok=True)
        os.environ["MKTL_HOME"] = str(wanted)
        _home.put(wanted)
    return str(_home.get())


def interface() -> str:
    """Return the address to bind to: loopback unless ``MKTL_INTERFACE`` says more."""
    return os.environ.get("MKTL_INTERFACE") or LOOPBACK


def advertised() -> str:
    """Return the name under which others find this machine's daemons, if it is set."""
    return os.environ.get("MKTL_ADVERTISE", "")


def is_confined() -> bool:
    """Tell whether the settings confine this process to loopback."""
    return os.environ.get("MKTL_INTERFACE", "").startswith(("127.", "lo"))


def has_discovery() -> bool:
    """Tell whether this process calls by UDP and answers calls."""
    return os.environ.get("MKTL_DISCOVERY", "").strip().lower() != "off"


def discovery_ports() -> tuple[int, int]:
    """Return the UDP ports of registries and of daemons.

    ``MKTL_DISCOVERY=10103,10111`` moves them: two communities on one network do not
    see each other. With ``MKTL_DISCOVERY=off`` nobody calls, see `has_discovery`.
    """
    setting = os.environ.get("MKTL_DISCOVERY")
    if not setting or not has_discovery():
        return REGISTRY_PORT, DAEMON_PORT
    try:
        registries, daemons = (int(port) for port in setting.split(","))
    except ValueError:
        raise ValueError(
            "MKTL_DISCOVERY must be two ports, such as 10103,10111, or off: "
            f"{setting!r}"
        ) from None
    return registries, daemons


def allowed() -> tuple[str, ...]:
    """Return the addresses that may connect, from ``MKTL_ALLOW``; none: everybody."""
    return tuple(re.findall(r"[^\s,]+", os.environ.get("MKTL_ALLOW", "")))


def persist_delay() -> float:
    """Return for how many seconds changes of persistent values are collected.

    ``MKTL_PERSIST``, or else three. ValueError: that is no number of seconds.
    """
    setting = os.environ.get("MKTL_PERSIST") or "3"
    try:
        delay = float(setting)
    except ValueError:
        delay = -1.0
    if not 0 <= delay < 86400:
        raise ValueError(f"MKTL_PERSIST must be a number of seconds, not {setting!r}")
    return delay
