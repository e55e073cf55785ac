"""printer.cfg: read with its includes, and given to objects section by section.

Klipper's rules: `#` and `;` begin a comment, an indented line continues the value
above, a section named twice is one section, and an option that nobody reads is an
error. Every fault is a `configparser.Error` whose text is for the user.
"""

from __future__ import annotations

import configparser
import glob
import io
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence, Tuple

if TYPE_CHECKING:
    from .host import Printer

Error = configparser.Error

REQUIRED = object()
# SAVE_CONFIG writes plain options behind this mark.
SAVED = "#*#"


def read(filename: str) -> configparser.RawConfigParser:
    """Read *filename* and the files that it includes."""
    parser = configparser.RawConfigParser(
        strict=False, inline_comment_prefixes=("#", ";")
    )
    for path, text in _pieces(Path(filename), ()):
        parser.read_string(text, str(path))
    return parser


Piece = Tuple[Path, str]


def _pieces(path: Path, parents: tuple[Path, ...]) -> list[Piece]:
    """Return the file as pairs of path and text.

    It is cut where it includes others, and their texts are in between.
    """
    if path.resolve() in parents:
        raise Error(f"Config file '{path}' includes itself")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Error(f"Config file '{path}' is not readable: {error}") from error

    pieces: list[Piece] = []
    kept: list[str] = []
    for line in lines:
        text = line[3:].lstrip(" ") if line.startswith(SAVED) else line
        # A comment inside a value must not end the value.
        text = text.split("#", 1)[0]
        if not text.startswith("[include "):
            kept.append(text)
            continue
        pieces.append((path, "\n".join(kept)))
        kept = []
        pattern = text[len("[include ") :].strip().rstrip("]").strip()
        pieces += _included(path, pattern, (*parents, path.resolve()))
    return [*pieces, (path, "\n".join(kept))]


def _included(path: Path, pattern: str, parents: tuple[Path, ...]) -> list[Piece]:
    wanted = str(path.parent / pattern)
    names = sorted(glob.glob(wanted))  # noqa: PTH207  (the pattern may be absolute)
    if not names and not glob.has_magic(wanted):
        raise Error(f"Included config file '{wanted}' does not exist")
    return [piece for name in names for piece in _pieces(Path(name), parents)]


class Config:
    """`configfile`: the whole file, and which options were read."""

    def __init__(self, printer: Printer, filename: str) -> None:
        self._printer = printer
        self.parser = read(filename)
        self.read_options: dict[tuple[str, str], Any] = {}
        self.warnings: list[dict[str, Any]] = []

    def section(self, name: str) -> Section:
        return Section(self._printer, self, name)

    def check_unused(self, objects: set[str]) -> None:
        """Raise for the first section or option that nobody has read."""
        known = {name.lower() for name in objects}
        known.update(section for section, _ in self.read_options)
        for name in self.parser.sections():
            section = name.lower()
            if section not in known:
                raise Error(f"Nothing is known of a section '{section}'")
            for option in self.parser.options(name):
                if (section, option.lower()) not in self.read_options:
                    raise Error(f"Section '{section}' knows no option '{option}'")

    def get_status(self, eventtime: float | None = None) -> dict[str, Any]:
        settings: dict[str, dict[str, Any]] = {}
        for (section, option), value in self.read_options.items():
            settings.setdefault(section, {})[option] = value
        return {
            "config": {name: dict(self.parser.items(name)) for name in self.parser},
            "settings": settings,
            "warnings": list(self.warnings),
            "save_config_pending": False,
            "save_config_pending_items": {},
        }


