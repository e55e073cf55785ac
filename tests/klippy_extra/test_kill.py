"""Klippy is killed with SIGKILL at random moments during a print, many times."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from klippy_extra.contract import Command
from klippy_extra.storage.store import Store
from tests.fakes import children
from tests.fakes.klippy import FastClock, Host
from tests.fakes.virtual_printer import EXTRA, MACHINE

SPEED = 30.0
CONFIG = """
[virtual_sdcard]
path: {folder}

[extruder]
min_extrude_temp: 0

[maintain]
store: {folder}/upkeep.sqlite
store_interval: 1

[maintain rods]
trigger: print_time
threshold: 150

[maintain nozzle]
trigger: filament
threshold: 500
"""


def print_until_killed(folder: Path, tell: int) -> None:
    """Print and mark tasks done. Write to *tell* what the store has confirmed."""
    clock = FastClock(SPEED)
    host = Host(
        folder / "printer.cfg", {"maintain": EXTRA}, clock=clock, prepare=watch(tell)
    )
    host.main()


def watch(tell: int):
    def prepare(printer):
        def ready():
            manager = printer.lookup_object("maintain")
            save = manager.memory.save

            def save_and_report(documents, log=(), then=None):
                """Save, and then write to the pipe what is on disk."""
                readings = dict(documents.get("meters", {}).get("readings", {}))
                dones = sum(
                    r.done_count for r in manager.life.upkeep.book.records.values()
                )
                line = {"read": readings.get("print_time", 0.0), "saved": dones}

                def written(why):
                    os.write(tell, json.dumps(line).encode() + b"\n")
                    if then is not None:
                        then(why)

                save(documents, log, written)

            manager.memory.save = save_and_report
            reactor = printer.get_reactor()
            gcode = printer.lookup_object("gcode")
            reactor.register_callback(
                lambda eventtime: gcode.run_from_terminal(
                    'SDCARD_PRINT_FILE FILENAME="job.gcode"'
                )
            )

            def done(eventtime):
                task = random.choice(["rods", "nozzle"])
                manager.life.commands.give(task, Command("done"), print, print)
                return reactor.monotonic() + random.uniform(0.1, 2.0)

            reactor.register_timer(done, reactor.monotonic() + 0.5)

        printer.register_event_handler("klippy:ready", ready)

    return prepare


def a_life(folder: Path, seconds: float) -> list[dict]:
    """Start a printer, kill it after *seconds*, and return what the store confirmed."""
    child, pipe = children.begin(
        lambda tell: print_until_killed(folder, tell), silent=(1, 2)
    )
    with pipe:
        output = pipe.readline()  # after the first save the printer runs
        time.sleep(seconds)  # the test is about this random time
        os.kill(child, signal.SIGKILL)
        output += pipe.read()
    os.waitpid(child, 0)
    lines = output.split(b"\n")[:-1]  # the last line may be incomplete
    return [json.loads(line) for line in lines]


@pytest.mark.soak
def test_no_confirmed_change_is_lost_and_no_store_is_corrupt(tmp_path, rounds):
    random.seed(4711)
    (tmp_path / "job.gcode").write_text("M83\n" + "G1 E1 F300\n" * 100_000)
    (tmp_path / "printer.cfg").write_text(MACHINE + CONFIG.format(folder=tmp_path))
    read = dones = 0.0
    for _ in range(rounds(20, 200)):
        confirmed = a_life(tmp_path, random.uniform(0.0, 0.1))
        read = max([read, *(line["read"] for line in confirmed)])
        dones = max([dones, *(line["saved"] for line in confirmed)])

        store = Store(str(tmp_path / "upkeep.sqlite"), print)
        loaded = store.load()
        store.close({})
        documents = loaded.documents
        kept = sum(
            documents[f"task/{task}"]["done_count"] for task in ("rods", "nozzle")
        )
        assert loaded.problem == ""
        assert documents["meters"]["readings"]["print_time"] >= read
        assert kept >= dones
        assert len([e for e in loaded.log if e.event == "done"]) in (kept, 500)
        for task in ("rods", "nozzle"):
            record = documents[f"task/{task}"]
            readings = documents["meters"]["readings"]
            for meter, begun in record["start"].items():
                assert begun <= readings[meter]
        read, dones = documents["meters"]["readings"]["print_time"], kept
    assert dones > 0
    assert read > 0.0
