"""Catalogs in memory: keys, UUIDs, aliases, hashes, conflicts."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mktl_daemon as mktl
from mktl_daemon import config, own_block
from mktl_daemon.configuration import catalogs
from mktl_daemon.core import catalog
from mktl_daemon.files import atomic, cache, places
from mktl_daemon.own_block import OwnItems

ITEMS = {
    "Angle": {"type": "numeric", "units": {"": "radians", "formatted": "degrees"}},
    "door": {"type": "boolean"},
    "_fruitclk": {"type": "numeric"},
}


def block(uuid="u-1", alias="other", items=None, time=1.0, **more):
    return {
        "store": "pie",
        "alias": alias,
        "uuid": uuid,
        "time": time,
        "items": {"crust": {}} if items is None else items,
        **more,
    }


@pytest.fixture
def pie(community):
    config.authoritative("pie", "fruit", ITEMS)
    return config.get("pie")


def test_one_name_finds_a_key_a_uuid_or_an_alias(pie):
    """A key's description tells who has it."""
    own = pie.uuids(authoritative=True)[0]
    assert pie["ANGLE"]["uuid"] == own
    assert pie[own] is pie["fruit"]
    assert "angle" in pie
    assert "nothing" not in pie
    with pytest.raises(KeyError, match="nothing"):
        pie["nothing"]


def test_there_is_one_configuration_of_a_store(pie):
    assert config.get("PIE") is pie
    assert mktl.meta.catalog("pie") is pie
    assert isinstance(pie, mktl.meta.Catalog)


def test_the_class_gives_the_one_configuration_too(community):
    """With an alias it is made the daemon's; a bad name leaves nothing behind."""
    made = config.Configuration("cake")
    config.authoritative("cake", "layer", {"x": {}})
    assert made is config.Configuration("Cake", "layer") is config.get("cake")
    assert made.alias == "layer"
    with pytest.raises(ValueError, match="name"):
        config.Configuration("../cake")
    assert set(catalogs.known) == {"cake"}


def test_nothing_is_known_of_a_store_until_something_is(community):
    with pytest.raises(KeyError):
        config.get("cake")
    with pytest.raises(KeyError):
        config.get_hashes("cake")
    with pytest.raises(ValueError, match="name"):
        config.get("")


def test_the_authoritative_keys_leave_out_what_is_built_in(pie):
    pie.update(block())
    assert sorted(pie.keys()) == ["_fruitclk", "angle", "crust", "door"]
    assert sorted(pie.keys(authoritative=True)) == ["angle", "door"]
    assert len(pie.uuids()) == 2
    assert len(pie.uuids(authoritative=True)) == 1


def test_a_process_is_one_daemon_of_a_store(pie):
    with pytest.raises(ValueError, match="fruit"):
        config.authoritative("pie", "meat", {})


def test_a_uuid_stays_over_restarts(pie):
    before = pie.uuids(authoritative=True)
    config.forget("pie")
    config.authoritative("pie", "fruit", ITEMS)
    assert config.get("pie").uuids(authoritative=True) == before


def test_a_bad_description_is_refused_by_its_key(community):
    with pytest.raises(ValueError, match=r"angle.*type|type.*angle"):
        config.authoritative("pie", "fruit", {"angle": {"type": "vegetable"}})


def test_items_come_from_the_daemons_file(community):
    path = places.items_file("pie", "fruit")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(ITEMS))
    assert "angle" in config.get("pie", "fruit")


def test_a_file_that_cannot_be_read_is_named(community):
    path = places.items_file("pie", "fruit")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ValueError, match=str(path)):
        config.get("pie", "fruit")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["numeric", "string"])),
        max_size=20,
    )
)
def test_the_hash_tells_what_the_items_are_and_not_how_they_came(changes):
    """Changes lead to the hash of the same items declared at once.

    And what no item is described by any more is forgotten.
    """
    items = OwnItems()
    wanted = {}
    for key, kind in changes:
        if key not in wanted:
            items.add({key: {"type": kind}})
            wanted[key] = {"type": kind}
        elif wanted[key]["type"] != kind:
            items.describe({key: {"type": kind}})
            wanted[key] = {"type": kind}
        else:
            items.drop([key])
            del wanted[key]
    assert len(items.kinds) == len({each["type"] for each in wanted.values()})
    fresh = OwnItems()
    fresh.add(dict(sorted(wanted.items())))
    assert items.hash == fresh.hash
    assert json.loads(items.json()) == fresh.by_key
    assert 0 <= items.hash < 2**128


def test_every_change_of_an_item_changes_the_hash(pie):
    hashes = [pie["fruit"]["hash"]]
    pie.add({"new": {"type": "string"}})
    hashes.append(pie["fruit"]["hash"])
    pie.drop(["new"])
    pie.add({"new": {"type": "numeric"}})
    hashes.append(pie["fruit"]["hash"])
    assert len(set(hashes)) == 3
    assert config.get_hashes("pie") == {"pie": pie.hashes()}


def test_what_is_described_anew_never_misses(pie):
    """A bad description, or one of an item that is not there, changes nothing."""
    before = pie["fruit"]["hash"]
    with pytest.raises(ValueError, match="bad"):
        pie.describe({"door": {"type": "string"}, "bad": {"type": "vegetable"}})
    with pytest.raises(KeyError, match="absent"):
        pie.describe({"door": {"type": "string"}, "absent": {}})
    assert pie["fruit"]["hash"] == before
    pie.describe({"DOOR": {"type": "string"}})
    assert pie["door"]["type"] == "string"
    assert pie["fruit"]["hash"] != before


