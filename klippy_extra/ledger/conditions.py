"""Conditions and weights of counting: ``while``, ``material``, ``factor``."""

from __future__ import annotations

import math
import operator
import re
from typing import Any, Callable, NamedTuple

from ..klipper_objects import Printer
from ..language import tr

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_CHECK = re.compile(r"\s*([\w ]+?)(?:\.(\w+))?\s*(>=|<=|!=|==|>|<|=)\s*([\w.+-]+)\s*\Z")
_MATERIAL = re.compile(r"[^\s?*=,;#](?:[^?*=,;#]*[^\s?*=,;#])?\Z")
_WORD = re.compile(r"[^\W_]+")

# The fields that are compared if a condition names only an object.
FANS = ("fan_generic", "heater_fan", "controller_fan", "temperature_fan")
SENSORS = ("heater_generic", "temperature_sensor", "temperature_fan")
FIELDS = ("temperature", "speed", "value")


class Check(NamedTuple):
    """A field of a Klipper object, which is compared with a number or a word."""

    name: str
    field: str  # "": the first one of FIELDS that the object has
    sign: str
    value: float | str

    @property
    def key(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.name}{'.' if self.field else ''}{self.field}{self.sign}{value}"

    def holds(self, reading: Any) -> bool:
        if isinstance(self.value, str):
            reading = str(reading).lower()
        elif not isinstance(reading, (int, float)):
            return False
        return bool(OPERATORS[self.sign](reading, self.value))


class Condition(NamedTuple):
    """It is true if all *checks* are true, and one of *materials* (if any) is used."""

    checks: tuple[Check, ...] = ()
    materials: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A text that is the same for all ways to write the same condition, or ""."""
        parts = sorted(check.key for check in self.checks)
        if self.materials:
            parts.append("material=" + "|".join(sorted(self.materials)))
        return ",".join(parts)


class Factor(NamedTuple):
    """The factors by which materials wear faster."""

    by_material: tuple[tuple[str, float], ...] = ()

    @property
    def key(self) -> str:
        return ",".join(f"{name}={by:g}" for name, by in sorted(self.by_material))

    def of(self, material: str) -> float:
        """Return the factor of the closest name, or 1.0 if no name fits."""
        fitting = [
            (len(_words(name)), by)
            for name, by in self.by_material
            if is_kind_of(material, name)
        ]
        return max(fitting)[1] if fitting else 1.0


def parse(while_: str = "", material: str = "") -> Condition:
    """Read the options ``while`` and ``material``. ValueError names the fix."""
    checks = [_check(part) for part in re.split(r",|\band\b", while_)] if while_ else []
    materials = [_material(part) for part in material.split(",")] if material else []
    return Condition(tuple(checks), tuple(materials))


def parse_factor(text: str = "") -> Factor:
    """Read the option ``factor``: ``ABS=1.5, CF=5``. ValueError names the fix."""
    factors = {}
    for part in text.split(",") if text else ():
        name, _, by = part.partition("=")
        factors[_material(name)] = _factor(part, by)
    return Factor(tuple(factors.items()))


def is_kind_of(material: str, kind: str) -> bool:
    """Return whether *material* has all words of *kind*. PETG-CF is a PETG and a CF."""
    words = _words(kind)
    return bool(words) and words <= _words(material)


class Material:
    """The material that is printed now. The last change decides.

    A command can change it, or a variable of Klipper that is watched, for example
    ``gcode_macro PRINT_START.material`` or ``save_variables.filament_type``.
    """

    def __init__(self, printer: Printer, variable: str = "", name: str = "") -> None:
        self.name = name
        self._source, self._variable = parse_variable(variable)
        self._printer = printer
        self._seen = ""

    def set(self, name: str) -> None:
        self.name = name.strip()

    def current(self, eventtime: float) -> str:
        """Return the material's name, or "" if it is not known."""
        if self._source:
            seen = self._read(eventtime)
            if seen != self._seen:
                self._seen = self.name = seen
        return self.name

    def _read(self, eventtime: float) -> str:
        match = self._printer.lookup_object(self._source, None)
        if match is None:
            return ""
        status = match.get_status(eventtime)
        # The variables of save_variables are one level deeper.
        value = status.get("variables", status).get(self._variable)
        return "" if value is None else str(value).strip()


