"""What is published, to whom and in which order."""

import json


def test_a_value_that_was_set_is_published(wire, oven, peer):
    """Topic with a trailing dot, version, payload: three frames."""
    listener = wire.listener(oven, b"pie.number.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.number", next(values)))
    peer.set("pie.number", 2.5)

    topic, version, payload = listener.receive()
    assert (topic, version) == (b"pie.number.", b"a")
    fields = json.loads(payload)
    assert fields["value"] == 2.5
    assert fields["time"] == peer.get("pie.number").payload["time"]


def test_a_topic_does_not_bleed_into_another(wire, oven, peer):
    """a.b is not the beginning of a.bc."""
    listener = wire.listener(oven, b"pie.a.b.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.a.b", next(values)))
    peer.set("pie.a.bc", 1)
    peer.set("pie.a.b", 2)

    topic, _, payload = listener.receive()
    assert (topic, json.loads(payload)["value"]) == (b"pie.a.b.", 2)


def test_a_prefix_that_ends_in_a_dot_is_all_below_it(wire, oven, peer):
    """One subscription for a family of keys."""
    listener = wire.listener(oven, b"pie.a.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.a.b", next(values)))
    peer.set("pie.a.b", 1)
    peer.set("pie.a.bc", 2)

    assert [listener.receive()[0] for _ in range(2)] == [b"pie.a.b.", b"pie.a.bc."]


def test_sets_of_one_client_are_published_in_their_order(wire, oven, peer):
    """However many are on their way at once, and the last one stays."""
    listener = wire.listener(oven, b"pie.number.")
    values = iter(range(-1000, 0))
    listener.settle(lambda: peer.set("pie.number", next(values)))
    count = 3000
    for value in range(count):
        peer.request(b"SET", "pie.number", {"value": value}, flags=b"\1")

    assert listener.values(count) == list(range(count))
    replies = [peer.receive()[2] for _ in range(count)]
    assert replies == [b"REP"] * count
    assert peer.get("pie.number").value == count - 1


def test_the_same_value_again_is_not_published(wire, oven, peer):
    """Subscribers hear of changes."""
    listener = wire.listener(oven, b"pie.number.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.number", next(values)))
    for value in (1, 1, 1, 2):
        peer.set("pie.number", value)

    assert listener.values(2) == [1, 2]


def test_true_and_one_are_different_values(wire, oven, peer):
    """What JSON tells apart is told apart."""
    listener = wire.listener(oven, b"pie.anything.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.anything", next(values)))
    for value in (1, True, 1, [0], [False]):
        peer.set("pie.anything", value)

    assert str(listener.values(5)) == str([1, True, 1, [0], [False]])


def test_built_in_items_are_published_once_a_second(wire, oven):
    """Uptime grows by a second from one to the next; the load comes as often."""
    clock = wire.listener(oven, b"pie._fruitclk.")
    first, second, third = clock.values(3)
    assert 0.5 < second - first < 2
    assert 0.5 < third - second < 2

    load = wire.listener(oven, b"pie._fruitcpu.")
    assert load.values(1)[0] >= 0


def test_built_in_items_can_be_read(oven, peer):
    """Who the daemon is, where and since when."""
    assert peer.get("pie._fruitpid").value == oven.process.pid
    assert peer.get("pie._fruithost").value
    assert peer.get("pie._fruitmem").value > 1000
    assert peer.get("pie._fruitclk").value > 0
    block = peer.get("pie._fruitcat").value
    assert block["uuid"] == peer.get("pie._fruituuid").value
    assert (block["store"], block["alias"]) == ("pie", "fruit")
    assert "number" in block["items"]


def test_the_developers_note_can_be_set(peer):
    """It is the one built-in item that can."""
    assert peer.set("pie._fruitdev", "being baked").error is None
    assert peer.get("pie._fruitdev").value == "being baked"
    assert peer.set("pie._fruitpid", 1).error["type"]
