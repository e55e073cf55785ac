"""Values and their text, as an item's description has them. Pure."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from mktl_daemon import units

Description = Mapping[str, Any]

DEGREES = frozenset({"d", "deg", "degs", "degree", "degrees"})
HOURS = frozenset({"h", "hour", "hours"})
# Catalogs come from peers: a mask's bit 10**12 would cost a number of that size.
HIGHEST_BIT = 1023

_DIRECTIVE = re.compile(
    r"(?P<before>(?:[^%]|%%)*)"
    r"%(?P<flags>[-+ #0]*)(?P<width>\d{0,3})(?:\.(?P<precision>\d{1,2}))?"
    r"(?P<letter>[diuoxXeEfFgGrs])"
    r"(?P<after>(?:[^%]|%%)*)",
    re.DOTALL,
)
_WHOLE = "diuoxX"  # letters that print no fraction


class UnknownNameError(ValueError, KeyError):
    """A value that the item's enumerators do not have.

    Also a KeyError, because that is what programs written for mKTL catch.
    """

    __str__ = ValueError.__str__


def to_format(description: Description, value: Any) -> str:
    """Return *value* as people read it.

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
        # Its type goes out on the wire, where ours means nothing.
        raise ValueError(str(error)) from None


# Boolean, enumerated


def _write_name(description: Description, value: Any) -> str:
    if value is None:
        return ""
    names = _names(description)
    if not names:
        return str(_integer(value))
    try:
        return names[_integer(value)]
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
    return _integer(value)


def _check_boolean(description: Description, value: Any) -> bool:
    return bool(_check_name(description, value))


# Mask


def _write_mask(description: Description, value: Any) -> str:
    if value is None:
        return ""
    names = _names(description)
    try:
        number = _integer(value)
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
    return _integer(value)


# Numeric


def _write_number(description: Description, value: Any) -> str:
    if value is None:
        return ""
    number = _plain_number(value)
    form = description.get("format") or "%s"
    if ":" in form:
        return _write_sexagesimal(description, number, form.split(":"))
    own, shown = units.pair(description)
    if own and shown and own != shown:
        number = units.convert(number, own, shown)
    return _printf(form, number)


def _read_number(description: Description, text: Any) -> int | float:
    form = description.get("format") or "%s"
    if ":" in form:
        return _read_sexagesimal(description, str(text))
    number = _scan(text, form) if isinstance(text, str) else _number(text)
    own, shown = units.pair(description)
    if own and shown and own != shown:
        number = units.convert(number, shown, own)
    return number


def _check_number(_description: Description, value: Any) -> int | float:
    return _number(value)


# Sexagesimal


def _write_sexagesimal(
    description: Description, number: int | float, fields: list[str]
) -> str:
    if not _is_finite(number):
        return str(number)
    own, shown = units.pair(description)
    if own and shown:
        number = _as_shown(number, own, shown)

    # Round once, as the last field will, and carry from there: fields that are
    # rounded one by one show 59:60.0.
    last = _directive(fields[-1])
    smallest = abs(number) * 60 ** (len(fields) - 1)
    if last.letter in _WHOLE:
        smallest = math.floor(smallest + 1e-6)  # whole, but for the noise of floats
    rest, part = divmod(smallest, 60)
    part = _rounded(last, part)
    if part >= 60:
        rest, part = rest + 1, 0

    parts: list[int | float] = [part]
    for _ in fields[1:-1]:
        rest, part = divmod(rest, 60)
        parts.insert(0, part)
    negative = number < 0 and bool(rest or any(parts))
    texts = [_printf(form, part) for form, part in zip(fields[1:], parts, strict=True)]
    return ":".join([_with_sign(fields[0], int(rest), negative), *texts])


def _rounded(directive: _Directive, part: int | float) -> int | float:
    """Return what is left of *part* once it is printed."""
    if directive.letter in _WHOLE or directive.letter == "s":
        return round(part, 6)
    return float(f"%.{directive.precision}{directive.letter}" % part)


