"""``python -m benchmarks [NAME...]`` prints ratios to a floor of the same run.

Each module of this folder that has ``run() -> Iterable[Row]`` is a benchmark. A NAME is
the name of a module, or the beginning of several modules' names. ``--before CHECKOUT``
compares another checkout of this repository with this one.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import before
from benchmarks.table import Row, show


def main() -> int:
    names = _names()
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=before.ROUNDS)
    given = parser.parse_args()
    rows: list[Row] = []
    for name in _benchmarks(names, given.names or [""]):
        started = time.monotonic()
        if given.before:
            rows += before.compare(name, given.before.resolve(), given.rounds)
        else:
            rows += importlib.import_module(f"benchmarks.{name}").run()
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    show(rows)
    return any(row.ok is False for row in rows)


def _benchmarks(names: Iterable[str], beginnings: Iterable[str]) -> Iterator[str]:
    for name in names:
        if any(name.startswith(each) for each in beginnings) and hasattr(
            importlib.import_module(f"benchmarks.{name}"), "run"
        ):
            yield name


def _names() -> list[str]:
    folder = Path(__file__).parent
    return sorted(path.stem for path in folder.glob("*.py") if path.stem[0] != "_")


if __name__ == "__main__":
    sys.exit(main())
