"""Sends reminders to a phone by Moonraker's `[notifier]`, without a broker."""

from __future__ import annotations

import logging
from typing import Callable

from ..guard import guarded
from ..klipper_objects import Printer, Webhooks
from ..language import tr

TOGETHER = 5.0  # seconds; reminders within this time are one note
METHOD = "notify"  # the method that Moonraker's notifier registers in Klippy


class Notes:
    """Sends the labels of due tasks to the notifier *name*; with "" nothing."""

    def __init__(self, printer: Printer, name: str, say: Callable[[str], None]) -> None:
        self._printer = printer
        self._reactor = printer.get_reactor()
        self._name = name
        self._say = say
        self._labels: list[str] = []  # the labels of tasks for the next note
        self._failed = False  # whether a failure was reported

    def add(self, label: str) -> None:
        """Add a due task to the next note, which is sent soon."""
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
            # The method is not registered: Moonraker is absent, or has no notifier.
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
