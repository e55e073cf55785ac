"""The registry reconciles the announcements of daemons."""

from __future__ import annotations

import pytest

import mktl_daemon as mktl
from mktl_daemon import catalog_requests, config
from mktl_daemon.configuration import catalogs
from mktl_daemon.core import packing
from mktl_daemon.net import discovery
from mktl_daemon.server import registry
from mktl_daemon.server.announcer import Announcer
from tests.mktl_daemon.unit.conftest import PUPPET

ITEMS = {"number": {"type": "numeric", "initial": 1}}


def block(uuid="u-1", alias="fruit", port=9, host="127.0.0.1", **more):
    provenance = [{"stratum": 0, "hostname": host, "rep": port, "pub": 1}]
    return {
        "store": "pie", "alias": alias, "uuid": uuid, "hash": 1, "time": 1.0,
        "provenance": provenance, "items": dict(ITEMS), **more,
    }  # fmt: skip


@pytest.fixture
def known(start):
    return start(lambda *_: registry.Registry())


def test_a_block_is_passed_on_with_the_registry_in_its_provenance(known):
    known.reconcile(block())
    first, second = config.known("pie")["u-1"]["provenance"]
    assert (first["stratum"], second["stratum"]) == (0, 1)
    assert (second["hostname"], second["rep"]) == ("127.0.0.1", known.rep.port)
    assert "pub" not in second


def test_a_block_that_disagrees_is_refused_with_the_others_address(known):
    known.reconcile(block())
    for other in (block("u-2"), block("u-3", alias="meat")):
        with pytest.raises(ValueError, match=r"disagrees with .* at 127\.0\.0\.1:9"):
            known.reconcile(other)


@pytest.mark.parametrize("host", ["127.0.0.1", "no address", "*", "0.0.0.0;tcp"])
def test_an_override_replaces_a_daemon_that_does_not_answer(known, host):
    """This is so wherever that daemon was, and no connection to it stays open."""
    known.reconcile(block(host=host))
    known.reconcile(block("u-2", alias="meat", port=8, override=True))
    assert config.known("pie").uuids() == ("u-2",)
    assert "override" not in config.known("pie")["u-2"]


def test_a_daemon_that_moved_is_recognised_by_its_uuid(known):
    known.reconcile(block())
    known.reconcile(block(port=8))
    assert config.known("pie")["u-1"]["provenance"][0]["rep"] == 8


def test_an_older_block_changes_nothing(known):
    known.reconcile(block(time=5.0))
    known.reconcile(block(time=4.0))
    assert config.known("pie")["u-1"]["time"] == 5.0


def test_a_daemon_that_runs_cannot_be_overridden(start, known):
    """The error has its address."""
    daemon = start(items=ITEMS, store="cake")
    known.reconcile(dict(daemon.catalog["fruit"]))
    usurper = block("u-9", store="cake", override=True)
    with pytest.raises(ValueError, match=f"127.0.0.1:{daemon.rep.port} is running"):
        known.reconcile(usurper)


def test_another_daemon_at_the_old_port_is_not_taken_for_the_old_one(
    start, known, monkeypatch
):
    """It has the same store and alias, but its own UUID."""
    # A cached block would come back when the store is forgotten.
    monkeypatch.setattr(Announcer, "save_soon", lambda _: None)
    daemon = start(items=ITEMS, store="cake")
    config.forget("cake")  # The registry of this process does not know it yet.
    known.reconcile(
        block("u-old", store="cake", items={"layer": {}}, port=daemon.rep.port)
    )
    usurper = block("u-9", store="cake", alias="icing", items={"layer": {}})
    known.reconcile({**usurper, "override": True})
    assert "u-9" in config.known("cake")
    assert "u-old" not in config.known("cake")


def test_a_daemon_that_is_starting_cannot_be_overridden(start, known, box):
    class Slow(mktl.Daemon):
        def setup(self):
            known.reconcile(dict(self.catalog["fruit"]))
            with pytest.raises(ValueError, match=f"{self.rep.port} is running"):
                known.reconcile(block("u-9", store="cake", override=True))
            box.put("tried")

    start(Slow, ITEMS, store="cake")
    assert box.things == ["tried"]


def test_a_registry_remembers_its_blocks_over_a_restart(start, known):
    """Its hashes have them, too."""
    known.reconcile(block())
    known.cleanup()
    config.forget("pie")
    start(lambda *_: registry.Registry())
    assert config.get_hashes()["pie"] == {"u-1": 1}


def test_a_cached_block_without_an_address_can_be_replaced(known):
    config.known("pie").update(block(provenance=None))
    known.reconcile(block(time=2.0))
    assert config.known("pie")["u-1"]["provenance"][0]["rep"] == 9


def test_a_name_too_long_for_a_file_is_refused(known):
    """Its bytes count. Nothing of the block is remembered."""
    long = "\N{CROISSANT}" * 150
    for fields in ({"uuid": long}, {"alias": long}, {"store": long}):
        with pytest.raises(ValueError, match="name"):
            known.reconcile(block(**fields))
    assert "pie" not in config.get_hashes()


def test_searching_for_a_store_does_not_make_one(known, ask):
    peer = ask(known)
    for number in range(5):
        assert peer.get(f"nowhere{number}._catalog")["error"]["type"] == "KeyError"
    assert not any(store.startswith("nowhere") for store in catalogs.known)


