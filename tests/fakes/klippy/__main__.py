"""`python -m tests.fakes.klippy printer.cfg`: a virtual printer with its console here.

What is typed is G-code; what the printer says is printed. Ctrl-C, and the end of what
is piped in, end it in an orderly way. SIGTERM ends it as it ends Klippy: at once, and
no extra is told.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
from pathlib import Path

from . import FastClock, Host, LifeClock, Printer
from .host import load_extra
from .reactor import Clock

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
    files = [options.print]  # once: a restart does not print it again
    clock: Clock = LifeClock() if options.speed == 1.0 else FastClock(options.speed)
    host = Host(
        options.config,
        {"maintain": options.extra},
        clock=clock,
        gcode_fd=sys.stdin.fileno(),
        apiserver=options.api,
        prepare=lambda printer: prepare(printer, files.pop() if files else None),
    )

    def leave(signum: int, frame: object) -> None:
        if host.reactor is not None and host.printer is not None:
            host.printer.request_exit("exit")

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return host.main()


def prepare(printer: Printer, file: str | None) -> None:
    printer.lookup_object("gcode").register_output_handler(
        lambda line: print(line, flush=True)
    )
    if file is None:
        return

    def start(eventtime: float) -> None:
        gcode = printer.lookup_object("gcode")
        gcode.run_from_terminal(f'SDCARD_PRINT_FILE FILENAME="{file}"')

    printer.register_event_handler(
        "klippy:ready", lambda: printer.get_reactor().register_callback(start)
    )


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fakes.klippy", description=__doc__
    )
    parser.add_argument("config", type=Path, help="a printer.cfg")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how much faster than life (1)"
    )
    parser.add_argument("--print", metavar="FILE", help="a file of the card to print")
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
