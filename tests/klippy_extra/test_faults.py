"""After a fault in code that the reactor calls, Klippy goes on and the log tells it."""

from __future__ import annotations

import logging
import sys

import pytest

from klippy_extra.guard import guarded

pytestmark = pytest.mark.logs_errors

RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
DUE = RODS + "expired_gcode: M117 due\n"


class BrokenError(Exception):
    """The fault that is injected."""


def breaks(*args, **kwargs):
    raise BrokenError


def printing(printer):
    printer.print_file()
    printer.advance(30)


def module_of(part):
    """Return the module of a part of the extra, under the name that Klippy gave it."""
    return sys.modules[type(part).__module__]


# What breaks (a path that begins at the manager or at its upkeep), and what then calls
# it.
FAULTS = {
    "the timer that counts": ("upkeep.counting.count", lambda p: p.advance(5)),
    "a source of meters": (
        "upkeep.counting._sources._sources",
        lambda p: p.advance(5),
    ),
    "the ledger": ("upkeep.book.advance", lambda p: p.advance(5)),
    "the timer that looks": ("upkeep.book.examine", lambda p: p.advance(5)),
    "the board": ("upkeep.board.state", lambda p: p.advance(5)),
    "the reminders": ("reminders.remind", lambda p: p.advance(5)),
    "the store": ("memory.save", lambda p: p.advance(30)),
    "the rates": ("upkeep.counting.settle", lambda p: p.advance(90)),
    "MAINTAIN_STATUS": (
        "upkeep.board.states",
        lambda p: p.gcode("MAINTAIN_STATUS", 5),
    ),
    "CHECK_MAINTENANCE": (
        "registry.find",
        lambda p: p.gcode("CHECK_MAINTENANCE NAME=rods", 5),
    ),
    "UPDATE_MAINTENANCE": (
        "life.commands.give",
        lambda p: p.gcode("UPDATE_MAINTENANCE NAME=rods", 5),
    ),
    "the handler": (
        "upkeep.handler.handle",
        lambda p: p.gcode("UPDATE_MAINTENANCE NAME=rods", 5),
    ),
    "MAINTENANCE_LOG": ("memory.log", lambda p: p.gcode("MAINTENANCE_LOG", 5)),
    "MAINTENANCE_COUNT": (
        "upkeep.counting.move",
        lambda p: p.gcode("MAINTENANCE_COUNT NAME=a", 5),
    ),
    "MAINTENANCE_CHECK": (
        "upkeep.board.states",
        lambda p: p.gcode("MAINTENANCE_CHECK", 5),
    ),
    "MAINTENANCE_PROMPT": (
        "upkeep.board.states",
        lambda p: p.gcode("MAINTENANCE_PROMPT", 5),
    ),
    "SET_MAINTENANCE_MATERIAL": (
        "upkeep.set_material",
        lambda p: p.gcode("SET_MAINTENANCE_MATERIAL MATERIAL=ABS", 5),
    ),
    "the status of a task": (
        "upkeep.board.status",
        lambda p: p.status("maintain rods"),
    ),
    "the status of all": ("upkeep.board.summary", lambda p: p.status("maintain")),
    "an endpoint": ("upkeep.board.state", lambda p: p.request("maintain/tasks")),
    "another endpoint": ("memory.log", lambda p: p.request("maintain/log")),
}


@pytest.mark.parametrize("what", FAULTS)
def test_after_a_fault_klippy_goes_on_printing_and_the_log_tells_it(
    bench, monkeypatch, caplog, what
):
    path, run_into = FAULTS[what]
    printer = bench(RODS)
    printing(printer)
    *owners, name = path.split(".")
    owner = printer.manager
    if owners[0] == "upkeep":
        owner = printer.life
    for each in owners:
        owner = getattr(owner, each)
    monkeypatch.setattr(owner, name, breaks)

    run_into(printer)
    run_into(printer)

    assert printer.state == "ready"
    assert printer.status("print_stats")["state"] == "printing"
    records = [r for r in caplog.records if r.exc_info and "maintain" in r.getMessage()]
    assert records
    monkeypatch.undo()


@pytest.mark.parametrize("what", ["Counting", "Memory.load", "Board"])
def test_klippy_starts_when_the_extra_cannot(bench, monkeypatch, what):
    printer = bench("")
    owner, name = module_of(printer.life.upkeep), what
    if what == "Memory.load":
        owner, name = module_of(printer.manager).Memory, "load"
    monkeypatch.setattr(owner, name, breaks)
    printer.configure(f"[maintain]\nstore: {printer.config_file.parent}/s\n" + RODS)
    printer.restart()

    assert printer.state == "ready"
    assert printer.status("maintain rods") == {}
    assert any("Maintenance is not counted" in line for line in printer.console)
    printer.say("MAINTAIN_STATUS")
    with pytest.raises(printer.printer.command_error):
        printer.request("maintain/tasks")
    printer.print_file()
    printer.advance(30)
    assert printer.status("print_stats")["state"] == "printing"
    monkeypatch.undo()
    printer.restart()


def test_counting_goes_on_when_the_connection_cannot_be_prepared(bench, monkeypatch):
    printer = bench("")
    monkeypatch.setattr(module_of(printer.life).connection, "connect", breaks)
    printer.restart()
    printer.configure("[maintain]\n" + RODS)
    printer.restart()
    printer.use(print_time=5.0)

    assert printer.task("rods")["used"] == 5.0


@pytest.mark.parametrize("command", ["M112", "RESTART", "FIRMWARE_RESTART"])
@pytest.mark.parametrize("method", ["stop", "flush", "documents"])
def test_klippy_can_stop_after_a_fault_during_the_disconnect(
    bench, monkeypatch, command, method
):
    """A fixture of all tests checks that no thread stays."""
    printer = bench(RODS)
    monkeypatch.setattr(printer.life.upkeep.counting, method, breaks)
    ended = []
    for event in ("klippy:shutdown", "klippy:disconnect"):
        printer.printer.register_event_handler(event, lambda: ended.append(1))

    if command == "M112":
        printer.emergency_stop()
        assert printer.state == "shutdown"
    else:
        printer.restart(command)
        assert printer.state == "ready"
    assert ended  # The handlers that were registered after ours ran as well.


def test_klippy_goes_on_after_a_fault_in_the_template_of_expired_gcode(
    bench, monkeypatch, caplog
):
    printer = bench(DUE)
    monkeypatch.setattr(printer.lookup("maintain rods").expired_gcode, "render", breaks)
    printer.use(print_time=151.0)

    assert printer.state == "ready"
    assert "the G-code for 'rods' failed; printing goes on" in caplog.text
    monkeypatch.undo()


def test_a_guard_logs_the_first_fault_and_counts_the_next(caplog):
    caplog.set_level(logging.INFO)
    faults = iter([1, 1, 1, 0, 1])

    def entry(eventtime):
        if next(faults):
            raise BrokenError
        return 7.0

    timer = guarded(entry, "a test", lambda eventtime: eventtime + 1.0)

    assert [timer(5.0) for _ in range(5)] == [6.0, 6.0, 6.0, 7.0, 6.0]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "maintain: a test failed; printing goes on",
        "maintain: a test works again after 3 faults",
        "maintain: a test failed; printing goes on",
    ]


def test_a_guard_passes_klippers_own_error_on():
    with pytest.raises(BrokenError):
        guarded(breaks, "a test", through=(BrokenError,))()
