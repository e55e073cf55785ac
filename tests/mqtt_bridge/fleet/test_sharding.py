"""Shares: every printer belongs to one bridge, and few move when a bridge is added."""

from __future__ import annotations

from mqtt_bridge.fleet import sharding
from mqtt_bridge.settings import Share, Store

PRINTERS = [f"printer-{number}" for number in range(1000)]


def test_every_printer_has_exactly_one_bridge():
    bridges = [Store(share=Share(of=4, index=index)) for index in range(4)]

    assert all(sum(b.owns(printer) for b in bridges) == 1 for printer in PRINTERS)


def test_the_shares_are_almost_equal():
    parts = [sharding.index(printer, 4) for printer in PRINTERS]

    assert all(200 < parts.count(index) < 300 for index in range(4))


def test_an_added_bridge_takes_its_printers_and_moves_no_others():
    moved = [p for p in PRINTERS if sharding.index(p, 4) != sharding.index(p, 5)]

    assert 0 < len(moved) < 300
    assert {sharding.index(printer, 5) for printer in moved} == {4}


def test_the_share_of_a_printer_is_the_same_on_every_machine():
    """Bridges of different versions and machines have to agree."""
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


def test_one_bridge_has_all_printers_and_two_share_them():
    assert {sharding.index(printer, 1) for printer in PRINTERS} == {0}
    assert {sharding.index(printer, 2) for printer in PRINTERS} == {0, 1}


def test_a_list_of_printers_replaces_the_share():
    store = Store(printers=("voron",))

    assert store.owns("voron")
    assert not store.owns("ender")
