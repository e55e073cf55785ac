"""`python -m demo` runs the whole chain on this machine until Ctrl-C.

A printer prints much faster than in real time. Its tasks become due, and each part of
the project shows that. With `--once` it ends when a task was due, done and counts anew.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from demo.chain import FILE, Chain
from demo.children import ChildError
from demo.klippy import SPEED, find
from demo.mirror import STORE, Mirror, Name, key
from demo.observer import Address
from demo.story import Observation, begin
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
    # SIGINT is set too, since a shell lets its background programs ignore it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        broker = None if options.broker is None else Address.parse(options.broker)
        klippy = find(options.klipper, os.environ.get("KLIPPER_PYTHON"))
        with Chain(options.speed, broker, klippy) as chain:
            return Demo(chain, options).run()
    except KeyboardInterrupt:
        return 0
    except (ChildError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


class Demo:
    """Shows the running chain, and marks a task done over mKTL."""

    def __init__(self, chain: Chain, options: argparse.Namespace) -> None:
        self._chain = chain
        self._observer = chain.observer
        self._name: Name = (chain.slug, TASK)
        self._once = options.once
        self._patience = 1.0 if options.once else options.patience
        self._mirror = Mirror()
        self._news: deque[str] = deque(maxlen=8)
        self._console = Console()
        self._plain_at = self._progress = 0.0
        self._deadline = time.monotonic() + (ONCE_AT_MOST if options.once else math.inf)
        self._has_ended = False  # whether the story has reached its end once
        self._begin_story()

    def run(self) -> int:
        with contextlib.closing(self._mirror):
            if not self._console.is_terminal:
                print("In a second terminal:\n\n" + "\n".join(self._commands()) + "\n")
                status = self._loop(self._print_plainly)
            else:
                # The second screen of a terminal shows no old rest after a resize.
                with Live(
                    console=self._console,
                    screen=True,
                    auto_refresh=False,
                    get_renderable=lambda: self.picture(self._console.size),
                ) as live:
                    status = self._loop(live.refresh)
            self._summarize()
            return status

    def _loop(self, show: Callable[[], None]) -> int:
        while time.monotonic() < self._deadline:
            self._chain.check()
            self._keep_printing()
            self._hear_events()
            states = dict(self._observer.states)
            for name in states:
                self._mirror.follow(name)
            if self._name in states:
                self._go_on(states[self._name])
            show()
            if self._once and self._has_ended:
                return 0
            time.sleep(LOOK)
        return 1

    # Actions

    def _keep_printing(self) -> None:
        printer = self._chain.printer
        status = printer.status("webhooks", "print_stats", "virtual_sdcard")
        life, state = status["webhooks"], status["print_stats"]["state"]
        if life["state"] != "ready":
            raise ValueError(f"the printer is not ready: {life['state_message']}")
        self._progress = status["virtual_sdcard"]["progress"]
        if state not in ("printing", "paused"):
            if state == "complete":
                self._say(f"{FILE} is complete, and is printed again")
            script = f"SDCARD_PRINT_FILE FILENAME={FILE}"
            printer.call("gcode/script", script=script)

    def _hear_events(self) -> None:
        while self._observer.events:
            printer, event = self._observer.events.popleft()
            by = f" by {event.by}" if event.by else ""
            self._say(f"MQTT event: {printer}.{event.task} is {event.event}{by}")
            if (printer, event.task) == self._name and event.event == contract.DUE:
                self._is_announced = True

    def _begin_story(self) -> None:
        self._story = begin(self._patience)
        next(self._story)
        self._is_announced = False
        self._answer: Future[None] | None = None

    def _go_on(self, state: State) -> None:
        """Continue the story, now that its task is in *state*."""
        if self._answer is not None and self._answer.done():
            self._answer.result()  # raises the error with which the SET was refused
        observation = Observation(
            state,
            self._mirror.value(self._name, "status"),
            self._mirror.value(self._name, "used"),
            self._is_announced,
            self._answer is None or self._answer.done(),
            time.monotonic(),
        )
        try:
            if self._story.send(observation):
                self._say(f"mk set {STORE}.{key(self._name, 'done')}=1")
                self._answer = self._mirror.set(self._name, "done", 1)
        except StopIteration:
            again = amount(state.deciding.used, state.deciding.unit)
            self._say(f"{state.label}: it was done, and is counting again from {again}")
            self._has_ended = True
            self._begin_story()

    # Display

    def picture(self, size: ConsoleDimensions) -> RenderableType:
        """Return what a terminal of this size shows now."""
        speed = f"{self._chain.clock.speed:g} times faster than in real time"
        title = f"{FILE}, {self._progress:.0%}, {speed}; Ctrl-C ends the demo"
        rest = (self._mirror, self._news, self._commands(), size)
        return screen(title, dict(self._observer.states), *rest)

    def _say(self, text: str) -> None:
        entry = f"{datetime.now():%H:%M:%S}  {text}"  # noqa: DTZ005 - the reader's clock
        self._news.append(entry)
        if not self._console.is_terminal:
            print(entry, flush=True)

    def _print_plainly(self) -> None:
        if time.monotonic() >= self._plain_at:
            self._plain_at = time.monotonic() + PLAIN_INTERVAL
            for name, state in sorted(self._observer.states.items()):
                print(line(name, state, self._mirror), flush=True)

    def _summarize(self) -> None:
        states = sorted(self._observer.states.items())
        self._console.print(f"\n{len(states)} tasks were counted:")
        for name, state in states:
            self._console.print(line(name, state, self._mirror), soft_wrap=True)

    def _commands(self) -> list[str]:
        """Return commands for a second terminal, in short lines."""
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
    add("--broker", metavar="URL", help="use this broker: mqtt://user:word@host:1883")
    add("--klipper", type=Path, metavar="CHECKOUT", help="a Klipper or Kalico to run")
    add("--once", action="store_true", help="end when one task was due and was done")
    add("--speed", type=float, default=SPEED, help="factor to real time (30)")
    text = "seconds in which you can do a due task yourself (10)"
    add("--patience", type=float, default=10.0, help=text)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
