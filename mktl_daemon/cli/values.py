"""Values as mk reads them from a command line, and as it prints them."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mktl_daemon import Item


def parse(options: argparse.Namespace, item: Item, text: str) -> Any:
    """Return the value that *text* from the command line means."""
    if options.units:
        quantity = _convert(item, float(text), options.units)
        return item.from_quantity(quantity)
    kind = item.description.get("type")
    if kind == "string":
        return text
    if options.formatted and kind and kind != "bulk":
        return item.from_format(text)
    return _guess(text)


def _guess(text: str) -> Any:
    """Return *text* as JSON (a number, list or boolean), or else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not valid JSON")


def _convert(item: Item, value: float, units: str) -> Any:
    from mktl_daemon import config  # noqa: PLC0415

    return config.get(item.store.name).convert_units(value, units, None)


def line(options: argparse.Namespace, item: Item, value: Any, time: float) -> str:
    parts = []
    if options.unformatted:
        parts.append(unformatted(options, item, value))
    if options.formatted:
        parts.append(formatted(options, item, value))
    head = "" if options.terse else f"{item.key}: "
    if options.timestamp:
        head = f"{_clock(time)} {head}"
    return head + " => ".join(parts)


def formatted(options: argparse.Namespace, item: Item, value: Any) -> str:
    if options.units:
        shown = str(item.to_quantity(value, options.units).magnitude)
        unit = options.units
    else:
        shown, unit = _text(item, value), _units(item, "formatted")
    return shown if options.terse else _with_units(shown, unit, value)


def unformatted(options: argparse.Namespace, item: Item, value: Any) -> str:
    return _with_units(str(value), "" if options.terse else _units(item, ""), value)


def _text(item: Item, value: Any) -> str:
    try:
        return item.to_format(value)
    except ValueError:
        # The daemon has a value that does not fit its own description.
        return str(value)


def _units(item: Item, kind: str) -> str:
    units = item.description.get("units") or ""
    if isinstance(units, dict):
        return str(units.get(kind) or units.get("") or "")
    return str(units)


def _with_units(text: str, units: str, value: Any) -> str:
    return f"{text} {units}" if units and value is not None else text


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time).astimezone().time().isoformat("milliseconds")
