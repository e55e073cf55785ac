"""Whether the printer works: Printing (any motion), Ready, and after a time Idle."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section

logger = logging.getLogger(__name__)

AT_REST = 0.5  # seconds without motion until Printing becomes Ready
TURN_OFF = "TURN_OFF_HEATERS\nM84"


def load_config(config: Section) -> IdleTimeout:
    return IdleTimeout(config)


class IdleTimeout:
    """`idle_timeout`."""

    def __init__(self, config: Section) -> None:
        self._printer = printer = config.get_printer()
        self._reactor = printer.get_reactor()
        self._gcode = printer.lookup_object("gcode")
        self._timeout = config.getfloat("timeout", 600.0, above=0.0)
        macros = printer.load_object(config, "gcode_macro")
        self._script = macros.load_template(config, "gcode", TURN_OFF)
        self._state = "Idle"
        self._since = 0.0
        self._timer = self._reactor.register_timer(self._update)
        printer.register_event_handler("toolhead:sync_print_time", self._handle_motion)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        printing = eventtime - self._since if self._state == "Printing" else 0.0
        return {
            "state": self._state,
            "printing_time": printing,
            "idle_timeout": self._timeout,
        }

    def _handle_motion(self, curtime: float, now: float, print_time: float) -> None:
        if self._state == "Printing":
            return
        self._state, self._since = "Printing", curtime
        self._reactor.update_timer(self._timer, curtime + print_time - now + AT_REST)
        self._printer.send_event("idle_timeout:printing", now)

    def _update(self, eventtime: float) -> float:
        if self._printer.is_shutdown():
            return self._reactor.NEVER
        toolhead = self._printer.lookup_object("toolhead")
        print_time, now, nothing_waits = toolhead.check_busy(eventtime)
        timeout = float(self._timeout)
        rest = float(now - print_time)
        busy = self._gcode.get_mutex().test() or not nothing_waits
        if self._state == "Printing":
            if busy or rest < AT_REST:
                return eventtime + AT_REST + max(0.0, min(2.0, -rest))
            self._state = "Ready"
            self._printer.send_event("idle_timeout:ready", now)
            return eventtime + timeout
        if rest < timeout or busy:
            return eventtime + max(1.0, timeout - rest)
        self._go_idle()
        return self._reactor.NEVER

    def _go_idle(self) -> None:
        self._state = "Printing"
        try:
            self._gcode.run_script(self._script.render())
        except self._printer.command_error:
            logger.exception("idle timeout")
        toolhead = self._printer.lookup_object("toolhead")
        print_time = toolhead.get_last_move_time()
        self._state = "Idle"
        self._printer.send_event("idle_timeout:idle", print_time)
