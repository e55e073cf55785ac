"""Fans that are controlled by G-code or by a heater."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from .mechanics import accept_all

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section
    from tests.fakes.klippy.gcode import Command

LOOK = 1.0  # seconds between two readings of what a fan cools

# a function from the time to the speed that is needed
Wanted = Callable[[float], float]


def load_config(config: Section) -> Fan:
    """`fan`: controlled by M106 and M107."""
    fan = Fan(config)
    gcode = config.get_printer().lookup_object("gcode")

    def turn_on(gcmd: Command) -> None:
        fan.set_speed_from_command(gcmd.get_float("S", 255.0, minval=0.0) / 255.0)

    gcode.register_command("M106", turn_on)
    gcode.register_command("M107", lambda gcmd: fan.set_speed_from_command(0.0))
    return fan


def load_config_prefix(config: Section) -> Fan:
    kind = config.get_name().split()[0]
    fan = Fan(config)
    if kind == "fan_generic":
        fan.obey(config)
    else:
        fan.watch(heat_watcher(config))
    return fan


class Fan:
    def __init__(self, config: Section) -> None:
        self._printer = config.get_printer()
        self._reactor = self._printer.get_reactor()
        self._max_power = config.getfloat("max_power", 1.0, above=0.0, maxval=1.0)
        self._off_below = config.getfloat("off_below", 0.0, minval=0.0, maxval=1.0)
        self._speed = 0.0
        accept_all(config)
        self._printer.register_event_handler(
            "gcode:request_restart", lambda print_time: self.set_speed(0.0)
        )

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {"speed": self._speed, "rpm": None}

    def set_speed(self, value: float) -> None:
        value = min(value, 1.0)
        self._speed = 0.0 if value < self._off_below else value * self._max_power

    def set_speed_from_command(self, value: float) -> None:
        """Set the speed when the moves before the command have been made."""

        def when_known(print_time: float) -> None:
            now = self._reactor.monotonic()
            mcu = self._printer.lookup_object("mcu")
            delay = print_time - mcu.estimated_print_time(now)
            self._reactor.register_callback(
                lambda eventtime: self.set_speed(value), now + max(0.0, delay)
            )

        toolhead = self._printer.lookup_object("toolhead")
        toolhead.register_lookahead_callback(when_known)

    def obey(self, config: Section) -> None:
        """Handle SET_FAN_SPEED for the section's name."""
        self._printer.lookup_object("gcode").register_mux_command(
            "SET_FAN_SPEED",
            "FAN",
            config.get_name().split()[-1],
            lambda gcmd: self.set_speed_from_command(
                gcmd.get_float("SPEED", minval=0.0)
            ),
            desc="Set the speed of a fan",
        )

    def watch(self, wanted: Wanted) -> None:
        """Turn at the speed that *wanted* returns, once the printer is ready."""

        def update(eventtime: float) -> float:
            self.set_speed(wanted(eventtime))
            return eventtime + LOOK

        def begin() -> None:
            self._reactor.register_timer(update, self._reactor.monotonic() + 0.1)

        self._printer.register_event_handler("klippy:ready", begin)


def heat_watcher(config: Section) -> Wanted:
    """`heater_fan`: turns while one of its heaters is hot."""
    printer = config.get_printer()
    names = config.getlist("heater", ("extruder",))
    above = config.getfloat("heater_temp", 50.0)
    speed = config.getfloat("fan_speed", 1.0, minval=0.0, maxval=1.0)

    def check_names() -> None:
        for name in names:
            printer.lookup_object("heaters").lookup_heater(name)

    def wanted(eventtime: float) -> float:
        heaters = printer.lookup_object("heaters")
        for name in names:
            temperature, target = heaters.lookup_heater(name).get_temp(eventtime)
            if target or temperature > above:
                return float(speed)
        return 0.0

    printer.register_event_handler("klippy:connect", check_names)
    return wanted
