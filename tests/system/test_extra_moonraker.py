"""Moonraker's totals, from a Moonraker that runs beside a real Klippy.

The variable `MOONRAKER` names a command that starts one, given two arguments: the
printer's folder, whose socket `api` is Klippy's, and the port to listen on.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import urllib.error
import urllib.request

import pytest

from tests.fakes.mosquitto import free_port
from tests.system import parts
from tests.system.klippy import end, spawn, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.klipper,
    pytest.mark.skipif(
        not os.environ.get("MOONRAKER"), reason="MOONRAKER=<command> is not set"
    ),
]

TASKS = """
[maintain rods]
trigger: print_time
threshold: 150

[maintain nozzle]
trigger: filament
threshold: 500
"""


class Moonraker:
    def __init__(self, port):
        self.port = port

    def get(self, path, method="GET"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["result"]

    def ready(self):
        try:
            return self.get("/server/info")["klippy_state"] == "ready"
        except (urllib.error.URLError, ConnectionError):
            return False

    def totals(self):
        return self.get("/server/history/totals")["job_totals"]

    def section(self, *lines):
        """A `[maintain]` section that knows where this Moonraker is."""
        url = f"moonraker_url: http://127.0.0.1:{self.port}"
        store = "store: {folder}/upkeep.sqlite"
        return "\n".join(["[maintain]", url, store, *lines]) + "\n"


@pytest.fixture
def printer(make_printer):
    printer = make_printer()
    assert printer.start() == ("ready", "Printer is ready")
    return printer


@pytest.fixture
def moonraker(printer):
    """One that has seen a job to its end."""
    moonraker = Moonraker(free_port())
    command = [
        *shlex.split(os.environ["MOONRAKER"]),
        str(printer.folder),
        str(moonraker.port),
    ]
    log = printer.folder / "moonraker.out"
    process = spawn(command, printer.folder, log, {})
    try:
        until(moonraker.ready, "Moonraker")
        printer.gcode(parts.HEAT)
        job(printer, moonraker)
        yield moonraker
    finally:
        end(process, signal.SIGTERM)


def job(printer, moonraker, layers=2):
    before = moonraker.totals()["total_jobs"]
    printer.print_file(parts.rings(layers))
    printer.finish_printing()
    until(lambda: moonraker.totals()["total_jobs"] > before, "the job in the history")


def used(printer, name):
    printer.gcode("MAINTAIN_STATUS")
    return printer.task(name)["used"]


def test_a_first_start_may_begin_from_the_history(printer, moonraker):
    printer.configure(moonraker.section("import_history: True") + TASKS)
    printer.restart()

    totals = moonraker.totals()
    hours, metres = (
        totals["total_print_time"] / 3600,
        totals["total_filament_used"] / 1e3,
    )
    assert hours > 0
    until(lambda: used(printer, "rods") == pytest.approx(hours, abs=1e-4), "the hours")
    assert used(printer, "nozzle") == pytest.approx(metres, abs=1e-4)
    printer.restart()
    assert used(printer, "rods") == pytest.approx(hours, abs=1e-4)


def test_the_totals_can_be_what_counts(printer, moonraker):
    printer.configure(moonraker.section("source: moonraker") + TASKS)
    printer.restart()
    printer.gcode(parts.HEAT)
    before = moonraker.totals()["total_print_time"]

    job(printer, moonraker, layers=3)

    hours = (moonraker.totals()["total_print_time"] - before) / 3600
    until(
        lambda: used(printer, "rods") == pytest.approx(hours, abs=1e-4),
        "the job's hours",
        timeout=90,
    )
    moonraker.get("/server/history/reset_totals", method="POST")
    job(printer, moonraker)
    more = moonraker.totals()["total_print_time"] / 3600
    until(
        lambda: used(printer, "rods") == pytest.approx(hours + more, abs=1e-4),
        "the hours after the reset",
        timeout=90,
    )


def test_the_ancestors_files_are_taken_over(printer, moonraker):
    """They hold what Moonraker's totals were when the task was done last."""
    totals = moonraker.totals()
    folder = printer.folder / "maintain-db"
    folder.mkdir()
    start = totals["total_time"] / 3600 - 0.002
    old = {"print_time": start, "filament": 0.0, "time": 480000.0, "last_disabled": -1}
    (folder / "rods").write_text(json.dumps(old))
    printer.configure(moonraker.section() + TASKS)

    printer.restart()

    until(lambda: used(printer, "rods") == pytest.approx(0.002, abs=1e-4), "the import")
    assert json.loads((folder / "rods").read_text()) == old
