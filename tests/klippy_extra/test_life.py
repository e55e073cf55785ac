"""From start to stop: what is kept, what is saved, and what a wrong clock changes."""

from __future__ import annotations

import threading

import pytest

RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
AIR = "[maintain air]\ntrigger: time\nthreshold: 500\n"
MONTHS = 120 * 86400.0
HOUR = 3600.0


@pytest.fixture
def printer(bench, dialect):
    return bench(RODS + AIR)


def saved_at(printer, name="meters"):
    """Keep what the store is given under *name*."""
    times, save = [], printer.manager.memory.save

    def record(documents, log=(), then=None):
        if name in documents:
            times.append(printer.clock.monotonic())
        save(documents, log, then)

    printer.manager.memory.save = record
    return times


@pytest.mark.parametrize("command", ["RESTART", "FIRMWARE_RESTART"])
def test_a_restart_loses_nothing(printer, command):
    printer.print_file()
    printer.advance(200)
    printer.gcode("CANCEL_PRINT", 20)
    before = printer.life.upkeep.counting.readings()
    printer.restart(command)

    after = printer.life.upkeep.counting.readings()
    assert before["filament"] > 0.0
    for meter, reading in before.items():
        assert after[meter] >= reading


def test_an_emergency_stop_counts_what_was_printed_until_then(printer):
    printer.print_file()
    printer.advance(300)
    printed = printer.status("print_stats")["print_duration"]
    printer.emergency_stop()
    printer.gcode("FIRMWARE_RESTART")
    printer.advance(60)

    counted = printer.life.upkeep.counting.readings()["print_time"] * HOUR
    assert counted == pytest.approx(printed, abs=1.0)


def test_counts_are_saved_at_the_configured_interval(bench):
    printer = bench("[maintain]\nstore_interval: 20\n" + RODS)
    times = saved_at(printer)
    printer.advance(101)

    assert [round((at - times[0]) / 20) for at in times] == [0, 1, 2, 3, 4]


def test_done_is_confirmed_only_when_it_is_saved(printer):
    kept = []
    printer.manager.memory.save = lambda documents, log=(), then=None: kept.append(then)
    printer.gcode("UPDATE_MAINTENANCE NAME=rods")
    assert not any("is marked done" in line for line in printer.console)

    kept[0]("")
    printer.advance(0)
    assert any("is marked done" in line for line in printer.console)
    del printer.manager.memory.save


def test_a_disk_that_refuses_writing_is_reported(printer):
    kept = []
    printer.manager.memory.save = lambda documents, log=(), then=None: kept.append(then)
    printer.gcode("UPDATE_MAINTENANCE NAME=rods")
    kept[0]("disk full")
    printer.advance(0)

    assert any(
        "would be lost at a restart: disk full" in line for line in printer.console
    )
    del printer.manager.memory.save


def test_a_disk_that_hangs_does_not_delay_a_print(printer):
    printer.print_file()
    printer.advance(60)
    printer.manager.memory.save = lambda documents, log=(), then=None: None
    before = printer.status("print_stats")["filament_used"]
    printer.gcode("UPDATE_MAINTENANCE NAME=rods")
    printer.advance(60)

    assert printer.status("print_stats")["filament_used"] > before
    assert printer.status("print_stats")["state"] == "printing"
    del printer.manager.memory.save


def test_sequence_numbers_never_repeat_after_a_power_cut(printer):
    manager = printer.manager
    highest = max(manager.memory.next_seq() for _ in range(700))
    printer.saved()
    identity = manager.memory.identity()["printer"]

    assert identity["seq"] > highest


def test_a_corrupt_store_is_reported_and_klippy_starts(printer):
    printer.use(print_time=5.0)
    store = printer.manager.settings.store
    printer.close()
    for path in store.parent.glob(store.name + "*"):
        path.write_bytes(b"\0" * 5000)
    again = type(printer)(str(printer.config_file), None)
    try:
        assert again.state == "ready"
        assert any("The maintenance store" in line for line in again.console)
    finally:
        again.close()


@pytest.mark.logs_errors
def test_a_store_with_nonsense_values_is_reported_and_klippy_starts(bench):
    printer = bench(RODS)
    save = printer.manager.memory.save
    save({"meters": {"readings": "many"}, "task/rods": ["x"], "answers": [[]]})
    printer.saved()
    printer.manager.memory.close = lambda documents: stop(printer.manager.memory)
    printer.restart()

    assert printer.state == "ready"
    assert any("not valid" in line for line in printer.console)
    printer.use(print_time=1.0)
    assert printer.task("rods")["used"] == 1.0


def stop(store):
    """Close a store without saving the last counts."""
    type(store).close(store, {})


def test_no_thread_stays_after_many_restarts(printer):
    names = {thread.name for thread in threading.enumerate()}
    for _ in range(3):
        printer.restart()
    assert {thread.name for thread in threading.enumerate()} == names


# The wall clock


@pytest.mark.parametrize("jump", [MONTHS, -MONTHS, 12 * MONTHS, -40 * MONTHS])
def test_a_clock_that_jumps_makes_nothing_due(printer, wall, jump):
    printer.advance(450)
    wall.ahead = jump
    printer.advance(450)

    task = printer.task("air")
    assert task["status"] == "ok"
    assert task["used"] == pytest.approx(900 / HOUR, rel=0.01)


@pytest.mark.parametrize("jump", [MONTHS, -MONTHS])
def test_a_clock_that_starts_in_the_past_makes_nothing_due(bench, wall, jump):
    """Without a battery it shows the month of the image until a time server answers."""
    wall.ahead = -jump
    printer = bench(RODS + AIR)
    printer.advance(30)
    wall.ahead = 0.0
    printer.advance(510)

    assert printer.task("air")["used"] == pytest.approx(540 / HOUR, rel=0.01)
    readings = printer.life.upkeep.counting.readings()
    assert min(readings.values()) >= 0.0


def test_a_snooze_survives_a_jump_of_the_clock(printer, wall):
    printer.use(print_time=151.0)
    printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=0.2")
    wall.ahead = MONTHS
    printer.advance(300)
    assert printer.task("rods")["status"] == "snoozed"

    wall.ahead = -MONTHS
    printer.advance(500)
    assert printer.task("rods")["status"] == "due"
