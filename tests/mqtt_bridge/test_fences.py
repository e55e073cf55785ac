"""What import-linter cannot see of the bridge's house."""

from __future__ import annotations

import ast
import tomllib

import pytest

from tests.mqtt_bridge.processes import ROOT

FILES = sorted(
    file for file in (ROOT / "mqtt_bridge").rglob("*.py") if file.name != "contract.py"
)
MOST_LINES, MOST_CLASS, MOST_METHODS = 400, 300, 30


def module(file):
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


@pytest.fixture(scope="module")
def pure():
    """The modules that import-linter holds to doing no I/O."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [contract] = [
        each
        for each in settings["tool"]["importlinter"]["contracts"]
        if each["name"] == "The core does no I/O"
    ]
    return tuple(contract["source_modules"])


@pytest.mark.parametrize("file", FILES, ids=module)
def test_a_module_that_calls_itself_pure_is_held_to_it(file, pure):
    words = (ast.get_docstring(ast.parse(file.read_text())) or "").split()
    if "Pure." in words or "Pure:" in words:
        names = {name for name in pure if f"{module(file)}.".startswith(f"{name}.")}
        assert names, "it is not on import-linter's list"


@pytest.mark.parametrize("file", FILES, ids=module)
def test_no_file_and_no_class_is_a_giant(file):
    text = file.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            methods = [
                each
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            assert node.end_lineno - node.lineno < MOST_CLASS, node.name
            assert len(methods) <= MOST_METHODS, node.name


def test_imports_have_no_circle():
    imports = {module(file): set(imported(file)) for file in FILES}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path, name])
        if name in done:
            return
        path.append(name)
        for other in imports.get(name, ()):
            visit(other)
        path.pop()
        done.add(name)

    for name in imports:
        visit(name)


def imported(file):
    """The modules of the bridge that *file* imports as it is imported."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "mqtt_bridge"
        ):
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                known = [module(other) for other in FILES]
                yield inner if inner in known else node.module
