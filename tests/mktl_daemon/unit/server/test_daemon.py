"""The life of a daemon, from its constructor to its end."""

from __future__ import annotations

import shutil

import pytest
import zmq

import mktl_daemon as mktl
from mktl_daemon import config
from mktl_daemon.files import places
from mktl_daemon.net import dealer
from tests.mktl_daemon.conftest import quiet_port
from tests.mktl_daemon.unit.conftest import DEADLINE, ITEMS, forget


def claim_ports():
    """Give the daemon ports that no other program takes while it is stopped."""
    uuid = places.identity("pie", "fruit")
    places.save_ports("pie", uuid, quiet_port(), quiet_port())


def test_the_stages_of_a_daemon_come_in_order(start):
    """They are options, descriptions, setup and setup_final. Each has what it needs."""
    stages = []

    class Daemon(mktl.Daemon):
        def parse_options(self, options):
            stages.append(("options", options))

        def describe_items(self):
            stages.append("items")
            return ITEMS

        def setup(self):
            stages.append(("setup", "number" in self.store, self._is_on_air))

        def setup_final(self):
            stages.append(("final", self.store["text"].value, self._is_on_air))

        def cleanup(self):
            stages.append("cleanup")

    daemon = start(Daemon, options="mine")
    daemon.cleanup()
    daemon.cleanup()
    assert stages == [
        ("options", "mine"),
        "items",
        ("setup", True, False),
        ("final", "apple", False),
        "cleanup",
    ]


def test_cleanup_is_called_if_setup_fails_and_the_ports_are_free_again(start):
    ended = []

    class Broken(mktl.Daemon):
        def setup(self):
            self.places = self.rep.port, self.pub.port
            ended.append(self)
            raise OSError("no controller")

        def cleanup(self):
            ended.append("cleanup")

    claim_ports()
    with pytest.raises(OSError, match="no controller"):
        start(Broken, ITEMS)
    assert ended[1:] == ["cleanup"]
    again = start(mktl.Daemon, ITEMS)
    assert (again.rep.port, again.pub.port) == ended[0].places


def test_stop_requests_the_end(start):
    daemon = start(items=ITEMS)
    assert not daemon.shutdown.is_set()
    daemon.stop()
    assert daemon.shutdown.is_set()


def test_identity_and_ports_are_kept_over_a_restart(start):
    claim_ports()
    first = start(items=ITEMS)
    known = first.uuid, first.rep.port, first.pub.port
    first.cleanup()
    second = start(items=ITEMS)
    assert (second.uuid, second.rep.port, second.pub.port) == known


def test_a_daemon_that_runs_is_not_started_twice(start):
    daemon = start(items=ITEMS)
    forget()
    with pytest.raises(mktl.RefusedError, match=f"127.0.0.1:{daemon.rep.port}"):
        start(items=ITEMS)


def test_a_daemon_that_answers_under_a_copied_home_is_not_started_twice(
    start, community, tmp_path, monkeypatch
):
    """The copy has no lock, so the daemon at the port in its files is asked."""
    daemon = start(items=ITEMS)
    # Files that are being written have names with a dot.
    unfinished = shutil.ignore_patterns(".*")
    shutil.copytree(community, tmp_path / "copy", ignore=unfinished)
    forget()
    monkeypatch.setenv("MKTL_HOME", str(tmp_path / "copy"))
    with pytest.raises(mktl.RefusedError, match=f"127.0.0.1:{daemon.rep.port}"):
        start(items=ITEMS)


def test_a_process_that_cannot_be_the_daemon_can_be_its_client(start):
    """The daemon can be started here when the other has ended."""
    daemon = start(items=ITEMS)
    block = dict(daemon.catalog["fruit"])
    forget()
    config.known("pie").update(block)
    with pytest.raises(mktl.RefusedError):
        start(items=ITEMS)
    assert not mktl.get("pie.fixed").authoritative
    assert mktl.get("pie.fixed").value == 7


def test_a_daemon_whose_ports_cannot_be_opened_can_be_started_again(start):
    class Options:
        interface = "192.0.2.1"

    for _ in range(2):
        with pytest.raises(ConnectionError):
            start(items=ITEMS, options=Options())
    assert start(items=ITEMS).rep.port


def test_a_request_before_the_daemon_is_ready_is_refused(start, ask, box):
    """It is not carried out later.

    Only the question whether the daemon exists is answered.
    """

    class Daemon(mktl.Daemon):
        def setup(self):
            peer = ask(self)
            box.put(peer.get("pie.text")["error"])
            box.put(peer.set("pie.text", "plum")["error"])
            box.put(peer.get("pie._fruituuid")["value"])

    daemon = start(Daemon, ITEMS)
    get, set_, uuid = box.things
    for error in (get, set_):
        assert error["type"] == "RuntimeError"
        assert "is still starting" in error["text"]
    assert uuid == daemon.uuid
    assert ask(daemon).get("pie.text")["value"] == "apple"


