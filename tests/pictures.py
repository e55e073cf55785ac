"""`make pictures` makes all pictures of the docs that show the program.

The terminal is the demo's, the page is the bridge's in Chromium with a scripted
printer, and Home Assistant's pages are those of tests/ha. A picture that cannot be made
on this machine stays the same, and the reason is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, ConsoleDimensions

from demo.__main__ import Demo
from demo.chain import Chain
from demo.klippy import SPEED, find
from mqtt_bridge.contract import Ahead, Info, Job, Limit, Meter, State, Summary
from tests import programs
from tests.fakes.chromium import Tab
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.mqtt_bridge.processes import Community
from tests.mqtt_bridge.scripted import ScriptedPrinter

ROOT = Path(__file__).resolve().parents[1]
TERMINAL = ConsoleDimensions(120, 26)
FONT = re.compile(r"\n *@font-face \{\{.*?\}\}", re.DOTALL)
HOUR, DAY = 3600, 86400
PHONE = 390  # pixels

# The pictures of each kind, by their paths.
TERMINALS = ["docs/images/demo.svg"]
PAGES = [
    f"docs/images/page{name}.png" for name in ("", "-phone", "-task-phone", "-parts")
]
HOMES = {
    "todo": "integration/images/todo.png",
    **{
        name: f"docs/images/{name}.png"
        for name in (
            *("device", "device-phone", "fleet", "fleet-phone", "printer"),
            *("maintenance", "maintenance-phone", "strategy", "strategy-phone"),
            *("children", "children-phone"),
        )
    },
}
# These are drawn by hand.
DRAWN = ["docs/images/idea.svg"]


class UnavailableError(Exception):
    """Something is missing on this machine."""


# The terminal


def terminal(into: Path) -> None:
    """Make the picture of the demo after one of its tasks was done."""
    options = argparse.Namespace(once=True, patience=1.0, minutes=0.0)
    try:
        klippy = find(None, None)
    except ValueError as error:
        raise UnavailableError(str(error)) from None
    with Chain(SPEED, None, klippy) as chain:
        demo = Demo(chain, options)
        if demo.run() != 0:
            raise UnavailableError("the demo saw no task through in time")
        console = Console(
            file=io.StringIO(), record=True, force_terminal=True, legacy_windows=False,
            width=TERMINAL.width, height=TERMINAL.height,
        )  # fmt: skip
        console.print(demo.picture(TERMINAL))
    # These are the reader's fonts: an index shows no picture that loads others.
    style = FONT.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, ", "")
    console.save_svg(str(into / TERMINALS[0]), title="make demo", code_format=style)


# The page


def page(into: Path) -> None:
    """Make the picture of a worn printer's page, during a print that wears it more."""
    with serve() as address, Tab() as tab:
        files = [into / each for each in PAGES]
        sizes = ((1400, 860), (PHONE, 844), (PHONE, 700), (1400, 470))
        views = ("tasks", "tasks", "task/voron/filter", "parts")
        words = ("Grease the rails", "Grease the rails", "Mark as done", "Take off")
        for file, size, view, word in zip(files, sizes, views, words, strict=True):
            tab.resize(*size)
            tab.open(f"{address}#/{view}")
            tab.wait_for(word)
            tab.picture(file)


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Yield the address of a bridge's page that shows one printer."""
    for program in ("mosquitto", "chromium"):
        if programs.find(program) is None:
            raise UnavailableError(programs.missing(program))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = Mosquitto(folder).start()
        stack.callback(broker.kill)
        now = int(time.time())
        tasks = worn(now)
        voron = ScriptedPrinter(broker.port, "voron", *tasks)
        stack.enter_context(voron)
        voron.say_everything()
        meters = {
            "print_time": Meter("h", "Print time"),
            "filament": Meter("m", "Filament"),
            "jobs_completed": Meter("", "Jobs completed"),
        }
        names = tuple(each.task for each in tasks)
        voron.say("info", Info("5e1f", "Voron", names, meters).encode())
        ahead = Ahead("rails", "Grease the rails", "print_time", 9.0, now + 9 * HOUR)
        job = Job("bracket.gcode", now - HOUR, 12.0, ahead=(ahead,))
        summary = Summary(99, float(now), 1, 1, None, None, None, job=job)
        voron.say("summary", summary.encode())
        community = stack.enter_context(Community(folder))
        port = free_port()
        listen = f"web.listen=127.0.0.1:{port}"
        community.bridge(broker.port, listen, "web.open=true")
        yield f"http://127.0.0.1:{port}/"


