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
    """The description of a key tells which daemon has it."""
    own = pie.uuids(authoritative=True)[0]
    assert pie["ANGLE"]["uuid"] == own
    assert pie[own] is pie["fruit"]
    assert "angle" in pie
    assert "nothing" not in pie
    with pytest.raises(KeyError, match="nothing"):
        pie["nothing"]


def test_a_store_has_only_one_configuration(pie):
    assert config.get("PIE") is pie
    assert mktl.meta.catalog("pie") is pie
    assert isinstance(pie, mktl.meta.Catalog)


def test_the_class_returns_the_same_configuration(community):
    """With an alias it becomes the daemon's. An invalid name leaves nothing behind."""
    made = config.Configuration("cake")
    config.authoritative("cake", "layer", {"x": {}})
    assert made is config.Configuration("Cake", "layer") is config.get("cake")
    assert made.alias == "layer"
    with pytest.raises(ValueError, match="name"):
        config.Configuration("../cake")
    assert set(catalogs.known) == {"cake"}


def test_an_unknown_store_has_no_keys(community):
    with pytest.raises(KeyError):
        config.get("cake")
    with pytest.raises(KeyError):
        config.get_hashes("cake")
    with pytest.raises(ValueError, match="name"):
        config.get("")


def test_the_authoritative_keys_do_not_include_the_built_in_ones(pie):
    pie.update(block())
    assert sorted(pie.keys()) == ["_fruitclk", "angle", "crust", "door"]
    assert sorted(pie.keys(authoritative=True)) == ["angle", "door"]
    assert len(pie.uuids()) == 2
    assert len(pie.uuids(authoritative=True)) == 1


def test_a_process_has_only_one_daemon_of_a_store(pie):
    with pytest.raises(ValueError, match="fruit"):
        config.authoritative("pie", "meat", {})


def test_a_uuid_is_kept_over_restarts(pie):
    before = pie.uuids(authoritative=True)
    config.forget("pie")
    config.authoritative("pie", "fruit", ITEMS)
    assert config.get("pie").uuids(authoritative=True) == before


def test_a_bad_description_is_refused_with_its_key(community):
    with pytest.raises(ValueError, match=r"angle.*type|type.*angle"):
        config.authoritative("pie", "fruit", {"angle": {"type": "vegetable"}})


