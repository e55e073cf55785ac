"""G-code: lines become commands, commands find their handlers, answers are sent.

`G1 X10` is classic, `SET_FAN_SPEED FAN=x SPEED=1` is extended: its arguments are split
as a shell splits them.
"""

from __future__ import annotations

import logging
import re
import shlex
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .config import Error, out_of_bounds
from .plain import require_plain

if TYPE_CHECKING:
    from .host import Printer
    from .reactor import Mutex

logger = logging.getLogger(__name__)

REQUIRED = object()

Handler = Callable[["Command"], Any]

_COMMAND = re.compile(r"\s*(?:N\d+\s*)?(?P<name>[A-Z_]+[0-9.]*(?:[A-Z_][A-Z0-9_]*)?)")
_CLASSIC = re.compile(r"\s*(?:N\d+\s*)?(?P<name>[A-Z][0-9]+(?:\.[0-9]+)?)")
_WORD = re.compile(r"([A-Z*])\s*([^A-Z*]*)")


class CommandError(Exception):
    """A command was refused. The text is for the user."""


class Coord(NamedTuple):
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    e: float = 0.0


class Command:
    """One line of G-code for its handler (`gcmd`)."""

    error = CommandError

    def __init__(
        self,
        gcode: GCode,
        name: str,
        line: str,
        params: dict[str, str],
        rest: str = "",
        needs_ok: bool = False,
    ) -> None:
        self._gcode = gcode
        self._name = name
        self._line = line
        self._params = params
        self._rest = rest
        self._needs_ok = needs_ok
        self.respond_info = gcode.respond_info
        self.respond_raw = gcode.respond_raw

    def get_command(self) -> str:
        return self._name

    def get_commandline(self) -> str:
        return self._line

    def get_command_parameters(self) -> dict[str, str]:
        return self._params

    def get_raw_command_parameters(self) -> str:
        return self._rest

    def ack(self, msg: str | None = None) -> bool:
        if not self._needs_ok:
            return False
        self._needs_ok = False
        self.respond_raw(f"ok {msg}" if msg else "ok")
        return True

    def get(
        self,
        name: str,
        default: Any = REQUIRED,
        parser: Callable[[str], Any] = str,
        minval: float | None = None,
        maxval: float | None = None,
        above: float | None = None,
        below: float | None = None,
    ) -> Any:
        text = self._params.get(name)
        if text is None:
            if default is REQUIRED:
                raise self.error(f"'{self._line}' lacks {name}")
            return default
        try:
            value = parser(text)
        except ValueError as error:
            raise self.error(f"'{self._line}': {name} is not to be '{text}'") from error
        fault = out_of_bounds(value, minval, maxval, above, below)
        if fault:
            raise self.error(f"'{self._line}': {name} must {fault}")
        return value

    def get_int(
        self,
        name: str,
        default: Any = REQUIRED,
        minval: float | None = None,
        maxval: float | None = None,
    ) -> Any:
        return self.get(name, default, int, minval, maxval)

    def get_float(
        self,
        name: str,
        default: Any = REQUIRED,
        minval: float | None = None,
        maxval: float | None = None,
        above: float | None = None,
        below: float | None = None,
    ) -> Any:
        return self.get(name, default, float, minval, maxval, above, below)


