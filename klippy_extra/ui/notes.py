"""Reminders that reach a phone by Moonraker's `[notifier]`: no broker is needed."""

from __future__ import annotations

import logging
from typing import Callable

from ..guard import guarded
from ..klipper_objects import Printer, Webhooks
from ..language import tr

TOGETHER = 5.0  # seconds: what is reminded of together is one note
METHOD = "notify"  # the method that Moonraker's notifier registers in Klippy


class Notes:
    """Sends what is due to the notifier *name*; with "" nothing is sent."""

    def __init__(self, printer: Printer, name: str, say: Callable[[str], None]) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._name = name
        self._say = say
        self._labels: list[str] = []  # of tasks, for the next note
        self._failed = False  # and said so

    def add(self, label: str) -> None:
        """Put a task that is due into the next note, which goes out soon."""
        if not self._name:
            return
        if not self._labels:
            when = self._reactor.monotonic() + TOGETHER
            self._reactor.register_callback(guarded(self._send, "a note"), when)
        if label not in self._labels:
            self._labels.append(label)

    def _send(self, eventtime: float) -> None:
        labels, self._labels = self._labels, []
        webhooks: Webhooks = self._printer.lookup_object("webhooks")
        text = tr("Maintenance is due: {labels}.", labels=", ".join(labels))
        try:
            webhooks.call_remote_method(METHOD, name=self._name, message=text)
        except self._printer.command_error as error:
            # Nobody has registered the method: Moonraker is away, or has no notifier.
            logging.info("maintain: the note was not sent: %s", error)
            if not self._failed:
                self._say(
                    tr(
                        "The reminder was not sent: Moonraker is not connected, or has"
                        " no [notifier {name}] (see 'notify' in [maintain]).",
                        name=self._name,
                    )
                )
            self._failed = True
        else:
            self._failed = False
