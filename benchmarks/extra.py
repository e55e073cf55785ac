"""How long the extra holds Klipper's reactor, and what it costs besides.

A hundred tasks, every meter and a broker that is there, while 500 moves a second are
printed. Klipper shuts down where homing waits 0.15 s or printing 0.7 s; the aim here is
under 1 ms for 99.9 % of the turns, and none over 5 ms.

The floor is a turn that does nothing; the ancestor's turn is beside it: for each of
three tasks it reads a file and asks Moonraker, on the reactor.
"""

from __future__ import annotations

import http.server
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.table import Row, at_most
from tests import programs
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.virtual_printer import VirtualPrinter

TASKS = 100
SECONDS = 240.0  # of printing
MOVES = 500  # a second
SPEED = 100.0  # mm/s
ROOT = Path(__file__).parents[1]
MOST, NEARLY = 5.0, 1.0  # ms
CORE, MEMORY = 1.0, 20.0  # percent, MB
HOLD = 0.0  # s that the ancestor's Moonraker takes to answer: at its best


class Turns:
    """How long callbacks took, in seconds: on the clock, and of the processor."""

    def __init__(self) -> None:
        self.clock: list[float] = []
        self.processor: list[float] = []
        self._apart = 0.0

    def timed(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            begun, worked = time.perf_counter(), time.thread_time()
            self._apart = 0.0
            try:
                return callback(*args)
            finally:
                self.processor.append(time.thread_time() - worked - self._apart)
                self.clock.append(time.perf_counter() - begun)

        return call

    def apart(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Leave out what *function* takes: in Klipper it is not Python."""

        def call(*args: Any) -> Any:
            worked = time.thread_time()
            try:
                return function(*args)
            finally:
                self._apart += time.thread_time() - worked

        return call


def run() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        turns, threads, passed = printing(Path(folder))
        ancestor = 1e3 * ancestors_turn(Path(folder))
    floor = 1e3 * floor_of_a_turn()
    nearly = at(turns.processor, 99.9)
    spent = 100 * (sum(turns.processor) + threads) / passed
    yield ms("empty turn: the floor", floor, floor)
    yield ms("turn, half of them under", at(turns.processor, 50), floor)
    yield ms("turn, 99.9 % of them under", nearly, floor, NEARLY)
    yield ms("turn, the longest", at(turns.processor, 100), floor, MOST)
    # The machine's other work is in this one.
    yield ms("turn, 99.9 % by the wall clock", at(turns.clock, 99.9), floor)
    yield ms("turn of the ancestor, 3 tasks", ancestor, floor)
    yield at_most("extra: of one core, in percent", f"{spent:.2f} %", spent, CORE)
    more = (resident("tasks") - resident("none")) / 1024
    yield at_most("extra: memory, in MB", f"{more:.1f} MB", more, MEMORY)


def ms(measure: str, found: float, floor: float, goal: float | None = None) -> Row:
    """A time in ms, and how often the floor goes into it; the goal is in ms."""
    row = Row(f"extra: {measure}", f"{found:.3f} ms", found / floor)
    if goal is None:
        return row
    return row._replace(goal=f"< {goal:g} ms", ok=found < goal)


def at(seconds: list[float], percent: float) -> float:
    """The percentile, in ms."""
    ordered = sorted(seconds)
    index = max(0, math.ceil(len(ordered) * percent / 100) - 1)
    return 1e3 * ordered[index]


def configuration(folder: Path, port: int | None) -> str:
    head = f"[maintain]\nstore: {folder}/upkeep.sqlite\n"
    if port is not None:
        head += f"mqtt_host: 127.0.0.1\nmqtt_port: {port}\n"
    triggers = (
        "print_time, time",
        "filament",
        "travel_x, travel_y",
        "heater_on_heater_bed",
        "extruded",
        "busy_time",
        "power_on",
        "homings",
        "fan_on_fan",
        "travel_z",
    )
    sections = []
    for number in range(TASKS):
        trigger = triggers[number % len(triggers)]
        threshold = ", ".join(["5000"] * len(trigger.split(",")))
        condition = "while: heater_bed>40\nfactor: CF=5\n" if number % 3 else ""
        sections.append(
            f"[maintain task {number}]\ntrigger: {trigger}\nthreshold: {threshold}\n"
            + condition
        )
    return head + "".join(sections)


def load(folder: Path) -> Path:
    """A file of short moves: a circle of many corners, again and again."""
    step = SPEED / MOVES
    lines = ["M109 S210", "M83", "G28", f"G1 X100 Y100 Z5 F{60 * SPEED:.0f}"]
    for number in range(int(SECONDS * MOVES)):
        angle = number * step / 30.0
        x, y = 100 + 30 * math.cos(angle), 100 + 30 * math.sin(angle)
        lines.append(f"G1 X{x:.4f} Y{y:.4f} E{0.03 * step:.5f}")
    path = folder / "load.gcode"
    path.write_text("\n".join(lines) + "\n")
    return path


def printing(folder: Path) -> tuple[Turns, float, float]:
    """Print the load; the turns, the threads' processor time, and seconds printed."""
    load(folder)
    broker = Mosquitto(folder).start() if programs.find("mosquitto") else None
    turns = Turns()
    config = configuration(folder, broker.port if broker else None)
    card = f"[include {ROOT}/demo/printer.cfg]\n[virtual_sdcard]\npath: {folder}\n"
    try:
        with VirtualPrinter(card + config + "[printer]\n", folder) as printer:
            assert printer.state == "ready", printer.state_message
            time_callbacks(printer, turns)
            printer.gcode("SET_HEATER_TEMPERATURE HEATER=heater_bed TARGET=60")
            printer.advance(5)
            printer.print_file("load.gcode")
            others = time.process_time() - time.thread_time()
            begun = printer.clock.monotonic()
            while printer.status("print_stats")["state"] == "printing":
                printer.advance(1)
            passed = printer.clock.monotonic() - begun
            others = time.process_time() - time.thread_time() - others
    finally:
        if broker:
            broker.kill()
    return turns, others, passed


def time_callbacks(printer: VirtualPrinter, turns: Turns) -> None:
    """Time every callback of the extra: its timers, and what its threads post."""
    reactor = printer.reactor
    for timer in reactor._timers:  # noqa: SLF001
        if "klippy_extra" in code_of(timer.callback):
            timer.callback = turns.timed(timer.callback)
    for queue in printer.lookup("motion_report").dtrapqs.values():
        queue.extract_trapq = turns.apart(queue.extract_trapq)
    post = reactor.register_async_callback
    reactor.register_async_callback = lambda call: post(turns.timed(call))  # type: ignore[method-assign]


def code_of(callback: Any) -> str:
    inner = getattr(callback, "__wrapped__", callback)
    return str(getattr(getattr(inner, "__code__", None), "co_filename", ""))


def floor_of_a_turn() -> float:
    turns = Turns()
    empty = turns.timed(lambda eventtime: eventtime + 0.25)
    for number in range(10_000):
        empty(number)
    return sorted(turns.processor)[len(turns.processor) // 2]


def ancestors_turn(folder: Path) -> float:
    """A turn as the ancestor's: files and requests on the reactor. Seconds."""
    answer = json.dumps({"result": {"job_totals": {"total_time": 1.0}}}).encode()

    class Moonraker(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(HOLD)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Moonraker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    files = [folder / name for name in "abc"]
    for file in files:
        file.write_text(json.dumps({"print_time": 0}))
    times = []
    try:
        for _ in range(50):
            begun = time.perf_counter()
            for file in files:
                json.loads(file.read_text())
                url = f"http://127.0.0.1:{server.server_port}/"
                with urllib.request.urlopen(url) as response:
                    json.loads(response.read())
            times.append(time.perf_counter() - begun)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    return sorted(times)[len(times) // 2]


def resident(what: str) -> float:
    """The memory of a printer of its own, in KB."""
    command = [sys.executable, "-m", "benchmarks.extra", what]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def memory(what: str) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration(folder, None) if what == "tasks" else ""
        with VirtualPrinter(config, folder) as printer:
            printer.print_file()
            printer.advance(120)
            status = Path("/proc/self/status").read_text()
            print(status.split("VmRSS:")[1].split()[0])
    return 0


if __name__ == "__main__":
    raise SystemExit(memory(sys.argv[1]))
