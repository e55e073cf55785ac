"""The page's sources: Node tests its core, and its catalogues are compared."""

from __future__ import annotations

import json
import re
import subprocess

from tests.page.page import HERE, PAGE, needs_node

LANGUAGES = sorted((PAGE / "languages").glob("*.json"))
ENGLISH = json.loads((PAGE / "languages" / "en.json").read_text(encoding="utf-8"))[
    "page"
]
SOURCES = {file.name: file.read_text(encoding="utf-8") for file in PAGE.glob("*.js")}


@needs_node
def test_the_core_passes_its_own_tests():
    done = subprocess.run(
        ["node", "--test", str(HERE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^# pass [1-9]\d", done.stdout, re.MULTILINE), done.stdout


def test_the_page_has_every_catalogue():
    known = re.search(r"LANGUAGES = (\[.*?\])", SOURCES["language.js"])[1]
    assert sorted(json.loads(known)) == [file.stem for file in LANGUAGES]


def test_every_text_that_the_page_uses_exists():
    used = {
        key
        for source in SOURCES.values()
        for key in re.findall(r"\bt\(\s*\"([\w.]+)\"", source)
    }
    assert used
    assert used - set(ENGLISH) == set()


def test_every_text_is_used_by_the_page():
    code = "\n".join(SOURCES.values())
    computed = ("status.", "view.", "form.", "event.", "meter.", "condition.")
    unused = [
        key
        for key in ENGLISH
        if not key.startswith(computed) and f'"{key}"' not in code
    ]
    assert unused == []


def test_every_imported_module_exists():
    for name, source in SOURCES.items():
        for imported in re.findall(r"from \"\./([\w./-]+)\"", source):
            assert (PAGE / imported).exists(), f"{name} imports {imported}"
