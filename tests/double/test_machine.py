"""Facts about the machine on which the tests of the extra rely.

tests/system compares Klipper itself with them.
"""

import pytest

from tests.fakes.virtual_printer import VirtualPrinter


@pytest.mark.parametrize("old", [False, True])
def test_the_objects_have_the_names_of_old_or_of_new_klippers(
    tmp_path, monkeypatch, old
):
    monkeypatch.setattr(VirtualPrinter, "old_names", old)
    events = []
    with VirtualPrinter("[probe]\npin: PG3\nz_offset: 1\n", tmp_path) as printer:
        event = "probe:update_results"
        printer.printer.register_event_handler(event, events.append)
        printer.gcode("G28\nPROBE", 120)
        report = printer.lookup("motion_report")

    assert hasattr(report, "trapqs") == old
    assert hasattr(report, "dtrapqs") != old
    assert len(events) == (0 if old else 1)


def test_the_printer_is_printing_in_motion_and_idle_at_rest(start):
    """After the timeout the heaters are turned off, unless something prevents it."""
    printer = start("[idle_timeout]\ntimeout: 100\n")
    events = []
    for name in ("printing", "ready", "idle"):
        printer.printer.register_event_handler(
            f"idle_timeout:{name}", lambda print_time, name=name: events.append(name)
        )
    printer.gcode("M104 S100\nG28 X", 3)
    assert printer.status("idle_timeout")["state"] == "Printing"

    printer.advance(20)
    assert printer.status("idle_timeout")["state"] == "Ready"
    printer.advance(110)
    assert printer.status("idle_timeout")["state"] == "Idle"
    assert events == ["printing", "ready", "idle"]
    assert printer.status("extruder")["target"] == 0.0


def test_homing_leaves_moves_in_the_history_that_were_never_made(start):
    """They were queued behind the endstop.

    A meter that reads the history must leave them out.
    """
    printer = start()
    moves, made = [], []

    def ended(move):
        end = printer.lookup("toolhead").get_last_move_time()
        queue = printer.lookup("motion_report").dtrapqs["toolhead"]
        ways = (
            (move.start_v + 0.5 * move.accel * move.move_t) * move.move_t
            for move in queue.extract_trapq(0.0, end)[0]
        )
        moves.append(sum(ways))
        (x,) = (each for each in move.stepper_positions if "x" in each.stepper_name)
        made.append(abs(x.halt_pos - x.start_pos) * x.stepper.get_step_dist())

    printer.printer.register_event_handler("homing:homing_move_end", ended)
    printer.gcode("G28 X", 60)

    assert moves[0] - made[0] == pytest.approx(50.0 * 0.15, abs=0.1)  # mm/s, s
