"""Daemons and registries find each other, over UDP and raw sockets."""

import json
import signal
import socket
import uuid

import pytest

CALLS = {b"Aloha mKTL": b"E komo mai:", b"I heard it": b"on the X:"}
ITEMS = {"sugar": {"type": "numeric", "initial": 1}}


@pytest.fixture(scope="session")
def cake(kitchen, registry):
    """A daemon that has announced itself to the registry."""
    return kitchen.daemon("cake", "batter", ITEMS)


def block_for(port, **changes):
    """Return the catalog block of a daemon at *port*."""
    return {
        "store": "tart",
        "alias": "crust",
        "uuid": str(uuid.uuid4()),
        "hash": 1,
        "time": 1000.0,
        "provenance": [
            {"stratum": 0, "hostname": "127.0.0.1", "rep": port, "pub": port}
        ],
        "items": {"salt": {"type": "numeric"}},
        **changes,
    }


def answers(port, *words):
    """Yield a socket that sends calls to all programs on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as calling:
        calling.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        calling.settimeout(10)
        for each in words:
            calling.sendto(each, ("127.255.255.255", port))
        while True:
            yield calling.recv(4096)


@pytest.mark.parametrize("words", CALLS)
def test_a_daemon_answers_the_call_of_each_edition_in_its_form(kitchen, oven, words):
    """The answer has the number of its request port."""
    wanted = CALLS[words] + b"%d" % oven.rep
    assert wanted in answers(kitchen.daemons, words)


@pytest.mark.parametrize("words", CALLS)
def test_a_registry_answers_the_call_of_each_edition_in_its_form(
    kitchen, registry, words
):
    """It answers on its own port."""
    wanted = CALLS[words] + b"%d" % registry.rep
    assert next(answers(kitchen.registries, words)) == wanted


@pytest.mark.parametrize(
    "words", [b"", b"hello", b"\xff" * 2000, b"Aloha", b"E komo mai:1"]
)
def test_other_words_are_not_answered(kitchen, registry, words):
    """The next call is answered, and this answer is the first that arrives."""
    wanted = b"E komo mai:%d" % registry.rep
    assert next(answers(kitchen.registries, words, b"Aloha mKTL")) == wanted


def test_a_call_may_end_with_a_line_end(kitchen, registry):
    """People type calls by hand."""
    wanted = b"E komo mai:%d" % registry.rep
    assert next(answers(kitchen.registries, b"Aloha mKTL\n")) == wanted


@pytest.mark.parametrize("name", ["_catalog", "_config"])
def test_a_daemons_catalog_has_the_names_of_both_editions(oven, peer, name):
    """It is a dictionary of blocks by UUID.

    The block of this daemon has its address.
    """
    [(identity, block)] = peer.get(f"pie.{name}").value.items()

    assert block["uuid"] == identity
    assert (block["store"], block["alias"]) == ("pie", "fruit")
    assert block["items"]["fixed"]["settable"] is False
    [place] = block["provenance"]
    assert (place["stratum"], place["rep"], place["pub"]) == (0, oven.rep, oven.pub)
    assert isinstance(block["hash"], int)
    assert block["time"] > 1e9


def test_a_store_has_a_hash(peer):
    """It is given by store and UUID. Without a store all known stores are listed."""
    [(identity, block)] = peer.get("pie._catalog").value.items()
    assert peer.get("pie._hash").value == {"pie": {identity: block["hash"]}}
    assert peer.get("_hash").value["pie"] == {identity: block["hash"]}


@pytest.mark.parametrize("name", ["pie._hash", "_hash", "pie._catalog", "pie._config"])
def test_what_the_protocol_reports_cannot_be_set(peer, name):
    """Only a registry accepts announcements."""
    assert peer.set(name, {}).error["type"]
    assert peer.get(name).error is None


def test_the_oldest_names_of_requests_are_accepted(peer):
    """HASH and CONFIG are answered like the GETs that replaced them."""
    answer = peer.ask(b"HASH", "pie")
    assert answer.value == peer.get("pie._hash").value
    assert peer.ask(b"HASH", "").value == peer.get("_hash").value
    assert peer.ask(b"CONFIG", "pie").value == peer.get("pie._config").value


def test_a_registry_has_the_daemons_that_announced_themselves(wire, registry, cake):
    """Their blocks also name the registry in the provenance, without a publish port."""
    peer = wire.peer(registry)

    [(identity, block)] = peer.get("cake._catalog").value.items()
    first, second = block["provenance"]
    assert (first["rep"], first["pub"]) == (cake.rep, cake.pub)
    assert (second["stratum"], second["rep"]) == (1, registry.rep)
    assert "pub" not in second
    assert peer.get("cake._config").value == {identity: block}


def test_a_registry_reports_the_hash_of_a_store(wire, registry, cake):
    """The daemon and the registry report the same hash."""
    hashes = wire.peer(registry).get("cake._hash").value
    assert hashes == wire.peer(cake).get("cake._hash").value
    assert wire.peer(registry).get("_hash").value["cake"] == hashes["cake"]
    assert wire.peer(registry).get("nowhere._hash").error["type"]
    assert wire.peer(registry).get("nowhere._catalog").error["type"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_registry_that_is_started_again_finds_the_daemons(
    own_kitchen, wire, until, how
):
    """It calls them, and they do not have to notice it."""
    registry = own_kitchen.registry()
    daemon = own_kitchen.daemon("cake", "batter", ITEMS)
    own_kitchen.stop(registry, how)

    registry = own_kitchen.registry()

    peer = wire.peer(registry)
    until(lambda: not peer.get("cake._catalog").error, "the registry knows the store")
    [block] = peer.get("cake._catalog").value.values()
    assert block["provenance"][0]["rep"] == daemon.rep


def test_a_registry_with_the_old_port_of_a_daemon_is_not_taken_for_it(
    own_kitchen, wire
):
    """A client has the old address in its cache, and the registry has the hash."""
    registry = own_kitchen.registry()
    daemon = own_kitchen.daemon("cake", "batter", ITEMS)
    printed = own_kitchen.mk_alone("get", "cake.sugar")
    assert (printed.out, printed.err) == ("sugar: 1\n", "")
    for running in (daemon, registry):
        own_kitchen.stop(running, signal.SIGKILL)
    for path in own_kitchen.folder.glob("registry/daemon/port/*/*.req"):
        path.write_text(str(daemon.rep))

    registry = own_kitchen.registry()

    assert registry.rep == daemon.rep
    assert wire.peer(registry).get("cake._hash").error["type"] == "KeyError"
    own_kitchen.daemon("cake", "batter", ITEMS)
    assert "cake" in wire.peer(registry).get("_hash").value
    printed = own_kitchen.mk_alone("get", "cake.sugar")
    assert (printed.out, printed.err) == ("sugar: 1\n", "")


@pytest.mark.parametrize("name", ["_catalog", "_config", "quiche.config"])
def test_an_announcement_is_accepted_under_all_its_names(wire, registry, name):
    """It is a SET of a block by any client. In June 2026 the store stands in front."""
    peer = wire.peer(registry)
    block = block_for(12345, store="quiche", uuid=str(uuid.UUID(int=5)), time=1.0)
    assert peer.set(name, block).error is None

    [taken] = peer.get("quiche._config").value.values()
    assert taken["items"] == block["items"]
    assert taken["provenance"][0] == block["provenance"][0]


def test_an_announcement_is_accepted_in_its_oldest_form(wire, registry):
    """It is a CONFIG request whose target is the store."""
    peer = wire.peer(registry)
    block = block_for(12346, store="torte")
    assert peer.ask(b"CONFIG", "torte", {"value": block}).error is None
    assert block["uuid"] in peer.ask(b"CONFIG", "torte").value


def test_a_key_in_use_is_refused_with_its_owners_address(wire, registry):
    """An alias in use is refused, too."""
    peer = wire.peer(registry)
    first = block_for(12344, store="strudel", alias="one")
    assert peer.set("_catalog", first).error is None

    same_key = block_for(12347, store="strudel", alias="two")
    error = peer.set("_catalog", same_key).error
    assert "127.0.0.1:12344" in error["text"]

    same_alias = block_for(12347, store="strudel", alias="one", items={"other": {}})
    error = peer.set("_catalog", same_alias).error
    assert "127.0.0.1:12344" in error["text"]
    assert list(peer.get("strudel._catalog").value) == [first["uuid"]]


def test_an_override_replaces_a_daemon_that_is_gone(own_kitchen, wire):
    """It does not replace a daemon that still answers."""
    registry = own_kitchen.registry()
    daemon = own_kitchen.daemon("cake", "batter", ITEMS)
    peer = wire.peer(registry)
    usurper = block_for(12348, store="cake", alias="icing", items=ITEMS, override=True)
    error = peer.set("_catalog", usurper).error
    assert f"127.0.0.1:{daemon.rep}" in error["text"]

    own_kitchen.stop(daemon, signal.SIGKILL)

    assert peer.set("_catalog", {**usurper, "override": False}).error["type"]
    assert peer.set("_catalog", usurper).error is None
    assert list(peer.get("cake._catalog").value) == [usurper["uuid"]]


def test_a_block_that_comes_back_to_its_registry_is_dropped(wire, registry):
    """The registry's name in the provenance shows that the block came from it."""
    peer = wire.peer(registry)
    block = block_for(12349, store="loop")
    own = peer.get("_hash").value
    [store] = [name for name in own if name.startswith("registry")]
    [mine] = peer.get(f"{store}._catalog").value.values()
    block["provenance"].append({**mine["provenance"][0], "stratum": 1})
    peer.set("_catalog", block)
    assert "loop" not in peer.get("_hash").value


