"""The host: a printer's objects and events, from the configuration to the exit."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
import sys
import types
from pathlib import Path
from typing import Any, Callable, Mapping

from . import config as configfile
from . import gcode, webhooks
from .config import Config, Section
from .machine import inert, mechanics
from .reactor import Clock, Reactor

logger = logging.getLogger(__name__)

REQUIRED = object()
READY = "Printer is ready"
STARTING = "Printer is starting; wait a moment and ask again."
MEND_AND_RESTART = (
    'Once that is mended, the command "RESTART" reads the configuration again.'
)

# The module of this package that makes the object of a section.
MAKERS = {
    "bltouch": "probe",
    "display_status": "display",
    "extruder": "extruder",
    "fan": "fans",
    "fan_generic": "fans",
    "gcode_macro": "macros",
    "heater_bed": "heaters",
    "heater_fan": "fans",
    "heater_generic": "heaters",
    "heaters": "heaters",
    "idle_timeout": "idle",
    "pause_resume": "job",
    "print_stats": "job",
    "probe": "probe",
    "respond": "display",
    "virtual_sdcard": "job",
}
MAKERS.update({f"extruder{number}": "extruder" for number in range(1, 10)})
MAKERS.update(dict.fromkeys(inert.NAMES, "inert"))


class Printer:
    """`printer`: finds objects by name and sends events. A restart makes a new one."""

    config_error = configfile.Error
    command_error = gcode.CommandError

    def __init__(
        self,
        reactor: Reactor,
        start_args: dict[str, Any],
        extras: Mapping[str, Path],
    ) -> None:
        self._reactor = reactor
        self._start_args = start_args
        self._extras = extras
        self.objects: dict[str, Any] = {}
        self._handlers: dict[str, list[Callable[..., Any]]] = {}
        self._state = STARTING
        self._in_shutdown = False
        self._result: str | None = None
        self.add_object("gcode", gcode.GCode(self))
        self.add_object("webhooks", webhooks.WebHooks(self))
        reactor.register_callback(self._connect)

    # Objects

    def add_object(self, name: str, obj: Any) -> None:
        if name in self.objects:
            raise self.config_error(f"There are two objects named '{name}'")
        self.objects[name] = obj

    def lookup_object(self, name: str, default: Any = REQUIRED) -> Any:
        if name in self.objects:
            return self.objects[name]
        if default is REQUIRED:
            raise self.config_error(f"There is no object named '{name}'")
        return default

    def lookup_objects(self, module: str | None = None) -> list[tuple[str, Any]]:
        """Return all (name, object), or those of `[module]` and `[module NAME]`."""
        if module is None:
            return list(self.objects.items())
        named = [
            (name, obj)
            for name, obj in self.objects.items()
            if name.startswith(f"{module} ")
        ]
        if module in self.objects:
            return [(module, self.objects[module]), *named]
        return named

    def load_object(
        self, config: Section, section: str, default: Any = REQUIRED
    ) -> Any:
        """Return the object of *section*, and make it first if necessary."""
        if section in self.objects:
            return self.objects[section]
        name, *more = section.split()
        make = self._maker(name, "load_config_prefix" if more else "load_config")
        if make is None:
            if default is REQUIRED:
                raise self.config_error(f"No module makes a section '{section}'")
            return default
        self.objects[section] = obj = make(config.getsection(section))
        return obj

    def _maker(self, name: str, function: str) -> Callable[[Section], Any] | None:
        if name in self._extras:
            module = load_extra(name, self._extras[name])
        elif name in MAKERS:
            package, _, _ = __name__.rpartition(".")
            module = importlib.import_module(f"{package}.machine.{MAKERS[name]}")
        else:
            return None
        maker: Callable[[Section], Any] | None = getattr(module, function, None)
        return maker

    # Events

    def register_event_handler(self, event: str, callback: Callable[..., Any]) -> None:
        self._handlers.setdefault(event, []).append(callback)

    def send_event(self, event: str, *params: Any) -> list[Any]:
        return [callback(*params) for callback in self._handlers.get(event, [])]

    # State

    def get_reactor(self) -> Reactor:
        return self._reactor

    def get_start_args(self) -> dict[str, Any]:
        return self._start_args

    def get_state_message(self) -> tuple[str, str]:
        if self._state == READY:
            return self._state, "ready"
        if self._state == STARTING:
            return self._state, "startup"
        return self._state, "shutdown" if self._in_shutdown else "error"

    def is_shutdown(self) -> bool:
        return self._in_shutdown

    def _set_state(self, message: str) -> None:
        if self._state in (READY, STARTING):
            self._state = message

    # Start and end

    def _connect(self, eventtime: float) -> None:
        try:
            self._read_config()
            for callback in self._handlers.get("klippy:connect", []):
                callback()
        except (self.config_error, self.command_error) as error:
            logger.exception("the configuration is refused")
            self._set_state(f"{error}\n{MEND_AND_RESTART}")
            self._tell_state()
            return
        except Exception as error:
            logger.exception("connecting failed")
            self._set_state(f"Internal error during connect: {error}")
            self._tell_state()
            return
        if self._state is not STARTING:
            return
        try:
            self._set_state(READY)
            with self._reactor.assert_no_pause():
                for callback in self._handlers.get("klippy:ready", []):
                    if self._state is not READY:
                        return
                    callback()
        except Exception as error:
            logger.exception("klippy:ready failed")
            self.invoke_shutdown(f"Internal error during ready callback: {error}")

    def _read_config(self) -> None:
        config = Config(self, self._start_args["config_file"])
        self.add_object("configfile", config)
        logger.info("Config file:\n%s", configfile.write(config.parser))
        main = config.section("printer")
        mechanics.add_early_objects(main)
        for section in main.get_prefix_sections(""):
            self.load_object(main, section.get_name(), None)
        mechanics.add_late_objects(main)
        config.check_unused(set(self.objects))

    def _tell_state(self) -> None:
        for line in self._state.split("\n"):
            self.lookup_object("gcode").respond_raw(f"!! {line}")

    def invoke_shutdown(self, msg: str, details: object = None) -> None:
        if self._in_shutdown:
            return
        logger.error("Transition to shutdown state: %s", msg)
        self._in_shutdown = True
        self._set_state(msg)
        with self._reactor.assert_no_pause():
            for callback in self._handlers.get("klippy:shutdown", []):
                try:
                    callback()
                except Exception:  # noqa: PERF203  (call the next too)
                    logger.exception("klippy:shutdown failed")

    def request_exit(self, result: str) -> None:
        if self._result is None:
            self._result = result
        self._reactor.end()

    def run(self) -> str:
        """Run until an exit is requested, and return its kind."""
        try:
            self._reactor.run()
        except Exception:
            message = "Unhandled exception in the reactor"
            logger.exception(message)
            self._go_on_in_shutdown(message)
        result = self._result or "error_exit"
        try:
            if result == "firmware_restart":
                self.send_event("klippy:firmware_restart")
            # An exception here prevents the next handlers from being called.
            self.send_event("klippy:disconnect")
        except Exception:
            logger.exception("klippy:disconnect failed")
        return result

    def _go_on_in_shutdown(self, message: str) -> None:
        """End the printer after an exception in a timer or callback.

        The host goes on.
        """
        self._reactor.register_callback(lambda e: self.invoke_shutdown(message))
        try:
            self._reactor.run()
        except Exception:
            logger.exception("and once more")
            self._result = "error_exit"


class Host:
    """The process: it makes one printer after the other, until one exits for good."""

    def __init__(
        self,
        config_file: Path,
        extras: Mapping[str, Path],
        clock: Clock | None = None,
        apiserver: Path | None = None,
        prepare: Callable[[Printer], None] = lambda printer: None,
        old_names: bool = False,
    ) -> None:
        """*prepare* is called with each new printer, before it reads its configuration.

        *old_names* gives objects the names of Klipper up to v0.13.0 and Kalico.
        """
        self._clock = clock
        self._extras = extras
        self._prepare = prepare
        self.printer: Printer | None = None
        self.reactor: Reactor | None = None
        self._start_args: dict[str, Any] = {
            "config_file": str(config_file),
            "apiserver": None if apiserver is None else str(apiserver),
            "start_reason": "startup",
            "software_version": "v0.13.0-virtual",
            "cpu_info": "virtual",
            "old_names": old_names,
        }

    def main(self) -> int:
        """Run, and return the exit status of the process."""
        while True:
            self.reactor = Reactor(self._clock)
            self.printer = Printer(self.reactor, dict(self._start_args), self._extras)
            self._prepare(self.printer)
            result = self.printer.run()
            self.reactor.finalize()
            if result in ("exit", "error_exit"):
                return 0 if result == "exit" else 255
            gc.collect()  # as Klippy does, which leaves nothing of the last printer
            self._start_args["start_reason"] = result


def load_extra(name: str, folder: Path) -> types.ModuleType:
    """Import the package in *folder* as `extras.<name>`: only once, as Klippy does."""
    full_name = f"extras.{name}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    sys.modules.setdefault("extras", types.ModuleType("extras"))
    spec = importlib.util.spec_from_file_location(
        full_name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    module = sys.modules[full_name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full_name]
        raise
    return module
