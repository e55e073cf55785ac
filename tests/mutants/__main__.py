"""``make mutants``: plants faults in the cores, and reports those that no test notices.

Its exit status is 1 if a core has fewer than 90 of 100 faults noticed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.mutants.cores import CORES, Core
from tests.mutants.planting import Field, Planted
from tests.mutants.trials import Reach, measure, tried

WANTED = 0.9
LISTED = Path(__file__).with_name("equivalent.toml")
HEAD = "| core | mutants | sampled | killed | equivalent | survived | score |"


class Row(NamedTuple):
    """The numbers of a core."""

    core: str
    mutants: int
    sampled: int
    killed: int
    equivalent: int
    survivors: tuple[Planted, ...]

    @property
    def score(self) -> float:
        return self.killed / max(1, self.sampled - self.equivalent)

    def __str__(self) -> str:
        numbers = self.mutants, self.sampled, self.killed, self.equivalent
        cells = [self.core, *numbers, len(self.survivors), f"{self.score:.1%}"]
        return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> int:
    options = _options()
    os.nice(19)
    rows = []
    for name in options.module or CORES:
        rows.append(_try(name, CORES[name], options))
        for planted in rows[-1].survivors:
            print(f"\nsurvived: {planted.path} {planted.function}\n{planted.change}")
        print(f"\n{HEAD}\n{rows[-1]}\n", flush=True)
    print("\n".join([HEAD, "| --- |" + " ---: |" * 6, *map(str, rows)]))
    return 0 if all(row.score >= WANTED for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, help="how many of a core; default: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--module", nargs="*", choices=CORES, help="default: all")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _try(name: str, core: Core, options: argparse.Namespace) -> Row:
    fields = {path: Field(path) for path in core.files}
    mutants = [mutant for field in fields.values() for mutant in field.mutants]
    chosen = mutants
    if options.sample is not None and options.sample < len(mutants):
        chosen = random.Random(options.seed).sample(mutants, options.sample)
    made = (fields[each.path].plant(each) for each in chosen)
    planted = [each for each in made if each is not None]
    listed = _listed()
    same = [each for each in planted if _key(each) in listed]
    others = [each for each in planted if _key(each) not in listed]
    survivors = _survivors(core, others, options.workers)
    killed = len(others) - len(survivors)
    return Row(name, len(mutants), len(planted), killed, len(same), tuple(survivors))


def _survivors(core: Core, chosen: list[Planted], workers: int) -> list[Planted]:
    reach = measure(core)
    # Without a fault no test may fail, or the other results mean nothing.
    sound = Planted(core.files[0], "", "", Path(core.files[0]).read_text("utf-8"))
    fork = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[tuple[int, int, bool]] = fork.SimpleQueue()
    shares = [[sound, *chosen[n::workers]] for n in range(workers)]
    processes = [
        fork.Process(target=_work, args=(n, core, reach, share, results))
        for n, share in enumerate(shares)
    ]
    for process in processes:
        process.start()
    survivors = []
    for count in range(1, sum(map(len, shares)) + 1):
        worker, number, noticed = results.get()
        planted = shares[worker][number]
        if planted is sound and noticed:
            raise RuntimeError("a test fails without a fault")
        if planted is not sound and not noticed:
            survivors.append(planted)
        if count % 20 == 0:
            print(f"{count} of {len(chosen)}", file=sys.stderr, flush=True)
    for process in processes:
        process.join()
    return survivors


def _work(
    worker: int,
    core: Core,
    reach: Reach,
    share: list[Planted],
    results: multiprocessing.SimpleQueue[tuple[int, int, bool]],
) -> None:
    tried(core, reach, share, lambda n, noticed: results.put((worker, n, noticed)))


def _key(planted: Planted) -> tuple[str, str, str]:
    return planted.path, planted.function, planted.change


def _listed() -> set[tuple[str, str, str]]:
    """Return the faults that no caller can notice: path, function, change."""
    with LISTED.open("rb") as file:
        entries = tomllib.load(file).get("equivalent", [])
    return {
        (each["path"], each["function"], change.strip())
        for each in entries
        for change in each["changes"]
    }


if __name__ == "__main__":
    sys.exit(main())
