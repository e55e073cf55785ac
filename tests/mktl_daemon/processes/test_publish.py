"""What is published, to whom, and in which order."""

import json


def test_a_value_that_was_set_is_published(wire, oven, peer):
    """A publication has three frames: the topic with a final dot, version, payload."""
    listener = wire.listener(oven, b"pie.number.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.number", next(values)))
    peer.set("pie.number", 2.5)

    topic, version, payload = listener.receive()
    assert (topic, version) == (b"pie.number.", b"a")
    fields = json.loads(payload)
    assert fields["value"] == 2.5
    assert fields["time"] == peer.get("pie.number").payload["time"]


def test_a_subscription_to_one_topic_gets_no_other(wire, oven, peer):
    """a.b is not the beginning of a.bc."""
    listener = wire.listener(oven, b"pie.a.b.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.a.b", next(values)))
    peer.set("pie.a.bc", 1)
    peer.set("pie.a.b", 2)

    topic, _, payload = listener.receive()
    assert (topic, json.loads(payload)["value"]) == (b"pie.a.b.", 2)


def test_a_prefix_that_ends_in_a_dot_has_all_keys_below_it(wire, oven, peer):
    """One subscription serves a family of keys."""
    listener = wire.listener(oven, b"pie.a.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.a.b", next(values)))
    peer.set("pie.a.b", 1)
    peer.set("pie.a.bc", 2)

    assert [listener.receive()[0] for _ in range(2)] == [b"pie.a.b.", b"pie.a.bc."]


def test_the_sets_of_one_client_are_published_in_their_order(wire, oven, peer):
    """This is so however many are sent at once, and the last value stays."""
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
    """Subscribers get changes only."""
    listener = wire.listener(oven, b"pie.number.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.number", next(values)))
    for value in (1, 1, 1, 2):
        peer.set("pie.number", value)

    assert listener.values(2) == [1, 2]


def test_true_and_one_are_different_values(wire, oven, peer):
    """Values that differ in JSON differ here, too."""
    listener = wire.listener(oven, b"pie.anything.")
    values = iter(range(1000, 2000))
    listener.settle(lambda: peer.set("pie.anything", next(values)))
    for value in (1, True, 1, [0], [False]):
        peer.set("pie.anything", value)

    assert str(listener.values(5)) == str([1, True, 1, [0], [False]])


def test_built_in_items_are_published_once_a_second(wire, oven):
    """Uptime grows by one second between two publications.

    The load is published as often.
    """
    clock = wire.listener(oven, b"pie._fruitclk.")
    first, second, third = clock.values(3)
    assert 0.5 < second - first < 2
    assert 0.5 < third - second < 2

    load = wire.listener(oven, b"pie._fruitcpu.")
    assert load.values(1)[0] >= 0


def test_built_in_items_can_be_read(oven, peer):
    """They tell the daemon's name, its place and the time of its start."""
    assert peer.get("pie._fruitpid").value == oven.process.pid
    assert peer.get("pie._fruithost").value
    assert peer.get("pie._fruitmem").value > 1000
    assert peer.get("pie._fruitclk").value > 0
    block = peer.get("pie._fruitcat").value
    assert block["uuid"] == peer.get("pie._fruituuid").value
    assert (block["store"], block["alias"]) == ("pie", "fruit")
    assert "number" in block["items"]


def test_the_developers_note_can_be_set(peer):
    """No other built-in item can be set."""
    assert peer.set("pie._fruitdev", "being baked").error is None
    assert peer.get("pie._fruitdev").value == "being baked"
    assert peer.set("pie._fruitpid", 1).error["type"]
