"""The machine: homing and probing, heaters, fans, motors, and when it is idle."""

import pytest

from tests.fakes.virtual_printer import VirtualPrinter


@pytest.mark.parametrize("old", [False, True])
def test_it_has_the_names_of_old_klippers_or_of_new_ones(tmp_path, monkeypatch, old):
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
