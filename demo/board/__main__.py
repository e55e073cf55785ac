"""`python -m demo.board printer.cfg TTY` runs a board behind a pseudo-terminal.

It runs until its standard input ends. `DEMO_CLOCK` names the file of its clock.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import tty
from pathlib import Path
from typing import ClassVar

from demo.board.dictionary import CLOCK_FREQUENCY
from demo.board.firmware import Board
from demo.board.machine import Machine, read, wire
from demo.clock import Clock

SILENCE = 2.0  # s of the printer's time after which the board waits for Klippy
AWAY, IDLE = 3.0, 0.3  # s of real time after which it waits no longer; IDLE: at rest


class Shell:
    """Joins a board to a clock and to a pseudo-terminal, to which a link points."""

    kind: ClassVar[type[Board]] = Board

    def __init__(self, config: Path, link: Path, clock: Clock) -> None:
        self.config = config
        self.link = link
        self.board = self.kind(self.machine())
        self._clock = clock
        self._heard = self._heard_at = 0.0  # when bytes of Klippy last arrived
        self.open()
        self.plug()

    def machine(self) -> Machine:
        """Return the hardware that the configuration connects to the board."""
        return wire(read(self.config))

    def run(self) -> None:
        """Serve Klippy until the standard input ends."""
        control = sys.stdin.fileno()
        while True:
            self._clock.beat(runs=self._is_in_time())
            self.board.run(self.now())
            self._write()
            if self.board.is_reset:
                self.renew()
            files = [control, self.terminal]
            ready, _, _ = select.select(files, [], [], self._clock.slack / 1.5e9)
            if self.terminal in ready:
                self._read()
            if control in ready and not self.serve(os.read(control, 4096)):
                return

    def serve(self, data: bytes) -> bool:
        """Handle *data* from the standard input; return whether to run on."""
        return bool(data)

    def renew(self) -> None:
        """Forget what Klippy has configured. The hardware stays as it is."""
        self.board = self.kind(self.board.machine, self.now())

    def now(self) -> int:
        """Return the board's clock (ticks)."""
        return int(self._clock.elapsed() * CLOCK_FREQUENCY)

    def open(self) -> None:
        self.terminal, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.terminal, False)

    def plug(self) -> None:
        """Let Klippy see the terminal."""
        fresh = self.link.with_name(f"{self.link.name}.new")
        fresh.symlink_to(os.ttyname(self.slave))
        fresh.replace(self.link)

    def _is_in_time(self) -> bool:
        """Return whether Klippy seems to be in time. It asks for the clock each second.

        It declares a board lost that is silent for five seconds. On a busy machine both
        may wait for a processor. A Klippy at rest only waits for a time to pass.
        """
        if self._clock.is_late():
            return False
        is_silent = self._clock.elapsed() - self._heard >= SILENCE
        patience = AWAY if self._clock.ready else IDLE
        is_given_up = time.monotonic() > self._heard_at + patience
        return is_given_up or not (is_silent or self.board.is_connecting)

    def _read(self) -> None:
        data = os.read(self.terminal, 65536)
        self._heard, self._heard_at = self._clock.elapsed(), time.monotonic()
        try:
            sent = int(self._clock.sent() * CLOCK_FREQUENCY)
            self.board.receive(data, self.now(), sent)
        except ValueError as error:
            print(f"board: {error}", file=sys.stderr, flush=True)

    def _write(self) -> None:
        # Without a Klippy nobody reads, and bytes are lost that do not fit.
        if data := self.board.take():
            with contextlib.suppress(BlockingIOError):
                os.write(self.terminal, data)


def main(kind: type[Shell] = Shell) -> int:
    config, link = map(Path, sys.argv[1:])
    clock = Clock(None, Path(os.environ["DEMO_CLOCK"]))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        kind(config, link, clock).run()
    clock.stop_beating()
    return 0


if __name__ == "__main__":
    sys.exit(main())
