"""A Python without some modules, a bad disk and a wrong clock, under a real Klippy."""

from __future__ import annotations

import pytest

from tests.fakes.disk import small_disk
from tests.system.klippy import Klippy, Printer, until

pytestmark = pytest.mark.klipper

RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
DUESE = """
[maintain duese]
label: Düse
trigger: print_time
threshold: 150
message: Bei 200 °C wechseln
"""
ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def make(back_end, tmp_path):
    """Return a function that starts printers whose Klippy has its own environment."""
    printers = []

    def start(sections, environment=None, speed=None):
        if not isinstance(back_end, Klippy):
            pytest.skip("the test double has no process of its own")
        klippy = Klippy(
            back_end.source,
            speed=back_end.speed if speed is None else speed,
            environment=environment,
            server=back_end.server,
        )
        printer = Printer(klippy, sections)
        printers.append(printer)
        state = printer.start()
        assert state[0] == "ready", state
        return printer

    yield start
    for printer in printers:
        printer.close()


def without(tmp_path, *modules):
    """Return the environment of a Python that lacks these modules."""
    folder = tmp_path / "lacking"
    folder.mkdir()
    for module in modules:
        text = f"raise ImportError('no module named {module}')\n"
        (folder / f"{module}.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


def test_klippy_prints_on_a_python_without_sqlite3_and_ssl(make, tmp_path):
    printer = make("[maintain]\n" + RODS, without(tmp_path, "sqlite3", "ssl"))
    assert "sqlite3" in printer.status("maintain")["problem"]
    assert "lost at a restart" in printer.console("UPDATE_MAINTENANCE NAME=rods")
    printer.gcode("G28")
    assert "rods" in printer.console("MAINTAIN_STATUS")
    assert printer.state()[0] == "ready"


def test_klippy_keeps_umlauts_under_the_c_locale(make, tmp_path):
    """Python uses UTF-8 there, so Klippy can read a configuration with umlauts."""
    store = tmp_path / "düse" / "upkeep.sqlite"
    sections = f"[maintain]\nstore: {store}\nprinter_name: Düsentrieb\n" + DUESE
    printer = make(sections, {"LC_ALL": "C", "LANG": "C"})
    assert "Düse" in printer.console("CHECK_MAINTENANCE NAME=duese")
    assert "Bei 200 °C wechseln" in printer.console("CHECK_MAINTENANCE NAME=duese")
    printer.gcode('UPDATE_MAINTENANCE NAME=duese NOTE="neu bei 200 °C"')
    assert "neu bei 200 °C" in printer.console("MAINTENANCE_LOG")
    assert store.exists()


def test_notes_and_file_names_keep_umlauts_under_an_ascii_locale(make, tmp_path):
    """Klippy cannot read umlauts in printer.cfg there. Names of files may have them."""
    home = tmp_path / "düse"
    home.mkdir()
    sections = "[maintain]\nstore: ~/upkeep.sqlite\n" + RODS
    printer = make(sections, {**ASCII, "HOME": str(home)})
    assert printer.status("maintain")["problem"] is None
    printer.gcode('UPDATE_MAINTENANCE NAME=rods NOTE="neue Düse bei 200 °C"')
    assert "neue Düse bei 200 °C" in printer.console("MAINTENANCE_LOG")
    assert (home / "upkeep.sqlite").exists()
    printer.gcode("MAINTENANCE_LOG EXPORT=1")
    table = printer.folder / "maintenance-log.csv"
    until(table.exists, "the exported log")
    assert "neue Düse bei 200 °C" in table.read_text(encoding="utf-8")
    printer.kill()
    printer.start()
    assert "neue Düse" in printer.console("MAINTENANCE_LOG")


def test_a_second_klippy_does_not_get_the_store_of_the_first(make, tmp_path):
    sections = f"[maintain]\nstore: {tmp_path}/upkeep.sqlite\n" + RODS
    first = make(sections)
    second = make(sections)

    problem = second.status("maintain")["problem"]
    assert f"process {first.pid}" in problem
    assert str(first.folder) in problem
    assert first.status("maintain")["problem"] is None
    second.gcode("G28")
    assert second.state()[0] == "ready"
    first.kill()
    first.start()
    assert first.status("maintain")["problem"] is None


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as made:
        yield made


def test_a_completion_on_a_full_disk_is_saved_once_there_is_room(make, disk):
    sections = f"[maintain]\nstore: {disk.folder}/upkeep.sqlite\n" + RODS
    printer = make(sections)
    printer.gcode("ADJUST_MAINTENANCE NAME=rods USED=42")
    disk.fill()
    printer.kill()
    printer.start()
    disk.fill()
    assert printer.task("rods")["used"] == pytest.approx(42, abs=0.1)
    assert "lost at a restart" in printer.console(
        "ADJUST_MAINTENANCE NAME=rods USED=43"
    )
    assert "is full" in printer.status("maintain")["problem"]

    disk.drain()
    until(lambda: printer.status("maintain")["problem"] is None, "the disk")
    printer.kill()
    printer.start()
    assert printer.task("rods")["used"] == pytest.approx(43, abs=0.1)


def test_users_of_klippermaintenance_can_go_on(make):
    printer = make(
        "[maintain]\ninterval: -1\n"
        "[maintain xyrods left side]\ntrigger: print_time\nthreshold: 250\n"
        "[maintain nozzle]\ntrigger: filament\nthreshold: 0\n"
    )
    assert "always due" in printer.console("MAINTAIN_STATUS")
    printer.gcode("DISABLE_MAINTENANCE NAME=xyrods")
    printer.gcode("UPDATE_MAINTENANCE NAME=xyrods HOURS=20")
    task = printer.task("xyrods left side")
    assert (task["status"], task["used"]) == ("ok", 20.0)


def test_a_killed_klippy_releases_its_store(make, tmp_path):
    printer = make(f"[maintain]\nstore: {tmp_path}/upkeep.sqlite\n" + RODS)
    for _ in range(3):
        printer.gcode("UPDATE_MAINTENANCE NAME=rods")
        printer.kill()
        printer.start()
        assert printer.status("maintain")["problem"] is None
    assert printer.task("rods")["done_count"] == 3
