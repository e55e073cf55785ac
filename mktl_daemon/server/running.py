"""Whether a daemon runs, and which process it is."""

from __future__ import annotations

import contextlib

from mktl_daemon.blocks import Block
from mktl_daemon.core.errors import RemoteError
from mktl_daemon.net import dealer
from mktl_daemon.net.reach import is_open

_ALIVE = 5.0  # seconds for a sign of life


def uuid_at(host: str, port: int, store: str, alias: str) -> str | None:
    """Return the UUID of the daemon *alias* at an address, None where there is none."""
    if not is_open(host, port):
        return None
    with contextlib.closing(dealer.Client(host, port)) as daemon:
        try:
            uuid = daemon.get(f"{store}._{alias}uuid".lower(), timeout=_ALIVE)
        except (TimeoutError, RemoteError, ValueError):
            return None
    return uuid if isinstance(uuid, str) else None


def may_be_at(host: str, port: int, block: Block) -> bool:
    """Tell whether who answers at an address is the daemon of a block.

    Where that has no item for its UUID, as in June 2026, nothing speaks against it.
    """
    if f"_{block['alias']}uuid".lower() not in block["items"]:
        return True
    return bool(uuid_at(host, port, block["store"], block["alias"]) == block["uuid"])


def is_running(block: Block) -> bool:
    """Tell whether the daemon of a block answers, at any address it has given."""
    for stratum in block.get("provenance") or ():
        if "pub" not in stratum:
            continue
        try:
            # Not one of the clients that stay: anybody may announce any address.
            daemon = dealer.Client(stratum["hostname"], stratum["rep"])
            with contextlib.closing(daemon):
                if _is(block, daemon):
                    return True
        except (TimeoutError, RemoteError, ValueError):
            continue
    return False


def _is(block: Block, daemon: dealer.Client) -> bool:
    """Tell whether *daemon* is that of a block, and not another of its name."""
    builtin = f"{block['store']}._{block['alias']}".lower()
    with contextlib.suppress(RemoteError):
        # A daemon that is starting answers this and nothing else.
        who = daemon.get(f"{builtin}uuid", timeout=_ALIVE)
        if who is not None:
            return bool(who == block["uuid"])
    return daemon.get(f"{builtin}clk", timeout=_ALIVE, refresh=True) is not None


def instance_at(block: Block) -> str | None:
    """Return what the process says of itself that answers where a block's daemon is."""
    for stratum in block.get("provenance") or ():
        if "pub" in stratum:
            daemon = dealer.Client(stratum["hostname"], stratum["rep"])
            with (
                contextlib.closing(daemon),
                contextlib.suppress(TimeoutError, RemoteError, ValueError),
            ):
                instance = daemon.get(f"{block['store']}._instance", timeout=_ALIVE)
                return str(instance)
    return None
