"""``python -m benchmarks [NAME...]``: ratios against a floor measured in the same run.

A module of this folder that has ``run() -> Iterable[Row]`` is a benchmark. A NAME is
that of a module, or what the names of several begin with.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

from benchmarks.table import Row, show


def main() -> int:
    names = _names()
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    wanted = parser.parse_args().names or [""]
    rows: list[Row] = []
    for name in names:
        if not any(name.startswith(each) for each in wanted):
            continue
        module = importlib.import_module(f"benchmarks.{name}")
        if not hasattr(module, "run"):
            continue
        started = time.monotonic()
        rows += module.run()
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    show(rows)
    return any(row.ok is False for row in rows)


def _names() -> list[str]:
    folder = Path(__file__).parent
    return sorted(path.stem for path in folder.glob("*.py") if path.stem[0] != "_")


if __name__ == "__main__":
    sys.exit(main())
