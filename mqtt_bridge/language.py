"""Texts for people, in the language that `language` in the settings names.

The key of a text is its English sentence with {names} in it: `tr("{label} is due.",
label=...)`. A language is one file of `languages/`; what it lacks stays English.
`docs/languages.md` tells how to write one. Programs never get a text from here: log
lines, options, commands and the words of the contract stay English.

This file and the languages are copied: `make languages`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any, Mapping, NamedTuple

FOLDER = Path(__file__).with_name("languages")
ENGLISH = "en"
COUNT = "count"  # the name of the number that decides between singular and plural
REMEMBERED = 1000  # texts
FIELD = re.compile(r"\{(\w+)\}")

# The forms that a number takes, as in Unicode's CLDR, where they are not English's.
NO_PLURAL = ("id", "ja", "ko", "th", "vi", "zh")
ONE_BELOW_TWO = ("fr", "pt")
SLAVIC = ("be", "hr", "pl", "ru", "sr", "uk")
CZECH = ("cs", "sk")
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Catalogue(NamedTuple):
    """One language: its texts by their English, and how it writes numbers and days."""

    code: str
    decimal: str = "."
    day: str = "%Y-%m-%d"
    moment: str = "%Y-%m-%d %H:%M"
    texts: Mapping[str, Any] = NOTHING  # a text, or its plural forms by their names

    def tr(self, english: str, **fields: Any) -> str:
        """Return *english* in this language; a number may be one of its {fields}."""
        known = self.texts.get(english, english)
        if isinstance(known, dict):
            form = plural(self.code, fields.get(COUNT, 0))
            known = known.get(form) or known.get("other", english)
        return FIELD.sub(lambda field: self._value(fields, field), str(known))

    def _value(self, fields: Mapping[str, Any], field: Any) -> str:
        # Other braces stay as they are, since a message may contain some.
        value = fields.get(field.group(1), field.group(0))
        return value if isinstance(value, str) else self.number(value)

    def number(self, number: float) -> str:
        """A number as people write it: at most two digits behind the point."""
        text = f"{number:.2f}" if abs(number) >= 0.01 or not number else f"{number:.2g}"
        if "." in text and "e" not in text:
            text = text.rstrip("0").rstrip(".")
        return text.replace(".", self.decimal)


def plural(code: str, count: float) -> str:
    """Return the form of a noun behind *count*: one, few, many or other."""
    count = abs(round(count, 2))
    if code in NO_PLURAL:
        return "other"
    if code in CZECH and count != 1:
        return _czech(count)
    if code in SLAVIC and count != 1:
        return _slavic(code, count)
    is_one = count < 2 if code in ONE_BELOW_TWO else count == 1
    return "one" if is_one else "other"


def _czech(count: float) -> str:
    if count != int(count):
        return "many"
    return "few" if 2 <= count <= 4 else "other"


def _slavic(code: str, count: float) -> str:
    if count != int(count):
        return "other"
    last, hundredth = count % 10, count % 100
    if 2 <= last <= 4 and not 12 <= hundredth <= 14:
        return "few"
    return "one" if last == 1 and hundredth != 11 and code != "pl" else "many"


def known() -> list[str]:
    """Return the languages that there are, by their codes."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read(code: str) -> Catalogue:
    """Read a language's file. OSError, ValueError: it is missing or not valid."""
    document = json.loads((FOLDER / f"{code}.json").read_text(encoding="utf-8"))
    texts = document.get("texts") if isinstance(document, dict) else None
    if not isinstance(texts, dict):
        raise ValueError("it has no object 'texts'")  # noqa: TRY004
    written = {
        name: str(document[name])
        for name in ("decimal", "day", "moment")
        if name in document
    }
    return Catalogue(code, texts=texts, **written)


class Language:
    """The language of this process: its settings name one, and it is read once."""

    def __init__(self) -> None:
        self.catalogue = self.english = read(ENGLISH)
        self.latest: dict[str, str] = {}  # the English of the latest translated texts

    def use(self, name: str) -> str:
        """Speak the language *name*; "", or a sentence that tells why not.

        `de-AT` and `de_DE` are German. Without such a language it is English.
        """
        words = name.strip().lower().replace("_", "-")
        code = next((c for c in known() if c in (words, words.split("-")[0])), "")
        self.catalogue = self.english
        if not code:
            there_are = ", ".join(known())
            return (
                f"There is no language '{name}', so English is used."
                f" Write one of these behind 'language': {there_are}."
            )
        try:
            self.catalogue = read(code)
        except (OSError, ValueError) as error:
            return f"The language file {code}.json cannot be used: {error}."
        return ""

    def remember(self, text: str, english: str) -> None:
        """Keep the English of *text*, for the log.

        A text does not carry it: Klippy shuts the printer down if msgspec gets a
        subclass of `str`.
        """
        if len(self.latest) >= REMEMBERED:
            self.latest.clear()
        self.latest[text] = english


current = Language()


def tr(english: str, **fields: Any) -> str:
    """Return *english* in the language of this process, with its {fields} filled in."""
    text = current.catalogue.tr(english, **fields)
    if current.catalogue.code != ENGLISH:
        fields = {name: in_english(value) for name, value in fields.items()}
        current.remember(text, current.english.tr(english, **fields))
    return text


def in_english(text: Any) -> Any:
    """Return the English of a text that `tr` made lately, for the log, or *text*."""
    return current.latest.get(text, text) if isinstance(text, str) else text


def mark(text: str) -> str:
    """Mark *text* in a table as translatable; `tr` is called when it is shown."""
    return text


def number(number: float) -> str:
    """A number as people write it: at most two digits behind the point."""
    return current.catalogue.number(number)
