"""A virtual printer with the extra, on a clock and a calendar that the test moves."""

from __future__ import annotations

import time

import pytest

from tests.fakes.virtual_printer import VirtualPrinter

STARTED = 1_795_219_200.0  # the wall clock when a test begins


class Bench(VirtualPrinter):
    """A virtual printer, and what the tests of the extra ask of one."""

    @property
    def manager(self):
        return self.lookup("maintain")

    @property
    def life(self):
        """What counts and publishes: there from the moment the printer is ready."""
        return self.manager.life

    def task(self, name):
        return self.status(f"maintain {name}")

    def say(self, command):
        """Type a command and wait for its answer, which may come from a thread."""
        begin = len(self.console)
        self.gcode(command)
        self.wait_for(lambda: "ok" in self.console[begin:], f"an answer to {command}")
        return "\n".join(line for line in self.console[begin:] if line != "ok")

    def saved(self):
        """Wait until all that was handed to the store is on disk."""
        done = []
        self.manager.memory.save({}, then=done.append)
        self.wait_for(lambda: done, "the store")

    def use(self, **increments):
        """Let meters count, without the printer doing anything for it."""
        self.life.upkeep.counting.add(increments)
        self.advance(3)


@pytest.fixture
def wall(monkeypatch):
    """The wall clock: `wall.ahead` moves it against the printer's own clock."""

    class Wall:
        ahead = 0.0
        clock = None

        def __call__(self):
            passed = self.clock.monotonic() - 1000.0 if self.clock else 0.0
            return STARTED + passed + self.ahead

    made = Wall()
    monkeypatch.setattr(time, "time", made)
    return made


@pytest.fixture(params=["new names", "old names"])
def dialect(request, monkeypatch):
    """Virtual printers in both dialects: as `klippy_extra/klipper.py` lists them."""
    monkeypatch.setattr(VirtualPrinter, "old_names", request.param == "old names")


@pytest.fixture
def bench(tmp_path, wall, monkeypatch):
    """Start a printer with these sections; the store is in the test's folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    started = []

    def start(sections="", expect="ready", store=tmp_path):
        if "[maintain]" not in sections:
            sections = "[maintain]\n" + sections
        option = f"[maintain]\nstore: {store}/upkeep.sqlite\n"
        printer = Bench(
            sections.replace("[maintain]\n", option, 1), tmp_path, start=False
        )
        wall.clock = printer.clock
        started.append(printer)
        printer.advance(0)
        assert printer.state == expect, printer.state_message
        return printer

    yield start
    for printer in started:
        printer.close()
