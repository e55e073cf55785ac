"""A `[maintain NAME]` section: a maintenance task and its limits."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

from . import presets
from .contract import MATCHES, is_slug, slug
from .guard import guarded
from .klipper_objects import Config, Template
from .ledger import conditions
from .ledger.conditions import Condition, Factor
from .ledger.records import SHELF, Counter, Limit, Plan
from .meters import unit
from .outlook.policy import Policy
from .settings import amount, at_print_start, choice, refusal, text

Read = Callable[..., Any]  # reads an option, or the preset's value for it

PART = "maintain_part "  # the begin of a part's section
LEAST = 0.001  # the least threshold; 0 means that the task is always due
WARN_BEFORE = "10%"
# With `source: moonraker`, these meters are Moonraker's.
OF_MOONRAKER = {
    "print_time": "moonraker_print_time",
    "filament": "moonraker_filament",
}


class Templates(NamedTuple):
    """The G-code that runs when a part is fitted, or taken off."""

    on_fit: Template | None = None
    on_remove: Template | None = None


class Task:
    """The options of one section. `status` returns the fields of `get_status`."""

    def __init__(
        self, config: Config, moonraker: bool = False, policy: Policy | None = None
    ) -> None:
        """*policy* is the option of `[maintain]` for all print starts."""
        _, _, name = config.get_name().partition(" ")
        self.name = name.strip()
        self.slug = slug(self.name)
        _refuse_same_slug(config, self.slug)
        read = _with_preset(config)
        self.label = read("label", self.name) or self.name
        self.short_label = read("short_label", "")
        self.message = read("message", "")
        # A value of printer.cfg ends at "#", so an anchor is written as %23.
        self.guide = read("guide", "").replace("%23", "#")
        self.parts = read("parts", "")
        self.at_print_start = at_print_start(
            config, read("at_print_start", ""), policy or Policy()
        )
        self.weights: dict[
            str, tuple[Condition, Factor]
        ] = {}  # the condition and the factor of each counter
        self.plan = Plan(
            task=self.slug,
            limits=self._limits(config, read, moonraker),
            match=choice(config, "match", MATCHES, read("match", "any")),
            disabled=config.getboolean("disabled", False),
        )
        self.templates = Templates()
        if config.get_name().startswith(PART):
            self._read_part(config)
        self.expired_gcode = _template(config, "expired_gcode")
        self.expired_gcode_while_printing = config.getboolean(
            "expired_gcode_while_printing", False
        )
        self.status: Callable[[], Mapping[str, Any]] = dict
        self._get_status = guarded(self._status, f"the status of {self.name!r}", dict)

    def _read_part(self, config: Config) -> None:
        """Read the options that only a part has."""
        kind = " ".join(text(config, "kind", "").lower().split())
        if not kind:
            raise refusal(config, "kind", "is missing: write 'kind: nozzle', or plate")
        home = " ".join(text(config, "place", "").split())
        if home.lower() == "shelf":
            home = SHELF
        self.plan = self.plan._replace(kind=kind, home=home)
        self.templates = Templates(
            _template(config, "on_fit"), _template(config, "on_remove")
        )

    def get_status(self, eventtime: float) -> dict[str, Any]:
        """Return a new dict each time: subscribers see no change inside of a dict."""
        status: dict[str, Any] = self._get_status()
        return status

    def _status(self) -> dict[str, Any]:
        return dict(self.status())

    def _limits(self, config: Config, read: Read, moonraker: bool) -> tuple[Limit, ...]:
        triggers = _listed(config, "trigger", read("trigger", None))
        thresholds = _listed(config, "threshold", read("threshold", None))
        if len(triggers) != len(thresholds):
            raise refusal(
                config,
                "threshold",
                f"has {len(thresholds)} numbers for {len(triggers)} triggers:"
                " give one number for each, in the same order",
            )
        if len(set(triggers)) != len(triggers):
            raise refusal(config, "trigger", "names the same meter twice")
        warnings = _listed(config, "warn_before", read("warn_before", WARN_BEFORE))
        if len(warnings) == 1 and (len(triggers) == 1 or warnings[0].endswith("%")):
            warnings = warnings * len(triggers)
        if len(warnings) != len(triggers):
            raise refusal(
                config,
                "warn_before",
                f"has {len(warnings)} values for {len(triggers)} triggers: give one"
                " for each, in the same order, or one in percent for all",
            )
        condition, factor = self._condition(config, read)
        limits = []
        for trigger, threshold, warning in zip(triggers, thresholds, warnings):
            warn, percent = _warning(config, warning)
            limits.append(
                Limit(
                    name=trigger,
                    counter=self._counter(
                        trigger, condition, factor, len(triggers) == 1, moonraker
                    ),
                    unit=_unit(config, trigger),
                    threshold=_threshold(config, threshold),
                    warn=warn,
                    warn_in_percent=percent,
                )
            )
        return tuple(limits)

    def _condition(self, config: Config, read: Read) -> tuple[Condition, Factor]:

        def parsed(option: str, parse: Callable[[str], Any]) -> Any:
            try:
                return parse(read(option, ""))
            except ValueError as error:
                raise refusal(config, option, f"is wrong: {error}") from None

        checks = parsed("while", conditions.parse)
        materials = parsed("material", lambda text: conditions.parse("", text))
        condition = checks._replace(materials=materials.materials)
        return condition, parsed("factor", conditions.parse_factor)

    def _counter(
        self,
        trigger: str,
        condition: Condition,
        factor: Factor,
        only: bool,
        moonraker: bool,
    ) -> Counter:
        if trigger == "time" and not only:
            # With wear and the calendar, the calendar is the longest time to wait.
            return Counter("time")
        meter = OF_MOONRAKER.get(trigger, trigger) if moonraker else trigger
        counter = Counter(meter, condition.key, factor.key)
        self.weights[counter.key] = (condition, factor)
        return counter


def _threshold(config: Config, value: str) -> float:
    threshold = amount(config, "threshold", value, 0.0)
    if 0.0 < threshold < LEAST:
        amount(config, "threshold", value, LEAST)
    return threshold


def _template(config: Config, option: str) -> Template | None:
    if config.get(option, None) is None:
        return None
    printer = config.get_printer()
    try:
        macros = printer.load_object(config, "gcode_macro")
        template: Template = macros.load_template(config, option)
    except (printer.command_error, config.error) as error:
        # Klippy would treat this error as its own fault.
        raise refusal(config, option, f"is no template: {error}") from None
    return template


def _with_preset(config: Config) -> Read:
    """Return a function that reads an option, or the preset's value for it."""
    preset: Mapping[str, Any] = {}
    name = config.get("preset", None)
    if name is not None:
        try:
            preset = presets.load(name.strip())
        except ValueError as error:
            raise refusal(config, "preset", f"is {name!r}: {error}") from None

    def read(option: str, default: Any) -> Any:
        value = config.get(option, None)
        if value is None:
            value = preset.get(option, default)
        return value if value is None else str(value).strip()

    return read


