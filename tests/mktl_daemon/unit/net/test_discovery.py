"""Calls by UDP, of which any may be lost, and so may the answers."""

from __future__ import annotations

import select
import socket
import threading

import pytest

from mktl_daemon.net import discovery, loop


class Lossy:
    """Passes calls on to a listener and its answers back; a plan says what is lost.

    Each letter of the plan is a round of calls: in *c* the calls are lost, in *a* the
    answers are, and in *2* the answers come twice. A round begins with a call in the
    second edition's form.
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
    """Make networks that lose what a plan says, with a listener behind each."""
    # So that no busy machine is late for a round.
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
def test_a_lost_call_or_answer_is_made_up_for_by_the_next_call(lossy, plan):
    network = lossy(plan)
    assert discovery.search(network.port, ["127.0.0.1"]) == [("127.0.0.1", 4321)]
    assert network.rounds == len(plan) + 1


def test_an_answer_that_comes_twice_is_noted_once(lossy):
    network = lossy("2")
    assert discovery.search(network.port, ["127.0.0.1"]) == [("127.0.0.1", 4321)]


def test_nobody_is_called_again_after_an_answer(lossy):
    network = lossy("")
    assert discovery.search(network.port, ["127.0.0.1"])
    assert network.rounds == 1
