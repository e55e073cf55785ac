"""What a publisher holds back, and what a subscriber does not hurry to read."""

from __future__ import annotations

import random
import threading

import zmq

import mktl_daemon as mktl
from mktl_daemon.net import loop, pub, sub

DEADLINE = 20.0


def test_what_is_held_goes_out_at_release_or_before_what_is_sent_next():
    """So values are published in the order in which items took them."""
    server = pub.Server(loop.shared(), "127.0.0.1")
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.rcvtimeo = int(DEADLINE * 1000)
        listener.subscribe(b"a.")
        listener.connect(f"tcp://127.0.0.1:{server.port}")
        while not listener.poll(20):
            with server.lock:
                server.send(b"a.", b"first", None)
        with server.lock:
            server.hold(b"a.", b"held", None)
            server.send(b"a.", b"sent", None)
            server.hold(b"a.", b"held again", None)
            server.hold(b"a.", b"with bulk", b"bulk")
            server.hold(b"a.", b"released", None)
        server.release()
        server.release()
        with server.lock:
            server.send(b"a.", b"last", None)
        seen = []
        while b"last" not in seen:
            seen.append(listener.recv_multipart()[2])
    server.close()
    wanted = [b"held", b"sent", b"held again", b"with bulk", b"released", b"last"]
    assert [each for each in seen if each != b"first"] == wanted


def test_who_asks_what_a_set_brought_is_told_before_the_subscribers(start, ask):
    """The reply is on its way when the publisher is given the value."""
    daemon = start(items={"number": {"type": "numeric"}})
    steps = []
    put, answer = daemon.pub.put, daemon.rep.answer_at_once

    def published(topic, payload, bulk):
        if topic == b"pie.number.":
            steps.append("published")
        put(topic, payload, bulk)

    def answered(*told):
        answer(*told)
        steps.append("answered")

    daemon.pub.put, daemon.rep.answer_at_once = published, answered
    peer = ask(daemon)
    for number, fields in enumerate((b"", b"", b',"now":true', b',"now":true')):
        payload = b'{"value":%d%b}' % (number, fields)
        assert peer.reply(peer.send(b"SET", "pie.number", payload))["value"]
    # The first is not answered at once: its item has to be found.
    assert steps[0] == "published"
    assert steps[1:3] == ["published", "answered"]
    peer.get("pie.number")
    assert steps[3:7] == ["answered", "published"] * 2


def test_a_value_is_heard_after_whatever_nonsense(puppet, box, caplog):
    """What cannot be read is logged; what can be and is no value is dropped."""
    chance = random.Random(5)
    number = mktl.get("puppet.number")
    assert puppet.pub.recv() == b"\1puppet.number."
    # Bytes behind an empty description are an array, and no nonsense.
    number.register(lambda item, value, when: isinstance(value, int) and box.put(value))
    noise = (b"a", b"b", b"", b"\xff", b"{", b"{}", b"[1]", b'{"value":NaN}', b"x" * 99)
    for _ in range(300):
        frames = chance.choices(noise, k=chance.randrange(6))
        puppet.pub.send_multipart([b"puppet.number.", *frames])
    puppet.publish(7, 7.0)
    assert box.wait(1) == [7]
    assert "publishes" in caplog.text


def brought_to_rest(puppet, act):
    """Have the item's subscriber read what is known already; *act* when it rests."""
    number = mktl.get("puppet.number")
    assert puppet.pub.recv() == b"\1puppet.number."
    subscriber = sub.client("127.0.0.1", puppet.pub_port)
    rest = subscriber.rest
    subscriber.rest = lambda: (rest(), act(subscriber))
    puppet.current = {"value": 2, "time": 2.0}
    puppet.reply = {"value": True, "now": puppet.current}
    number.set(2)
    puppet.publish(2, 2.0)
    return number, subscriber


def test_a_subscriber_that_rests_reads_on(puppet):
    """Whatever comes after a value that was known already arrives, too."""
    rests, came = threading.Event(), threading.Event()
    number, _ = brought_to_rest(puppet, lambda _: rests.set())
    assert rests.wait(DEADLINE)
    number.register(lambda item, value, when: value == 3 and came.set())
    puppet.publish(3, 3.0)
    assert came.wait(DEADLINE)


def test_a_subscriber_that_is_closed_while_it_rests_stays_closed(puppet):
    """Its socket is gone: nobody may read it."""
    closed = threading.Event()

    def close(subscriber):
        subscriber.close()
        # Behind the end of the rest.
        loop.shared().later(2 * sub.REST, closed.set)

    _, subscriber = brought_to_rest(puppet, close)
    assert closed.wait(DEADLINE)
    assert subscriber.socket not in [each for each, _ in loop.shared().watched]