def worn(now: int) -> list[State]:
    """Return the tasks and parts of a printer after some months."""

    def task(name: str, label: str, *limits: Limit, **fields: object) -> State:
        worst = max(limits, key=lambda limit: limit.percent)
        status = "ok"
        if worst.percent >= 95:
            status = "due" if worst.percent >= 100 else "soon"
        known = {"status": status, "trigger": worst.meter, **fields}
        return State(9, float(now), name, label, limits, **known)  # type: ignore[arg-type]

    def limit(meter: str, unit: str, used: float, threshold: float) -> Limit:
        percent = round(100 * used / threshold, 2)
        return Limit(meter, unit, threshold, used, threshold - used, percent)

    nozzle = {"kind": "nozzle", "places": ("extruder",)}
    plate = {"kind": "plate", "place": "bed", "places": ("bed",)}
    return [
        task(
            "filter", "Carbon filter", limit("print_time", "h", 56, 50),
            message="Replace the cartridge. Keep the frame.", parts="Carbon, 60 g",
            guide="https://example.org/filter", done_count=6,
            last_done=now - 40 * DAY, last_by="Anna",
        ),
        task("rails", "Grease the rails", limit("print_time", "h", 201, 210)),
        task(
            "belts", "Check the belts", limit("time", "d", 37, 90),
            due_at=now + 53 * DAY,
        ),
        task("hotend_fan", "Hotend fan", limit("print_time", "h", 0, 1500)),
        task(
            "nozzle_04", "Nozzle 0.4 hardened", limit("filament", "m", 1840, 3000),
            limit("print_time", "h", 410, 800), place="extruder", **nozzle,
        ),
        task(
            "nozzle_06", "Nozzle 0.6", limit("filament", "m", 1250, 2000),
            enabled=False, status="disabled", **nozzle,
        ),
        task(
            "plate", "Textured plate", limit("jobs_completed", "", 236, 400), **plate
        ),
    ]  # fmt: skip


# Home Assistant

LOOKS = [
    f"tests/ha/test_{each}.py" for each in ("pages", "integration", "own_entities")
]
ONLY = (
    *("test_pages", "test_the_list_is_a_page_that_can_be_read"),
    "test_a_dashboard_makes_itself_and_done_reaches_the_printer_with_its_note",
    "test_each_task_is_a_device_if_the_option_is_set",
)


def home_assistant(into: Path) -> None:
    """Make the pictures of the newest Home Assistant, as `make test-ha-latest` does."""
    home = os.environ.get("HA_LATEST", "")
    if not (Path(home) / "ready").exists():
        raise UnavailableError("no Home Assistant here: make test-ha-latest brings one")
    if programs.find("chromium") is None:
        raise UnavailableError(programs.missing("chromium"))
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "pytest", "--quiet", "-p", "no:randomly", *LOOKS]
        command += ["-k", " or ".join(ONLY)]
        variables = {**os.environ, "PICTURES": folder}
        variables.pop("HA_STABLE", None)
        subprocess.run([sys.executable, *command], cwd=ROOT, env=variables, check=True)
        for name, path in HOMES.items():
            shutil.copy(Path(folder) / f"{name}-latest.png", into / path)


KINDS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "terminal": (terminal, TERMINALS),
    "page": (page, PAGES),
    "home-assistant": (home_assistant, list(HOMES.values())),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"some of: {', '.join(KINDS)}")
    parser.add_argument("--into", type=Path, default=ROOT, help="another folder")
    options = parser.parse_args()
    for kind in options.kinds or KINDS:
        make, files = KINDS[kind]
        for file in files:
            (options.into / file).parent.mkdir(parents=True, exist_ok=True)
        try:
            make(options.into)
        except (UnavailableError, pytest.skip.Exception) as missing:
            sys.stdout.write(f"{kind}: not made: {missing}\n")
        else:
            sys.stdout.write(f"{kind}: made {', '.join(files)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
