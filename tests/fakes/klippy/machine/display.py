"""What a screen shows, and what macros write on the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.klippy.gcode import Command

if TYPE_CHECKING:
    from tests.fakes.klippy.config import Section

PREFIXES = {"echo": "echo:", "command": "//", "error": "!!"}


def load_config(config: Section) -> DisplayStatus | Respond:
    return Respond(config) if config.get_name() == "respond" else DisplayStatus(config)


class DisplayStatus:
    """`display_status`: M117."""

    def __init__(self, config: Section) -> None:
        self._printer = config.get_printer()
        self._message: str | None = None
        gcode = self._printer.lookup_object("gcode")
        gcode.register_command("M117", self._cmd_message)

    def get_status(self, eventtime: float) -> dict[str, Any]:
        card = self._printer.lookup_object("virtual_sdcard", None)
        progress = 0.0 if card is None else card.get_status(eventtime)["progress"]
        return {"progress": progress, "message": self._message}

    def _cmd_message(self, gcmd: Command) -> None:
        self._message = gcmd.get_raw_command_parameters() or None


class Respond:
    """`respond`: RESPOND."""

    def __init__(self, config: Section) -> None:
        kind = config.getchoice(
            "default_type", {name: PREFIXES[name] for name in PREFIXES}, "echo"
        )
        self._prefix = config.get("default_prefix", kind)
        gcode = config.get_printer().lookup_object("gcode")
        gcode.register_command("RESPOND", self._cmd_respond, desc="Say something")

    def _cmd_respond(self, gcmd: Command) -> None:
        kind = gcmd.get("TYPE", None)
        if kind is not None and kind.lower() not in PREFIXES:
            raise gcmd.error(f"RESPOND knows no TYPE '{kind}'")
        prefix = self._prefix if kind is None else PREFIXES[kind.lower()]
        gcmd.respond_raw(f"{gcmd.get('PREFIX', prefix)} {gcmd.get('MSG', '')}")
