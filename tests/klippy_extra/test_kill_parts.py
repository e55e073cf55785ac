"""Klippy is killed at every statement that a swap, an export or an import writes.

Each time a process of its own is killed at that statement, and another process starts
on what is left on the disk. The command was carried out as a whole or not at all.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.fakes import children
from tests.fakes.virtual_printer import VirtualPrinter
from tests.klippy_extra.nozzles import FITTED, NOZZLES

SECTIONS = (
    """
[maintain]
store: {folder}/upkeep.sqlite
printer_name: {name}
"""
    + NOZZLES
)
# Some twenty printers start, one for each statement of a command.
pytestmark = pytest.mark.timeout(180)
MOST = 40  # A command has fewer statements than this.


class Bench(VirtualPrinter):
    """A printer with two nozzles, of which `n4` is fitted at *place*."""

    def __init__(self, folder: Path, name: str, place: str = "") -> None:
        folder.mkdir(exist_ok=True)
        sections = SECTIONS.format(folder=folder, name=name, place=place)
        super().__init__(sections, folder)
        assert self.state == "ready", self.state_message

    def use(self, hours):
        life = self.lookup("maintain").life
        life.upkeep.counting.add({"print_time": hours})
        self.advance(3)

    def say(self, command):
        begin = len(self.console)
        self.gcode(command)
        self.wait_for(lambda: "ok" in self.console[begin:], f"an answer to {command}")
        self.saved()
        return "\n".join(self.console[begin:])

    def saved(self):
        done = []
        self.lookup("maintain").memory.save({}, then=done.append)
        self.wait_for(lambda: done, "the store")

    def part(self, name):
        status = self.status(f"maintain_part {name}")
        return status["place"], round(status["used"], 1)


def here(folder):
    return Bench(folder / "here", "voron", FITTED)


def there(folder):
    return Bench(folder / "there", "ender")


def killed(start, folder, command, at):
    """Carry *command* out in a process that is killed before its statement *at*.

    Returns what the process answered until then, and whether it was killed.
    """
    child, pipe = children.begin(lambda tell: _live(start(folder), command, at, tell))
    with pipe:
        output = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"{command}: it ended with {status}"
    return output, status != 0


def _live(printer, command, at, tell):
    """Carry *command* out, and kill this process before its statement *at*."""
    files = _files_of(printer)
    write, left = files.write, [at]

    def step(statement):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(database, *what):
        database.set_trace_callback(step)
        write(database, *what)
        step("between the disk's answer and ours")

    files.write = traced
    begin = len(printer.console)
    printer.gcode(command)
    printer.wait_for(lambda: "ok" in printer.console[begin:], "an answer")
    os.write(tell, "\n".join(printer.console[begin:]).encode())
    printer.saved()
    files.write = write


def _files_of(printer):
    """Return the module that writes to the disk, as Klippy has loaded it."""
    name = type(printer.lookup("maintain")).__module__.rpartition(".")[0]
    return sys.modules[f"{name}.storage.database"]


def each_point(make, command, tmp_path):
    """Yield what is left after a kill at each statement, and at last after no kill."""
    for at in range(1, MOST):
        folder = tmp_path / str(at)
        folder.mkdir()
        start = make(folder)
        output, died = killed(start, folder, command, at)
        yield folder, output, died
        if not died:
            assert at > 5, "nothing was written"
            return
    raise AssertionError("it wrote without end")


def used_for_ten_hours(folder):
    with here(folder) as printer:
        printer.use(10)
        printer.saved()
    return here


def code_in(answer):
    return re.search(r"IMPORT_PART \S+ CODE=\S+", answer).group(0)


def test_a_swap_is_carried_out_as_a_whole_or_not_at_all(tmp_path):
    seen = set()
    command = "FIT_PART PART=n6 PLACE=extruder"
    for folder, _, died in each_point(used_for_ten_hours, command, tmp_path):
        with here(folder) as printer:
            parts = printer.part("n4"), printer.part("n6")
            printer.use(3)
            after = printer.part("n4"), printer.part("n6")
        if parts == (("extruder", 10), ("", 0)):
            assert after == (("extruder", 13), ("", 0))
            assert died
        else:
            assert parts == (("", 10), ("extruder", 0))
            assert after == (("", 10), ("extruder", 3))
        seen.add(parts)
    assert len(seen) == 2


def test_an_export_leaves_the_part_here_or_gives_it_away(tmp_path):
    seen = set()
    command = "EXPORT_PART PART=n4 TO=ender"
    for folder, output, died in each_point(used_for_ten_hours, command, tmp_path):
        with here(folder) as printer:
            place, used = printer.part("n4")
            assert used == 10
            if place:
                assert "CODE=" not in output, "it was given away, and is here still"
                assert died
            else:
                assert "was given to" in printer.say("FIT_PART PART=n4")
                again = code_in(printer.say(command))
                assert died or again == code_in(output)
        seen.add(place)
    assert seen == {"", "extruder"}


def test_an_import_takes_the_part_once_when_it_is_repeated(tmp_path):
    with here(tmp_path) as printer:
        printer.use(10)
        command = code_in(printer.say("EXPORT_PART PART=n4 TO=ender"))

    def make(folder):
        there(folder).close()
        return there

    seen = set()
    for folder, _, died in each_point(make, command, tmp_path):
        with there(folder) as printer:
            used = printer.part("n4")[1]
            answer = printer.say(command)
            if used:
                assert "was imported already" in answer
            else:
                assert "was imported" in answer
                assert died
            assert printer.part("n4") == ("", 10)
        seen.add(used)
    assert seen == {0, 10}
