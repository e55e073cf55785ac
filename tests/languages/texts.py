"""Finds the texts for people in the code, and those that a language's file lacks.

`make languages` runs this file. It sorts the texts of each language, leaves out those
that are never shown, and tells which are missing. With `--check` it only tells.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "klippy_extra" / "languages"
ROOMS = ("klippy_extra", "mqtt_bridge", "deploy/moonraker", "deploy/klipperscreen")
FIELD = re.compile(r"\{(\w+)\}")
FORMS = ("one", "few", "many", "other")


@functools.cache
def modules() -> list[tuple[Path, ast.Module]]:
    return [
        (path, ast.parse(path.read_text(encoding="utf-8")))
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
    ]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of `tr` and `mark`, with the name of the function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "")
            if name in ("tr", "mark") or getattr(node.func, "attr", "") == "tr":
                yield name or "tr", node


def keys() -> dict[str, str]:
    """Return every English text in the code, and where it is."""
    places = {}
    for path, tree in modules():
        for _, call in calls(tree):
            text = call.args[0] if call.args else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                places[text.value] = f"{path.relative_to(ROOT)}:{call.lineno}"
    return places


# Texts that nobody reads on a screen of ours, by file and first words. A new file is
# not in this list, so its sentences have to be in the catalogue.
NOT_SPOKEN: dict[str, str | tuple[str, ...]] = {
    # The contract, the errors of a configuration and the commands for administrators
    # are English everywhere.
    "klippy_extra/contract.py": "",
    "klippy_extra/broker.py": "",
    "klippy_extra/presets.py": "",
    "klippy_extra/web_address.py": "",
    "klippy_extra/ledger/conditions.py": "",
    "klippy_extra/meters/families.py": "",
    # Messages that are left out: they go into the log.
    "klippy_extra/mqtt/intake.py": "",
    "klippy_extra/outlook/policy.py": "",
    "mqtt_bridge/contract.py": "",
    "mqtt_bridge/commands.py": "",  # errors of mKTL's clients
    "mqtt_bridge/fleet/": "",  # the same, and descriptions of mKTL's items
    "mqtt_bridge/daemon.py": "",
    "mqtt_bridge/bridge.py": "",
    "mqtt_bridge/broker/": "",
    "mqtt_bridge/cli/": "",
    "mqtt_bridge/settings/": "",
    "mqtt_bridge/exposition.py": "",
    "mqtt_bridge/metrics.py": "",
    "mqtt_bridge/registry.py": "",
    "mqtt_bridge/http_server.py": "",
    # This tells that a language does not exist.
    "klippy_extra/language.py": "",
    "mqtt_bridge/language.py": "",
    # Templates, SQL, G-code, HTML, names that somebody else gave, and types.
    "klippy_extra/entity_names.py": "",
    "klippy_extra/mqtt/components.py": "",
    "klippy_extra/mqtt/entities.py": "",
    "klippy_extra/mqtt/link.py": "the MQTT broker",
    "klippy_extra/mqtt/reasons.py": ("mqtt_tls", "IP", "wrong", "cert", "handshake"),
    "klippy_extra/outlook/slicers.py": "",
    "klippy_extra/manager.py": "which runs",
    "klippy_extra/history/import_history.py": "dict[",
    "klippy_extra/storage/database.py": (
        "CREATE",
        "ALTER",
        "INSERT",
        "UPDATE",
        "SELECT",
        "no such",
    ),
    "klippy_extra/ui/prompts.py": ("MAINT", "UPDATE_", "SNOOZE_"),
    "mqtt_bridge/push/memory.py": "",
    "mqtt_bridge/push/link_server.py": ("<", "text/html"),
    "mqtt_bridge/push/sender.py": "",
    "deploy/klipperscreen/maintenance.py": "<span",
    # for the author of another page, and for a client that sends too slowly
    "mqtt_bridge/web/server.py": ("Send ", "The request did not arrive"),
}
# Calls whose texts are for developers, or for people who write a configuration: their
# words are Klipper's own and those of options.
FOR_OTHERS = {
    "debug", "info", "warning", "error", "exception", "log",  # a logger's
    "guarded", "refusal", "describe", "refuse",
    "SettingsError", "ContractError",
    "execute", "compile", "add_argument",
}  # fmt: skip
# Calls whose first argument is shown to people, even if it is one word.
SPOKEN = {"respond_info", "say", "_say", "Button", "PushMessage"}
WORD = re.compile(r"[A-Za-zÄÖÜäöüß]{2,}")
LOGGERS = {"logging", "logger", "config"}
SENTENCE = re.compile(r"[A-Za-zÄÖÜäöüß]{2,}[,.:;]? [A-Za-z]{2,}")


def outside() -> Iterator[str]:
    """Yield every sentence that is in no catalogue, and where it is."""
    for path, tree in modules():
        name = str(path.relative_to(ROOT))
        known = [start for file, start in NOT_SPOKEN.items() if name.startswith(file)]
        for line, text in strange(tree):
            if not any(text.strip().startswith(start) for start in known):
                yield f"{name}:{line} {text!r}"


def strange(tree: ast.AST) -> Iterator[tuple[int, str]]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if SENTENCE.search(node.value):
                yield node.lineno, node.value
        elif not _is_for_others(node):
            yield from _spoken_words(node)
            waiting += [
                each for each in ast.iter_child_nodes(node) if not _is_docstring(each)
            ]


def _spoken_words(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts that a call shows and that are too short to be a sentence."""
    function = getattr(node, "func", None)
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name not in SPOKEN or not node.args:
        return
    first = node.args[0]
    pieces = first.values if isinstance(first, ast.JoinedStr) else [first]
    for each in pieces:
        text = getattr(each, "value", None)
        if not isinstance(each, ast.Constant) or not isinstance(text, str):
            continue
        if WORD.search(text) and not SENTENCE.search(text):
            yield each.lineno, text


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_others(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name in ("tr", "mark"):
        return True
    owner = getattr(getattr(function, "value", None), "id", "")
    if name in ("debug", "info", "warning", "error", "exception", "log"):
        return owner in LOGGERS
    return name in FOR_OTHERS


def languages() -> dict[str, dict[str, object]]:
    """Return the file of each language by its code."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FOLDER.glob("*.json"))
    }


def needed(code: str) -> set[str]:
    """Return the texts that a language needs. English has its own in the code."""
    return set() if code == "en" else set(keys())


def fields(text: str) -> set[str]:
    return set(FIELD.findall(text))


def forms(value: object) -> list[str]:
    """Return the texts of a key: one, or one for each form of a noun."""
    return (
        [str(each) for each in value.values()] if isinstance(value, dict) else [value]
    )


def wrong() -> list[str]:
    """Return in lines what a language lacks, or has too much."""
    shown = keys()
    known_to_page = set(languages()["en"]["page"])
    lines = []
    for code, document in languages().items():
        known = set(document["texts"])
        lines += [f"{code}.json lacks {key!r}" for key in sorted(needed(code) - known)]
        lines += [f"nothing shows {key!r}" for key in sorted(known - shown.keys())]
        page = known_to_page ^ set(document["page"])
        lines += [
            f"the page's {key!r} is in one of en.json and {code}.json alone"
            for key in sorted(page)
        ]
    return lines


def tidy() -> list[str]:
    """Sort the texts of each language, and return in lines what is missing."""
    missing = []
    english = languages()["en"]["page"]
    for code, document in languages().items():
        wanted = keys()
        texts, page = document["texts"], document["page"]
        kept = {key: texts[key] for key in sorted(texts) if key in wanted}
        document["texts"] = kept
        document["page"] = {key: page[key] for key in english if key in page}
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        (FOLDER / f"{code}.json").write_text(text, encoding="utf-8")
        missing += [
            f"{code}.json lacks {json.dumps(key, ensure_ascii=False)}, of {wanted[key]}"
            for key in sorted(needed(code) - kept.keys())
        ]
    return missing


if __name__ == "__main__":
    only_tell = "--check" in sys.argv
    lines = wrong() if only_tell else tidy()
    sys.stderr.writelines(f"{line}\n" for line in lines)
    sys.exit(bool(lines) and only_tell)
