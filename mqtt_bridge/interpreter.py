"""Settings of the Python interpreter that a bridge needs, in one place.

`BridgeDaemon` applies them, so that they hold for `upkeep-bridge` and for `mkd` alike.
"""

from __future__ import annotations

import gc
import sys

# The link's thread reads while the bridge's works: with the usual 5 ms between switches
# each would keep the other waiting.
SWITCH_INTERVAL = 0.0005  # seconds


def begin() -> None:
    """Prepare for reading a fleet."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()  # a bridge that was refused, and its fleet
    # Millions of objects arrive that stay: to look through them for garbage again and
    # again would take longer than to make them.
    gc.disable()


def settle() -> None:
    """Keep the present objects out of garbage collection: the fleet is announced."""
    # What is frozen is never garbage: not before a registry has accepted it all.
    gc.freeze()
    gc.enable()


def end() -> None:
    """Undo `begin` and `settle`: the fleet was refused, or the bridge ends."""
    gc.unfreeze()  # the fleet is garbage now, and a standby goes on
    gc.enable()
