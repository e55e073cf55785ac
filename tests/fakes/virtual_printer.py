"""A virtual printer in a test: its clock stands still until the test moves it.

    with VirtualPrinter(CONFIG, tmp_path) as printer:
        printer.gcode("G28")                 # runs at once, the clock stands still
        printer.advance(10)                  # 10 s of the printer's time go by
        printer.gcode("MAINTAIN_STATUS")     # -> the lines that it answered
        printer.wait_for(lambda: ...)        # for threads: real time passes, no other

`CONFIG` need only hold what the test is about: `MACHINE` is put before it unless it has
a `[printer]` of its own. The extra is `klippy_extra/`, loaded the way Klippy loads it.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any, Callable, Mapping

import greenlet
import pytest

from tests.fakes.klippy import Host, Printer, Reactor, TestClock

ROOT = Path(__file__).resolve().parents[2]
EXTRA = ROOT / "klippy_extra"
GEAR = ROOT / "demo" / "gear.gcode"

MACHINE = f"""
[include {ROOT}/demo/printer.cfg]
[virtual_sdcard]
path: {ROOT}/demo
"""


class VirtualPrinter:
    """A printer whose clock a test moves. It runs in the test's own thread."""

    old_names = False  # The fixture `dialect` sets it.

    def __init__(
        self,
        config: str = "",
        folder: Path | None = None,
        extras: Mapping[str, Path] | None = None,
        start: bool = True,
    ) -> None:
        """*folder* gets the printer.cfg. Without one *config* is the path of the file.

        If *start* is False, the first `advance` or `gcode` starts it. It then reads its
        configuration and becomes ready or not.
        """
        self.console: list[str] = []
        self.clock: TestClock[list[int]] = TestClock()
        self.exit_status: int | None = None
        if folder is None:
            self.config_file = Path(config)
        else:
            self.config_file = folder / "printer.cfg"
            self.configure(config)
        self.host = Host(
            self.config_file,
            {"maintain": EXTRA} if extras is None else extras,
            clock=self.clock,
            prepare=self.prepare,
            old_names=self.old_names,
        )
        self._life = greenlet.greenlet(self._live)
        if start:
            self.advance(0)

    def __enter__(self) -> VirtualPrinter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def printer(self) -> Printer:
        """The present printer object. A restart makes a new one."""
        assert self.host.printer is not None
        return self.host.printer

    @property
    def reactor(self) -> Reactor:
        assert self.host.reactor is not None
        return self.host.reactor

    @property
    def state(self) -> str:
        """`startup`, `ready`, `error` (a bad configuration), `shutdown`, or `gone`."""
        return "gone" if self._life.dead else self.printer.get_state_message()[1]

    @property
    def state_message(self) -> str:
        return self.printer.get_state_message()[0]

    def lookup(self, name: str) -> Any:
        return self.printer.lookup_object(name)

    def status(self, name: str) -> Any:
        """Return the status of an object, queried over the API as Moonraker does.

        Raises what the API answers with an error.
        """
        answer = self.request("objects/query", {"objects": {name: None}})
        return answer["status"][name]

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Call a webhooks endpoint. Raises `command_error` if it refuses."""
        answer = self.lookup("webhooks").request(method, dict(params or {}))
        if "error" in answer:
            raise self.printer.command_error(answer["error"]["message"])
        return answer["result"]

    def configure(self, config: str) -> None:
        """Write a new printer.cfg, for the next start or RESTART."""
        if "[printer]" not in config:
            config = MACHINE + config
        self.config_file.write_text(config, encoding="utf-8")

    # Time

    def advance(self, seconds: float, step: float | None = None) -> None:
        """Let *seconds* of the printer's time pass.

        Everything that is due happens in order.
        """
        assert not self._life.dead, "the printer has exited"
        end = self.clock.target + seconds
        while step is not None and self.clock.target + step < end:
            self.clock.target += step
            self._life.switch()
        self.clock.target = end
        if not self._life.dead:
            self._life.switch()

    def wait_for(
        self, condition: Callable[[], Any], what: str = "", seconds: float = 10.0
    ) -> Any:
        """Wait in real time for threads, until *condition*.

        The printer's clock stands still.

        Returns the value of *condition*. Fails after *seconds* of real time.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.advance(0)
            result = condition()
            if result:
                return result
            left = deadline - time.monotonic()
            if left <= 0:
                pytest.fail(f"not within {seconds} s: {what or condition}")
            self.clock.patience = min(left, 0.05)

    def advance_until(
        self, condition: Callable[[], Any], seconds: float, step: float = 1.0
    ) -> float:
        """Advance in steps until *condition*, and return the seconds that passed.

        Fails if *seconds* of the printer's time are not enough.
        """
        begin = self.clock.target
        while not condition():
            if self.clock.target - begin >= seconds:
                pytest.fail(f"not within {seconds} s of the printer's time")
            self.advance(step)
        return self.clock.target - begin

    # G-code

    def gcode(self, script: str, seconds: float = 0.0) -> list[str]:
        """Type *script* at the console, and return the lines of the console during it.

        The clock stands still, or passes *seconds*: a command that takes time, like
        G28, has then begun, and its answers are in `console` when it ends.
        """
        begin = len(self.console)
        for line in script.strip().split("\n"):
            self.reactor.register_callback(
                lambda eventtime, line=line: self.lookup("gcode").run_from_terminal(
                    line
                )
            )
        self.advance(seconds)
        return [line for line in self.console[begin:] if line != "ok"]

    def print_file(self, name: str = "gear.gcode") -> None:
        """Start to print a file of the virtual SD card."""
        answer = self.gcode(f'SDCARD_PRINT_FILE FILENAME="{name}"')
        assert "File selected" in answer, answer

    def print_to_end(self, name: str = "gear.gcode", step: float = 1.0) -> float:
        """Print a whole file, and return how many seconds it took."""
        begin = self.clock.target
        self.print_file(name)
        stats = self.lookup("print_stats")
        while stats.get_status(self.clock.monotonic())["state"] == "printing":
            self.advance(step)
        return self.clock.target - begin

    # Start and end

    def restart(self, command: str = "RESTART") -> list[str]:
        """Send RESTART or FIRMWARE_RESTART, and return the lines of the console."""
        before = self.printer
        begin = len(self.console)
        self.gcode(command)
        if self.printer is before:
            self.advance(60)  # the end of the moves is waited for
        assert self.printer is not before
        return self.console[begin:]

    def emergency_stop(self) -> None:
        self.gcode("M112")

    def close(self) -> None:
        """Exit as Klippy does on request: it sends `klippy:disconnect`."""
        if not self._life.dead:
            if self.host.printer is not None:
                self.host.printer.request_exit("exit")
            while not self._life.dead:
                self.advance(60)

    def kill(self) -> None:
        """Stop at once and without events, as after SIGTERM or a power cut.

        The reactor is gone. Threads of the extra cannot be killed in the test's own
        process: tests/system kills real processes.
        """
        with contextlib.suppress(greenlet.GreenletExit):
            self._life.throw()
        self.reactor.finalize()
        card = self.printer.lookup_object("virtual_sdcard", None)
        if card is not None:
            # The system closes the files of a dead process in the same way.
            card.close()

    def _live(self) -> None:
        self.exit_status = self.host.main()

    def prepare(self, printer: Printer) -> None:
        printer.lookup_object("gcode").register_output_handler(self.console.append)
