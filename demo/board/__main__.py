"""`python -m demo.board printer.cfg TTY`: a board behind a pseudo-terminal.

It goes on until its standard input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import tempfile
import time
import tty
from pathlib import Path

from demo.board.dictionary import CLOCK_FREQUENCY
from demo.board.firmware import Board
from demo.board.machine import read, wire
from demo.clock import SLACK, Clock

LONGEST_WAIT = SLACK / 3e9  # s
SILENCE = 2.0  # s by the printer's clock after which it waits for Klippy
AWAY = 1.0  # s by life's clock after which it waits no longer


class Shell:
    """Joins a board to a pseudo-terminal, whose name a link tells, and to a clock."""

    def __init__(self, config: Path, link: Path, clock: Clock) -> None:
        self._config = config
        self._link = link
        self._time = clock
        self.board = Board(wire(read(config)))
        self._terminal: int | None = None
        self._heard = self._heard_at = 0.0  # when Klippy sent something last
        self.plug()

    def run(self) -> None:
        """Serve until the standard input ends."""
        control = sys.stdin.fileno()
        while True:
            if self._is_in_time():
                self._time.beat()
            else:
                self._time.hold()
            clock = self.clock()
            self.board.run(clock)
            self._write()
            wait = (self.board.due() - clock) / CLOCK_FREQUENCY / self._time.speed
            files = [control] if self._terminal is None else [control, self._terminal]
            ready, _, _ = select.select(files, [], [], min(max(wait, 0), LONGEST_WAIT))
            if self._terminal in ready:
                self._read()
            if control in ready and not self.serve(os.read(control, 4096)):
                return

    def serve(self, data: bytes) -> bool:
        """Take *data* from the standard input; returns whether to go on."""
        return bool(data)

    def close(self) -> None:
        self.unplug()
        self._time.stop_beating()

    def _is_in_time(self) -> bool:
        """Whether Klippy, which asks for the clock each second, seems to be in time.

        It gives a board up that it has not heard for five seconds, be it that a busy
        machine kept Klippy waiting, the board, or what lies between them.
        """
        if self._time.is_late():
            return False
        silence = self._time.elapsed() - self._heard
        if silence < SILENCE and not self.board.is_connecting:
            return True
        return time.monotonic() > self._heard_at + AWAY

    def clock(self) -> int:
        return int(self._time.elapsed() * CLOCK_FREQUENCY)

    def plug(self) -> None:
        if self._terminal is None:
            self._terminal, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._terminal, False)
            fresh = self._link.with_name(f"{self._link.name}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.ttyname(self._slave))
            fresh.replace(self._link)

    def unplug(self) -> None:
        if self._terminal is not None:
            self._link.unlink(missing_ok=True)
            os.close(self._terminal)
            os.close(self._slave)
            self._terminal = None

    def _read(self) -> None:
        assert self._terminal is not None  # noqa: S101 - what select has returned
        data = os.read(self._terminal, 65536)
        self._heard, self._heard_at = self._time.elapsed(), time.monotonic()
        try:
            sent = int(self._time.sent() * CLOCK_FREQUENCY)
            self.board.receive(data, self.clock(), sent)
        except ValueError as error:
            print(f"board: {error}", file=sys.stderr, flush=True)

    def _write(self) -> None:
        if self.board.is_reset:
            self.board.machine.rewire(read(self._config))
        data = self.board.take()
        if data and self._terminal is not None:
            # Nobody reads while Klippy is away: what does not fit is lost.
            with contextlib.suppress(BlockingIOError):
                os.write(self._terminal, data)


def main(kind: type[Shell] = Shell) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="the printer.cfg that tells the pins")
    parser.add_argument("tty", type=Path, help="the name that the serial port gets")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ.get("DEMO_CLOCK")
        clock = Clock.parse(given) if given else Clock(1.0, Path(folder) / "clock")
        shell = kind(options.config, options.tty, clock)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            shell.run()
        shell.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