def test_items_can_be_set_by_the_daemon_itself_before_it_is_ready(start, box):
    """Each SET is carried out once, in each way to set a value."""

    class Noted(mktl.Item):
        def perform_set(self, value):
            box.put(value)

    class Daemon(mktl.Daemon):
        def setup(self):
            item = self.add_item(Noted, "number")
            item.set(5)
            item += 1
            item.set(item.value + 1, wait=False).wait(20)
            self.store["list"].set([1])

    daemon = start(Daemon, ITEMS)
    assert box.things == [5, 6, 7]
    assert daemon.store["list"].value == [1]


def test_two_daemons_in_one_process_have_their_own_stores(start, ask):
    pie, cake = start(items=ITEMS), start(items=ITEMS, store="cake")
    assert ask(pie).get("pie.fixed")["value"] == 7
    assert ask(cake).get("cake.fixed")["value"] == 7
    assert ask(pie).get("cake.fixed")["error"]["type"] == "KeyError"


def test_every_daemon_has_the_built_in_items(start, ask):
    daemon = start(items=ITEMS)
    peer = ask(daemon)

    def value(suffix):
        return peer.get(f"pie._fruit{suffix}", refresh=True)["value"]

    assert value("uuid") == daemon.uuid
    assert value("clk") >= 0
    assert value("cpu") >= 0
    assert value("mem") > 1000
    assert isinstance(value("host"), str)
    assert isinstance(value("pid"), int)
    assert value("cat")["items"].keys() == daemon.catalog.authoritative_items.keys()
    assert peer.set("pie._fruitdev", "bakes")["value"] is True
    assert value("dev") == "bakes"
    assert peer.set("pie._fruitpid", 3)["error"]["type"] == "TypeError"


def test_the_names_of_both_editions_exist(start):
    """A configuration and a catalog are the same."""
    daemon = start(items=ITEMS)
    assert daemon.config is daemon.catalog is daemon.store.config
    assert daemon.store.catalog is mktl.config.get("pie") is mktl.meta.catalog("pie")
    item = daemon.store["fixed"]
    assert item.config == item.description
    assert item.description["uuid"] == daemon.uuid


def test_an_address_that_is_not_allowed_gets_no_reply(start, ask, caplog, until):
    class Options:
        allow = ("192.0.2.0/24",)

    peer = ask(start(items=ITEMS, options=Options()))
    peer.send(b"GET", "pie.text")
    until(lambda: "127.0.0.1" in caplog.text, "the daemon refuses the connection")
    assert not peer.socket.poll(300)


def test_an_allowed_address_gets_a_reply(start, ask):
    class Options:
        allow = ("192.0.2.0/24", "127.0.0.1")

    assert (
        ask(start(items=ITEMS, options=Options())).get("pie.text")["value"] == "apple"
    )


def test_loopback_is_the_default_interface(start, monkeypatch):
    monkeypatch.delenv("MKTL_INTERFACE")
    daemon = start(items=ITEMS)
    assert (daemon.rep.host, daemon.pub.host) == ("127.0.0.1", "127.0.0.1")
    assert daemon.is_local


@pytest.mark.parametrize("interface", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "*", "lo"])
def test_the_provenance_has_an_address_that_answers(start, interface):
    class Options:
        pass

    Options.interface = interface
    daemon = start(items=ITEMS, options=Options())
    [place] = daemon.catalog["fruit"]["provenance"]
    client = dealer.Client(place["hostname"], place["rep"])
    assert client.get("pie.text") == "apple"
    client.close()
    if interface.startswith("127."):
        assert place["hostname"] == interface


def test_an_invalid_list_of_addresses_is_refused(start, monkeypatch):
    monkeypatch.setenv("MKTL_ALLOW", "127.0.0.1, everybody")
    with pytest.raises(ValueError, match="everybody"):
        start(items=ITEMS)


def test_the_daemon_has_to_be_made_before_its_clients(start):
    daemon = start(items=ITEMS)
    assert mktl.get("pie.text") is daemon.store["text"]
    assert mktl.get("pie") is daemon.store
    daemon.cleanup()
    config.authoritative("pie", "fruit", ITEMS)
    mktl.get("pie")
    with pytest.raises(RuntimeError, match="before"):
        start(items=ITEMS)


def test_an_address_that_is_not_allowed_gets_no_publications(start, caplog):
    """The list is for published values as well as for requests."""

    class Options:
        allow = ("192.0.2.0/24",)

    daemon = start(items=ITEMS, options=Options())
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.linger = 0
        listener.subscribe(b"")
        monitor = listener.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        # It needs its own address, because each address is reported once in a process.
        listener.connect(f"tcp://127.0.0.3:0;127.0.0.1:{daemon.pub.port}")
        assert monitor.poll(DEADLINE * 1000), "the address was not refused"
        daemon.store["text"].publish("pear")
        assert not listener.poll(300)
        listener.disable_monitor()
        monitor.close(linger=0)
    assert "127.0.0.3" in caplog.text
