"""Finds the texts for people in the code, and what a language's file lacks of them.

`make languages` runs this file: it sorts the texts of each language, leaves out those
that nothing shows any more, and tells which are missing.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "klippy_extra" / "languages"
ROOMS = ("klippy_extra", "mqtt_bridge")
FIELD = re.compile(r"\{(\w+)\}")
FORMS = ("one", "few", "many", "other")


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of `tr` and `mark`, with the name that each is called by."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "")
            if name in ("tr", "mark") or getattr(node.func, "attr", "") == "tr":
                yield name or "tr", node


def keys() -> dict[str, str]:
    """Return every English text that stands in the code, and where it does."""
    found = {}
    for path, tree in modules():
        for _, call in calls(tree):
            text = call.args[0] if call.args else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[text.value] = f"{path.relative_to(ROOT)}:{call.lineno}"
    return found


def languages() -> dict[str, dict[str, object]]:
    """Return the file of each language by its code."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FOLDER.glob("*.json"))
    }


def needed(code: str) -> set[str]:
    """What a language has to say: English has its own words in the code already."""
    return set() if code == "en" else set(keys())


def fields(text: str) -> set[str]:
    return set(FIELD.findall(text))


def forms(value: object) -> list[str]:
    """Return the texts behind a key: one, or one for each form of a noun."""
    return (
        [str(each) for each in value.values()] if isinstance(value, dict) else [value]
    )


def tidy() -> list[str]:
    """Sort the texts of each language, and return what is missing, in lines."""
    missing = []
    for code, document in languages().items():
        wanted = keys()
        texts = document["texts"]
        kept = {key: texts[key] for key in sorted(texts) if key in wanted}
        document["texts"] = kept
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        (FOLDER / f"{code}.json").write_text(text, encoding="utf-8")
        missing += [
            f"{code}.json lacks {json.dumps(key, ensure_ascii=False)}, of {wanted[key]}"
            for key in sorted(needed(code) - kept.keys())
        ]
    return missing


if __name__ == "__main__":
    for line in tidy():
        sys.stderr.write(line + "\n")
