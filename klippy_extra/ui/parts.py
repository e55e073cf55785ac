"""The G-code commands for parts: to fit, take off, and move to another printer.

They exist if there is a section [maintain_part NAME].
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Callable, Mapping, NamedTuple

from .. import wording
from ..contract import Command, slug
from ..language import mark, tr
from . import parameters

if TYPE_CHECKING:
    from ..klipper_objects import Gcode, GcodeCommand, Printer
    from ..storage.export import Export
    from ..task import Task
    from ..upkeep.registry import Running, TaskRegistry
    from .gcode import Console

NO_SUCH_PART = mark("There is no part '{name}'. There are: {names}.")
NO_CODE = mark(
    "CODE= is no export of a part. Copy the whole line that EXPORT_PART gave."
)
NO_PAGE = mark(
    "The address of the page is not set. Write it as the option 'page' in "
    "[maintain], for example 'page: http://voron.local/server/upkeep/'."
)
FITTED = mark("{place}, {kind}: {standing}")


class Links(NamedTuple):
    """The addresses of tasks and parts on the page."""

    page: str  # the address of the page; "": it is unknown
    printer: str  # this printer's slug

    def of(self, task: str) -> str:
        """Return the link to a task or a part; "" if the page's address is unknown."""
        return f"{self.page}#/task/{self.printer}/{task}" if self.page else ""


class Parts:
    """Registers the commands. The console sends the answers."""

    def __init__(
        self,
        printer: Printer,
        registry: TaskRegistry,
        console: Console,
        export: Export,
        links: Links,
    ) -> None:
        self._registry = registry
        self._console = console
        self._export = export
        self._links = links
        gcode: Gcode = printer.lookup_object("gcode")
        for name, handler in (
            ("FIT_PART", self.fit),
            ("REMOVE_PART", self.remove),
            ("PART_STATUS", self.status),
            ("EXPORT_PART", self.export),
            ("IMPORT_PART", self.take_in),
        ):
            entry = console.entry(name, handler)
            gcode.register_command(name, entry, desc=tr(DESCRIPTIONS[name]))

    def fit(self, gcmd: GcodeCommand, running: Running) -> None:
        place = parameters.optional(gcmd, "PLACE")
        self._order(gcmd, running, Command("fit", place=place))

    def remove(self, gcmd: GcodeCommand, running: Running) -> None:
        self._order(gcmd, running, Command("remove"))

    def export(self, gcmd: GcodeCommand, running: Running) -> None:
        name = parameters.required(gcmd, "TO").strip()
        to = slug(name) if name else ""
        part = self._part(gcmd).slug

        def saved() -> None:
            """Show the line, since a power cut cannot bring the part back any more."""
            export = running.upkeep.book.records[part].export
            self._console.say(
                tr(
                    "Type this at the printer '{printer}': {line}",
                    printer=to,
                    line=f"IMPORT_PART PART={part} CODE={_code(export)}",
                )
            )

        self._order(gcmd, running, Command("export", to=to), saved)

    def take_in(self, gcmd: GcodeCommand, running: Running) -> None:
        try:
            document = _decoded(parameters.required(gcmd, "CODE"))
        except ValueError:
            raise gcmd.error(tr(NO_CODE)) from None
        self._order(gcmd, running, Command("import", part=document))

    def status(self, gcmd: GcodeCommand, running: Running) -> None:
        upkeep = running.upkeep
        upkeep.count_now()
        named = parameters.optional(gcmd, "PART") is not None
        parts = [self._part(gcmd)] if named else self._parts()
        lines = []
        for part in sorted(parts, key=lambda each: not self._place(running, each)):
            state = upkeep.board.state(part.slug)
            standing = wording.standing(state.label, state)
            if state.place:
                standing = tr(
                    FITTED, place=state.place, kind=state.kind, standing=standing
                )
            lines.append(standing)
        wants_code = parameters.flag(gcmd, "QR")
        if named:
            lines += self._link(parts[0], wants_code)
        elif wants_code:
            raise gcmd.error(tr("QR=1 needs PART=: each part has a code of its own."))
        gcmd.respond_info("\n".join(lines))

    def _link(self, part: Task, wants_code: bool) -> list[str]:
        """Return a sentence with the link to the part's page, and write its QR code."""
        link = self._links.of(part.slug)
        if wants_code and link:
            self._export.write_code(link, part.slug, self._console.say)
        if link:
            return [tr("Its page is {link}", link=link)]
        return [tr(NO_PAGE)] if wants_code else []

    def _place(self, running: Running, part: Task) -> str:
        return running.upkeep.book.records[part.slug].place or ""

    def _order(
        self,
        gcmd: GcodeCommand,
        running: Running,
        command: Command,
        saved: Callable[[], None] | None = None,
    ) -> None:
        part, note = self._part(gcmd), parameters.text(gcmd, "NOTE")
        self._console.order(gcmd, running, command._replace(note=note), part, saved)

    def _parts(self) -> list[Task]:
        return [each for each in self._registry.tasks.values() if each.plan.kind]

    def _part(self, gcmd: GcodeCommand) -> Task:
        name = parameters.required(gcmd, "PART")
        part = self._registry.find(name)
        if part is None or not part.plan.kind:
            names = ", ".join(each.name for each in self._parts())
            raise gcmd.error(tr(NO_SUCH_PART, name=name, names=names))
        return part


def _code(document: Mapping[str, Any]) -> str:
    """Return the export as one word, which a console accepts."""
    text = json.dumps(dict(document), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(code: str) -> dict[str, Any]:
    """Read a text of `_code`. ValueError: it is no such text."""
    padded = code.strip() + "=" * (-len(code.strip()) % 4)
    document = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    if not isinstance(document, dict):
        raise ValueError(NO_CODE)  # noqa: TRY004
    return document


DESCRIPTIONS = {
    "FIT_PART": mark("Fit a part: PART= [PLACE=] [NOTE=]"),
    "REMOVE_PART": mark("Take a part off, to the shelf: PART= [NOTE=]"),
    "PART_STATUS": mark(
        "Show where each part is, and what it has used: [PART= [QR=1]]"
    ),
    "EXPORT_PART": mark("Give a part with its counts to another printer: PART= TO="),
    "IMPORT_PART": mark("Import a part from another printer: PART= CODE="),
}
