"""`python -m demo`: the whole chain on this machine, until Ctrl-C.

A printer prints much faster than life, its tasks come due, and every room of the
project shows it. `--once` ends by itself when it has seen a task through.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import time
from collections import deque
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from types import FrameType

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from demo.chain import FILE, Chain
from demo.children import ChildError
from demo.klippy import SPEED, find
from demo.mirror import STORE, Mirror, Name, key
from demo.observer import Address, Observer
from demo.story import Sight, Step, Story
from demo.view import amount, line, screen
from mktl_daemon.cli.version import add_version
from mqtt_bridge import contract
from mqtt_bridge.contract import State

LOOK = 0.1  # s
PLAIN_INTERVAL = 5.0  # seconds between two lines of the same task, without a terminal
TASK = "nozzle"
ONCE_AT_MOST = 180.0  # s


def main() -> int:
    options = parse()
    logging.basicConfig(level=logging.ERROR)
    # SIGINT, too: a shell has it ignored in what it starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        broker = None if options.broker is None else Address.parse(options.broker)
        python = os.environ.get("KLIPPER_PYTHON") or None
        klippy = find(options.klipper, python)
        with Chain(options.speed, broker, klippy) as chain:
            return Demo(chain, options).run()
    except KeyboardInterrupt:
        return 0
    except (ChildError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Demo:
    """Shows the chain at work, and marks a task done over mKTL."""

    def __init__(self, chain: Chain, options: argparse.Namespace) -> None:
        if chain.observer is None:
            raise ValueError("the chain was not started")
        self._chain = chain
        self._observer: Observer = chain.observer
        self._name: Name = (chain.slug, TASK)
        self._once = options.once
        self._mirror = Mirror()
        self._news: deque[str] = deque(maxlen=8)
        self._console = Console()
        self._story = Story(1.0 if options.once else options.patience)
        self._announced = False
        self._answer: Future[None] | None = None
        self._plain_at = 0.0
        seconds = ONCE_AT_MOST if options.once else options.minutes * 60.0
        self._deadline = time.monotonic() + seconds if seconds else None

    def run(self) -> int:
        try:
            if not self._console.is_terminal:
                print("In a second terminal:\n\n" + "\n".join(self._commands()) + "\n")
                return self._loop(None)
            # On a screen of its own: nothing of it is left where a window changes.
            with Live(console=self._console, auto_refresh=False, screen=True) as live:
                status = self._loop(live)
            self._summarize(dict(self._observer.states))
            return status
        finally:
            self._mirror.close()

    def _loop(self, live: Live | None) -> int:
        while True:
            self._chain.check()
            self._keep_printing()
            self._hear_events()
            states = dict(self._observer.states)
            for name in states:
                self._mirror.follow(name)
            self._tell(states)
            if live is not None:
                live.update(self.picture(self._console.size), refresh=True)
            else:
                self._print_plainly(states)
            if self._once and self._has_seen_enough(states):
                if live is None:
                    self._summarize(states)
                return 0
            if self._deadline is not None and time.monotonic() > self._deadline:
                return 1 if self._once else 0
            time.sleep(LOOK)

    # Actions

    def _keep_printing(self) -> None:
        printer = self._chain.printer
        if printer is None:
            return
        printer.check()
        state = printer.status("print_stats")["state"]
        if state not in ("printing", "paused"):
            if state == "complete":
                self._say(f"{FILE} is printed; once more")
            printer.gcode(f"SDCARD_PRINT_FILE FILENAME={FILE}")

    def _hear_events(self) -> None:
        while self._observer.events:
            printer, event = self._observer.events.popleft()
            by = f" by {event.by}" if event.by else ""
            self._say(f"MQTT event: {printer}.{event.task} is {event.event}{by}")
            if (printer, event.task) == self._name and event.event == contract.DUE:
                self._announced = True

    def _has_seen_enough(self, states: dict[Name, State]) -> bool:
        return self._story.step is Step.DONE

    def _tell(self, states: dict[Name, State]) -> None:
        state = states.get(self._name)
        if state is None:
            return
        before = self._story.step
        if self._story.advance(self._sight(state), time.monotonic()):
            self._say(f"mk set {STORE}.{key(self._name, 'done')}=1")
            self._answer = self._mirror.set(self._name, "done", 1)
        if self._answer is not None and self._answer.done():
            self._answer.result()  # raises what the SET was refused with
        if before is not self._story.step and self._story.step is Step.DONE:
            self._say(
                f"{state.label}: done, answered, and counting again from"
                f" {amount(state.deciding.used, state.deciding.unit)}"
            )
            self._announced, self._answer = False, None
            if not self._once:
                self._story.begin_again()

    def _sight(self, state: State) -> Sight:
        return Sight(
            state,
            self._mirror.value(self._name, "status"),
            self._mirror.value(self._name, "used"),
            self._announced,
            self._answer is None or self._answer.done(),
        )

    # Display

    def picture(self, size: ConsoleDimensions) -> RenderableType:
        """What a terminal of that size shows now."""
        return screen(
            *(self._title(), dict(self._observer.states), self._mirror, self._news),
            *(self._commands(), size, self._chain.clock.time()),
        )

    def _say(self, text: str) -> None:
        entry = f"{datetime.now():%H:%M:%S}  {text}"  # noqa: DTZ005 - the reader's clock
        self._news.append(entry)
        if not self._console.is_terminal:
            print(entry, flush=True)

    def _title(self) -> str:
        printer = self._chain.printer
        if printer is None:
            return "Ctrl-C ends it"
        progress = printer.status("virtual_sdcard")["progress"]
        speed = f"{self._chain.clock.speed:g} times life"
        return f"{FILE}, {progress:.0%}, {speed}; Ctrl-C ends it"

    def _print_plainly(self, states: dict[Name, State]) -> None:
        if time.monotonic() >= self._plain_at:
            self._plain_at = time.monotonic() + PLAIN_INTERVAL
            for name, state in sorted(states.items()):
                print(line(name, state, self._mirror), flush=True)

    def _summarize(self, states: dict[Name, State]) -> None:
        text = f"\n{len(states)} tasks were counted."
        if self._story.step is Step.DONE:
            text += (
                f" {'.'.join(self._name)} came due, was announced, was marked done"
                " over mKTL and counts again:"
            )
        self._console.print(text)
        for name, state in sorted(states.items()):
            self._console.print(line(name, state, self._mirror), soft_wrap=True)

    def _commands(self) -> list[str]:
        """What to type in a second terminal, in short lines."""
        address, name = self._chain.address, self._name
        if shutil.which("mosquitto_sub"):
            user = f" -u {address.user} -P …" if address.user else ""
            listen = f"mosquitto_sub -h {address.host} -p {address.port}{user}"
            listen += f" -v -t '{contract.BASE}/#'"
        else:
            listen = f"upkeep-bridge watch -c {self._chain.bridge_settings}"
        return [
            f"  . {self._chain.environment_file}",
            f"  mk list {STORE}",
            f"  mk get {STORE}.{key(name, 'remaining')}",
            f"  mk watch {STORE}.{key(name, 'used')}",
            f"  mk set {STORE}.{key(name, 'done')}=1",
            f"  {listen}",
        ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    add_version(parser)
    add = parser.add_argument
    add("--broker", metavar="URL", help="a broker of yours: mqtt://user:word@host:1883")
    add("--klipper", type=Path, metavar="CHECKOUT", help="of Klipper or Kalico")
    add("--minutes", type=float, default=0.0, help="end after so long (0: never)")
    add("--once", action="store_true", help="end when one task was seen through")
    add("--speed", type=float, default=SPEED, help="how much faster than life (30)")
    add(
        "--patience",
        type=float,
        default=10.0,
        help="seconds that a task stays due, for you to do it (10)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
