"""Rules that no linter has: circles, sizes, and modules that call themselves pure."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The rooms with Python files.
ROOMS = (
    "klippy_extra",
    "mktl_daemon",
    "mqtt_bridge",
    "custom_components",
    "demo",
    "deploy",
    "benchmarks",
)

# Words of everyday speech, which do not tell what a value is.
VAGUE = {"look", "told", "asked", "said", "came", "found"}

MOST_LINES = 400
MOST_CLASS_LINES = 300
MOST_METHODS = 30
MOST_DEMO_LINES = 2000
# contract.py is copied as a whole, and users subclass Item.
LARGE = {"contract.py"}
LARGE_CLASSES = {"Item"}


def modules(room):
    """Return the files of a room by the names of their modules."""
    by_name = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        by_name[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return by_name


@functools.cache
def readable(path):
    """Return a module's text. Python 3.11 cannot read a `type` statement of 3.12."""
    return re.sub(r"^( *)type (\w+) =", r"\1\2 =", path.read_text(), flags=re.MULTILINE)


@functools.cache
def tree(path):
    return ast.parse(readable(path))


@pytest.fixture(scope="module", autouse=True)
def forget_the_trees():
    """Each collection of garbage would search them until this process ends."""
    yield
    tree.cache_clear()


def is_for_checkers(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(name, path, known):
    """Yield the modules of the room that one imports when it is imported itself."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    waiting = list(tree(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in known else source
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef
        ) and not is_for_checkers(node):
            waiting += ast.iter_child_nodes(node)


def circle(edges):
    """Return the modules of a circle of imports, or none if there is no circle."""
    done, path = set(), []

    def walk(name):
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        path.append(name)
        for other in edges.get(name, ()):
            if members := walk(other):
                return members
        done.add(path.pop())
        return []

    for name in edges:
        if members := walk(name):
            return members
    return []


@pytest.mark.parametrize("room", ROOMS)
def test_no_modules_import_each_other_in_a_circle(room):
    """An import inside a function, or only for a type checker, makes no circle."""
    known = modules(room)
    edges = {
        name: {
            other
            for other in imports_of(name, path, known)
            if other in known
            and other != name
            # A package's own names: the package is imported before its parts.
            and not name.startswith(other + ".")
        }
        for name, path in known.items()
    }
    assert circle(edges) == []


def test_the_walk_finds_a_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_what_calls_itself_pure_is_held_to_it():
    """Its module or package is under the contract of pure modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [pure] = [
        contract["source_modules"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["name"] == "The core does no I/O"
    ]
    for room in ROOMS:
        for name, path in modules(room).items():
            words = ast.get_docstring(tree(path)) or "-"
            if words.splitlines()[0].endswith("Pure."):
                assert any(
                    name == each or name.startswith(each + ".") for each in pure
                ), name


@pytest.mark.parametrize("room", ROOMS)
def test_files_and_classes_can_be_read_at_one_sitting(room):
    for path in (ROOT / room).rglob("*.py"):
        text = readable(path)
        if path.name not in LARGE:
            assert len(text.splitlines()) <= MOST_LINES, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and node.name not in LARGE_CLASSES:
                methods = [
                    each for each in node.body if isinstance(each, ast.FunctionDef)
                ]
                assert node.end_lineno - node.lineno < MOST_CLASS_LINES, node.name
                assert len(methods) <= MOST_METHODS, node.name


def test_the_demo_can_be_read_in_an_afternoon():
    lines = sum(len(readable(path).splitlines()) for path in modules("demo").values())
    assert lines < MOST_DEMO_LINES


@pytest.mark.parametrize("room", ROOMS)
def test_a_process_has_its_state_and_its_fork_handler_in_one_place(room):
    """No name is rebound globally, and only one module registers fork handlers."""
    for name, path in modules(room).items():
        text = readable(path)
        assert not any(isinstance(node, ast.Global) for node in ast.walk(tree(path)))
        assert "register_at_fork" not in text or name.endswith(".process")


def names_given(tree):
    """Yield the names of values, parameters, attributes and functions of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


@pytest.mark.parametrize("room", [*ROOMS, "tests"])
def test_a_name_says_what_the_value_is(room):
    vague = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / room).rglob("*.py")
        for name in names_given(ast.parse(readable(path)))
        if name.lstrip("_") in VAGUE
    }
    assert vague == set()


def test_the_walk_finds_a_vague_name():
    module = "def f(said):\n    found = self._told = 1\n"
    assert set(names_given(ast.parse(module))) == {"f", "said", "found", "_told"}


# The rooms that the map describes package by package.
MAPPED = ("klippy_extra", "mktl_daemon", "mqtt_bridge")
MAP = (ROOT / "docs" / "architecture.md").read_text()


def test_every_place_that_the_map_names_exists():
    places = set(re.findall(r"`([\w/]+\.py|[\w/]+/)`", MAP))
    assert {"upkeep/carry_out.py", "net/router.py", "broker/packets.py"} <= places
    missing = {
        place
        for place in places
        if not any((ROOT / room / place).exists() for room in ("", *MAPPED))
    }
    assert missing == set()


@pytest.mark.parametrize("room", MAPPED)
def test_the_map_names_every_package(room):
    packages = {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
    assert packages - set(re.findall(r"`(\w+)/?`", MAP)) == set()
