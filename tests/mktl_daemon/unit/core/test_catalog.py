"""Catalogs are checked when they arrive."""

import pytest

from mktl_daemon.core import catalog

BLOCK = {
    "store": "Pie",
    "alias": "fruit",
    "uuid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "hash": 2**127,
    "time": 1.5,
    "provenance": [{"stratum": 0, "hostname": "oven", "rep": 10079, "pub": 10139}],
    "items": {"Angle": {"type": "numeric"}},
}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("pie.angle", ("pie", "angle")),
        ("Pie.Angle", ("pie", "angle")),
        ("upkeep.voron.rails.used", ("upkeep", "voron.rails.used")),
        ("pie", ("pie", "")),
        ("", ("", "")),
        ("pie.", ("pie", "")),
    ],
)
def test_the_first_dot_divides_store_and_key(name, parts):
    """Both parts are in lower case, and keys may have dots."""
    assert catalog.split(name) == parts


def test_missing_fields_of_items_are_added_and_given_ones_stay():
    """Keys and types become lower case, numbers become text, booleans get names."""
    items = {
        "On": {"type": "Boolean", "enumerators": {1: "On"}},
        "Leds": {"type": "mask", "enumerators": {None: "dark", 0: "Red"}},
        "Kept": {"type": "string", "persist": "true", "settable": 0, "mine": [1]},
        "bare": {},
    }
    given = str(items)

    assert catalog.check_items(items) == {
        "on": {"type": "boolean", "enumerators": {"0": "False", "1": "On"}},
        "leds": {"type": "mask", "enumerators": {"None": "dark", "0": "Red"}},
        "kept": {"type": "string", "persist": True, "settable": False, "mine": [1]},
        "bare": {},
    }
    assert str(items) == given


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        *(("persist", given, True) for given in (True, "true", "True", 1, "1")),
        *(("settable", given, False) for given in (False, "false", "FALSE", 0, "0")),
        ("type", "", ""),
        ("format", "", ""),
        ("units", "mm", "mm"),
        ("units", {"": "mm", "formatted": None}, {"": "mm", "formatted": None}),
        ("description", None, None),
    ],
)
def test_a_field_is_accepted_in_the_forms_that_people_write(field, given, kept):
    assert catalog.check_items({"a": {field: given}})["a"][field] == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [("none", "None"), ("NONE", "None"), (None, "None"), ("007", "7"), (-1, "-1"),
     (1000, "1000"), (2**63 - 1, str(2**63 - 1)), (1 - 2**63, str(1 - 2**63))],
)  # fmt: skip
def test_an_enumerator_is_a_number_of_64_bits_or_none(given, kept):
    items = {"a": {"type": "enumerated", "enumerators": {given: "x"}}}
    assert catalog.check_items(items)["a"]["enumerators"] == {kept: "x"}


