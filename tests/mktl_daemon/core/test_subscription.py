"""What a client knows of a value whose publication did not reach it."""

from __future__ import annotations

import json
import threading

import pytest
import zmq

import mktl_daemon as mktl
from mktl_daemon import config, publish

PERIOD = 50  # milliseconds between looks whether the test is over


class Silent:
    """A daemon with one number, which it answers for and never publishes.

    So it is to a client whose subscription is still on its way.
    """

    def __init__(self):
        self.value = 1
        self._context = zmq.Context()
        self._rep = self._context.socket(zmq.ROUTER)
        self.pub = self._context.socket(zmq.XPUB)
        rep_port = self._rep.bind_to_random_port("tcp://127.0.0.1")
        self.pub_port = self.pub.bind_to_random_port("tcp://127.0.0.1")
        config.known("silent").update(
            {
                "store": "silent",
                "alias": "silent",
                "uuid": "5ca1ab1e-0000-4000-8000-000000000001",
                "items": {"number": {"type": "numeric"}},
                "provenance": [
                    {
                        "stratum": 0,
                        "hostname": "127.0.0.1",
                        "rep": rep_port,
                        "pub": self.pub_port,
                    }
                ],
            }
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self):
        self._ending.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _run(self):
        while not self._ending.is_set():
            if not self._rep.poll(PERIOD):
                continue
            sender, version, ident, kind, target, _, payload = (
                self._rep.recv_multipart()
            )
            answer = {"value": True}
            if target != b"silent.number":
                answer = {"error": {"type": "KeyError", "text": "not here"}}
            elif kind == b"SET":
                self.value = json.loads(payload)["value"]
            else:
                answer = {"value": self.value, "time": 1.0}
            for what, told in ((b"ACK", b""), (b"REP", json.dumps(answer).encode())):
                self._rep.send_multipart(
                    [sender, version, ident, what, target, b"", told]
                )


@pytest.fixture
def silent(community):
    made = Silent()
    yield made
    made.close()


def test_a_value_that_was_set_is_read_back_though_nobody_publishes_it(silent):
    item = mktl.get("silent.number")
    assert item.value == 1
    item.set(5)
    assert item.value == 5


@pytest.mark.parametrize("connected", [False, True])
def test_what_changed_before_the_subscription_arrived_is_heard(silent, connected):
    if connected:
        publish.client("127.0.0.1", silent.pub_port).register(b"any.", print)
        assert silent.pub.recv() == b"\1any."
    item = mktl.get("silent.number")
    heard = threading.Event()
    item.register(lambda item, value, when: heard.set())
    silent.value = 2
    assert heard.wait(20)
    assert item.value == 2
