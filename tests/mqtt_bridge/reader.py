"""A client that reads an item again and again: ``python -m tests.mqtt_bridge.reader``.

It prints each value, and what went wrong in the place of one.
"""

from __future__ import annotations

import sys
import time

import mktl_daemon

PAUSE = 0.02  # seconds: a client among others


def main() -> None:
    item = mktl_daemon.get(f"upkeep.{sys.argv[1]}")
    while True:
        try:
            what = item.get(refresh=True)
        except Exception as error:  # noqa: BLE001 - whatever a client would see
            what = repr(error)
        sys.stdout.write(f"{what}\n")
        sys.stdout.flush()
        time.sleep(PAUSE)


main()
