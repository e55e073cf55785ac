"""Calls by UDP. Any call may be lost, and any answer."""

from __future__ import annotations

import select
import socket
import threading

import pytest

from mktl_daemon.net import discovery, loop


class Lossy:
    """Passes calls on to a listener and its answers back. A plan tells what is lost.

    Each letter of the plan is a round of calls. In *c* the calls are lost, in *a* the
    answers are lost, and in *2* the answers come twice. A round begins with a call in
    the form of the second edition.
    """

    def __init__(self, listener: int, plan: str) -> None:
        self.port = 0
        self.rounds = 0
        self._plan = plan
        self._listener = "127.0.0.1", listener
        self._end, self._ended = socket.socketpair()
        # As on a network, the listener sees one address for each caller.
        self._front, self._back = (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)
        )
        self._front.bind(("127.0.0.1", 0))
        self._back.bind(("127.0.0.1", 0))
        self.port = self._front.getsockname()[1]
        self._caller = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._end.close()
        self._thread.join()
        for each in (self._front, self._back, self._ended):
            each.close()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._front, self._back, self._ended], [], [])
            if self._ended in ready:
                return
            if self._front in ready:
                data, self._caller = self._front.recvfrom(4096)
                self.rounds += data == b"Aloha mKTL"
                if self._fate() != "c":
                    self._back.sendto(data, self._listener)
            if self._back in ready:
                data = self._back.recv(4096)
                for _ in range({"a": 0, "2": 2}.get(self._fate(), 1)):
                    self._front.sendto(data, self._caller)

    def _fate(self) -> str:
        return self._plan[self.rounds - 1 : self.rounds]


@pytest.fixture
def lossy(community, monkeypatch):
    """Return a function that makes networks with a plan, and a listener behind each."""
    # So a busy machine is never late for a round.
    monkeypatch.setattr(discovery, "_PATIENCE_HERE", 4.0)
    made = []

    def begin(plan):
        listener = discovery.Listener(loop.shared(), 0, 4321, lambda _: True)
        network = Lossy(listener.port, plan)
        made.extend([network, listener])
        return network

    yield begin
    for each in made:
        each.close()


@pytest.mark.parametrize("plan", ["c", "a", "ca"])
def test_after_a_lost_call_or_answer_the_next_call_is_answered(lossy, plan):
    network = lossy(plan)
    assert discovery.search(network.port, ["127.0.0.1"]) == [("127.0.0.1", 4321)]
    assert network.rounds == len(plan) + 1


def test_an_answer_that_comes_twice_counts_once(lossy):
    network = lossy("2")
    assert discovery.search(network.port, ["127.0.0.1"]) == [("127.0.0.1", 4321)]


def test_no_call_follows_an_answer(lossy):
    network = lossy("")
    assert discovery.search(network.port, ["127.0.0.1"])
    assert network.rounds == 1
