"""The search for daemons: all are asked at once, and the wanted one is enough."""

from __future__ import annotations

import contextlib
import socket

import pytest

import mktl_daemon as mktl
from mktl_daemon import config, find, search
from tests.mktl_daemon.unit.conftest import PUPPET


def block(number, port, **more):
    place = {"stratum": 0, "hostname": "127.0.0.1", "rep": port, "pub": 1, **more}
    return {
        "store": "puppet",
        "alias": f"silent{number}",
        "uuid": f"u-{number}",
        "hash": 1,
        "time": 1.0,
        "provenance": [place],
        "items": {f"silent{number}": {"type": "numeric"}},
    }


@pytest.fixture
def silence():
    """Addresses at which a socket listens and never answers."""
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.socket()) for _ in range(20)]
        for each in listening:
            each.bind(("127.0.0.1", 0))
            each.listen()
        yield [each.getsockname()[1] for each in listening]


@pytest.mark.timeout(15)  # each silent daemon takes a second
def test_a_search_for_a_key_does_not_wait_for_silent_daemons(puppet, silence):
    for number, port in enumerate(silence):
        config.known("puppet").update(block(number, port), save=False)
    assert mktl.get("puppet.number").value == 1


@pytest.mark.timeout(15)
def test_silent_daemons_are_asked_at_once(community, silence):
    for number, port in enumerate(silence):
        config.known("puppet").update(block(number, port), save=False)
    with pytest.raises(TimeoutError):
        mktl.get("puppet.silent3").get(refresh=True)


def test_a_daemon_with_an_unknown_host_name_is_found_at_its_registrys_address(
    puppet, monkeypatch
):
    """A daemon may announce a name that only its own network knows."""
    its = config.known("puppet").blocks()[PUPPET]
    stratum = {**its["provenance"][0], "hostname": "kitchen.invalid"}
    unknown = {**its, "provenance": [stratum]}
    config.known("puppet").remove(PUPPET)
    registry = "127.0.0.1", puppet.rep_port
    monkeypatch.setattr(find.discovery, "registries", lambda *_, **__: [registry])
    monkeypatch.setattr(search, "blocks_at", lambda *_: {PUPPET: unknown})
    assert mktl.get("puppet.number").value == 1
    assert config.get("puppet")[PUPPET]["provenance"][0]["hostname"] == "127.0.0.1"


def test_a_registry_that_answered_the_call_is_asked_again(puppet, monkeypatch):
    """On a line that loses packets the first connection to it may fail."""
    its = config.known("puppet").blocks()[PUPPET]
    config.known("puppet").remove(PUPPET)
    registry = "127.0.0.1", puppet.rep_port
    calls = []

    def blocks_at(*_):
        calls.append(1)
        if len(calls) == 1:
            raise mktl.NoAckError("lost on the way")
        return {PUPPET: its}

    monkeypatch.setattr(find.discovery, "registries", lambda *_, **__: [registry])
    monkeypatch.setattr(search, "blocks_at", blocks_at)
    assert mktl.get("puppet.number").value == 1
