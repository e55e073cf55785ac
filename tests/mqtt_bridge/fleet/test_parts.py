"""The items of a part: its place, and how to set it."""

from __future__ import annotations

import pytest

from mqtt_bridge.contract import Command, State
from mqtt_bridge.fleet import decode, items
from tests.mqtt_bridge import messages as m

PART = m.state()._replace(kind="nozzle", place="extruder", places=("extruder",))


def test_a_part_has_items_that_no_task_has():
    plain, _ = m.values(m.state())
    part, _ = m.values(PART)

    assert set(part) - set(plain) == {"kind", "place", "places"}
    assert (part["kind"], part["place"]) == ("nozzle", "extruder")


@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("extruder1", Command("fit", "t1", "anna", place="extruder1")),
        ("", Command("remove", "t1", "anna")),
    ],
)
def test_setting_the_place_fits_or_removes_the_part(place, command):
    made, shape = m.values(PART)
    order = items.command(shape, tuple(made.values()), "place", place, "anna", "t1")
    assert order == command
    assert Command.decode(order.encode()) == command


def test_the_fast_decoder_leaves_a_part_to_the_contract():
    assert decode.state(PART.encode(), "rods") is None
    assert State.decode(PART.encode()) == PART
