"""A panel of KlipperScreen that shows the tasks, with the buttons Done and Later.

It needs `[upkeep]` in moonraker.conf. `install.sh --page` links this file into
KlipperScreen's panels and puts an entry "Maintenance" into its menu.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import GLib, Gtk, Pango  # noqa: E402
from ks_includes.screen_panel import ScreenPanel  # noqa: E402

LANGUAGE = Path(__file__).resolve().parents[2] / "klippy_extra" / "language.py"
LATER = 24.0  # hours
BY = "KlipperScreen"
END = Pango.EllipsizeMode.END
ORDER = ("due", "soon", "ok", "snoozed", "disabled")
COLOURS = {"due": "#ff6f61", "soon": "#e5b04b", "ok": "#67c57d"}


class Panel(ScreenPanel):  # type: ignore[misc] # KlipperScreen has no types
    """Shows each task as a row, the most urgent one first."""

    def __init__(self, screen: Any, title: str | None) -> None:
        super().__init__(screen, title or "Maintenance")
        self._words = catalogue("en")
        self._rows = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        scroll = self._gtk.ScrolledWindow()
        scroll.add(self._rows)
        self.content.add(scroll)
        self._say("…")

    def activate(self) -> None:
        self._ask()

    def process_update(self, action: str, data: Any) -> None:
        """Read the tasks again if Moonraker notifies of a change."""
        if action == "notify_upkeep_changed" and data.get("settled"):
            self._ask()

    def _ask(self) -> None:
        self._screen._ws.send_method("server.upkeep.status", {}, self._answered)

    def _answered(self, answer: dict[str, Any], *_: Any) -> None:
        if "error" in answer:
            self._say(str(answer["error"].get("message", "")))
            return
        status = answer["result"]
        if status.get("spoken", "en") != self._words.code:
            self._words = catalogue(status["spoken"])
        tasks = sorted(status["tasks"], key=urgency)
        if not tasks:
            self._say(
                self._words.tr(
                    "There is no maintenance task yet. Write a section [maintain NAME]."
                )
            )
            return
        self._clear()
        for task in tasks:
            self._rows.add(self._row(task, ready=status["ready"]))
        self._rows.show_all()

    def _row(self, task: dict[str, Any], *, ready: bool) -> Any:
        tr = self._words.tr
        grid = Gtk.Grid(column_spacing=8)
        name = Gtk.Label(xalign=0, hexpand=True, ellipsize=END)
        colour = COLOURS.get(task["status"], "#98a1ab")
        label = GLib.markup_escape_text(task["label"])
        name.set_markup(f'<span color="{colour}">●</span> <b>{label}</b>')
        details = Gtk.Label(label=described(task, self._words), xalign=0, ellipsize=END)
        details.get_style_context().add_class("printing-info")
        bar = Gtk.ProgressBar(fraction=min(max(task["percent"] / 100, 0.0), 1.0))
        grid.attach(name, 0, 0, 1, 1)
        grid.attach(details, 0, 1, 1, 1)
        grid.attach(bar, 0, 2, 1, 1)
        for column, (text, style, command) in enumerate(
            (
                (tr("Done"), "color3", {"command": "done"}),
                (tr("Later"), "color2", {"command": "snooze", "for": LATER}),
            ),
            start=1,
        ):
            button = self._gtk.Button(None, text, style)
            button.set_hexpand(False)
            button.set_sensitive(ready)
            button.connect("clicked", self._press, task, command)
            grid.attach(button, column, 0, 1, 3)
        return grid

    def _press(
        self, _button: Any, task: dict[str, Any], command: dict[str, Any]
    ) -> None:
        arguments = {"task": task["task"], "command": dict(command, by=BY)}
        self._screen._ws.send_method(
            "server.upkeep.command", arguments, self._carried_out, task["label"]
        )

    def _carried_out(
        self, answer: dict[str, Any], _method: str, _params: Any, label: str
    ) -> None:
        if "error" in answer:
            text = str(answer["error"].get("message", ""))
            logging.warning("maintenance: %s: %s", label, text)
            self._screen.show_popup_message(f"{label}: {text}", level=3)
        else:
            self._screen.show_popup_message(
                f"{label} {answer['result'].get('text', '')}", level=1
            )
        self._ask()

    def _say(self, text: str) -> None:
        self._clear()
        self._rows.add(Gtk.Label(label=text, wrap=True))
        self._rows.show_all()

    def _clear(self) -> None:
        for child in self._rows.get_children():
            self._rows.remove(child)


def urgency(task: dict[str, Any]) -> tuple[int, float]:
    """Sort by status, due tasks first, and then by percentage."""
    return ORDER.index(task["status"]), -float(task["percent"])


def described(task: dict[str, Any], words: Any) -> str:
    """The line below the name: what remains, or the problem."""
    if task.get("problem"):
        return str(task["problem"])
    remaining, threshold = (
        f"{words.number(round(value, 1))} {task['unit']}".rstrip()
        for value in (abs(task["remaining"]), task["threshold"])
    )
    text: str = words.tr("{amount} over", amount=remaining)
    if task["remaining"] >= 0:
        text = words.tr(
            "{amount} left of {threshold}", amount=remaining, threshold=threshold
        )
    return text


def catalogue(code: str) -> Any:
    """The texts in the language of the printer; a missing text is English."""
    spec = importlib.util.spec_from_file_location("upkeep_language", LANGUAGE)
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    module.current.use(code)
    return module.current.catalogue
