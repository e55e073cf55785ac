"""Changes files of other programs for the page: reads standard input, writes output.

    page.py add section <moonraker.conf >new      [upkeep], for Moonraker's component
    page.py add sidebar <navi.json >new           an entry in Mainsail's sidebar
    page.py add menu <KlipperScreen.conf >new     an entry in KlipperScreen's menu

`remove` removes the same again. Entries that exist already stay as they are. Apart from
its two streams it is pure; needs Python 3.7. ValueError: the file has another format.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable

PAGE = "/server/upkeep/"
ENTRY = {
    "title": "Maintenance",
    "href": PAGE,
    "target": "_self",
    "position": 75,
    # A wrench, drawn in a square of 24.
    "icon": "M21 7.5a5.5 5.5 0 0 1-7.6 5.1l-6.9 6.9a2.1 2.1 0 0 1-3-3l6.9-6.9"
    "A5.5 5.5 0 0 1 17 2.5l-3.2 3.2.7 3.8 3.8.7Z",
}
MENU = """\
[menu __main maintenance]
name: Maintenance
icon: settings
panel: maintenance
"""
# KlipperScreen writes below this line; people write above it.
MARK = "#~# --- Do not edit below this line"


def add_section(text: str) -> str:
    if re.search(r"^\[upkeep\]", text, re.MULTILINE):
        return text
    return _ended(text) + ("\n" if text.strip() else "") + "[upkeep]\n"


def remove_section(text: str) -> str:
    """The text without `[upkeep]`, its options, and the empty line before it."""
    return re.sub(r"(^|\n)\n?\[upkeep\][^\n]*\n?(?:(?!\[)[^\n]*\n?)*", r"\1", text)


def add_sidebar(text: str) -> str:
    entries = _entries(text)
    if any(each.get("href") == PAGE for each in entries):
        return text
    return json.dumps([*entries, ENTRY], indent=2, ensure_ascii=False) + "\n"


def remove_sidebar(text: str) -> str:
    entries = _entries(text)
    kept = [each for each in entries if each.get("href") != PAGE]
    if kept == entries:
        return text
    return json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


def _entries(text: str) -> list[dict[str, object]]:
    entries = json.loads(text) if text.strip() else []
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ValueError("it is no list of entries")
    return entries


def add_menu(text: str) -> str:
    if "[menu __main maintenance]" in text:
        return text
    place = text.find(MARK)
    if place < 0:
        return _ended(text) + ("\n" if text.strip() else "") + MENU
    return f"{text[:place]}{MENU}\n{text[place:]}"


def remove_menu(text: str) -> str:
    for block in (f"\n{MENU}", f"{MENU}\n", MENU):
        if block in text:
            return text.replace(block, "", 1)
    return text


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


CHANGES: dict[tuple[str, str], Callable[[str], str]] = {
    ("add", "section"): add_section,
    ("remove", "section"): remove_section,
    ("add", "sidebar"): add_sidebar,
    ("remove", "sidebar"): remove_sidebar,
    ("add", "menu"): add_menu,
    ("remove", "menu"): remove_menu,
}


def main(arguments: list[str]) -> int:
    change = CHANGES.get((arguments[0], arguments[1])) if len(arguments) == 2 else None
    if change is None:
        sys.stderr.write(__doc__ or "")
        return 2
    text = sys.stdin.buffer.read().decode("utf-8")
    sys.stdout.buffer.write(change(text).encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