def test_items_are_read_from_the_daemons_file(community):
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
def test_the_hash_depends_on_the_items_and_not_on_their_order(changes):
    """Changes give the same hash as the same items declared at once.

    Descriptions that no item uses any more are forgotten.
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


def test_a_description_is_replaced_without_a_gap(pie):
    """An invalid description, or one of an unknown item, changes nothing."""
    before = pie["fruit"]["hash"]
    with pytest.raises(ValueError, match="bad"):
        pie.describe({"door": {"type": "string"}, "bad": {"type": "vegetable"}})
    with pytest.raises(KeyError, match="absent"):
        pie.describe({"door": {"type": "string"}, "absent": {}})
    assert pie["fruit"]["hash"] == before
    pie.describe({"DOOR": {"type": "string"}})
    assert pie["door"]["type"] == "string"
    assert pie["fruit"]["hash"] != before


def test_a_key_in_use_is_refused_with_all_that_came_with_it(pie):
    before = pie["fruit"]["hash"]
    with pytest.raises(ValueError, match="DOOR"):
        pie.add({"new": {}, "DOOR": {}})
    with pytest.raises(ValueError, match="bad"):
        pie.add({"new": {}, "bad": {"type": "vegetable"}})
    assert pie["fruit"]["hash"] == before
    assert "new" not in pie


def test_a_block_is_passed_on_unchanged(pie):
    pie.update(block(provenance=[{"stratum": 0, "hostname": "h", "rep": 1, "pub": 2}]))
    catalog = json.loads(pie.encoded())
    own = pie.uuids(authoritative=True)[0]
    assert catalog == {own: pie[own], "u-1": pie["u-1"]}
    more = json.loads(pie.encoded_block(own, override=True))
    assert more == {**pie[own], "override": True}


def test_a_newer_block_replaces_an_older_one_with_which_it_disagrees(pie):
    pie.update(block("old", time=1.0))
    pie.update(block("new", alias="third", time=2.0))
    assert "old" not in pie
    with pytest.raises(ValueError, match="crust"):
        pie.update(block("late", alias="fourth", time=1.5))
    assert "new" in pie


def test_no_block_replaces_this_processs_own(pie):
    with pytest.raises(ValueError, match="angle"):
        pie.update(block(items={"angle": {}}, time=9e9))
    assert pie["angle"]["type"] == "numeric"


def test_blocks_are_saved_for_the_next_process_and_can_be_removed(pie):
    pie.update(block())
    config.forget("pie")
    again = config.get("pie")
    assert again["crust"]["uuid"] == "u-1"
    again.remove("u-1")
    config.forget("pie")
    with pytest.raises(KeyError):
        config.get("pie")


def test_a_daemon_does_not_start_with_cached_items(community):
    """Its items are those that it declares and adds. All of them can be removed."""
    config.authoritative("pie", "fruit", ITEMS)
    config.known("pie").save()
    config.forget("pie")

    again = config.get("pie", "fruit")
    assert again.keys(authoritative=True) == []
    again.add({"fresh": {}})
    again.drop(["fresh"])
    assert again.keys(authoritative=True) == []


def test_a_broken_file_in_the_cache_does_no_harm(pie, community):
    pie.update(block())
    atomic.write(community / "client/cache/pie/broken.json", b"{")
    config.forget("pie")
    assert config.get("pie").uuids() == ("u-1",)


def test_names_that_point_out_of_the_folder_are_refused(pie, community):
    for bad in (block("../../u"), block(alias="../x"), block(items={"../k": {}})):
        with pytest.raises(ValueError, match=r"\.\."):
            pie.update(bad)
    with pytest.raises(ValueError, match="name"):
        config.get("../pie", "fruit")


def test_a_callback_gets_every_block(pie):
    sizes = []

    def on_block():
        sizes.append(len(pie))

    pie.register(on_block)
    pie.update(block())
    assert sizes == [1, 2]


def test_values_are_converted_as_their_description_says(pie):
    assert pie.to_format("door", 1) == "True"
    assert pie.from_format("DOOR", "false") == 0
    quantity = pie.to_quantity("angle", 0.5)
    assert pie.from_quantity("angle", quantity.to("degrees")) == pytest.approx(0.5)
    assert pie.convert_units(1.0, "hour", "minute") == pytest.approx(60)
    assert str(pie.convert_units(1.0, "hour", None).units) == "hour"
    with pytest.raises(TypeError):
        pie.to_quantity("door", 1)


def test_one_bad_item_among_many_adds_none(pie, monkeypatch):
    monkeypatch.setattr(own_block, "_BATCH", 10)
    before = pie["fruit"]["hash"]
    items = {f"item{n}": {} for n in range(35)} | {"bad": {"type": "vegetable"}}
    with pytest.raises(ValueError, match="bad"):
        pie.add(items)
    assert pie["fruit"]["hash"] == before
    assert "item0" not in pie


def test_an_own_key_comes_before_a_remembered_one(pie):
    """The other block is forgotten, on disk too.

    A registry decides who owns the key.
    """
    pie.update(block(time=2e9))
    pie.update(block("u-2", "third", {"cream": {}}))
    pie.add({"Crust": {"type": "numeric"}})
    assert pie["crust"]["type"] == "numeric"
    assert pie.blocks().keys() == {pie.authoritative_uuid, "u-2"}
    assert [name for name, _ in cache.cached_blocks("pie")] == ["u-2"]
    with pytest.raises(ValueError, match="crust"):
        pie.add({"crust": {}})


def test_the_catalog_can_be_read_while_it_changes(pie, monkeypatch):
    """A block that is removed meanwhile may or may not be read, and does no harm."""
    pie.update(block())
    pie.update(block("u-2", "third", {"cream": {}}))
    encode = pie.encode

    def going(value, **more):
        pie.remove("u-2")
        return encode(value, **more)

    monkeypatch.setattr(pie, "encode", going)
    assert json.loads(pie.encoded())["u-1"]["alias"] == "other"


def test_true_and_one_make_different_items_in_a_catalog(community):
    """This is so in any field, and in the names of values."""
    hashes = set()
    for number, value in enumerate((True, 1, 1.0, "1", False, 0)):
        store = f"store{number}"
        config.authoritative(store, "fruit", {"a": {"mine": value}})
        hashes.add(config.get(store, "fruit").authoritative_block["hash"])
    assert len(hashes) == 6
    assert catalog.digest({"a": {"mine": True}}) != catalog.digest({"a": {"mine": 1}})
