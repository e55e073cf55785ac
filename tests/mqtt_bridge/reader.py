"""A client that reads an item all the time: ``python -m tests.mqtt_bridge.reader``.

It prints each value, or the error in the place of a value.
"""

from __future__ import annotations

import sys
import time

import mktl_daemon

PAUSE = 0.02  # seconds between two readings, since there are other clients


def main() -> None:
    item = mktl_daemon.get(f"upkeep.{sys.argv[1]}")
    while True:
        try:
            what = item.get(refresh=True)
        except Exception as error:  # noqa: BLE001 - a client may see any error
            what = repr(error)
        sys.stdout.write(f"{what}\n")
        sys.stdout.flush()
        time.sleep(PAUSE)


main()
