"""Shares: every printer has one bridge, and few move when there is one more."""

from __future__ import annotations

from mqtt_bridge.fleet import sharding
from mqtt_bridge.settings import Share, Store

PRINTERS = [f"printer-{number}" for number in range(1000)]


def test_every_printer_has_exactly_one_bridge():
    bridges = [Store(share=Share(of=4, index=index)) for index in range(4)]

    assert all(sum(b.owns(printer) for b in bridges) == 1 for printer in PRINTERS)


def test_the_parts_are_about_even():
    parts = [sharding.index(printer, 4) for printer in PRINTERS]

    assert all(200 < parts.count(index) < 300 for index in range(4))


def test_one_bridge_more_takes_its_own_printers_and_moves_no_other():
    moved = [p for p in PRINTERS if sharding.index(p, 4) != sharding.index(p, 5)]

    assert 0 < len(moved) < 300
    assert {sharding.index(printer, 5) for printer in moved} == {4}


def test_the_place_of_a_printer_is_the_same_everywhere():
    """Bridges of different versions and machines must agree."""
    assert [sharding.index(printer, 7) for printer in PRINTERS[:8]] == [
        3,
        3,
        1,
        1,
        0,
        1,
        6,
        5,
    ]


def test_one_bridge_has_all_and_two_share_them():
    assert {sharding.index(printer, 1) for printer in PRINTERS} == {0}
    assert {sharding.index(printer, 2) for printer in PRINTERS} == {0, 1}


def test_a_list_of_printers_is_over_the_share():
    store = Store(printers=("voron",))

    assert store.owns("voron")
    assert not store.owns("ender")
