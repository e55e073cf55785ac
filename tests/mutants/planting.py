"""The mutants of a file: mutmut's operators, each applied only to the source.

Faults that only change a text for people are not planted: a string that is a sentence
(it has a space between two words), the argument of `tr`, `mark` or of a logging
function, and the type that `cast` gets.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

_sentence = re.compile(r"[\w}'%)]\s+[\w{'(]").search
_FOR_PEOPLE = re.compile(r"(tr|mark|logging\.\w+|_?log(ger)?\.\w+)\Z")


class Mutant(NamedTuple):
    """A fault that can be planted."""

    path: str  # relative to the repository
    function: str  # such as `Ledger.join` or `threshold`
    original: cst.CSTNode
    mutated: cst.CSTNode


class Planted(NamedTuple):
    """The source of a file with one fault."""

    path: str
    function: str
    change: str  # the changed lines: "-    old\n+    new"
    source: str


class Field:
    """A file in which faults can be planted."""

    def __init__(self, path: str) -> None:
        self._path = path
        source = Path(path).read_text(encoding="utf-8")
        visitor = MutationVisitor(mutation_operators, IgnoredCode(set(), set(), set()))
        self._module = MetadataWrapper(cst.parse_module(source)).visit(visitor)
        self._parents = dict(_parents(self._module))
        names = dict(_functions(self._module))
        self.mutants: list[Mutant] = []
        self.texts = 0  # faults that only change a text for people
        for each in visitor.mutations:
            function = names.get(id(each.contained_by_top_level_function))
            if function is None:
                continue
            if self._is_text(each.original_node, each.mutated_node):
                self.texts += 1
                continue
            self.mutants.append(
                Mutant(path, function, each.original_node, each.mutated_node)
            )

    def plant(self, mutant: Mutant) -> Planted | None:
        """Return the source with the fault, or None if it is the same program."""
        before = self._module.code
        after = deep_replace(self._module, mutant.original, mutant.mutated).code
        if ast.dump(ast.parse(before)) == ast.dump(ast.parse(after)):
            return None
        lines = difflib.ndiff(before.splitlines(), after.splitlines())
        change = "\n".join(
            f"{line[0]} {line[2:].strip()}" for line in lines if line[0] in "-+"
        )
        return Planted(mutant.path, mutant.function, change, after)

    def _is_text(self, original: cst.CSTNode, mutated: cst.CSTNode) -> bool:
        if isinstance(original, cst.Call) and isinstance(mutated, cst.Call):
            kept = {id(argument.value) for argument in mutated.args}
            gone = [each for each in original.args if id(each.value) not in kept]
            if gone and all(self._is_for_people(each.value) for each in gone):
                return True
        node: cst.CSTNode | None = original
        while node is not None and not isinstance(node, cst.BaseStatement):
            if self._is_for_people(node):
                return True
            parent = self._parents.get(id(node))
            if isinstance(parent, cst.Arg):
                call = self._parents[id(parent)]
                if isinstance(call, cst.Call) and _takes_texts(call, parent):
                    return True
            node = parent
        return False

    def _is_for_people(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Call):
            return _FOR_PEOPLE.match(self._module.code_for_node(node.func)) is not None
        if isinstance(
            node, cst.SimpleString | cst.FormattedString | cst.ConcatenatedString
        ):
            return _sentence(self._module.code_for_node(node)) is not None
        return False


def _takes_texts(call: cst.Call, argument: cst.Arg) -> bool:
    name = call.func.value if isinstance(call.func, cst.Name) else ""
    return name == "cast" and argument is call.args[0]


def _parents(node: cst.CSTNode) -> Iterator[tuple[int, cst.CSTNode]]:
    for child in node.children:
        yield id(child), node
        yield from _parents(child)


def _functions(module: cst.Module) -> Iterator[tuple[int, str]]:
    for node in module.body:
        if isinstance(node, cst.FunctionDef):
            yield id(node), node.name.value
        elif isinstance(node, cst.ClassDef):
            for inner in node.body.body:
                if isinstance(inner, cst.FunctionDef):
                    yield id(inner), f"{node.name.value}.{inner.name.value}"