SHAPES = [None, [], 3, "text", [None], {"puppet": None}, {"puppet": []}]


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_any_reply_of_daemons_and_registries_is_accepted(
    puppet, start, monkeypatch, shape
):
    """Values without use are ignored."""
    there = [("127.0.0.1", puppet.rep_port)]
    monkeypatch.setattr(discovery, "daemons", lambda **_: there)
    monkeypatch.setattr(discovery, "registries", lambda *_, **__: there)
    before = config.known("puppet").blocks()
    puppet.hashes = {"value": shape}
    start(lambda *_: registry.Registry()).cleanup()
    mktl.discover()
    puppet.hashes = {"value": {"puppet": {}, "../../evil": {}}}
    puppet.current = {"value": shape}
    start(lambda *_: registry.Registry())
    mktl.discover()
    assert config.known("puppet").blocks() == before


def test_a_daemon_accepts_no_foreign_block_for_its_own_items(start, monkeypatch):
    """A registry still has the block from before the daemon's restart."""
    pie = start(items=ITEMS)
    block = pie.catalog[pie.alias]
    items = {**block["items"], "gone": {"type": "numeric"}}
    old = {**block, "items": items, "time": block["time"] + 1}
    monkeypatch.setattr(catalog_requests, "blocks_at", lambda *_: {pie.uuid: old})
    catalog_requests.fetch(pie.catalog, "127.0.0.1", 1)
    assert "gone" not in pie.catalog.authoritative_items


def test_a_daemon_with_a_new_host_name_at_its_old_address_is_the_same(start, known):
    """It answers at this address, and it announces itself."""
    daemon = start(items=ITEMS, store="cake")
    mine = dict(daemon.catalog["fruit"])
    known.reconcile(mine)
    stratum = {**mine["provenance"][0], "hostname": "localhost"}
    renamed = {**mine, "provenance": [stratum], "time": mine["time"] + 1}
    with pytest.raises(ValueError, match="is running"):
        known.reconcile(renamed, instance="another process")
    known.reconcile(renamed, instance=daemon.instance)


def test_a_daemon_reports_only_its_own_block(start, ask):
    """Blocks of others in its home may be old."""
    config.known("pie").update(block(items={"crust": {"type": "string"}}, alias="meat"))
    daemon = start(items=ITEMS)
    peer = ask(daemon)
    assert set(config.known("pie").uuids()) == {"u-1", daemon.uuid}
    assert peer.get("pie._catalog")["value"].keys() == {daemon.uuid}
    assert peer.get("pie._hash")["value"]["pie"].keys() == {daemon.uuid}
    assert peer.get("_hash")["value"]["pie"].keys() == {daemon.uuid}
    assert peer.get("cake._catalog")["error"]["type"] == "KeyError"


@pytest.mark.parametrize("is_far", [True, False])
def test_a_catalog_is_packed_for_who_is_far_away(start, monkeypatch, is_far):
    def is_open(_host, _port, if_far):
        if is_far:
            if_far()
        return True

    answers = []

    def value_of(fields):
        answers.append(fields)
        return packing.value_of(fields)

    daemon = start(items=ITEMS)
    monkeypatch.setattr(catalog_requests, "is_open", is_open)
    monkeypatch.setattr(catalog_requests, "value_of", value_of)
    blocks = catalog_requests.blocks_at("127.0.0.1", daemon.rep.port, "pie")
    assert (
        blocks[daemon.uuid]["items"].keys() == daemon.catalog["fruit"]["items"].keys()
    )
    assert ("packed" in answers[0]) is is_far


def accepted(start, puppet, other):
    """Return whom a registry accepts of a daemon that also has the block *other*."""
    own = config.known("puppet").blocks()[PUPPET]
    puppet.hashes = {"value": {"puppet": {PUPPET: 1, other["uuid"]: 1}}}
    puppet.current = {"value": {PUPPET: own, other["uuid"]: other}}
    config.forget("puppet")
    made = start(lambda *_: registry.Registry())
    made.ask_daemon("127.0.0.1", puppet.rep_port)
    return config.known("puppet").uuids()


def test_a_registry_accepts_no_block_from_another_daemons_cache(start, puppet):
    """The reference's daemons offer all blocks that they have."""
    foreign = block("u-old", store="puppet", items={"string": {"type": "string"}})
    assert accepted(start, puppet, foreign) == (PUPPET,)


def test_a_registry_accepts_no_block_of_a_daemon_that_had_the_port_before(
    start, puppet
):
    """The reference's daemons keep the blocks of others, whose ports they may have."""
    own = config.known("puppet").blocks()[PUPPET]
    items = {"string": {"type": "string"}, "_twinuuid": {"type": "string"}}
    old = {**own, "uuid": "u-old", "alias": "twin", "items": items}
    assert accepted(start, puppet, old) == (PUPPET,)


def test_a_registry_forgets_the_daemon_whose_port_it_has(start, known, ask):
    """It is gone from there. Others that are away stay known."""
    known.reconcile(block(port=known.rep.port))
    known.reconcile(block("u-2", alias="meat", store="cake"))
    known.cleanup()
    config.forget("pie")
    config.forget("cake")
    peer = ask(start(lambda *_: registry.Registry()))
    assert peer.get("pie._hash")["error"]["type"] == "KeyError"
    assert peer.get("cake._hash")["value"] == {"cake": {"u-2": 1}}


def test_a_daemon_at_the_same_host_and_port_is_not_overridden_while_it_runs(
    start, known
):
    """Two machines may have the same name."""
    daemon = start(items=ITEMS, store="cake")
    known.reconcile(dict(daemon.catalog["fruit"]))
    usurper = block("u-9", store="cake", port=daemon.rep.port, override=True)
    with pytest.raises(ValueError, match="is running"):
        known.reconcile(usurper, instance="another process")


def test_two_processes_of_a_daemon_can_be_told_apart(start, ask):
    first = start(items=ITEMS, store="cake")
    instance = ask(first).get("cake._instance")["value"]
    assert instance == first.instance
    first.cleanup()
    assert start(items=ITEMS, store="cake").instance != instance
