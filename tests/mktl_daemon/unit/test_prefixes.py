"""One subscription for all keys with the same beginning."""

from __future__ import annotations

import mktl_daemon as mktl

ITEMS = {
    "voron.rails": {"type": "numeric", "initial": 0},
    "voron.belt": {"type": "numeric", "initial": 0},
    "other.rails": {"type": "numeric", "initial": 0},
}


def test_a_prefix_gets_its_keys_beside_single_subscriptions(
    own_kitchen, community, monkeypatch, box
):
    own_kitchen.enter("client", monkeypatch)
    own_kitchen.registry()
    own_kitchen.daemon("upkeep", "farm", ITEMS)
    rails = mktl.get("upkeep.voron.rails")
    followed = []
    rails.register(lambda item, value, when: followed.append(value))
    subscription = mktl.subscribe("upkeep.voron.", lambda *each: box.put(each[:2]))
    # ZeroMQ does not report when a subscription has arrived.
    while not box.things:
        mktl.get("upkeep.voron.belt").set(1)
        mktl.get("upkeep.voron.belt").set(2)
    box.things.clear()
    mktl.get("upkeep.other.rails").set(5)
    rails.set(7)
    while ("upkeep.voron.rails", 7) not in box.wait(1):
        box.wait(len(box.things) + 1)
    assert not any(key.startswith("upkeep.other") for key, _ in box.things)
    assert 7 in followed
    subscription.close()
    rails.set(8)
    assert rails.value == 8
    assert ("upkeep.voron.rails", 8) not in box.things
