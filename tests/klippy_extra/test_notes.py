"""Reminders through Moonraker's notifier: one note for all tasks due together."""

from __future__ import annotations

import pytest

TASKS = """
[maintain]
notify: phone

[maintain rods]
label: Clean the rods
trigger: print_time
threshold: 150

[maintain belts]
label: Check the belts
trigger: print_time
threshold: 140
"""


@pytest.fixture
def moonraker(monkeypatch):
    """Register `notify` in a printer, as Moonraker does. It keeps the messages."""
    notes = []

    def listen(printer):
        def call(method, **arguments):
            assert method == "notify"
            notes.append(arguments)

        monkeypatch.setattr(printer.lookup("webhooks"), "call_remote_method", call)
        return notes

    return listen


def test_tasks_that_become_due_together_send_one_note(bench, moonraker):
    printer = bench(TASKS)
    notes = moonraker(printer)
    printer.use(print_time=151.0)
    printer.advance(20)

    assert len(notes) == 1
    assert notes[0]["name"] == "phone"
    assert notes[0]["message"] in (
        "Maintenance is due: Clean the rods, Check the belts.",
        "Maintenance is due: Check the belts, Clean the rods.",
    )


def test_without_the_option_no_note_is_sent(bench, moonraker):
    printer = bench(TASKS.replace("notify: phone", ""))
    notes = moonraker(printer)
    printer.use(print_time=151.0)
    printer.advance(20)
    assert notes == []


def test_a_missing_notifier_is_reported_once_and_klippy_goes_on(bench):
    printer = bench(
        TASKS.replace("notify: phone", "notify: phone\nremind_interval: 60")
    )
    printer.use(print_time=151.0)
    printer.advance(300)

    lines = [line for line in printer.console if "[notifier phone]" in line]
    assert len(lines) == 1
    assert printer.state == "ready"
