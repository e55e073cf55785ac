"""`python -m tests.fakes.klippy printer.cfg`: a virtual printer with its API socket.

SIGTERM ends it as it ends Klippy: at once, and without an event for extras.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from pathlib import Path

from . import FastClock, Host
from .host import load_extra

EXTRA = Path(__file__).parents[3] / "klippy_extra"


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    logging.basicConfig(
        filename=options.log,
        level=logging.INFO,
        format="%(asctime)s %(name)s: %(message)s",
    )
    if options.log is None:
        logging.disable()
    if options.trusting:
        load_extra("maintain", options.extra)
        importlib.import_module("extras.maintain.mqtt.link").SHORT = 0.0
    host = Host(
        options.config,
        {"maintain": options.extra},
        clock=FastClock(options.speed),
        apiserver=options.api,
    )
    return host.main()


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fakes.klippy", description=__doc__
    )
    parser.add_argument("config", type=Path, help="a printer.cfg")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how much faster than life (1)"
    )
    parser.add_argument("--log", type=Path, help="where klippy.log goes (nowhere)")
    parser.add_argument("--api", type=Path, help="a unix socket for API clients")
    parser.add_argument(
        "--extra", type=Path, default=EXTRA, help="the folder of the extra"
    )
    parser.add_argument(
        "--trusting",
        action="store_true",
        help="return to a broker soon, however short the last connection was",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
