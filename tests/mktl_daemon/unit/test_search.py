"""The search for daemons: all are asked at once, and the wanted one is enough."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import mktl_daemon as mktl
from mktl_daemon import catalog_requests, config, find, follow, search
from mktl_daemon.catalog_requests import LostError
from mktl_daemon.net import reach
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


def test_a_search_ends_within_a_second_if_daemons_and_registries_are_silent():
    """So `mk get` of a silent key takes less than 1.2 s."""
    assert search.HEAD_START + reach.PATIENCE < 1.0


def test_a_far_daemon_has_time_for_three_connections():
    """One of them is made if a packet of the others is lost."""
    far = 0.2  # seconds there and back
    assert len(reach.ATTEMPTS) == 3
    assert reach.ATTEMPTS[-1] + 2 * far < reach.PATIENCE


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
    registry = "127.0.0.1", 1
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


def test_a_search_knows_what_all_threads_read_next(puppet, until, monkeypatch):
    """So each daemon that is far away is asked for the right item at once."""
    keys, wanted = [], ["number", "other"]

    def refresh(catalog, names, *more):
        if more and not keys:  # else it is a later search
            until(lambda: sorted(more[-1]()) == wanted, "both threads read a key")
            keys.extend(more[-1]())
        return search.refresh(catalog, names, *more)

    monkeypatch.setattr(find, "refresh", refresh)
    with ThreadPoolExecutor() as threads:
        number, other = (threads.submit(mktl.get, f"puppet.{key}") for key in wanted)
        assert number.result().value == 1
        assert isinstance(other.exception(), KeyError)
    assert sorted(keys) == wanted


@pytest.fixture
def far(monkeypatch):
    """To connect takes as long as it does to a daemon that is far away."""

    def is_open(_host, _port, if_far):
        if_far()
        return True

    monkeypatch.setattr(catalog_requests, "is_open", is_open)


@pytest.mark.usefixtures("far", "community")
def test_a_daemon_that_is_far_away_is_asked_for_what_is_read_next(mute):
    """There may be several such keys, of several daemons."""
    config.known("puppet").update(block(0, mute.port), save=False)
    search.refresh(config.known("puppet"), reads=lambda: ["another", "silent0"])
    assert mute.requests().count(SILENT) == 2  # on two of three connections


@pytest.fixture
def calm(monkeypatch):
    """Planned searches come after the test, and fresh results stay fresh."""
    monkeypatch.setattr(follow, "_PAUSES", (60.0,))
    monkeypatch.setattr(follow, "FRESH", 60.0)


HASH, SILENT = ("GET", "puppet._hash"), ("GET", "puppet.silent0")
# A silent daemon gets each request in two forms: today's and the early one.
FORMS = 2


@pytest.mark.usefixtures("community", "calm")
def test_a_silent_daemon_is_asked_for_a_value_once(mute):
    """Getting and reading the item takes one search. The value is not requested."""
    config.known("puppet").update(block(0, mute.port), save=False)
    with pytest.raises(mktl.NoAckError, match=f"nobody at 127.0.0.1:{mute.port}"):
        _ = mktl.get("puppet.silent0").value
    assert mute.requests() == [HASH] * FORMS


@pytest.mark.usefixtures("puppet", "calm")
def test_a_silent_key_of_a_known_store_is_asked_and_searched_once(mute):
    config.known("puppet").update(block(0, mute.port), save=False)
    assert mktl.get("puppet.number").value == 1
    with pytest.raises(mktl.NoAckError):
        _ = mktl.get("puppet.silent0").value
    # One search found the first key, and another one asked the remaining daemons.
    assert Counter(mute.requests()) == {HASH: 2 * FORMS, SILENT: FORMS}


@pytest.mark.usefixtures("community", "calm")
def test_a_silent_key_is_asked_again_by_the_next_request(mute):
    """The daemon may work again."""
    config.known("puppet").update(block(0, mute.port), save=False)
    item = mktl.get("puppet.silent0")
    for read in (lambda: item.value, item.get):
        with pytest.raises(mktl.NoAckError):
            read()
    assert SILENT in mute.requests()


@pytest.mark.usefixtures("community", "calm")
def test_a_daemon_that_two_registries_know_is_asked_once(mute, monkeypatch):
    registries = [("127.0.0.1", 1), ("127.0.0.1", 2)]
    its = {"u-0": block(0, mute.port)}
    monkeypatch.setattr(find.discovery, "registries", lambda *_, **__: registries)
    monkeypatch.setattr(search, "blocks_at", lambda *_: its)
    with pytest.raises(mktl.NoAckError):
        _ = mktl.get("puppet.silent0").value
    assert mute.requests() == [HASH] * FORMS


@pytest.mark.usefixtures("calm")
def test_a_silent_daemon_stays_known_if_another_has_its_port(puppet, monkeypatch):
    """The other daemon has the port by chance."""
    config.known("puppet").remove(PUPPET)
    its = {"u-0": block(0, puppet.rep_port, hostname="kitchen.invalid")}
    registries = [("127.0.0.1", 1)]
    monkeypatch.setattr(find.discovery, "registries", lambda *_, **__: registries)
    monkeypatch.setattr(search, "blocks_at", lambda *_: its)
    with pytest.raises(mktl.NoAckError, match=r"nobody at kitchen\.invalid"):
        _ = mktl.get("puppet.silent0").value


@pytest.mark.usefixtures("calm")
def test_a_registry_is_not_taken_for_a_daemon_with_its_port(puppet, monkeypatch):
    """Both have the first port on their machines. A registry has all hashes."""
    config.known("puppet").remove(PUPPET)
    puppet.hashes = {"value": {"puppet": {"u-0": 1}}}
    its = {"u-0": block(0, puppet.rep_port, hostname="kitchen.invalid")}
    registries = [("127.0.0.1", puppet.rep_port)]
    monkeypatch.setattr(find.discovery, "registries", lambda *_, **__: registries)
    monkeypatch.setattr(search, "blocks_at", lambda *_: its)
    with pytest.raises(mktl.NoAckError, match=r"nobody at kitchen\.invalid"):
        _ = mktl.get("puppet.silent0").value


def test_a_lost_get_is_sent_again_if_a_search_finds_the_daemon(puppet):
    """A SET is not sent again, because the daemon may have it."""
    number = mktl.get("puppet.number")
    puppet.current = {"value": 2, "time": 2.0}
    puppet.lost[b"GET"] = 1
    assert number.get(refresh=True) == 2
    puppet.lost[b"SET"] = 1
    with pytest.raises(mktl.NoAckError):
        number.set(3)
    assert number.get(refresh=True) == 2


@pytest.mark.parametrize("answerer", [PUPPET, "u-other", None])
def test_who_has_the_port_and_the_hash_of_a_daemon_is_that_daemon_by_its_uuid(
    puppet, answerer
):
    """The reference's registries and daemons know hashes of others, too."""
    its = config.known("puppet").blocks()[PUPPET]
    items = {**its["items"], "_handuuid": {"type": "string"}}
    config.known("puppet").update({**its, "items": items, "time": 2.0}, save=False)
    puppet.current = {"value": answerer, "time": 2.0}
    if answerer is None:
        puppet.current = {"error": {"type": "KeyError", "text": "no such item"}}
    with contextlib.suppress(RuntimeError, KeyError):
        mktl.get("puppet.number")
    assert (PUPPET in config.known("puppet").uuids()) is (answerer == PUPPET)


