"""Compares two trees in one run: a checkout, and this tree.

Each benchmark runs in a process of its own, in the checkout and in this tree by turns,
so that a disturbance affects both. Each printed ratio is this tree's ratio to its
floor, divided by the checkout's ratio. 1.00 means that nothing has changed.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.table import Row

HERE = Path(__file__).resolve().parents[1]
ROUNDS = 3

# Older trees also have modules with `run`. Their rows begin with the measure, the value
# and the ratio, although the value has another name there.
PROGRAM = """
import importlib, json, sys
rows = importlib.import_module("benchmarks." + sys.argv[1]).run()
print("rows", json.dumps([[row[0], row[2], row[1]] for row in rows]))
"""


def compare(name: str, before: Path, rounds: int = ROUNDS) -> Iterator[Row]:
    """Run a benchmark in both trees; yield a row for each measure that both have."""
    if not (before / "benchmarks" / f"{name}.py").exists():
        yield Row(f"{name}: it is not in {before}", "")
        return
    old: dict[str, list[float]] = {}
    new: dict[str, list[float]] = {}
    for number in range(rounds):
        # The order changes, so that no tree always runs on the warmer machine.
        trees = [(before, old), (HERE, new)]
        for tree, ratios in reversed(trees) if number % 2 else trees:
            for measure, ratio in measured(name, tree):
                ratios.setdefault(measure, []).append(ratio)
    for measure, ratios in new.items():
        if measure in old:
            first, last = statistics.median(old[measure]), statistics.median(ratios)
            value = f"before {first:.2f}, after {last:.2f}"
            yield Row(measure, value, last / first if first else None)


def measured(name: str, tree: Path) -> list[tuple[str, float]]:
    """Run a benchmark of *tree* in a process; return its measures.

    The number of a measure is its ratio. Without a ratio, it is the first number in the
    value.
    """
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name],
        cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    [line] = [line for line in done.stdout.splitlines() if line.startswith("rows ")]
    numbers = []
    for measure, ratio, value in json.loads(line.removeprefix("rows ")):
        if ratio is not None:
            numbers.append((measure, ratio))
        elif amount := re.match(r"[+-]?\d+(\.\d+)?", value):
            numbers.append((measure, float(amount.group())))
    return numbers
