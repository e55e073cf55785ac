"""Values as an item holds them, and as messages contain them. Pure."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

from msgspec import Struct

from . import arrays, wire
from .wire import Buffer

# Mutable values are copied: one that changed in place would equal itself.
_MUTABLE = (list, dict, set, tuple)
NUMBERS = frozenset({int, float})
# Most values have these types: neither arrays nor mutable, and JSON knows them.
_PLAIN = frozenset({bool, float, int, str, type(None)})


class State(NamedTuple):
    """A value as it is held, and at the daemon's end as it is sent.

    There may be a value without a *payload*: it is encoded when somebody reads it.
    """

    value: Any = None
    time: float | None = None
    payload: bytes | None = None
    bulk: Buffer | None = None


class _Fields(Struct, gc=False):
    """The fields of a message with a value, which cost less than a dictionary."""

    value: Any
    time: float


NOTHING = State()
_new = tuple.__new__


def state_of(value: Any, when: float, copy: bool = True) -> State:
    """Return *value* as it is held and sent; without *copy* an array itself."""
    if type(value) in _PLAIN:
        if type(value) is float and not isfinite(value):
            return State(value, when, _encoded(value, when))
        payload = wire.dumps(_Fields(value, when))
        return _new(State, (value, when, payload, None))  # not through Python's code
    if arrays.is_array(value):
        bulk, shape, dtype = arrays.take_apart(value, copy)
        described = {"value": None, "time": when, "shape": shape, "dtype": dtype}
        payload = wire.dumps(described)
        kept = value
        if not isinstance(value, bytes | bytearray | memoryview):
            kept = arrays.put_together(bulk, shape, dtype)
        return State(kept, when, payload, bulk)
    if hasattr(value, "tolist"):  # a numpy scalar
        value = value.tolist()
    payload = _encoded(value, when)
    if isinstance(value, _MUTABLE):
        value = decode(wire.fields(payload), None)
    return State(value, when, payload)


def unsent_state(value: Any, when: float) -> State:
    """Return *value* as it is held if it is not sent now."""
    if type(value) in _PLAIN and (type(value) is not float or isfinite(value)):
        return _new(State, (value, when, None, None))
    return state_of(value, when)


def payload_of(state: State) -> bytes | None:
    """Return the payload of *state* for a reply; None: there is no value."""
    if state.payload is not None or state.time is None:
        return state.payload
    return wire.dumps(_Fields(state.value, state.time))


def _encoded(value: Any, when: float) -> bytes:
    fields = {"value": value, "time": when}
    marks = wire.nonfinite(value)
    return wire.dumps(fields if marks is None else {**fields, wire.NONFINITE: marks})


def is_same(one: State, other: State) -> bool:
    old, new = one.value, other.value
    # True and 1 are equal, and not the same on the wire.
    alike = type(old) is type(new)
    if type(new) in _PLAIN and other.bulk is None:
        if not alike or old == new:
            return alike
        # NaN is not equal to itself, and is not sent again and again.
        return bool(one.value != one.value and other.value != other.value)
    if one.bulk is not None and other.bulk is not None:
        # This stops at the first difference and copies nothing.
        same = alike and _form(one) == _form(other)
        return same and arrays.are_same_bytes(one.bulk, other.bulk)
    if arrays.is_array(one.value) or arrays.is_array(other.value):
        return arrays.is_same(one.value, other.value)
    if isinstance(one.value, _MUTABLE):
        return alike and str(one.value) == str(other.value)
    return alike and bool(one.value == other.value)


def _form(state: State) -> tuple[Any, Any]:
    return getattr(state.value, "shape", None), getattr(state.value, "dtype", None)


def decode(fields: dict[str, Any], bulk: Buffer | None) -> Any:
    if bulk is None:
        try:
            value = fields["value"]
        except KeyError:
            if fields.get("error"):
                return None
            raise ValueError("the payload has no value") from None
        if wire.NONFINITE in fields:
            return wire.restore(value, fields[wire.NONFINITE])
        return value
    return arrays.put_together(
        bulk, fields.get("shape", [len(bulk)]), fields.get("dtype", "uint8")
    )
