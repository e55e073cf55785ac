"""Child processes. Should we be killed, each of them ends all the same."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# The kernel ends a child whose parent dies without doing so.
GUARD = ("setpriv", "--pdeathsig", "TERM")
STEP = 0.05  # seconds between two checks of the condition


class ChildError(RuntimeError):
    """A child ended, or did not get ready; the text has the end of what it said."""


class Child:
    """A process whose output goes to a file, and whose input ends when we do."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._output = folder / f"{name}.log"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - commands of our own
                [*GUARD, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                # Ctrl-C is for us: we end the children in order.
                start_new_session=True,
            )
        self.pid = self._process.pid

    def check(self) -> None:
        """Raise if the process is gone."""
        status = self._process.poll()
        if status is not None:
            raise ChildError(
                f"{self.name} ended with status {status}:\n{self.last_lines()}"
            )

    def wait_until(self, ready: Callable[[], T], seconds: float = 30.0) -> T:
        """Return what is *ready*, which returns nothing or raises until it is.

        ChildError: the process ends first, or takes too long.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, RuntimeError):
                if result := ready():
                    return result
            self.check()
            time.sleep(STEP)
        raise ChildError(f"{self.name} is not ready:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """The last lines of its output."""
        text = self._output.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-20:])

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
