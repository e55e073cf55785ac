"""`upkeep-bridge watch` shows the fleet in the terminal, overdue tasks first."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import sys
import termios
import time
import tty
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
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

TICK = 0.5  # seconds between two pictures of the fleet
WITHIN = 7.0  # seconds
LATER = 24.0  # hours
SURE = 5.0  # seconds in which a second key confirms "done"
COLOURS = {"due": "red", "soon": "yellow", "ok": "green"}
# The columns. The first number is the share of the free width that a column gets. The
# second is the width of the terminal from which on it is shown. Printer, task and
# status are always shown.
COLUMNS = {
    "printer": (2, 0), "task": (4, 0), "status": (None, 0), "": (2, 100),
    "remaining": (None, 60), "due": (None, 80), "last done": (None, 110),
}  # fmt: skip
EMPTY = "no printer is known: upkeep-bridge check tells more"
KEYS = "↑↓ choose   d done   s snooze a day   u unsnooze   q quit"
SHORT_KEYS = "↑↓ d s u q"
CHOOSE = "choose a task with ↑↓ first"
NARROW = 60  # characters
UP, DOWN = ("\x1b[A", "k"), ("\x1b[B", "j")


class Watch:
    """The table of tasks, and the chosen task. No key waits for the broker."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._rows: list[TaskRow] = []
        self._chosen: tuple[str, str] | None = None
        self._text = ""
        self._takes_keys = False
        self._sure_until = 0.0  # until when a second key confirms (monotonic)
        self._pending: deque[tuple[str, str, Future[Any]]] = deque()

    def refresh(self) -> None:
        """Copy the fleet, and note the results of commands."""
        self._rows = self._bridge.call(lambda: snapshot.lines(self._bridge)).result(
            WITHIN
        )
        while self._pending and self._pending[0][2].done():
            name, past, future = self._pending.popleft()
            error = future.exception()
            self._text = f"{name}: not {past}: {error}" if error else f"{name}: {past}"

    def table(self, rows: int, width: int = 120) -> Table:
        """Return a table of *width* characters, with *rows* around the chosen one."""
        chosen = self._number()
        first = max(0, min(chosen - rows // 2, len(self._rows) - rows))
        shown = self._rows[first : first + rows]
        keys = (SHORT_KEYS if width < NARROW else KEYS) if self._takes_keys else ""
        text = (self._text or keys) if self._rows else EMPTY
        if not self._bridge.link.connected:
            text = f"no connection to {self._bridge.settings.broker.address}"
        return table(shown, text, chosen - first if self._chosen else None, width)

    def begin(self) -> None:
        """Accept keys from now on, and show which there are."""
        self._takes_keys = True

    def key(self, key: str) -> bool:
        """Do what *key* means. False: the user wants to leave."""
        if key in ("q", "\x03", "\x04"):
            return False
        if key != "d":
            self._sure_until = 0.0
        if key in (*UP, *DOWN) and self._rows:
            number = self._number() + (1 if key in DOWN else -1)
            if self._chosen is None:
                number = 0
            row = self._rows[max(0, min(number, len(self._rows) - 1))]
            self._chosen = (row.printer, row.task)
            self._text = ""
        elif key == "d" and self._chosen is not None and not self._is_sure():
            self._text = f"{'.'.join(self._chosen)}: press d again to mark it done"
        elif key in _COMMANDS and self._chosen is not None:
            self._ask(key)
        elif key in _COMMANDS and self._rows:
            self._text = CHOOSE
        return True

    def _is_sure(self) -> bool:
        """Return whether the key for "done" was also pressed a moment ago; note it."""
        now = time.monotonic()
        sure, self._sure_until = now < self._sure_until, now + SURE
        return sure

    def _number(self) -> int:
        places = [(row.printer, row.task) for row in self._rows]
        return places.index(self._chosen) if self._chosen in places else 0

    def _ask(self, key: str) -> None:
        assert self._chosen is not None  # noqa: S101 - the caller looked
        word, hours, past = _COMMANDS[key]
        self._sure_until = 0.0

        def make(_record: Record, transaction: str) -> Command:
            return Command(word, transaction, _user(), hours=hours)

        name = ".".join(self._chosen)
        self._text = f"{name}: ..."
        self._pending.append((name, past, self._bridge.ask(*self._chosen, make)))


# For each key: the command, its hours, and the word that is shown afterwards.
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
            for each in snapshot.missing(bridge):
                print(f"upkeep-bridge: {each}", file=sys.stderr)
            watch.refresh()
            if options.once or not sys.stdin.isatty():
                console.print(watch.table(1_000_000, console.width))
            else:
                _live(watch, console)
    except TimeoutError as error:
        print(f"upkeep-bridge: {error}", file=sys.stderr)
        return 1
    return 0


def table(
    rows: Sequence[TaskRow], text: str = "", chosen: int | None = None, width: int = 120
) -> Table:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(expand=True, caption=Text(text), padding=(0, 0 if width < 60 else 1))
    shown = [name for name, (_, least) in COLUMNS.items() if width >= least]
    for name in shown:
        made.add_column(name, no_wrap=True, ratio=COLUMNS[name][0])
    for number, row in enumerate(rows):
        cells = _cells(row)
        made.add_row(
            *(cells[name] for name in shown),
            style="reverse" if number == chosen else "",
        )
    return made


def _cells(row: TaskRow) -> dict[str, Any]:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    colour = COLOURS.get(row.status, "bright_black")
    used = min(100.0, max(0.0, row.percent))
    left = f"{row.values['remaining']:.1f} {row.unit}".rstrip()
    return {
        "printer": Text(row.name, style="" if row.online else "bright_black"),
        "task": Text(str(row.values["label"])),
        "status": Text(row.status, style=colour),
        "": ProgressBar(100, used, complete_style=colour, finished_style=colour),
        "remaining": Text(left, justify="right"),
        "due": _day(row.values["due_at"]),
        "last done": _day(row.values["last_done"]),
    }


def _day(moment: Any) -> str:
    if moment is None:
        return "-"
    try:
        when = datetime.fromtimestamp(float(moment), UTC)
    except (ValueError, OverflowError, OSError):
        return "?"  # a wrong clock gave a time that no calendar has
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
            watch.refresh()
            picture = watch.table(max(1, console.height - 6), console.width)
            live.update(picture, refresh=True)
            if select.select([sys.stdin], [], [], TICK)[0]:
                typed = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
                # An arrow key sends three bytes at once.
                if not all(map(watch.key, re.findall(r"\x1b\[.|.", typed, re.DOTALL))):
                    return


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Log nothing, since log lines would cover the table. It shows the connection."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Read each key at once, and restore the terminal afterwards."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _user() -> str:
    return os.environ.get("USER") or "watch"
