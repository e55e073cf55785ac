"""Settings of the Python interpreter that a bridge needs, in one place.

`BridgeDaemon` applies them, so that they hold for `upkeep-bridge` and for `mkd` alike.
"""

from __future__ import annotations

import gc
import sys

# The link's thread reads while the bridge's thread works. With the usual 5 ms between
# two switches, each would wait for the other.
SWITCH_INTERVAL = 0.0005  # seconds


def begin() -> None:
    """Prepare the interpreter for a fleet that is about to arrive."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()  # this frees a refused bridge with its fleet
    # Millions of objects arrive and stay. A search for garbage among them, again and
    # again, would take longer than to make them.
    gc.disable()


def settle() -> None:
    """Exclude the present objects from garbage collection. The fleet is announced."""
    # Frozen objects are never freed, so this must wait until a registry has accepted
    # the fleet.
    gc.freeze()
    gc.enable()


def end() -> None:
    """Undo `begin` and `settle`, since the fleet was refused, or the bridge ends."""
    gc.unfreeze()  # the fleet can be freed now; the process of a standby goes on
    gc.enable()
