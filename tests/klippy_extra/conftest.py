"""A virtual printer with the extra. The test moves its clock and its calendar."""

from __future__ import annotations

import time

import pytest

from tests.fakes.mosquitto import Mosquitto
from tests.fakes.virtual_printer import VirtualPrinter

STARTED = 1_795_219_200.0  # the wall clock at the start of each test


class Bench(VirtualPrinter):
    """A virtual printer, and the questions that tests of the extra ask it."""

    @property
    def manager(self):
        return self.lookup("maintain")

    @property
    def life(self):
        """The part of the extra that counts and publishes.

        It exists once Klippy is ready.
        """
        return self.manager.life

    def task(self, name):
        return self.status(f"maintain {name}")

    def say(self, command):
        """Type a command and wait for its answer, which a thread may give."""
        begin = len(self.console)
        self.gcode(command)
        self.wait_for(lambda: "ok" in self.console[begin:], f"an answer to {command}")
        return "\n".join(line for line in self.console[begin:] if line != "ok")

    def times(self, text):
        """Return how many lines of the console have *text*."""
        return sum(text in line for line in self.console)

    def saved(self):
        """Wait until the store has written everything that it was given."""
        done = []
        self.manager.memory.save({}, then=done.append)
        self.wait_for(lambda: done, "the store")

    def use(self, **increments):
        """Add to meters directly, as if the printer had worked."""
        self.life.upkeep.counting.add(increments)
        self.advance(3)


@pytest.fixture
def wall(monkeypatch):
    """The wall clock.

    `wall.ahead` sets how far it is ahead of the printer's own clock.
    """

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
    """Run a test with the new and the old names in `klippy_extra/klipper.py`."""
    monkeypatch.setattr(VirtualPrinter, "old_names", request.param == "old names")


@pytest.fixture
def bench(tmp_path, wall, monkeypatch):
    """Return a function that starts a printer with these sections.

    The store is a file in the test's folder.
    """
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


@pytest.fixture
def broker(tmp_path):
    """A running mosquitto."""
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.kill()


@pytest.fixture
def due(bench, request):
    """Return a function that starts a printer whose task has just become due.

    The task is RODS of the test's module.
    """

    def start(more="", main="[maintain]\n"):
        printer = bench(main + request.module.RODS + more)
        printer.use(print_time=151.0)
        return printer

    return start