@pytest.mark.usefixtures("calm")
def test_a_daemon_whose_answer_was_not_awaited_is_not_silent(puppet, mute, monkeypatch):
    """The search for the first key ends as soon as its own daemon answers."""
    its = {PUPPET: config.known("puppet").blocks()[PUPPET], "u-0": block(0, mute.port)}
    config.known("puppet").remove(PUPPET)
    registry = "127.0.0.1", puppet.rep_port
    monkeypatch.setattr(find.discovery, "registries", lambda *_, **__: [registry])
    monkeypatch.setattr(search, "blocks_at", lambda *_: its)
    assert mktl.get("puppet.number").value == 1

    with pytest.raises(mktl.NoAckError):
        _ = mktl.get("puppet.silent0").value

    assert SILENT in mute.requests()


@pytest.mark.usefixtures("community", "calm")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_daemon_is_silent_if_its_machine_cannot_be_reached(
    mute, monkeypatch, is_there
):
    """If the machine can be reached and is far away, only the requests were lost."""

    def lose(*_):
        raise LostError("lost on the way", is_there=is_there)

    monkeypatch.setattr(search, "hash_at", lose)
    config.known("puppet").update(block(0, mute.port), save=False)
    with pytest.raises(mktl.NoAckError):
        _ = mktl.get("puppet.silent0").value
    assert (SILENT in mute.requests()) is is_there


@pytest.mark.usefixtures("calm")
def test_a_daemon_is_not_silent_if_another_one_of_its_machine_answers(
    puppet, mute, monkeypatch
):
    """A packet to it was lost."""
    hash_at = search.hash_at

    def lose(host, port, *more):
        if port == mute.port:
            raise LostError("lost on the way", is_there=False)
        return hash_at(host, port, *more)

    monkeypatch.setattr(search, "hash_at", lose)
    config.known("puppet").update(block(0, mute.port), save=False)
    with pytest.raises(mktl.NoAckError):
        _ = mktl.get("puppet.silent0").value
    assert SILENT in mute.requests()
