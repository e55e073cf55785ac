"""A signal ends a program even while its main thread begins to wait for the end."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from mktl_daemon.cli import common, mk
from mqtt_bridge.cli import serve
from mqtt_bridge.settings import Settings


class Untimely(threading.Event):
    """Who waits for this event gets a signal when it has the event's lock.

    A wait has a limit, because Python does not see a signal that arrives just before
    its main thread sleeps.
    """

    def wait(self, timeout=None):
        assert timeout is not None
        assert timeout <= 1.0
        with self._cond:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)  # Python handles the signal here.
        return super().wait(timeout)


@pytest.fixture(autouse=True)
def same_handlers_after():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def daemon():
    ended = Untimely()
    address = SimpleNamespace(host="127.0.0.1", port=1)
    return SimpleNamespace(
        hostname="127.0.0.1",
        rep=address,
        pub=address,
        is_local=True,
        shutdown=ended,
        stop=ended.set,
        cleanup=lambda: None,
        bridge=SimpleNamespace(call=lambda function: None),
    )


def test_mkd_and_the_registry_end(daemon):
    assert common.run(daemon, "a registry") == 0


def test_a_watch_ends(monkeypatch):
    item = SimpleNamespace(register=lambda *args, **options: None)
    monkeypatch.setattr(mk, "items_of", lambda *args, **options: [item])
    monkeypatch.setattr(mk, "threading", SimpleNamespace(Event=Untimely))
    assert mk.main(["watch", "pie.number"]) == 0


def test_the_bridge_ends(daemon, monkeypatch):
    monkeypatch.setattr(serve, "start", lambda *args: daemon)
    assert serve.serve(Settings()) == 0
