"""Converts values to text and back, by an item's description. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from . import units
from .numbers import as_integer, as_number, plain_number
from .printf import printf, scan
from .sexagesimal import read_sexagesimal, write_sexagesimal

Description = Mapping[str, Any]

# Catalogs come from peers: a mask's bit 10**12 would cost a number of that size.
HIGHEST_BIT = 1023


class UnknownNameError(ValueError, KeyError):
    """A value that the item's enumerators do not have.

    Also a KeyError, because that is what programs written for mKTL catch.
    """

    __str__ = ValueError.__str__


def to_format(description: Description, value: Any) -> str:
    """Return *value* as text for people.

    None is the empty text for types that have a format. ValueError: a value or a
    format that does not suit the type.
    """
    write = _WRITERS.get(_type(description))
    return str(value) if write is None else write(description, value)


def from_format(description: Description, text: Any) -> Any:
    """Return the value that *text* stands for; the inverse of `to_format`.

    Names are compared without regard to case, and an enumerator's number may stand
    for its name. ValueError: what cannot be read, with the allowed values.
    """
    read = _READERS.get(_type(description))
    return text if read is None else read(description, text)


def coerce(description: Description, value: Any) -> Any:
    """Return *value* as a SET of this item may carry it, in the item's own type.

    Numbers may come as text, and an integer as a whole float. ValueError: a value
    that does not suit the type.
    """
    check = _CHECKS.get(_type(description))
    try:
        return value if check is None else check(description, value)
    except UnknownNameError as error:
        # The name of the type is sent to clients, which do not know our own types.
        raise ValueError(str(error)) from None


# Boolean, enumerated


def _write_name(description: Description, value: Any) -> str:
    if value is None:
        return ""
    names = _names(description)
    if not names:
        return str(as_integer(value))
    try:
        return names[as_integer(value)]
    except (ValueError, KeyError):
        raise _unknown(value, names) from None


def _read_name(description: Description, text: Any) -> int:
    names = _names(description)
    wanted = str(text).strip().lower()
    for number, name in names.items():
        if name.lower() == wanted:
            return number
    given = _number_or_none(wanted)
    if given is not None and (given in names or not names):
        return given
    raise _unknown(text, names)


def _check_name(description: Description, value: Any) -> int:
    _write_name(description, value)
    return as_integer(value)


def _check_boolean(description: Description, value: Any) -> bool:
    return bool(_check_name(description, value))


# Mask


def _write_mask(description: Description, value: Any) -> str:
    if value is None:
        return ""
    names = _names(description)
    try:
        number = as_integer(value)
    except ValueError:
        raise _unknown(value, names) from None
    if number < 0 or number & ~sum(1 << bit for bit in names):
        raise _unknown(value, names)
    active = [name for bit, name in names.items() if number >> bit & 1]
    return ", ".join(active) if active else _none_name(description)


def _read_mask(description: Description, text: Any) -> int:
    wanted = str(text).strip().lower()
    names = _names(description)
    bits = {name.lower(): 1 << bit for bit, name in names.items()}
    if wanted not in bits:
        if wanted in {"", "none", _none_name(description).lower()}:
            return 0
        number = _number_or_none(wanted)
        if number is not None:
            return _check_mask(description, number)
    result = 0
    pieces = wanted.split(",")
    longest = 1 + max((name.count(",") for name in bits), default=0)
    while pieces:
        # Names may have commas themselves.
        for count in range(longest, 0, -1):
            name = ",".join(pieces[:count]).strip()
            if name in bits:
                break
        else:
            raise _unknown(name, names)
        result |= bits[name]
        del pieces[:count]
    return result


def _check_mask(description: Description, value: Any) -> int:
    _write_mask(description, value)
    return as_integer(value)


# Numeric


def _write_number(description: Description, value: Any) -> str:
    if value is None:
        return ""
    number = plain_number(value)
    form = description.get("format") or "%s"
    if ":" in form:
        return write_sexagesimal(description, number, form.split(":"))
    own, shown = units.pair(description)
    if own and shown and own != shown:
        number = units.convert(number, own, shown)
    return printf(form, number)


def _read_number(description: Description, text: Any) -> int | float:
    form = description.get("format") or "%s"
    if ":" in form:
        return read_sexagesimal(description, str(text))
    number = scan(text, form) if isinstance(text, str) else as_number(text)
    own, shown = units.pair(description)
    if own and shown and own != shown:
        number = units.convert(number, shown, own)
    return number


def _check_number(_description: Description, value: Any) -> int | float:
    return as_number(value)


# Numeric array, string


def _write_array(description: Description, value: Any) -> str:
    values = value.tolist() if hasattr(value, "tolist") else value
    own, shown = units.pair(description)
    if not isinstance(values, list | tuple) or not (
        description.get("format") or own != shown
    ):
        return str(values)
    return "[" + ", ".join(_write_number(description, each) for each in values) + "]"


def _read_array(description: Description, text: Any) -> list[int | float]:
    if isinstance(text, str):
        if description.get("format"):
            stripped = text.strip().removeprefix("[").removeprefix("(")
            stripped = stripped.removesuffix("]").removesuffix(")")
            values: Any = stripped.split(",") if stripped.strip() else []
        else:
            values = _json_array(text)
    else:
        values = text
    return [_read_number(description, each) for each in _sequence(values)]


def _json_array(text: str) -> Any:
    inner = text.strip()
    if inner[:1] == "(" and inner[-1:] == ")":
        inner = inner[1:-1].strip().removesuffix(",")
        inner = f"[{inner}]"
    elif inner[:1] != "[":
        inner = f"[{inner}]"
    try:
        return msgspec.json.decode(inner)
    except msgspec.DecodeError:
        raise ValueError(f"{text!r} is not a sequence of numbers") from None


def _check_array(_description: Description, value: Any) -> list[int | float]:
    return [as_number(each) for each in _sequence(value)]


def _sequence(value: Any) -> list[Any]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is not a sequence of numbers")  # noqa: TRY004
    return list(value)


def _check_string(_description: Description, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    # A command line cannot tell the text 5 from the number 5.
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"{value!r} is not a text")


# Numbers and names


def _number_or_none(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _names(description: Description) -> dict[int, str]:
    enumerators = description.get("enumerators")
    if not enumerators:
        return {0: "False", 1: "True"} if _type(description) == "boolean" else {}
    numbers = {
        number: str(name)
        for key, name in enumerators.items()
        if (number := _number_or_none(str(key))) is not None
    }
    if _type(description) == "mask":
        return {bit: numbers[bit] for bit in numbers if 0 <= bit <= HIGHEST_BIT}
    return numbers


def _none_name(description: Description) -> str:
    enumerators = description.get("enumerators") or {}
    for key, name in enumerators.items():
        if str(key).lower() == "none":
            return str(name)
    return ""


def _unknown(value: Any, names: Mapping[int, str]) -> UnknownNameError:
    allowed = ", ".join(f"{name} ({number})" for number, name in names.items())
    return UnknownNameError(f"{value!r} is not one of: {allowed}")


def _type(description: Description) -> str:
    return str(description.get("type") or "").lower()


_WRITERS: dict[str, Callable[[Description, Any], str]] = {
    "boolean": _write_name,
    "enumerated": _write_name,
    "mask": _write_mask,
    "numeric": _write_number,
    "numeric array": _write_array,
}

_READERS: dict[str, Callable[[Description, Any], Any]] = {
    "boolean": _read_name,
    "enumerated": _read_name,
    "mask": _read_mask,
    "numeric": _read_number,
    "numeric array": _read_array,
}

_CHECKS: dict[str, Callable[[Description, Any], Any]] = {
    "boolean": _check_boolean,
    "enumerated": _check_name,
    "mask": _check_mask,
    "numeric": _check_number,
    "numeric array": _check_array,
    "string": _check_string,
}
