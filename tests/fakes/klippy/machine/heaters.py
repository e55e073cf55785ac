"""Heaters: power warms them, the room cools them, and they hold a temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.klippy.gcode import Command

from .mechanics import accept_all

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section

AMBIENT = 25.0  # °C
STEP = 0.5  # seconds between two readings of a heater
# How long a heater of this kind takes until it is near its final temperature (s).
INERTIA = {"extruder": 40.0, "heater_bed": 120.0}
CLOSE = 1.0  # °C within which the target is reached


def load_config(config: Section) -> Any:
    if config.get_name() == "heater_bed":
        return HeaterBed(config)
    return Heaters(config)


def load_config_prefix(config: Section) -> Heater:
    printer = config.get_printer()
    heater: Heater = printer.load_object(config, "heaters").setup_heater(config)
    accept_all(config)
    return heater


class Heater:
    def __init__(self, config: Section) -> None:
        self._printer = config.get_printer()
        self._reactor = self._printer.get_reactor()
        self._name = config.get_name()
        self._min = config.getfloat("min_temp", minval=-273.15)
        self._max = config.getfloat("max_temp", above=self._min)
        self._min_extrude = config.getfloat("min_extrude_temp", 170.0)
        self._max_power = config.getfloat("max_power", 1.0, above=0.0, maxval=1.0)
        self._inertia = INERTIA.get(self._name, 60.0)
        # The temperature at full power, which is well above what is allowed.
        self._hottest = AMBIENT + 1.4 * (self._max - AMBIENT)
        self._temperature = AMBIENT
        self._target = 0.0
        self._power = 0.0
        self._reactor.register_timer(self._advance, self._reactor.monotonic() + STEP)

    def get_temp(self, eventtime: float) -> tuple[float, float]:
        return self._temperature, self._target

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            "temperature": round(self._temperature, 2),
            "target": self._target,
            "power": self._power,
        }

    @property
    def can_extrude(self) -> bool:
        return bool(self._temperature >= self._min_extrude)

    def set_temp(self, degrees: float) -> None:
        if degrees and not self._min <= degrees <= self._max:
            raise self._printer.command_error(
                f"{self._name}: {degrees:.1f} is not in"
                f" {self._min:.1f} to {self._max:.1f}"
            )
        self._target = degrees

    def wait(self) -> None:
        """Return when the target is reached, or at once if there is none."""
        while (
            self._target
            and self._temperature < self._target - CLOSE
            and not self._printer.is_shutdown()
        ):
            self._reactor.pause(self._reactor.monotonic() + 1.0)

    def _advance(self, eventtime: float) -> float:
        self._power = 0.0
        if self._target and not self._printer.is_shutdown():
            span = self._hottest - AMBIENT
            holding = (self._target - AMBIENT) / span
            correction = 0.1 * (self._target - self._temperature)
            self._power = min(max(holding + correction, 0.0), self._max_power)
        aim = AMBIENT + self._power * (self._hottest - AMBIENT)
        self._temperature += (aim - self._temperature) * STEP / self._inertia
        return eventtime + STEP


class Heaters:
    """`heaters`: all heaters."""

    def __init__(self, config: Section) -> None:
        self._printer = printer = config.get_printer()
        self._heaters: dict[str, Heater] = {}
        self._full_names: list[str] = []
        self._gcode_ids: dict[str, Heater] = {}
        gcode = printer.lookup_object("gcode")
        gcode.register_command(
            "TURN_OFF_HEATERS",
            lambda gcmd: self.turn_off_all_heaters(),
            desc="Turn off all heaters",
        )
        printer.register_event_handler(
            "gcode:request_restart", self.turn_off_all_heaters
        )

    def setup_heater(self, config: Section, gcode_id: str | None = None) -> Heater:
        full_name = config.get_name()
        name = full_name.split()[-1]
        if name in self._heaters:
            raise config.error(f"There are two heaters named '{name}'")
        heater = self._heaters[name] = Heater(config)
        self._full_names.append(full_name)
        if gcode_id is not None:
            self._gcode_ids[gcode_id] = heater
        gcode = self._printer.lookup_object("gcode")
        gcode.register_mux_command(
            "SET_HEATER_TEMPERATURE",
            "HEATER",
            name,
            lambda gcmd: heater.set_temp(gcmd.get_float("TARGET", 0.0)),
            desc="Set a heater's temperature",
        )
        gcode.register_mux_command(
            "TEMPERATURE_WAIT",
            "SENSOR",
            full_name,
            lambda gcmd: heater.wait(),
            desc="Wait for a temperature",
        )
        return heater

    def get_all_heaters(self) -> list[str]:
        return self._full_names

    def lookup_heater(self, heater_name: str) -> Heater:
        if heater_name not in self._heaters:
            raise self._printer.config_error(f"There is no heater '{heater_name}'")
        return self._heaters[heater_name]

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            "available_heaters": list(self._full_names),
            "available_sensors": list(self._full_names),
            "available_monitors": [],
        }

    def turn_off_all_heaters(self, print_time: float = 0.0) -> None:
        for heater in self._heaters.values():
            heater.set_temp(0.0)


class HeaterBed:
    """`heater_bed`."""

    def __init__(self, config: Section) -> None:
        printer = config.get_printer()
        self._heater = printer.load_object(config, "heaters").setup_heater(config, "B")
        accept_all(config)
        self.get_status = self._heater.get_status
        gcode = printer.lookup_object("gcode")
        gcode.register_command("M140", self._cmd_heat)
        gcode.register_command("M190", self._cmd_heat_and_wait)

    def _cmd_heat(self, gcmd: Command) -> None:
        self._heater.set_temp(gcmd.get_float("S", 0.0))

    def _cmd_heat_and_wait(self, gcmd: Command) -> None:
        self._cmd_heat(gcmd)
        self._heater.wait()
