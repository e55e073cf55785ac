"""Catalogs: descriptions of a store's items, checked once when they arrive. Pure."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import voluptuous as vol

from . import printf

TYPES = (
    "boolean",
    "bulk",
    "enumerated",
    "mask",
    "numeric",
    "numeric array",
    "string",
)
NAMED = frozenset({"boolean", "enumerated", "mask"})  # types that need enumerators
BOOLEAN_NAMES = {"0": "False", "1": "True"}

# The names of stores, aliases, UUIDs and keys become names of files.
_FILE_NAME = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")
_NAME_LENGTH = 200  # bytes, of the 255 of a file's name
_KEY = re.compile(r"[^./\\\x00-\x20\x7f]+(?:\.[^./\\\x00-\x20\x7f]+)*")
_KEY_LENGTH = 200


def split(name: str) -> tuple[str, str]:
    """Return the store and the key of *name*, in lower case.

    The first dot divides them, so keys may have dots; without a dot the key is empty.
    """
    store, _, key = name.lower().partition(".")
    return store, key


def check_items(items: Any) -> dict[str, dict[str, Any]]:
    """Return a daemon's own *items*, whole: keys in lower case, defaults filled in.

    The argument stays unchanged. ValueError names the key and the field.
    """
    return _checked(items, _OWN)


def check_block(block: Any) -> dict[str, Any]:
    """Return a catalog's *block*, whoever sent it, with its items checked.

    Fields and types of items that are unknown here are kept: a newer peer may have
    them. ValueError names the field, and the key where it is about an item.
    """
    try:
        checked: dict[str, Any] = _BLOCK(block)
    except vol.MultipleInvalid as error:
        raise ValueError(f"catalog block: {_words(error)}") from None
    # The blocks of the page that described edition 1 have none.
    checked.setdefault("alias", checked["uuid"])
    checked["items"] = _checked(checked["items"], _FOREIGN)
    return checked


def digest(items: Mapping[str, Any]) -> int:
    """Return the hash of *items*: 128 bits that change when they do."""
    encoded = msgspec.json.encode(items)
    return int.from_bytes(hashlib.shake_256(encoded).digest(16), "big")


def check_name(name: Any) -> str:
    """Return *name* if it can be that of a store, an alias or a UUID, or ValueError."""
    if isinstance(name, str) and _FILE_NAME.fullmatch(name):
        with contextlib.suppress(UnicodeEncodeError):
            if len(name.encode()) <= _NAME_LENGTH:
                return name
    raise ValueError(f"{name!r:.80} cannot be used as a name")


def check_store(name: Any) -> str:
    """Return *name* in lower case if it can be a store's, or ValueError."""
    store = check_name(name).lower()
    if "." in store:
        raise ValueError(f"{name!r}: a store's name has no dots")
    return store


def _checked(items: Any, schema: vol.Schema) -> dict[str, dict[str, Any]]:
    if not isinstance(items, Mapping):
        raise ValueError(f"items are a mapping of keys, not {items!r:.80}")  # noqa: TRY004
    result: dict[str, dict[str, Any]] = {}
    # A store may have a million items of a few kinds, so each kind is checked once.
    kinds: dict[Any, dict[str, Any]] = {}
    same: dict[int, dict[str, Any]] = {}  # by the id of a shared description
    for given, description in items.items():
        key = _key(given)
        if key in result:
            raise ValueError(f"item {given!r}: another key is the same in lower case")
        checked = same.get(id(description))
        if checked is None:
            checked = _description(given, description, schema, kinds)
            same[id(description)] = checked
        result[key] = checked
    return result


def _key(key: Any) -> str:
    if not isinstance(key, str) or len(key) > _KEY_LENGTH or not _KEY.fullmatch(key):
        raise ValueError(f"item {key!r:.80}: cannot be used as a key")
    return key.lower()


def _description(
    key: str,
    description: Any,
    schema: vol.Schema,
    kinds: dict[Any, dict[str, Any]],
) -> dict[str, Any]:
    kind = _kind(description)
    changes = kinds.get(kind)
    if changes is None:
        try:
            checked = schema(description)
            checked |= _completed(checked)
        except vol.MultipleInvalid as error:
            raise ValueError(f"item {key!r}: {_words(error)}") from None
        changes = {
            field: value
            for field, value in checked.items()
            if field not in description or description[field] is not value
        }
        if kind is not None:
            kinds[kind] = changes
    return {**description, **changes}


def _kind(description: Any) -> Any:
    """Return the part of *description* that the schema checks; None: not hashable."""
    if not isinstance(description, dict):
        return None
    try:
        kind = tuple(
            (field, _KIND.get(field, type)(value))
            for field, value in description.items()
        )
        hash(kind)
    except (TypeError, AttributeError):
        return None
    return kind


