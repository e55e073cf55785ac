"""Child processes: started one after the other, ended in the opposite order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# The kernel ends a child whose parent dies without doing so.
GUARD = ("setpriv", "--pdeathsig", "TERM")
STEP = 0.05  # seconds between two checks of the condition


class ChildError(RuntimeError):
    """A child ended, or did not get ready; the text has the end of what it said."""


class Child:
    """A process whose output goes to a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        ending: signal.Signals = signal.SIGTERM,
        *,
        is_held: bool = False,
    ) -> None:
        """*is_held*: its standard input ends when we do, and not before."""
        self.name = name
        self._output = folder / f"{name}.log"
        self._ending = ending
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - commands of our own
                [*GUARD, *command],
                stdin=subprocess.PIPE if is_held else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                # Ctrl-C is for us: we end the children in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise if the process is gone."""
        status = self._process.poll()
        if status is not None:
            raise ChildError(
                f"{self.name} ended with status {status}:\n{self.last_lines()}"
            )

    def wait_until(self, ready: Callable[[], object], seconds: float = 30.0) -> None:
        """Return when *ready*; raise if the process ends first, or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name} is not ready:\n{self.last_lines()}")
            time.sleep(STEP)

    def last_lines(self) -> str:
        """The last lines of its output."""
        text = self._output.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-20:])

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(self._ending)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Children:
    """All of them. Should we be killed, each of them ends all the same."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def end(self) -> None:
        """End them, the last one first."""
        while self._children:
            self._children.pop().end()

    def add(self, child: Child) -> Child:
        self._children.append(child)
        return child

    def check(self) -> None:
        for child in self._children:
            child.check()