class Conditions:
    """Evaluates conditions by the present status of Klipper's objects."""

    def __init__(self, printer: Printer, material: Material) -> None:
        self._printer = printer
        self._material = material
        self._objects: dict[str, Any] = {}
        self._true: dict[Check, bool] = {}  # cached, as many tasks share conditions
        self._true_at = -1.0
        self._worth: dict[Any, float] = {}  # the factors for the present material
        self._worth_of = ""

    def holds(self, condition: Condition, eventtime: float) -> bool:
        """Return whether amounts count now."""
        return self.weight(condition, Factor(), eventtime) > 0.0

    def weight(self, condition: Condition, factor: Factor, eventtime: float) -> float:
        """Return the material's factor, or 0.0 if *condition* is not true."""
        if eventtime != self._true_at:
            self._true_at = eventtime
            self._true.clear()
        for check in condition.checks:
            if not self._is_true(check, eventtime):
                return 0.0
        if not condition.materials and not factor.by_material:
            return 1.0
        return self._worth_now(condition.materials, factor, eventtime)

    def missing(self, condition: Condition) -> str:
        """Return a sentence about an object that the printer does not have, or ""."""
        for check in condition.checks:
            if self._find(check.name) is None:
                return tr(
                    "This printer has no '{name}', so the condition '{condition}'"
                    " is never true.",
                    name=check.name,
                    condition=check.key,
                )
        return ""

    def _is_true(self, check: Check, eventtime: float) -> bool:
        true = self._true.get(check)
        if true is None:
            true = self._true[check] = self._evaluate(check, eventtime)
        return true

    def _worth_now(
        self, materials: tuple[str, ...], factor: Factor, eventtime: float
    ) -> float:
        material = self._material.current(eventtime)
        if material != self._worth_of:
            self._worth_of = material
            self._worth.clear()
        key = materials, factor
        worth = self._worth.get(key)
        if worth is None:
            fits = not materials or any(
                is_kind_of(material, each) for each in materials
            )
            worth = self._worth[key] = (
                factor.of(material) if fits or not materials else 0.0
            )
        return worth

    def _evaluate(self, check: Check, eventtime: float) -> bool:
        match = self._find(check.name)
        if match is None:
            return False
        status = match.get_status(eventtime)
        if check.field:
            field = check.field
        elif check.name.startswith("fan"):
            field = "speed"  # a temperature_fan has both
        else:
            field = next((each for each in FIELDS if each in status), "")
        return field in status and check.holds(status[field])

    def _find(self, name: str) -> Any:
        if name not in self._objects:
            modules = FANS if name.startswith("fan ") else SENSORS
            short = name.rpartition(" ")[2]
            names = [name, *(f"{module} {short}" for module in modules)]
            match = (self._printer.lookup_object(each, None) for each in names)
            self._objects[name] = next(
                (each for each in match if each is not None), None
            )
        return self._objects[name]


def parse_variable(text: str) -> tuple[str, str]:
    """Read ``gcode_macro NAME.variable``. An empty option gives two empty texts."""
    source, _, variable = text.strip().partition(".")
    if bool(source) != bool(variable):
        raise ValueError(
            f"{text!r} does not name a variable: write the object, a dot and the"
            " variable, as in 'gcode_macro PRINT_START.material' or"
            " 'save_variables.filament_type'"
        )
    return source.strip(), variable.strip()


def _check(text: str) -> Check:
    match = _CHECK.match(text)
    if match is None:
        raise ValueError(
            f"{text.strip()!r} is no condition: name an object, a sign and a number,"
            " as in 'heater_bed>80' or 'fan chamber_filter>0', and several with"
            " commas between them"
        )
    name, field, sign, value = match.groups()
    sign = "=" if sign == "==" else sign
    return Check(" ".join(name.split()), field or "", sign, _value(text, sign, value))


def _value(text: str, sign: str, value: str) -> float | str:
    try:
        number = float(value)
    except ValueError:
        if sign in ("=", "!="):
            return value.lower()
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text.strip()!r} needs a number behind {sign!r}")
    return number


def _material(text: str) -> str:
    name = text.strip().upper()
    if not _MATERIAL.match(name) or not _words(name):
        raise ValueError(
            f"{text.strip()!r} is no material: write names with commas between them,"
            " as in 'ABS, ASA'"
        )
    return name


def _factor(text: str, by: str) -> float:
    try:
        factor = float(by)
    except ValueError:
        factor = math.nan
    if not 0.0 <= factor <= 1000.0:
        raise ValueError(
            f"{text.strip()!r} is no factor: write a material, '=' and a number from"
            " 0 to 1000, as in 'ABS=1.5, CF=5'"
        )
    return factor


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.upper()))
