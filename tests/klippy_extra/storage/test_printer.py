"""A printer whose store cannot be read or written prints, counts, and reports it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.klippy_extra.storage.test_owner import HOLDER

RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
HOT = "[maintain hot]\ntrigger: print_time\nthreshold: 150\nwhile: extruder>250\n"


@pytest.fixture
def start(bench, disk, monkeypatch):
    """Return a function that starts a printer.

    Its store is on a disk that can be full or read-only.
    """

    def begin(sections=RODS):
        printer = bench(sections, store=disk.folder)
        try_again_soon(monkeypatch)
        return printer

    return begin


def try_again_soon(monkeypatch):
    """Let each loaded copy of the extra try again after 0.05 s.

    Klippy loads the extra under a name of its own.
    """
    for name, module in list(sys.modules.items()):
        if name.endswith("storage.store"):
            monkeypatch.setattr(module, "RETRY", 0.05)


def is_shown(printer, text):
    return any(text in line for line in printer.console)


def test_a_full_disk_loses_nothing_once_it_has_room_again(start, disk):
    printer = start()
    printer.use(print_time=5.0)
    printer.restart()
    assert printer.task("rods")["used"] == 5.0
    disk.fill()
    printer.restart()
    assert printer.task("rods")["used"] == 5.0
    disk.fill()  # The file that the restart closed has left some room.
    printer.advance(12)  # Now there is something to save.
    printer.wait_for(lambda: is_shown(printer, "is full. Counting goes on"))
    printer.use(print_time=2.0)
    disk.fill()  # The file that was closed has left some room.
    assert "would be lost at a restart" in printer.say("SKIP_MAINTENANCE NAME=rods")
    printer.use(print_time=1.0)
    assert "is full" in printer.status("maintain")["problem"]

    disk.drain()
    printer.saved()
    assert is_shown(printer, "Maintenance is saved again.")
    assert printer.status("maintain")["problem"] is None
    printer.restart()
    assert printer.task("rods")["used"] == 1.0


def test_a_disk_that_fills_up_during_a_print_is_reported_once(start, disk):
    printer = start()
    printer.print_file()
    printer.advance(30)
    disk.fill()
    for _ in range(5):
        printer.gcode("SET_MAINTENANCE_MATERIAL MATERIAL=" + "A" * 50_000)
        printer.advance(30)
    printer.wait_for(lambda: is_shown(printer, "Nothing is saved since"))
    printer.advance(60)

    assert printer.status("print_stats")["state"] == "printing"
    assert len([x for x in printer.console if "Nothing is saved since" in x]) == 1
    disk.drain()


def test_sequence_numbers_never_repeat_over_starts_that_save_nothing(start, disk, wall):
    disk.fill()
    printer = start()
    seen = []
    for _ in range(3):
        printer.restart()
        seen += [printer.manager.memory.next_seq() for _ in range(1500)]
        printer.advance(5)
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)


def test_a_store_that_opens_late_is_joined_with_the_new_counts(bench):
    air = RODS.replace("rods", "air")
    cutter = "[maintain cutter]\ntrigger: count_cuts\nthreshold: 100\n"
    printer = bench(RODS + air + cutter)
    printer.use(print_time=5.0)
    printer.say("UPDATE_MAINTENANCE NAME=air NOTE=before")
    printer.gcode("MAINTENANCE_COUNT NAME=cuts BY=7")
    printer.advance(5)
    uuid = printer.manager.memory.uuid
    path = printer.manager.settings.store
    aside, folder = path.with_name("aside"), path.with_name("folder")
    folder.mkdir()
    printer.manager.memory.close = lambda documents: (
        type(printer.manager.memory).close(printer.manager.memory, documents),
        path.rename(aside),
        path.symlink_to(folder),
    )
    printer.restart()
    # Moonraker subscribes to the fields that a status has at its first query.
    assert printer.task("rods")["status"] == "ok"
    assert is_shown(printer, "cannot be read")
    printer.use(print_time=1.0)
    assert printer.task("rods")["used"] == 1.0
    printer.gcode("UPDATE_MAINTENANCE NAME=air NOTE=meanwhile")
    printer.use(print_time=0.5)
    # The file comes back in one step, because the store may try at any moment.
    aside.replace(path)
    printer.manager.memory.save({})  # The store tries again at once.

    printer.wait_for(lambda: printer.manager.memory.known, "the store")
    printer.saved()
    assert printer.task("rods")["used"] == pytest.approx(6.5, abs=0.01)
    assert printer.task("air")["used"] == pytest.approx(0.5, abs=0.01)
    assert printer.task("air")["done_count"] == 2
    assert printer.manager.memory.uuid == uuid
    assert printer.life.upkeep.counting.readings()["count_cuts"] == 7.0
    log = printer.say("MAINTENANCE_LOG NAME=air")
    assert log.index("meanwhile") < log.index("before")
    printer.restart()
    assert printer.task("rods")["used"] == pytest.approx(6.5, abs=0.01)
    assert printer.manager.memory.uuid == uuid


def test_without_sqlite3_klippy_prints_and_reports_it(bench, monkeypatch):
    printer = bench(RODS)
    for name in [each for each in sys.modules if each.endswith("storage.store")]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delitem(sys.modules, name.replace(".store", ".database"))
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    printer.restart()

    assert printer.state == "ready"
    assert is_shown(printer, "Nothing is saved: the Python that runs Klippy lacks")
    assert "sqlite3" in printer.status("maintain")["problem"]
    printer.use(print_time=5.0)
    assert "would be lost at a restart" in printer.say("UPDATE_MAINTENANCE NAME=rods")
    assert printer.task("rods")["done_count"] == 1
    assert "done" in printer.say("MAINTENANCE_LOG")
    printer.gcode("MAINTENANCE_LOG EXPORT=1")
    printer.wait_for(lambda: is_shown(printer, "maintenance-log.csv was written"))
    uuid = printer.manager.memory.uuid
    printer.restart()
    assert printer.manager.memory.uuid == uuid


def test_a_second_klippy_does_not_get_the_store_and_prints(bench, tmp_path):
    path = tmp_path / "upkeep.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout.readline() == b"taken\n"
        printer = bench(RODS)
        text = "\n".join(printer.console)
        assert f"process {first.pid}, which runs /home/pi/a/printer.cfg" in text
        assert "give one of them another 'store'" in text
        printer.print_file()
        printer.advance(300)
        assert printer.status("print_stats")["state"] == "printing"
        assert printer.task("rods")["used"] > 0.0
        assert not path.exists()
        first.kill()
    printer.gcode("CANCEL_PRINT", 30)
    printer.restart()
    assert printer.status("maintain")["problem"] is None


def test_a_conditional_task_that_is_missing_for_one_restart_keeps_its_count(bench):
    printer = bench(RODS + HOT)
    printer.life.upkeep.book.advance({"print_time": 5.0})
    printer.advance(3)
    config = printer.config_file.read_text()
    printer.configure(config.replace(HOT, ""))
    printer.restart()
    printer.use(print_time=1.0)
    printer.restart()
    printer.configure(config)
    printer.restart()

    assert printer.task("hot")["used"] == 5.0
    assert printer.task("rods")["used"] == 6.0


def test_one_damaged_document_costs_no_reading(bench):
    printer = bench(RODS)
    printer.use(print_time=5.0)
    path = printer.manager.settings.store
    printer.manager.memory.close = lambda documents: (
        type(printer.manager.memory).close(printer.manager.memory, documents),
        spoil(path, "marks", "answers", "printer"),
    )
    printer.restart()

    assert printer.task("rods")["used"] == 5.0
    assert is_shown(printer, "are not valid: ")


def spoil(path, *names):
    database = sqlite3.connect(path)
    with database:
        for name in names:
            database.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?)", (name, '["x"]')
            )
    database.close()
    Path(f"{path}.backup").unlink()
