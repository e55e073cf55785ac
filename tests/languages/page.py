"""Finds the texts for people in the page's sources that no catalogue has. Pure.

The page is made of templates: html`<p class="x">${t("key")}</p>`. A text between two
tags, or in an attribute that is read aloud, has to come from `t`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

VALUE = "\0"  # It replaces a value that is computed.
READ = "alt|aria-description|aria-label|aria-roledescription|label|placeholder|title"
ATTRIBUTE = re.compile(rf"\s(?:{READ})=(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))")
TAG = re.compile(r"<[^>]*>")
# A command in capital letters is not a word.
WORD = re.compile(r"[A-Za-zÄÖÜäöüß]*[a-zäöüß][A-Za-zÄÖÜäöüß]|[A-ZÄÖÜ][a-zäöüß]")
COMMENT = re.compile(r"^\s*//[^\n]*$|/\*[\s\S]*?\*/", re.MULTILINE)
# What is shown without a template.
SHOWN = re.compile(
    r"\b(?:new Error|alert|confirm|prompt)\(\s*[\"'`]([^\"'`]*)"
    r"|\.(?:textContent|innerText|title|placeholder|ariaLabel)\s*=\s*[\"'`]([^\"'`]*)"
)


def raw(source: str) -> Iterator[str]:
    """Yield each text in *source* that people would always read in English."""
    source = COMMENT.sub("", source)
    shown = [next(filter(None, each), "") for each in SHOWN.findall(source)]
    for template in templates(source):
        for tag in TAG.findall(template):
            shown += [next(filter(None, each), "") for each in ATTRIBUTE.findall(tag)]
        shown += TAG.sub(VALUE, template).split(VALUE)
    yield from (text.strip() for text in shown if WORD.search(text))


def templates(source: str) -> list[str]:
    """Return the text of each html`…`, with VALUE for each ${…} in it."""
    texts: list[str] = []
    _expression(source, 0, texts)
    return texts


def _expression(source: str, place: int, texts: list[str]) -> int:
    """Read to the brace that closes the expression, and return the place after it."""
    depth = 0
    while place < len(source):
        character = source[place]
        if character == "`":
            place = _template(source, place, texts)
            continue
        if character in "\"'":
            place = _end_of(source, place)
        depth += {"{": 1, "}": -1}.get(character, 0)
        place += 1
        if depth < 0:
            break
    return place


def _template(source: str, place: int, texts: list[str]) -> int:
    """Read from one backtick to the other, and return the place after it."""
    is_html = source.endswith("html", 0, place)
    text: list[str] = []
    place += 1
    while place < len(source) and source[place] != "`":
        if source.startswith("${", place):
            text.append(VALUE)
            place = _expression(source, place + 2, texts)
        else:
            text.append(source[place])
            place += 1
    texts += ["".join(text)] if is_html else []
    return place + 1


def _end_of(source: str, place: int) -> int:
    """Return where the string that starts at *place* ends."""
    quote, place = source[place], place + 1
    while place < len(source) and source[place] not in (quote, "\n"):
        place += 2 if source[place] == "\\" else 1
    return place