def test_items_of_one_kind_keep_their_own_fields():
    """A kind is checked once.

    Fields that do not belong to the kind stay with each item.
    """
    one = {"type": "Numeric", "description": "x", "mine": 1}
    other = {"type": "Numeric", "description": "y", "mine": 2}
    assert catalog.check_items({"a": one, "b": other}) == {
        "a": {**one, "type": "numeric"},
        "b": {**other, "type": "numeric"},
    }


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ({"a": {"type": "float"}}, "item 'a': type: 'float' is not one of: boolean"),
        ({"a": {"format": "%s and %s"}}, "item 'a': format: '%s and %s'"),
        ({"a": {"units": 3}}, "item 'a': units: expected text"),
        (
            {"a": {"units": {"formatted": 3}}},
            "item 'a': units.formatted: expected text",
        ),
        ({"a": {"persist": "sometimes"}}, "item 'a': persist"),
        ({"a": {"enumerators": {"one": "1"}}}, "item 'a': enumerators.one"),
        ({"a": {"enumerators": {"1": 1}}}, "item 'a': enumerators.1: expected text"),
        (
            {"a": {"enumerators": {2**63: "x"}}},
            "item 'a': enumerators.9223372036854775808: expected a number of at most",
        ),
        ({"a": {"enumerators": {-(2**63): "x"}}}, "64 bits"),
        ({"a": {"enumerators": ["x"]}}, "item 'a': enumerators: expected a mapping"),
        ({"a": {"description": 1}}, "item 'a': description"),
        ({"b": {"units": "mm"}, "a": {"units": 3}}, "item 'a': units: expected text"),
        ({"a": "numeric"}, "item 'a': expected a dictionary"),
        ({"b": {}, "a": {"type": []}}, "item 'a': type"),
        ({"a": {}, "A": {}}, "item 'A': another key is the same"),
        ([], "items are a mapping"),
        (None, "items are a mapping"),
    ],
)
def test_an_error_names_the_key_and_the_field(items, text):
    """It uses the words of the file from which the item came."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        catalog.check_items(items)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["", ".", "..", "a.", ".a", "a..b", "../x", "a/b", "a\\b", "a b", "a\0", "k" * 201],
)
def test_a_key_is_safe_in_paths_and_topics(key):
    """Keys become names of files, and end in a dot on the wire."""
    with pytest.raises(ValueError, match="cannot be used as a key"):
        catalog.check_items({key: {}})
    with pytest.raises(ValueError, match="cannot be used as a key"):
        catalog.check_block({**BLOCK, "items": {key: {}}})


def test_a_key_has_at_most_two_hundred_letters():
    assert catalog.check_items({"k" * 200: {}}) == {"k" * 200: {}}


def test_items_of_different_kinds_are_not_mixed_up():
    """One and true are equal in Python, but not for a reader of the catalog."""
    items = catalog.check_items(
        {
            "a": {"type": "mask", "enumerators": {"1": "x"}, "settable": True},
            "b": {"type": "mask", "enumerators": {1: "x"}, "settable": 1},
            "c": {"type": "mask", "enumerators": {1: "y"}, "settable": 1},
            "d": {"type": "mask", "enumerators": {"1": "x"}, "settable": 1},
            "e": {"type": "mask", "enumerators": {2: "x"}, "settable": 1},
        }
    )
    assert items["a"] == items["b"]
    assert items["d"]["settable"] is True
    assert items["c"]["enumerators"] == {"1": "y"}
    assert items["e"]["enumerators"] == {"2": "x"}
    with pytest.raises(ValueError, match="item 'b': enumerators"):
        catalog.check_items(
            {
                "a": {"type": "boolean", "enumerators": {"1": "x"}},
                "b": {"type": "boolean", "enumerators": {"1": 1}},
            }
        )


def test_all_fields_of_a_block_are_checked():
    """Its store and keys become lower case, and unknown fields stay."""
    checked = catalog.check_block({**BLOCK, "override": True})

    assert checked["store"] == "pie"
    assert checked["items"] == {"angle": {"type": "numeric"}}
    assert checked["override"] is True
    assert checked["hash"] == BLOCK["hash"]


def test_the_items_of_a_newer_peer_are_kept():
    """Other programs may know types and formats that are unknown here."""
    items = {"a": {"type": "Tensor", "format": "{:x}"}}
    assert catalog.check_block({**BLOCK, "items": items})["items"] == items


def test_a_peers_items_of_known_types_get_their_missing_fields():
    items = {"a": {"type": "Mask"}, "b": {"type": "NUMERIC"}}
    assert catalog.check_block({**BLOCK, "items": items})["items"] == {
        "a": {"type": "mask", "enumerators": {}},
        "b": {"type": "numeric"},
    }


def test_a_block_of_edition_1_has_its_uuid_as_alias():
    block = {name: value for name, value in BLOCK.items() if name != "alias"}
    assert catalog.check_block(block)["alias"] == BLOCK["uuid"]


def test_a_name_has_at_most_two_hundred_bytes():
    """The bytes are those of UTF-8, as in names of files."""
    for name in ("x" * 200, "ä" * 100):
        assert catalog.check_name(name) == name
    for name in ("x" * 201, "ä" * 101):
        with pytest.raises(ValueError, match="cannot be used as a name"):
            catalog.check_name(name)


@pytest.mark.parametrize("port", [1, 65535])
def test_a_port_is_from_1_to_65535(port):
    block = {**BLOCK, "provenance": [{"hostname": "a", "rep": port}]}
    assert catalog.check_block(block)["provenance"][0]["rep"] == port


@pytest.mark.parametrize("field", ["store", "alias", "uuid"])
@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../pie",
        "a/b",
        "..\\b",
        "a\0b",
        "/",
        None,
        5,
        "x" * 201,
        "\udcff",
    ],
)
def test_no_name_points_out_of_the_folder(field, name):
    """The names in a block become names of folders and files here."""
    with pytest.raises(ValueError, match=f"catalog block: {field}"):
        catalog.check_block({**BLOCK, field: name})


def test_the_names_of_a_registry_are_accepted():
    """They have a colon."""
    names = {"store": "registry:my_host", "alias": "registry:my_host"}
    assert catalog.check_block({**BLOCK, **names})["store"] == "registry:my_host"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"store": "a.b"}, "catalog block: store: 'a.b': a store's name has no dots"),
        ({"uuid": "a/b"}, "catalog block: uuid: 'a/b' cannot be used as a name"),
        ({"items": []}, "items"),
        ({"hash": []}, "hash"),
        ({"time": "now"}, "time"),
        ({"provenance": {}}, "provenance"),
        ({"provenance": [{"hostname": "a"}]}, "rep"),
        ({"provenance": [{"hostname": "a", "rep": 65536}]}, "65536 is not a port"),
        ({"provenance": [{"hostname": "a", "rep": 0}]}, "0 is not a port"),
        ({"provenance": [{"hostname": "a", "rep": True}]}, "True is not a port"),
        ({"provenance": [{"hostname": 1, "rep": 1}]}, "provenance.0.hostname"),
    ],
)
def test_a_malformed_block_is_refused(change, text):
    """The error names the field."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        catalog.check_block({**BLOCK, **change})
    assert text in str(caught.value)


@pytest.mark.parametrize("block", [None, [], "x", {}, {"store": "a"}])
def test_a_value_that_is_no_block_is_refused(block):
    """There is one exception type for it."""
    with pytest.raises(ValueError, match="catalog block"):
        catalog.check_block(block)


def test_the_digest_changes_when_the_items_do():
    """It has 128 bits, and equals the digest of the reference."""
    items = {"angle": {"type": "numeric", "units": "rad"}}

    assert catalog.digest(items) == 186878044669318582211110160865697192504
    assert catalog.digest({**items, "b": {}}) != catalog.digest(items)
    assert 0 <= catalog.digest({}) < 2**128
