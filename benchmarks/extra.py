"""How long the extra holds the reactor of a real Klippy, and its other costs.

A real Klippy prints 500 moves a second on a virtual board. The extra has a broker, and
a hundred tasks with all meters of the printer. Klipper shuts down if homing has to wait
for 0.15 s, or printing for 0.7 s. The floor is the ancestor of this project, in the
same Klippy and the same print. It has three tasks and a Moonraker nearby, and each
check of a task is a request that holds the reactor. `ANCESTOR` names its checkout.
Without it, the extra is only measured against its own goals.

A turn holds the reactor for the time between its start and its end, less the time that
the machine gave to other programs. `extra_life` measures restarts and a subscriber.
"""

from __future__ import annotations

import functools
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Row, at_most
from demo.klippy import find
from tests import programs
from tests.fakes.mosquitto import Mosquitto
from tests.system.klippy import EXTRAS, ROOT, Klippy, Printer
from tests.system.moonraker import Moonraker

TASKS = 100
SECONDS = 180.0  # seconds of printing
MOVES = 500  # moves a second
SPEED = 100.0  # mm/s
EVERY = 2  # seconds between two checks of the ancestor; its default is 60
NEARLY = 99.9  # percent
ANSWER = 5.0  # ms that an answer may delay a timer
CORE = 1.0  # percent
TURNS = ROOT / "tests" / "system" / "turns"
ANCESTOR = os.environ.get("ANCESTOR")
ADDRESS = "http://localhost:7125"
ANCESTORS_SECTIONS = f"[maintain]\ninterval: {EVERY}\n" + "".join(
    f"[maintain {name}]\nlabel: {name}\ntrigger: {trigger}\nthreshold: 5000\n"
    for name, trigger in (("a", "print_time"), ("b", "filament"), ("c", "time"))
)
CONDITION = "while: heater_bed>40\nfactor: CF=5\n"


class Turns(NamedTuple):
    """How long turns held the reactor (ms), and the time used (percent of a core)."""

    held: list[float]
    answers: list[float]
    core: float

    def at(self, percent: float) -> float:
        ordered = sorted(self.held)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def run() -> Iterator[Row]:
    ours = measured(EXTRAS, sections, ask)
    spent = ours.core
    if ANCESTOR is None:
        yield Row("extra: turn, 99.9 % of them under", f"{ours.at(NEARLY):.3f} ms")
        yield Row("extra: turn, the longest", f"{ours.at(100):.3f} ms")
    else:
        theirs = ancestors(Path(ANCESTOR))
        longest = theirs.at(100)
        yield Row("ancestor: turn, the longest", f"{longest:.3f} ms", 1.0)
        yield against("turn, 99.9 % of them under", ours.at(NEARLY), longest, 0.5)
        yield against("turn, the longest", ours.at(100), longest, 1.0)
    answer = max(ours.answers)
    delay = "extra: a timer beside an answer with 100 tasks waits, in ms"
    yield at_most(delay, f"{answer:.3f} ms", answer, ANSWER)
    yield at_most("extra: of one core, in percent", f"{spent:.2f} %", spent, CORE)


def against(measure: str, value: float, floor: float, goal: float) -> Row:
    return at_most(f"extra: {measure}", f"{value:.3f} ms", value / floor, goal)


def measured(
    extras: dict[str, Path],
    configured: Callable[[Printer, ExitStack], str],
    meanwhile: Callable[[Printer, float], None],
) -> Turns:
    """Print in real time and measure the turns. *meanwhile* runs until its *end*."""
    klippy = Klippy(find(), speed=1.0, extras={**extras, "turns": TURNS})
    with ExitStack() as stack:
        printer = Printer(klippy, "[turns]\n")
        stack.callback(printer.close)
        printer.configure("[turns]\n" + configured(printer, stack))
        assert printer.start()[0] == "ready", printer.state()[1]
        printer.gcode("G28\nM83\nM140 S60\nM104 S210\nG1 X130 Y100 Z5 F6000\nM400")
        printer.print_file(load())
        written = printer.folder / "turns.json"
        before = threads(printer, written)
        printer.gcode("RESET_TURNS")
        begun = time.monotonic()
        meanwhile(printer, begun + SECONDS)
        passed = time.monotonic() - begun
        assert printer.status("print_stats")["state"] == "printing"
        own = threads(printer, written) - before
        groups = json.loads(written.read_text())
    held = [1e3 * each[1] for each in groups["maintain"]]
    answers = [1e3 * each[1] for each in groups["webhooks"]]
    worked = sum(each[0] for each in groups["maintain"])
    return Turns(held, answers, 100 * (worked + own) / passed)


def threads(printer: Printer, written: Path) -> float:
    """Let the turns be written to a file; return the seconds of the extra's threads."""
    printer.gcode(f"WRITE_TURNS FILE={written}")
    seconds: float = json.loads(written.read_text())["threads"]
    return seconds


def load() -> str:
    """Return a file with short moves: a circle of many corners, again and again."""
    step = SPEED / MOVES
    lines = [f"G1 F{60 * SPEED:.0f}"]
    for number in range(int(SECONDS * 1.5 * MOVES)):
        angle = number * step / 30.0
        x, y = 100 + 30 * math.cos(angle), 100 + 30 * math.sin(angle)
        lines.append(f"G1 X{x:.4f} Y{y:.4f} E{0.03 * step:.5f}")
    return "\n".join(lines) + "\n"


# The extra


def sections(printer: Printer, stack: ExitStack) -> str:
    """Return sections with a broker, and a hundred tasks with all meters."""
    printer.configure("[maintain]\n")
    printer.start()
    meters = list(printer.request("maintain/tasks")["meters"])
    printer.kill()
    head = "[maintain]\n"
    if programs.find("mosquitto"):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = Mosquitto(folder).start()
        stack.callback(broker.kill)
        head += f"mqtt_host: 127.0.0.1\nmqtt_port: {broker.port}\n"
    return head + tasks(meters)


def tasks(meters: list[str]) -> str:
    """Return sections of tasks that use *meters* in turn; some have conditions."""
    return "".join(
        f"[maintain task {number}]\nlabel: Task number {number}\n"
        f"trigger: {meters[number % len(meters)]}\nthreshold: 5000\n"
        f"{CONDITION if number % 3 else ''}"
        for number in range(TASKS)
    )


def ask(printer: Printer, end: float) -> None:
    """Request all tasks once a second, as an open page does."""
    while time.monotonic() < end:
        assert len(printer.request("maintain/tasks")["tasks"]) == TASKS
        time.sleep(1.0)


# The ancestor


@functools.cache
def ancestors(checkout: Path) -> Turns:
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "maintain.py"
        code = (checkout / "maintain.py").read_text()

        def configured(printer: Printer, stack: ExitStack) -> str:
            """Start a Moonraker, and return three tasks that are not due."""
            printer.start()
            moonraker = Moonraker(printer)
            moonraker.start()
            stack.callback(moonraker.stop)
            printer.kill()
            # The ancestor knows only this address of Moonraker.
            assert ADDRESS in code
            module.write_text(code.replace(ADDRESS, moonraker.url))
            return ANCESTORS_SECTIONS

        return measured({"maintain.py": module}, configured, wait)


def wait(_: Printer, end: float) -> None:
    time.sleep(max(0.0, end - time.monotonic()))