def _same(value: Any) -> Any:
    # Without the types, True and 1 would be one kind.
    return type(value), value


def _pairs(value: Any) -> Any:
    if not isinstance(value, dict):
        return _same(value)
    return tuple((_same(key), _same(name)) for key, name in value.items())


# How much of a field tells kinds apart; of all others the type is enough.
_KIND: dict[str, Callable[[Any], Any]] = {
    "type": _same,
    "format": _same,
    "units": _pairs,
    "enumerators": _pairs,
    "persist": _same,
    "gettable": _same,
    "settable": _same,
}


def _completed(description: Mapping[str, Any]) -> dict[str, Any]:
    kind = description.get("type")
    if kind == "boolean":
        return {"enumerators": BOOLEAN_NAMES | (description.get("enumerators") or {})}
    if kind in NAMED and description.get("enumerators") is None:
        return {"enumerators": {}}
    return {}


# Schemas


def _known_type(value: Any) -> str:
    if str(value).lower() not in ("", *TYPES):
        raise vol.Invalid(f"{value!r} is not one of: {', '.join(TYPES)}")
    return str(value).lower()


def _any_type(value: Any) -> str:
    lower = str(value).lower()
    return lower if lower in TYPES else str(value)


def _format(value: Any) -> str:
    if not isinstance(value, str):
        raise vol.Invalid("expected text")
    try:
        return printf.check_format(value) if value else value
    except ValueError as error:
        raise vol.Invalid(str(error)) from None


def _switch(value: Any) -> bool:
    # People write item files by hand, so some of them have "true" or 1 here.
    switches = {"true": True, "false": False, "1": True, "0": False}
    try:
        return switches[str(value).lower()]
    except KeyError:
        raise vol.Invalid(f"{value!r} is not true or false") from None


def _units(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _text(value)
    return {kind: unit and _text(unit, path=[kind]) for kind, unit in value.items()}


def _enumerators(value: Any) -> dict[str, str]:
    names = _mapping(value)
    return {_enumerator(key): _text(name, path=[key]) for key, name in names.items()}


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise vol.Invalid("expected a mapping of numbers to names")
    return value


def _enumerator(key: Any) -> str:
    if key is None or str(key).lower() == "none":
        return "None"
    try:
        number = int(str(key))
    except ValueError:
        raise vol.Invalid("expected a number or None", path=[key]) from None
    if abs(number) >= 2**63:
        raise vol.Invalid("expected a number of at most 64 bits", path=[key])
    return str(number)


def _text(value: Any, path: list[Any] | None = None) -> str:
    if not isinstance(value, str):
        raise vol.Invalid("expected text", path=path)
    return value


def _name(value: Any) -> str:
    try:
        return check_name(value)
    except ValueError as error:
        raise vol.Invalid(str(error)) from None


def _store(value: Any) -> str:
    try:
        return check_store(value)
    except ValueError as error:
        raise vol.Invalid(str(error)) from None


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**16:
        raise vol.Invalid(f"{value!r} is not a port")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise vol.Invalid("expected a number")
    return value


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Accept JSON's null, which means the same as an absent field."""
    return lambda value: None if value is None else check(value)


def _schema(fields: Mapping[str, Callable[[Any], Any]]) -> vol.Schema:
    return vol.Schema(
        {vol.Optional(field): _optional(check) for field, check in fields.items()},
        extra=vol.ALLOW_EXTRA,
    )


_ANY = {
    "description": _text,
    "units": _units,
    "persist": _switch,
    "gettable": _switch,
    "settable": _switch,
}
_OWN = _schema(
    _ANY | {"type": _known_type, "format": _format, "enumerators": _enumerators}
)
# Types and formats of a newer peer are checked only when a value is shown.
_FOREIGN = _schema(_ANY | {"type": _any_type, "format": _text, "enumerators": _mapping})

_STRATUM = vol.Schema(
    {
        vol.Required("hostname"): _text,
        vol.Required("rep"): _port,
        vol.Optional("stratum"): _optional(_number),
        vol.Optional("pub"): _optional(_port),
    },
    extra=vol.ALLOW_EXTRA,
)

_BLOCK = vol.Schema(
    {
        vol.Required("store"): _store,
        vol.Optional("alias"): _name,
        vol.Required("uuid"): _name,
        vol.Required("items"): dict,
        vol.Optional("hash"): vol.Any(None, int, str),
        vol.Optional("time"): _optional(_number),
        vol.Optional("provenance"): _optional(vol.Schema([_STRATUM])),
    },
    extra=vol.ALLOW_EXTRA,
)


def _words(error: vol.MultipleInvalid) -> str:
    first = error.errors[0]
    where = ".".join(str(each) for each in first.path)
    return f"{where}: {first.msg}" if where else str(first.msg)
