"""Units of values: pint converts them, and is imported when first needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mktl_daemon import process

if TYPE_CHECKING:
    import pint


def convert(value: Any, old: str, new: str | None) -> Any:
    """Return *value* in the units *new*, or as a pint.Quantity if *new* is None.

    ValueError: a unit that pint does not know. pint.DimensionalityError (a TypeError):
    units that do not measure the same thing.
    """
    quantity = _registry.get().Quantity(_magnitude(value), _parsed(old))
    return quantity if new is None else quantity.to(_parsed(new)).magnitude


def to_quantity(
    description: Mapping[str, Any],
    value: Any,
    units: Any = None,
    formatted: bool = False,
) -> pint.Quantity[Any]:
    """Return *value*, which is in the item's own units, as a pint.Quantity.

    It comes in *units* (text or a pint.Unit) if given, in the item's formatted units
    if *formatted*. TypeError: an item without units, or with units that do not fit.
    """
    own, shown = pair(description)
    if own is None:
        raise TypeError("the item does not have units")
    if isinstance(value, str | bytes):
        raise TypeError(f"{value!r:.80} is not a number, so it has no quantity")
    quantity: pint.Quantity[Any] = convert(value, own, None)
    wanted = units if units is not None else shown if formatted else None
    if wanted is None:
        return quantity
    return quantity.to(_parsed(str(wanted)))


def from_quantity(description: Mapping[str, Any], quantity: Any) -> Any:
    """Return the magnitude of *quantity* in the item's own units.

    Quantities of any pint registry will do. TypeError: an item without units,
    something that is no quantity, or units that do not fit.
    """
    own, _ = pair(description)
    if own is None:
        raise TypeError("the item does not have units")
    if not hasattr(quantity, "to"):
        raise TypeError(f"{quantity!r} is not a pint.Quantity")
    _parsed(own)
    return quantity.to(own).magnitude


def pair(description: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return an item's own and formatted units; None where it has none."""
    units = description.get("units")
    if isinstance(units, Mapping):
        own, shown = units.get(""), units.get("formatted")
    else:
        own = shown = units
    own, shown = own or shown or None, shown or own or None
    return own, shown


def measures_time(unit: str) -> bool:
    """Tell whether *unit* is a unit of time: an hour is one, an hour angle is not."""
    return bool(_parsed(unit).dimensionality == {"[time]": 1})


def _load() -> pint.UnitRegistry[Any]:
    # To import pint and to read its definitions takes some hundred milliseconds.
    import pint  # noqa: PLC0415

    # The registry that the program's own pint.Quantity() uses: quantities of two
    # registries cannot be added or compared.
    registry = pint.application_registry.get()  # type: ignore[no-untyped-call]
    registry.parse_units("m")  # it reads its definitions on first use
    return registry  # type: ignore[no-any-return]


_registry = process.Once(_load)


def _parsed(unit: str) -> pint.Unit:
    registry = _registry.get()
    try:
        return registry.parse_units(unit)
    except Exception as error:
        # pint's parser raises as many types as there are ways to misspell a unit.
        raise ValueError(f"pint knows no unit {unit!r}") from error


def _magnitude(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value