@pytest.mark.parametrize(
    "changes",
    [
        {"store": "../../evil"},
        {"store": ".."},
        {"store": "/tmp/evil"},
        {"alias": "../../evil"},
        {"uuid": "../../../evil"},
        {"uuid": "evil/../../evil"},
        {"uuid": "..\\evil"},
        {"uuid": ""},
        {"items": {"../../evil": {}}},
    ],
)
def test_an_announced_name_cannot_point_out_of_the_folder(
    kitchen, wire, registry, changes
):
    """It is refused, and no file with that name exists anywhere."""
    peer = wire.peer(registry)
    error = peer.set("_catalog", block_for(12350, **changes)).error

    assert error["type"] == "ValueError"
    assert not list(kitchen.folder.parent.rglob("*evil*"))
    assert peer.get("_hash").error is None


@pytest.mark.parametrize(
    "block",
    [
        None,
        [],
        "block",
        {},
        {"store": "tart"},
        block_for(1, items=[]),
        block_for(1, items={"a": 5}),
        block_for(1, provenance=[]),
        block_for(1, provenance=None),
        block_for(1, provenance=[{}]),
        block_for(1, provenance=[{"hostname": "a", "rep": "x"}]),
        block_for(1, time="now"),
    ],
    ids=lambda block: json.dumps(block)[-40:],
)
def test_a_malformed_announcement_is_refused(wire, registry, block):
    """The registry goes on."""
    peer = wire.peer(registry)
    assert peer.set("_catalog", block).error["type"]
    assert peer.get("_hash").error is None