def _with_sign(form: str, whole: int, negative: bool) -> str:
    if not negative:
        return _printf(form, whole)
    if whole:
        return _printf(form, -whole)
    before, _, _, after, number = _directive(form)
    zero = _printf(number, -1).replace("1", "0")  # there is no integer -0
    return (before + zero + after).replace("%%", "%")


def _read_sexagesimal(description: Description, text: str) -> float:
    forms = (description.get("format") or "").split(":")
    fields = text.split(":")
    first, *rest = itertools.zip_longest(fields, forms[: len(fields)], fillvalue="%s")
    # The sign is the text's: -0:30:00 is half a degree below zero.
    negative = _bare(*first).startswith("-")
    result = abs(float(_scan(*first)))
    for place, field in enumerate(rest, start=1):
        part = float(_scan(*field))
        # Who rounds field by field writes 60; 1:-2:3 is what the reference takes.
        if abs(part) > 60:
            raise ValueError(f"{field[0].strip()!r} in {text!r} is not below 60")
        result += part / 60**place
    if negative:
        result = -result
    own, shown = units.pair(description)
    return _from_shown(result, own, shown) if own and shown else result


def _as_shown(number: float, own: str, shown: str) -> float:
    if own == shown:
        return number
    if _is_hour_angle(own, shown):
        return float(units.convert(number, own, "degree")) * 24 / 360
    return float(units.convert(number, own, _sexagesimal_unit(shown)))


def _from_shown(number: float, own: str, shown: str) -> float:
    if own == shown:
        return number
    if _is_hour_angle(own, shown):
        return float(units.convert(number * 360 / 24, "degree", own))
    return float(units.convert(number, _sexagesimal_unit(shown), own))


def _is_hour_angle(own: str, shown: str) -> bool:
    return shown.lower() in HOURS and not units.measures_time(own)


def _sexagesimal_unit(shown: str) -> str:
    # On its own, pint takes "d" for a day.
    return "degree" if shown.lower() in DEGREES else shown


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
    return [_number(each) for each in _sequence(value)]


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


# printf


class _Directive(NamedTuple):
    before: str
    letter: str
    precision: int
    after: str
    number: str  # from the percent sign to the letter


def _directive(form: str) -> _Directive:
    match = _DIRECTIVE.fullmatch(form)
    if match is None:
        raise ValueError(f"{form!r} is not a printf format of one number")
    precision = 6 if match["precision"] is None else int(match["precision"])
    before, after = match["before"], match["after"]
    number = form[len(before) : len(form) - len(after)]
    return _Directive(before, match["letter"], precision, after, number)


def check_format(form: str) -> str:
    """Return *form*, or raise ValueError if no number can be printed with it."""
    for field in form.split(":"):
        _directive(field)
    return form


def _printf(form: str, number: int | float) -> str:
    if form == "%s":
        return str(number)
    if _directive(form).letter in _WHOLE:
        if not _is_finite(number):
            return str(number)
        # 34.999999 is meant as 35.
        number = math.floor(number + 0.5) if isinstance(number, float) else number
    return form % (number,)


def _bare(text: str, form: str) -> str:
    """Return *text* without what *form* has around its number."""
    directive = _directive(form)
    bare = text.strip()
    bare = bare.removeprefix(directive.before.strip().replace("%%", "%"))
    return bare.removesuffix(directive.after.strip().replace("%%", "%")).strip()


def _scan(text: str, form: str) -> int | float:
    bare = _bare(text, form)
    base = {"x": 16, "X": 16, "o": 8}.get(_directive(form).letter)
    if base is None:
        return _number(bare)
    try:
        return int(bare, base)
    except ValueError:
        raise ValueError(f"{text!r} is not a number in base {base}") from None


# Numbers and names


def _plain_number(value: Any) -> int | float:
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        for read in (int, float):
            try:
                return read(value)
            except ValueError:
                continue
    raise ValueError(f"{value!r} is not a number")


def _number(value: Any) -> int | float:
    number = _plain_number(value)
    if not _is_finite(number):
        raise ValueError(f"{value!r} is not a finite number, and JSON has no such")
    return number


def _is_finite(number: int | float) -> bool:
    # math.isfinite would make a float of an integer, which not every integer fits.
    return isinstance(number, int) or math.isfinite(number)


def _integer(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)


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
