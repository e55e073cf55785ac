"""`upkeep-bridge watch`: the fleet in the terminal, overdue first."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import sys
import termios
import tty
from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mqtt_bridge.bridge import Bridge
from mqtt_bridge.cli import snapshot
from mqtt_bridge.cli.snapshot import TaskRow
from mqtt_bridge.contract import Command
from mqtt_bridge.fleet.records import Record
from mqtt_bridge.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

TICK = 0.5  # seconds between looks at the fleet
WITHIN = 7.0  # seconds
LATER = 24.0  # hours
COLOURS = {"due": "red", "soon": "yellow", "ok": "green"}
# How the columns share the room that those without a number leave.
COLUMNS = {
    "printer": 2, "task": 4, "status": None, "": 2, "remaining": None, "due": None,
    "last done": None,
}  # fmt: skip
EMPTY = "no printer is known: upkeep-bridge check tells more"
KEYS = "↑↓ choose   d done   s snooze a day   u unsnooze   q quit"
UP, DOWN = ("\x1b[A", "k"), ("\x1b[B", "j")


class Watch:
    """What is shown and which task is chosen."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._lines: list[TaskRow] = []
        self._chosen: tuple[str, str] | None = None
        self._told = ""

    def look(self) -> None:
        self._lines = self._bridge.call(lambda: snapshot.lines(self._bridge)).result(
            WITHIN
        )

    def table(self, rows: int) -> Table:
        """The lines around the chosen one that fit *rows*."""
        chosen = self._number()
        first = max(0, min(chosen - rows // 2, len(self._lines) - rows))
        shown = self._lines[first : first + rows]
        told = self._told if self._lines else EMPTY
        if not self._bridge.link.connected:
            told = f"no connection to {self._bridge.settings.broker.address}"
        return table(shown, told, chosen - first if self._chosen else None)

    def begin(self) -> None:
        """Take keys from now on, and say which."""
        self._told = KEYS

    def key(self, key: str) -> bool:
        """Do what *key* means; False: leave."""
        if key in ("q", "\x03", "\x04"):
            return False
        if key in (*UP, *DOWN) and self._lines:
            number = self._number() + (1 if key in DOWN else -1)
            if self._chosen is None:
                number = 0
            line = self._lines[max(0, min(number, len(self._lines) - 1))]
            self._chosen = (line.printer, line.task)
            self._told = KEYS
        elif key in _COMMANDS and self._chosen is not None:
            self._ask(key)
        return True

    def _number(self) -> int:
        places = [(line.printer, line.task) for line in self._lines]
        return places.index(self._chosen) if self._chosen in places else 0

    def _ask(self, key: str) -> None:
        assert self._chosen is not None  # noqa: S101 - the caller looked
        word, hours, past = _COMMANDS[key]

        def make(_record: Record, transaction: str) -> Command:
            return Command(word, transaction, _user(), hours=hours)

        name = ".".join(self._chosen)
        asked = self._bridge.ask(*self._chosen, make)
        try:
            asked.result(WITHIN)
        except Exception as error:  # noqa: BLE001 - whoever pressed is told
            self._told = f"{name}: not {past}: {error}"
        else:
            self._told = f"{name}: {past}"


# Of each key the command, its hours, and what is told afterwards.
_COMMANDS = {
    "d": ("done", None, "done"),
    "s": ("snooze", LATER, "snoozed"),
    "u": ("unsnooze", None, "unsnoozed"),
}


def main(settings: Settings, options: Namespace) -> int:
    try:
        from rich.console import Console  # noqa: PLC0415
    except ImportError:
        print("watch needs rich: pip install 'klipper-upkeep[watch]'", file=sys.stderr)
        return 1
    console = Console()
    try:
        with snapshot.fleet(settings) as bridge:
            watch = Watch(bridge)
            watch.look()
            if options.once or not sys.stdin.isatty():
                console.print(watch.table(1_000_000))
            else:
                _live(watch, console)
    except TimeoutError as error:
        print(f"upkeep-bridge: {error}", file=sys.stderr)
        return 1
    return 0


def table(lines: Sequence[TaskRow], told: str = "", chosen: int | None = None) -> Table:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(expand=True, caption=Text(told))
    for name, ratio in COLUMNS.items():
        made.add_column(name, no_wrap=True, ratio=ratio)
    for number, line in enumerate(lines):
        colour = COLOURS.get(line.status, "bright_black")
        done = min(100.0, max(0.0, line.percent))
        left = f"{line.said['remaining']:.1f} {line.unit}".rstrip()
        made.add_row(
            Text(line.name, style="" if line.online else "bright_black"),
            Text(str(line.said["label"])),
            Text(line.status, style=colour),
            ProgressBar(100, done, complete_style=colour, finished_style=colour),
            Text(left, justify="right"),
            _day(line.said["due_at"]),
            _day(line.said["last_done"]),
            style="reverse" if number == chosen else "",
        )
    return made


def _day(moment: Any) -> str:
    if moment is None:
        return "-"
    try:
        when = datetime.fromtimestamp(float(moment), UTC)
    except (ValueError, OverflowError, OSError):
        return "?"  # beyond the calendar: a clock that is wrong
    return when.astimezone().strftime("%Y-%m-%d")


def _live(watch: Watch, console: Any) -> None:
    from rich.live import Live  # noqa: PLC0415

    watch.begin()
    with (
        _silence(),
        _keys(),
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        while True:
            watch.look()
            live.update(watch.table(max(1, console.height - 6)), refresh=True)
            if select.select([sys.stdin], [], [], TICK)[0]:
                typed = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
                # An arrow is three bytes that come at once.
                if not all(map(watch.key, re.findall(r"\x1b\[.|.", typed, re.DOTALL))):
                    return


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Log nothing: it would go across the table, which tells of the connection."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Have each key at once, and the terminal as it was afterwards."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _user() -> str:
    return os.environ.get("USER") or "watch"
