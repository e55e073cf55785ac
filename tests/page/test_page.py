"""The page's sources: its core by Node, its catalogues by each other."""

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


def test_the_page_knows_every_catalogue():
    known = re.search(r"LANGUAGES = (\[.*?\])", SOURCES["language.js"])[1]
    assert sorted(json.loads(known)) == [file.stem for file in LANGUAGES]


def test_every_text_that_the_page_asks_for_is_there():
    asked = {
        key
        for source in SOURCES.values()
        for key in re.findall(r"\bt\(\s*\"([\w.]+)\"", source)
    }
    assert asked
    assert asked - set(ENGLISH) == set()


def test_no_text_is_there_that_the_page_never_asks_for():
    code = "\n".join(SOURCES.values())
    computed = ("status.", "view.", "form.", "event.", "meter.", "condition.")
    unused = [
        key
        for key in ENGLISH
        if not key.startswith(computed) and f'"{key}"' not in code
    ]
    assert unused == []


def test_every_module_that_is_imported_is_there():
    for name, source in SOURCES.items():
        for imported in re.findall(r"from \"\./([\w./-]+)\"", source):
            assert (PAGE / imported).exists(), f"{name} imports {imported}"