def test_a_key_that_is_taken_is_not_added_nor_is_what_came_with_it(pie):
    before = pie["fruit"]["hash"]
    with pytest.raises(ValueError, match="DOOR"):
        pie.add({"new": {}, "DOOR": {}})
    with pytest.raises(ValueError, match="bad"):
        pie.add({"new": {}, "bad": {"type": "vegetable"}})
    assert pie["fruit"]["hash"] == before
    assert "new" not in pie


def test_a_block_travels_as_it_is(pie):
    pie.update(block(provenance=[{"stratum": 0, "hostname": "h", "rep": 1, "pub": 2}]))
    told = json.loads(pie.encoded())
    own = pie.uuids(authoritative=True)[0]
    assert told == {own: pie[own], "u-1": pie["u-1"]}
    more = json.loads(pie.encoded_block(own, override=True))
    assert more == {**pie[own], "override": True}


def test_a_newer_block_takes_the_place_of_an_older_one_it_disagrees_with(pie):
    pie.update(block("old", time=1.0))
    pie.update(block("new", alias="third", time=2.0))
    assert "old" not in pie
    with pytest.raises(ValueError, match="crust"):
        pie.update(block("late", alias="fourth", time=1.5))
    assert "new" in pie


def test_nobody_takes_the_place_of_this_processs_own_block(pie):
    with pytest.raises(ValueError, match="angle"):
        pie.update(block(items={"angle": {}}, time=9e9))
    assert pie["angle"]["type"] == "numeric"


def test_blocks_are_kept_for_the_next_process_and_removed_for_good(pie):
    pie.update(block())
    config.forget("pie")
    again = config.get("pie")
    assert again["crust"]["uuid"] == "u-1"
    again.remove("u-1")
    config.forget("pie")
    with pytest.raises(KeyError):
        config.get("pie")


def test_what_is_cached_of_a_daemon_is_not_what_it_starts_with(community):
    """Its items are those that it declares and adds; all of these can be dropped."""
    config.authoritative("pie", "fruit", ITEMS)
    config.known("pie").save()
    config.forget("pie")

    again = config.get("pie", "fruit")
    assert again.keys(authoritative=True) == []
    again.add({"fresh": {}})
    again.drop(["fresh"])
    assert again.keys(authoritative=True) == []


def test_a_broken_file_in_the_cache_is_no_obstacle(pie, community):
    pie.update(block())
    atomic.write(community / "client/cache/pie/broken.json", b"{")
    config.forget("pie")
    assert config.get("pie").uuids() == ("u-1",)


def test_names_that_lead_elsewhere_are_refused(pie, community):
    for bad in (block("../../u"), block(alias="../x"), block(items={"../k": {}})):
        with pytest.raises(ValueError, match=r"\.\."):
            pie.update(bad)
    with pytest.raises(ValueError, match="name"):
        config.get("../pie", "fruit")


def test_a_callback_hears_of_every_block(pie):
    heard = []

    def hear():
        heard.append(len(pie))

    pie.register(hear)
    pie.update(block())
    assert heard == [1, 2]


def test_values_are_converted_as_the_description_says(pie):
    assert pie.to_format("door", 1) == "True"
    assert pie.from_format("DOOR", "false") == 0
    quantity = pie.to_quantity("angle", 0.5)
    assert pie.from_quantity("angle", quantity.to("degrees")) == pytest.approx(0.5)
    assert pie.convert_units(1.0, "hour", "minute") == pytest.approx(60)
    assert str(pie.convert_units(1.0, "hour", None).units) == "hour"
    with pytest.raises(TypeError):
        pie.to_quantity("door", 1)


def test_a_bad_item_among_very_many_leaves_none_behind(pie, monkeypatch):
    monkeypatch.setattr(own_block, "_BATCH", 10)
    before = pie["fruit"]["hash"]
    items = {f"item{n}": {} for n in range(35)} | {"bad": {"type": "vegetable"}}
    with pytest.raises(ValueError, match="bad"):
        pie.add(items)
    assert pie["fruit"]["hash"] == before
    assert "item0" not in pie


def test_a_key_of_ones_own_wins_over_what_is_remembered_of_another(pie):
    """That one's block is forgotten, on disk too; whose the key is a registry says."""
    pie.update(block(time=2e9))
    pie.update(block("u-2", "third", {"cream": {}}))
    pie.add({"Crust": {"type": "numeric"}})
    assert pie["crust"]["type"] == "numeric"
    assert pie.blocks().keys() == {pie.authoritative_uuid, "u-2"}
    assert [name for name, _ in cache.cached_blocks("pie")] == ["u-2"]
    with pytest.raises(ValueError, match="crust"):
        pie.add({"crust": {}})


def test_the_catalog_is_told_while_it_changes(pie, monkeypatch):
    """A block that goes meanwhile is told or not, and does no harm."""
    pie.update(block())
    pie.update(block("u-2", "third", {"cream": {}}))
    encode = pie.encode

    def going(told, **more):
        pie.remove("u-2")
        return encode(told, **more)

    monkeypatch.setattr(pie, "encode", going)
    assert json.loads(pie.encoded())["u-1"]["alias"] == "other"


def test_true_and_one_are_different_items_of_a_catalog(community):
    """In a field of any name, and in the names of values."""
    hashes = set()
    for number, value in enumerate((True, 1, 1.0, "1", False, 0)):
        store = f"store{number}"
        config.authoritative(store, "fruit", {"a": {"mine": value}})
        hashes.add(config.get(store, "fruit").authoritative_block["hash"])
    assert len(hashes) == 6
    assert catalog.digest({"a": {"mine": True}}) != catalog.digest({"a": {"mine": 1}})
