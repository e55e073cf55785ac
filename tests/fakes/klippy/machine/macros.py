"""Templates, and the macros that are made of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import jinja2

from tests.fakes.klippy.gcode import Command

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section
    from tests.fakes.klippy.host import Printer

logger = logging.getLogger(__name__)


def load_config(config: Section) -> Templates:
    return Templates(config)


def load_config_prefix(config: Section) -> Macro:
    return Macro(config)


class StatusView:
    """The `printer` of a template: the status of every object, read once."""

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
        }

    def _respond_info(self, msg: str) -> str:
        self._printer.lookup_object("gcode").respond_info(msg)
        return ""

    def _raise_error(self, msg: str) -> str:
        raise self._printer.command_error(msg)


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
        gcode = printer.lookup_object("gcode")
        gcode.register_command(self._name, self._cmd, desc=self._description)

    def _cmd(self, gcmd: Command) -> None:
        if self._running:
            raise gcmd.error(f"Macro {self._name} calls itself")
        self._running = True
        try:
            self._template.run_gcode_from_command(
                {
                    **self._template.create_template_context(),
                    "params": gcmd.get_command_parameters(),
                    "rawparams": gcmd.get_raw_command_parameters(),
                }
            )
        finally:
            self._running = False