class GCode:
    """`gcode`: all commands are registered here, and all answers are sent from here."""

    error = CommandError
    Coord = Coord

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._mutex = printer.get_reactor().mutex()
        self._handlers: dict[str, Handler] = {}
        self._always: dict[str, Handler] = {}
        self._mux: dict[str, tuple[str, dict[str | None, Handler]]] = {}
        self._help: dict[str, str] = {}
        self._listeners: list[Callable[[str], Any]] = []
        self._ready = False
        for name, handler, desc in (
            ("M110", lambda gcmd: None, None),
            ("M112", self._emergency_stop, None),
            ("ECHO", self._echo, None),
            ("STATUS", self._status, "Say how the printer is"),
            ("HELP", self._list_commands, "List the commands that explain themselves"),
            ("RESTART", lambda gcmd: self.request_restart("restart"), "Start anew"),
            (
                "FIRMWARE_RESTART",
                lambda gcmd: self.request_restart("firmware_restart"),
                "Start anew, and the micro-controller too",
            ),
        ):
            self.register_command(name, handler, when_not_ready=True, desc=desc)
        printer.register_event_handler("klippy:ready", self._handle_ready)
        printer.register_event_handler("klippy:shutdown", self._handle_shutdown)
        printer.register_event_handler("klippy:disconnect", self._handle_disconnect)

    # Registering commands

    def register_command(
        self,
        cmd: str,
        func: Handler | None,
        when_not_ready: bool = False,
        desc: str | None = None,
    ) -> Handler | None:
        """Register a command, or remove it if *func* is None.

        Removing returns the handler until then.
        """
        if func is None:
            self._always.pop(cmd, None)
            return self._handlers.pop(cmd, None)
        if cmd in self._handlers:
            raise Error(f"G-code command {cmd} is taken already")
        if not is_classic(cmd) and (cmd.upper() != cmd or not cmd.isidentifier()):
            raise Error(f"'{cmd}' cannot be the name of a command")
        self._handlers[cmd] = func
        if when_not_ready:
            self._always[cmd] = func
        if desc is not None:
            self._help[cmd] = desc
        return None

    def register_mux_command(
        self,
        cmd: str,
        key: str,
        value: str | None,
        func: Handler,
        desc: str | None = None,
    ) -> None:
        """Register the handler of *cmd* for `key=value`."""
        if cmd not in self._mux:
            self.register_command(cmd, lambda gcmd: self._choose(cmd, gcmd), desc=desc)
            self._mux[cmd] = (key, {})
        known_key, choices = self._mux[cmd]
        if known_key != key:
            raise Error(f"Command {cmd} is chosen by {known_key}, and not by {key}")
        if value in choices:
            raise Error(f"Command {cmd} {key}={value} is taken already")
        choices[value] = func

    def _choose(self, cmd: str, gcmd: Command) -> None:
        key, choices = self._mux[cmd]
        value = gcmd.get(key, None) if None in choices else gcmd.get(key)
        if value not in choices:
            known = ", ".join(f"'{choice}'" for choice in choices if choice is not None)
            raise gcmd.error(f"{cmd} knows no {key} '{value}', but {known}")
        choices[value](gcmd)

    def get_command_help(self) -> dict[str, str]:
        return dict(self._help)

    def _reachable(self) -> dict[str, Handler]:
        return self._handlers if self._ready else self._always

    # Running commands

    def run_script(self, script: str) -> None:
        """Run *script* when no other command runs.

        It raises inside a command, which would wait for itself.
        """
        with self._mutex:
            self.run_script_from_command(script)

    def run_script_from_command(self, script: str) -> None:
        for line in script.split("\n"):
            self._run_line(line, needs_ok=False)

    def run_from_terminal(self, line: str) -> None:
        """Run a line that a user typed. Its errors become answers."""
        if is_emergency_stop(line):
            self._emergency_stop()  # M112 does not wait for its turn.
            self.respond_raw("ok")
            return
        with self._mutex:
            self._run_line(line, needs_ok=True)

    def get_mutex(self) -> Mutex:
        return self._mutex

    def _run_line(self, line: str, needs_ok: bool) -> None:
        line = line.strip()
        gcmd = Command(self, "", line, {}, needs_ok=needs_ok)
        try:
            gcmd = self.parse(line, needs_ok)
            handler = self._reachable().get(gcmd.get_command(), self._unknown)
            handler(gcmd)
        except CommandError as error:
            self._respond_error(str(error))
            self._printer.send_event("gcode:command_error")
            if not needs_ok:
                raise
        except Exception:
            message = f'Internal error on command:"{gcmd.get_command()}"'
            logger.exception(message)
            self._printer.invoke_shutdown(message)
            self._respond_error(message)
            if not needs_ok:
                raise
        gcmd.ack()

    def parse(self, line: str, needs_ok: bool) -> Command:
        upper = line.upper()
        match = _CLASSIC.match(upper) or _COMMAND.match(upper)
        if match is None:
            return Command(self, "", line, {}, needs_ok=needs_ok)
        name, rest = match["name"], line[match.end() :].strip()
        if is_classic(name):
            words = rest.split(";", 1)[0].upper()
            params = {letter: value.strip() for letter, value in _WORD.findall(words)}
            params[name[0]] = name[1:]
        else:
            params = self._shell_arguments(line, rest)
        return Command(self, name, line, params, rest, needs_ok)

    def _shell_arguments(self, line: str, rest: str) -> dict[str, str]:
        splitter = shlex.shlex(rest, posix=True)
        splitter.whitespace_split = True
        splitter.commenters = "#;"
        try:
            pairs = [word.split("=", 1) for word in splitter]
            return {key.upper(): value for key, value in pairs}
        except ValueError as error:
            raise CommandError(f"Malformed command '{line}'") from error

    def _unknown(self, gcmd: Command) -> None:
        name = gcmd.get_command()
        if name == "M105":
            gcmd.ack("T:0")
        elif not self._ready:
            raise gcmd.error(self._printer.get_state_message()[0])
        elif name and not self._is_harmless(gcmd):
            gcmd.respond_info(f'Unknown command:"{name}"')

    def _is_harmless(self, gcmd: Command) -> bool:
        """Return whether *gcmd* turns off something that this printer does not have."""
        name = gcmd.get_command()
        if name in ("M104", "M140", "M106"):
            return not gcmd.get_float("S", 1.0 if name == "M106" else 0.0)
        return name in ("M107", "M21")

    # Answers

    def register_output_handler(self, callback: Callable[[str], Any]) -> None:
        self._listeners.append(callback)

    def respond_raw(self, msg: str) -> None:
        require_plain(msg)  # a client of the API socket may hear it
        for listener in self._listeners:
            listener(msg)

    def respond_info(self, msg: str, log: bool = True) -> None:
        if log:
            logger.info(msg)
        for line in msg.strip().split("\n"):
            self.respond_raw(f"// {line.strip()}")

    def _respond_error(self, msg: str) -> None:
        logger.warning(msg)
        first, *more = msg.strip().split("\n")
        if more:
            self.respond_info(msg, log=False)
        self.respond_raw(f"!! {first.strip()}")

    # Events

    def _handle_ready(self) -> None:
        self._ready = True
        self.respond_info("Klipper state: Ready", log=False)

    def _handle_shutdown(self) -> None:
        if self._ready:
            self._ready = False
            self.respond_info("Klipper state: Shutdown", log=False)

    def _handle_disconnect(self) -> None:
        self.respond_info("Klipper state: Disconnect", log=False)

    def _emergency_stop(self, gcmd: Command | None = None) -> None:
        self._printer.invoke_shutdown("Shutdown due to M112 command")

    def _echo(self, gcmd: Command) -> None:
        gcmd.respond_info(gcmd.get_commandline(), log=False)

    def _status(self, gcmd: Command) -> None:
        if not self._ready:
            raise gcmd.error(self._printer.get_state_message()[0])
        gcmd.respond_info("Klipper state: Ready", log=False)

    def _list_commands(self, gcmd: Command) -> None:
        known = sorted(name for name in self._reachable() if name in self._help)
        gcmd.respond_info(
            "\n".join(f"{name:10}: {self._help[name]}" for name in known), log=False
        )

    def request_restart(self, result: str) -> None:
        if self._ready:
            toolhead = self._printer.lookup_object("toolhead")
            self._printer.send_event(
                "gcode:request_restart", toolhead.get_last_move_time()
            )
            toolhead.dwell(0.5)
            toolhead.wait_moves()
        self._printer.request_exit(result)


def is_classic(name: str) -> bool:
    """Return whether *name* is a letter and a number: `G1`, `M104`, `T0`."""
    return _CLASSIC.fullmatch(name) is not None


def is_emergency_stop(line: str) -> bool:
    return re.match(r"\s*(?:N\d+\s*)?M112(?:\s|$)", line.upper()) is not None
