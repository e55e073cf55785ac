"""Templates, the macros made of them, and variables that outlive a restart."""

from __future__ import annotations

import ast
import configparser
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator

import jinja2

from tests.fakes.klippy.gcode import Command

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section
    from tests.fakes.klippy.host import Printer

logger = logging.getLogger(__name__)


def load_config(config: Section) -> Templates | SavedVariables:
    if config.get_name() == "save_variables":
        return SavedVariables(config)
    return Templates(config)


def load_config_prefix(config: Section) -> Macro:
    return Macro(config)


class StatusView:
    """What a template knows as `printer`: the status of every object, taken once."""

    def __init__(self, printer: Printer, eventtime: float | None = None) -> None:
        self._printer = printer
        self._eventtime = eventtime
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        name = str(name).strip()
        if name not in self._known:
            obj = self._printer.lookup_object(name, None)
            if not hasattr(obj, "get_status"):
                raise KeyError(name)
            reactor = self._printer.get_reactor()
            eventtime = self._eventtime or reactor.monotonic()
            with reactor.assert_no_pause():
                self._known[name] = dict(obj.get_status(eventtime))
        return self._known[name]

    def __contains__(self, name: str) -> bool:
        return hasattr(self._printer.lookup_object(str(name), None), "get_status")

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._printer.lookup_objects() if name in self)


class Template:
    def __init__(
        self, printer: Printer, env: jinja2.Environment, name: str, script: str
    ) -> None:
        self._printer = printer
        self._name = name
        self._gcode = printer.lookup_object("gcode")
        try:
            self._template = env.from_string(script)
        except jinja2.TemplateError as error:
            logger.exception("template %s", name)
            raise printer.config_error(
                f"Template '{name}' is wrong: {error}"
            ) from error

    def create_template_context(self, eventtime: float | None = None) -> Any:
        macros = self._printer.lookup_object("gcode_macro")
        return macros.create_template_context(eventtime)

    def render(self, context: dict[str, Any] | None = None) -> str:
        if context is None:
            context = self.create_template_context()
        try:
            return str(self._template.render(context))
        except Exception as error:
            logger.exception("template %s", self._name)
            raise self._gcode.error(
                f"Template '{self._name}' failed: {error!r}"
            ) from error

    def run_gcode_from_command(self, context: dict[str, Any] | None = None) -> None:
        self._gcode.run_script_from_command(self.render(context))


class Templates:
    """`gcode_macro`: makes templates."""

    def __init__(self, config: Section) -> None:
        self._printer = config.get_printer()
        self._env = jinja2.Environment("{%", "%}", "{", "}")

    def load_template(
        self, config: Section, option: str, default: str | None = None
    ) -> Template:
        name = f"{config.get_name()}:{option}"
        script = config.get(option) if default is None else config.get(option, default)
        return Template(self._printer, self._env, name, script)

    def create_template_context(self, eventtime: float | None = None) -> dict[str, Any]:
        return {
            "printer": StatusView(self._printer, eventtime),
            "action_respond_info": self._respond_info,
            "action_raise_error": self._raise_error,
            "action_emergency_stop": self._emergency_stop,
            "action_call_remote_method": self._call_remote_method,
        }

    def _respond_info(self, msg: str) -> str:
        self._printer.lookup_object("gcode").respond_info(msg)
        return ""

    def _raise_error(self, msg: str) -> str:
        raise self._printer.command_error(msg)

    def _emergency_stop(self, msg: str = "action_emergency_stop") -> str:
        self._printer.invoke_shutdown(f"Shutdown due to {msg}")
        return ""

    def _call_remote_method(self, method: str, **kwargs: Any) -> str:
        try:
            self._printer.lookup_object("webhooks").call_remote_method(method, **kwargs)
        except self._printer.command_error:
            logger.exception("remote method %s", method)
        return ""


class Macro:
    """`gcode_macro NAME`."""

    def __init__(self, config: Section) -> None:
        _, *words = config.get_name().split()
        if len(words) != 1:
            raise config.error(f"'{config.get_name()}': a macro's name is one word")
        self._printer = printer = config.get_printer()
        self._name = words[0].upper()
        templates = printer.load_object(config, "gcode_macro")
        self._template = templates.load_template(config, "gcode")
        self._running = False
        self._description = config.get("description", "G-code macro")
        self._rename = config.get("rename_existing", None)
        prefix = "variable_"
        self._variables = {
            option[len(prefix) :]: self._literal(config, option)
            for option in config.get_prefix_options(prefix)
        }
        gcode = printer.lookup_object("gcode")
        gcode.register_mux_command(
            "SET_GCODE_VARIABLE",
            "MACRO",
            words[0],
            self._cmd_set_variable,
            desc="Set a macro's variable",
        )
        if self._rename is None:
            gcode.register_command(self._name, self._cmd, desc=self._description)
        else:
            # What is to be renamed may be registered after us.
            printer.register_event_handler("klippy:connect", self._take_over)

    def _literal(self, config: Section, option: str) -> Any:
        try:
            value = ast.literal_eval(config.get(option))
            json.dumps(value)
        except (SyntaxError, TypeError, ValueError) as error:
            raise config.error(
                f"Option '{option}' in section '{config.get_name()}'"
                f" is not a literal: {error}"
            ) from error
        return value

    def _take_over(self) -> None:
        gcode = self._printer.lookup_object("gcode")
        existing = gcode.register_command(self._name, None)
        if existing is None:
            raise self._printer.config_error(
                f"There is no command '{self._name}' that a macro could rename"
            )
        gcode.register_command(
            self._rename, existing, desc=f"What was '{self._name}' before"
        )
        gcode.register_command(self._name, self._cmd, desc=self._description)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return dict(self._variables)

    def _cmd_set_variable(self, gcmd: Command) -> None:
        name, value = gcmd.get("VARIABLE"), gcmd.get("VALUE")
        if name not in self._variables:
            raise gcmd.error(f"The macro has no variable '{name}'")
        try:
            self._variables[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError) as error:
            raise gcmd.error(f"'{value}' is not a literal: {error}") from error

    def _cmd(self, gcmd: Command) -> None:
        if self._running:
            raise gcmd.error(f"Macro {self._name} calls itself")
        self._running = True
        try:
            self._template.run_gcode_from_command(
                {
                    **self._variables,
                    **self._template.create_template_context(),
                    "params": gcmd.get_command_parameters(),
                    "rawparams": gcmd.get_raw_command_parameters(),
                }
            )
        finally:
            self._running = False


class SavedVariables:
    """`save_variables`: a file of literals."""

    def __init__(self, config: Section) -> None:
        self._path = Path(config.get("filename")).expanduser()
        self._file = configparser.ConfigParser(interpolation=None)
        self._file.read(self._path)
        if not self._file.has_section("Variables"):
            self._file.add_section("Variables")
        config.get_printer().lookup_object("gcode").register_command(
            "SAVE_VARIABLE", self._cmd_save, desc="Keep a variable"
        )

    def get_status(self, eventtime: float) -> dict[str, Any]:
        return {
            "variables": {
                name: ast.literal_eval(value)
                for name, value in self._file.items("Variables")
            }
        }

    def _cmd_save(self, gcmd: Command) -> None:
        name, value = gcmd.get("VARIABLE"), gcmd.get("VALUE")
        try:
            literal = ast.literal_eval(value)
        except (SyntaxError, ValueError) as error:
            raise gcmd.error(f"'{value}' is not a literal: {error}") from error
        self._file.set("Variables", name, repr(literal))
        with self._path.open("w", encoding="utf-8") as file:
            self._file.write(file)
