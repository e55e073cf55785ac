"""The records of a printer, and the changes of one batch of messages."""

from __future__ import annotations

import pytest

from mqtt_bridge.fleet.items import Shapes
from mqtt_bridge.fleet.records import Changes, Record, show, update
from tests.mqtt_bridge import messages as m


def record(prefix="voron.rods."):
    made = Record(prefix)
    shape, values = Shapes(read_only=False).task(m.state())
    update(made, shape, values, 1000.0, Changes())
    return made


def shown(*prefixes):
    changes = Changes()
    for prefix in prefixes:
        show(record(prefix), changes)
    return changes


def test_a_record_names_its_values():
    named = record().named()
    assert (named["used"], named["label"]) == (37.5, "Oil the rods")
    assert Record("voron.").named() == {}


def test_values_that_do_not_match_their_items_are_an_error():
    made = record()
    made.values = made.values[1:]
    with pytest.raises(ValueError, match="shorter"):
        made.named()


def test_the_printers_of_a_batch_are_those_with_any_change():
    changes = Changes()
    changes.rows.append(("a.rods.print_time.used", 1.0, 2.0))
    changes.remove("b.rods.used")
    changes.placed |= shown("c.belts.").placed
    assert changes.printers() == {"a", "b", "c"}


def test_the_changes_of_each_printer_are_its_own():
    changes = shown("a.rods.", "b.rods.")
    changes.remove("a.belts.filament.used")
    parts = changes.parts()

    assert set(parts) == {"a", "b"}
    assert parts["a"].removed == {"a.belts.filament.used"}
    assert parts["b"].removed == set()
    for slug, part in parts.items():
        assert all(key.startswith(f"{slug}.rods.") for key in part.placed)
        assert [row[0] for row in part.rows] == list(part.placed)
        assert part.placed[f"{slug}.rods.used"].value == 37.5


def test_a_hidden_record_makes_no_change():
    made, changes = record(), Changes()
    shape, values = Shapes(read_only=False).task(m.state(limits=(m.limit(used=1.0),)))
    update(made, shape, values, 2000.0, changes)
    assert (changes.rows, changes.placed) == ([], {})
    show(made, changes)
    assert ("voron.rods.used", 1.0, 2000.0) in changes.rows

    again = Changes()
    show(made, again)
    assert again.placed == {}