def _listed(config: Config, option: str, value: str | None) -> list[str]:
    if value is None:
        example = {"trigger": "print_time", "threshold": "150"}[option]
        raise refusal(
            config, option, f"is missing: give one, for example '{option}: {example}'"
        )
    parts = [part.strip() for part in value.split(",")]
    if not all(parts):
        raise refusal(config, option, f"is {value!r}: there is nothing between commas")
    return parts


def _unit(config: Config, trigger: str) -> str:
    try:
        return unit(trigger)
    except ValueError as error:
        raise refusal(config, "trigger", f"is {trigger!r}: {error}") from None


def _warning(config: Config, value: str) -> tuple[float, bool]:
    percent = value.endswith("%")
    plain = value.rstrip("%").strip()
    most = 100.0 if percent else 1e9
    return amount(config, "warn_before", plain, 0.0, most), percent


def _refuse_same_slug(config: Config, mine: str) -> None:
    name = config.get_name()
    if not is_slug(mine):
        raise config.error(f"Section '{name}' needs a name behind '{name.split()[0]}'.")
    for other in [
        *config.get_prefix_sections("maintain "),
        *config.get_prefix_sections(PART),
    ]:
        section = other.get_name()
        if section != name and slug(section.partition(" ")[2].strip()) == mine:
            raise config.error(
                f"Sections '{name}' and '{section}' both become '{mine}' where only"
                " a-z, 0-9, '_' and '-' can stand: rename one of them."
            )