class Section:
    """One section, with a way to all others (Klipper's `ConfigWrapper`)."""

    error = Error

    def __init__(self, printer: Printer, config: Config, name: str) -> None:
        self._printer = printer
        self._config = config
        self._parser = config.parser
        self._name = name

    def get_printer(self) -> Printer:
        return self._printer

    def get_name(self) -> str:
        return self._name

    def getsection(self, name: str) -> Section:
        return self._config.section(name)

    def has_section(self, name: str) -> bool:
        return self._parser.has_section(name)

    def get_prefix_sections(self, prefix: str) -> list[Section]:
        names = self._parser.sections()
        return [self.getsection(name) for name in names if name.startswith(prefix)]

    def get_prefix_options(self, prefix: str) -> list[str]:
        options = self._parser.options(self._name)
        return [option for option in options if option.startswith(prefix)]

    def get(self, option: str, default: Any = REQUIRED, note_valid: bool = True) -> Any:
        return self._read(option, default, str, note_valid)

    def getint(
        self,
        option: str,
        default: Any = REQUIRED,
        minval: float | None = None,
        maxval: float | None = None,
        note_valid: bool = True,
    ) -> Any:
        value = self._read(option, default, int, note_valid)
        return self._bounded(option, value, minval=minval, maxval=maxval)

    def getfloat(
        self,
        option: str,
        default: Any = REQUIRED,
        minval: float | None = None,
        maxval: float | None = None,
        above: float | None = None,
        below: float | None = None,
        note_valid: bool = True,
    ) -> Any:
        value = self._read(option, default, float, note_valid)
        return self._bounded(option, value, minval, maxval, above, below)

    def getboolean(
        self, option: str, default: Any = REQUIRED, note_valid: bool = True
    ) -> Any:
        return self._read(option, default, _boolean, note_valid)

    def getchoice(
        self,
        option: str,
        choices: Any,
        default: Any = REQUIRED,
        note_valid: bool = True,
    ) -> Any:
        """Return the value of *choices* for the text in the file.

        *choices* is a dict by text, or a list.
        """
        if isinstance(choices, list):
            choices = {choice: choice for choice in choices}
        numbers = bool(choices) and isinstance(next(iter(choices)), int)
        value = (self.getint if numbers else self.get)(
            option, default, note_valid=note_valid
        )
        if value not in choices:
            raise Error(
                f"'{value}' is not a valid choice for option '{option}'"
                f" in section '{self._name}'"
            )
        return choices[value]

    def getlists(
        self,
        option: str,
        default: Any = REQUIRED,
        seps: Sequence[str] = (",",),
        count: int | None = None,
        parser: Callable[[str], Any] = str,
        note_valid: bool = True,
    ) -> Any:
        """Return nested tuples. The last of *seps* divides the outermost one."""

        def parse(text: str, depth: int = len(seps) - 1) -> tuple[Any, ...]:
            parts = [part.strip() for part in text.split(seps[depth]) if text.strip()]
            if depth:
                return tuple(parse(part, depth - 1) for part in parts if part)
            if count is not None and len(parts) != count:
                raise Error(
                    f"Option '{option}' in section '{self._name}'"
                    f" needs {count} elements"
                )
            return tuple(parser(part) for part in parts)

        return self._read(option, default, parse, note_valid)

    def getlist(
        self,
        option: str,
        default: Any = REQUIRED,
        sep: str = ",",
        count: int | None = None,
        note_valid: bool = True,
    ) -> Any:
        return self.getlists(option, default, (sep,), count, str, note_valid)

    def _read(
        self, option: str, default: Any, parse: Callable[[str], Any], note_valid: bool
    ) -> Any:
        if not self._parser.has_option(self._name, option):
            if default is REQUIRED:
                raise Error(
                    f"Section '{self._name}' lacks the option '{option}',"
                    " which it must have"
                )
            value = default
        else:
            try:
                value = parse(self._parser.get(self._name, option))
            except (ValueError, KeyError, IndexError) as error:
                raise Error(
                    f"Unable to parse option '{option}' in section '{self._name}'"
                ) from error
        if note_valid and not (value is default and default is None):
            self._config.read_options[self._name.lower(), option.lower()] = value
        return value

    def _bounded(
        self,
        option: str,
        value: Any,
        minval: float | None = None,
        maxval: float | None = None,
        above: float | None = None,
        below: float | None = None,
    ) -> Any:
        if value is None or not self._parser.has_option(self._name, option):
            return value  # A default may be outside the bounds.
        fault = out_of_bounds(value, minval, maxval, above, below)
        if fault:
            raise Error(f"Option '{option}' in section '{self._name}' must {fault}")
        return value


def out_of_bounds(
    value: float,
    minval: float | None,
    maxval: float | None,
    above: float | None,
    below: float | None,
) -> str | None:
    """Return the bound that *value* breaks, or None.

    NaN passes, as it does in Klipper.
    """
    for bound, is_broken, words in (
        (minval, operator.lt, "be {} or more"),
        (maxval, operator.gt, "be {} or less"),
        (above, operator.le, "be above {}"),
        (below, operator.ge, "be below {}"),
    ):
        if bound is not None and is_broken(value, bound):
            return words.format(bound)
    return None


def _boolean(text: str) -> bool:
    return configparser.RawConfigParser.BOOLEAN_STATES[text.lower()]


def write(parser: configparser.RawConfigParser) -> str:
    """Return the configuration as one text, as Klippy writes it into its log."""
    out = io.StringIO()
    parser.write(out)
    return out.getvalue().strip()
