"""Child processes. Each of them ends even if this process is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# With it, the kernel ends a child whose parent was killed.
GUARD = ("setpriv", "--pdeathsig", "TERM")
STEP = 0.05  # seconds between two checks of the condition


class ChildError(RuntimeError):
    """A child ended, or was not ready in time. The text has its last lines."""


class Child:
    """A process that writes into a file. Its input ends with this process."""

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
            self._process = subprocess.Popen(  # noqa: S603 - the demo's own commands
                [*GUARD, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                # Ctrl-C must not reach the children, which are ended in order.
                start_new_session=True,
            )
        self.pid = self._process.pid

    def check(self) -> None:
        """Raise `ChildError` if the process has ended."""
        status = self._process.poll()
        if status is not None:
            text = f"{self.name} ended with status {status}:\n{self.last_lines()}"
            raise ChildError(text)

    def wait_until(self, ready: Callable[[], T], seconds: float = 30.0) -> T:
        """Return the first true value of *ready*. ChildError: there is none in time."""
        deadline, reason = time.monotonic() + seconds, "no answer"
        while time.monotonic() < deadline:
            try:
                if result := ready():
                    return result
            except (OSError, RuntimeError) as error:
                reason = str(error)
            self.check()
            time.sleep(STEP)
        raise ChildError(f"{self.name} is not ready: {reason}\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of the process's output."""
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
    """Return a port of the loopback interface that no program uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
