"""When a publisher holds values back, and when a subscriber pauses reading."""

from __future__ import annotations

import random
import threading

import zmq

import mktl_daemon as mktl
from mktl_daemon.net import loop, pub, sub

DEADLINE = 20.0


def test_held_values_are_sent_at_the_release_or_before_the_next_value():
    """So values are published in the order in which items accepted them."""
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


def test_a_set_that_asks_for_the_value_is_answered_before_the_publication(start, ask):
    """The reply is sent before the publisher gets the value."""
    daemon = start(items={"number": {"type": "numeric"}})
    steps = []
    put, answer = daemon.pub.put, daemon.rep.answer_at_once

    def published(topic, payload, bulk):
        if topic == b"pie.number.":
            steps.append("published")
        put(topic, payload, bulk)

    def answered(*reply):
        answer(*reply)
        steps.append("answered")

    daemon.pub.put, daemon.rep.answer_at_once = published, answered
    peer = ask(daemon)
    for number, fields in enumerate((b"", b"", b',"now":true', b',"now":true')):
        payload = b'{"value":%d%b}' % (number, fields)
        assert peer.reply(peer.send(b"SET", "pie.number", payload))["value"]
    # The first one is not answered at once, because its item has to be found.
    assert steps[0] == "published"
    assert steps[1:3] == ["published", "answered"]
    peer.get("pie.number")
    assert steps[3:7] == ["answered", "published"] * 2


def test_a_value_is_received_after_any_invalid_messages(puppet, box, caplog):
    """Messages that cannot be read are logged.

    Readable ones without a value are dropped.
    """
    chance = random.Random(5)
    number = mktl.get("puppet.number")
    assert puppet.pub.recv() == b"\1puppet.number."
    # Bytes after an empty description are an array, and valid.
    number.register(lambda item, value, when: isinstance(value, int) and box.put(value))
    noise = (b"a", b"b", b"", b"\xff", b"{", b"{}", b"[1]", b'{"value":NaN}', b"x" * 99)
    for _ in range(300):
        frames = chance.choices(noise, k=chance.randrange(6))
        puppet.pub.send_multipart([b"puppet.number.", *frames])
    puppet.publish(7, 7.0)
    assert box.wait(1) == [7]
    assert "publishes" in caplog.text


def brought_to_rest(puppet, act):
    """Let the subscriber read only known values, and call *act* when it pauses."""
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


def test_a_subscriber_goes_on_reading_after_a_pause(puppet):
    """A value that comes after a known value arrives, too."""
    rests, arrived = threading.Event(), threading.Event()
    number, _ = brought_to_rest(puppet, lambda _: rests.set())
    assert rests.wait(DEADLINE)
    number.register(lambda item, value, when: value == 3 and arrived.set())
    puppet.publish(3, 3.0)
    assert arrived.wait(DEADLINE)


def test_a_subscriber_that_is_closed_during_its_pause_stays_closed(puppet):
    """Its socket no longer exists, so nobody may read it."""
    closed = threading.Event()

    def close(subscriber):
        subscriber.close()
        # This is after the end of the pause.
        loop.shared().later(2 * sub.REST, closed.set)

    _, subscriber = brought_to_rest(puppet, close)
    assert closed.wait(DEADLINE)
    assert subscriber.socket not in [each for each, _ in loop.shared().watched]


def test_a_thread_that_sends_requests_reads_during_the_subscribers_pause(
    puppet, monkeypatch, until
):
    """So the loop's thread does not take the interpreter away from it."""
    monkeypatch.setattr(sub, "REST", 60.0)
    rests, readers = threading.Event(), []
    number, subscriber = brought_to_rest(puppet, lambda _: rests.set())
    assert rests.wait(DEADLINE)
    subscriber.register(
        b"puppet.number.", lambda _: readers.append(threading.current_thread())
    )
    puppet.publish(3, 3.0)

    def is_read():
        number.get(refresh=True)
        return readers

    until(is_read, "the value is read")
    assert readers == [threading.current_thread()]


def test_a_thread_extends_the_pause_as_long_as_it_reads_known_values(
    puppet, monkeypatch, until
):
    monkeypatch.setattr(sub, "REST", 60.0)
    rests = threading.Event()
    number, subscriber = brought_to_rest(puppet, lambda _: rests.set())
    assert rests.wait(DEADLINE)
    puppet.current = {"value": 3, "time": 3.0}
    puppet.reply = {"value": True, "now": puppet.current}
    number.set(3)
    assert not subscriber.is_read_beside
    for value, is_known in ((3, True), (4, False)):
        puppet.publish(value, float(value))

        def is_noticed(is_known=is_known):
            number.get(refresh=True)
            return subscriber.is_read_beside is is_known

        until(is_noticed, "the value is read")
