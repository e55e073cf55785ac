"""Processes that a fork server starts. `fork_server.py` is the server."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.clock import library
from demo.klippy import EXTRAS, ROOT, Source

SERVER = Path(__file__).with_name("fork_server.py")


class Forked:
    """A process of a fork server, with the methods of `subprocess.Popen`."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._file = os.pidfd_open(pid)
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status. TimeoutExpired: the process still runs."""
        status = self._wait(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def _wait(self, timeout: float | None) -> int | None:
        if self._status is None and select.select([self._file], [], [], timeout)[0]:
            self._status = os.waitstatus_to_exitcode(self._server.end(self.pid))
            os.close(self._file)
        return self._status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._file, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """A process that has imported a program, and forks for each start of it."""

    def __init__(self, *command: str | Path, **variables: str) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **variables},
        )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> Forked:
        """Start the program. Its output is added to a file."""
        pid = self._ask("start", arguments, environment, str(output))
        return Forked(self, pid)

    def end(self, pid: int) -> int:
        """Return the status with which a process has ended, as `os.wait` does."""
        return self._ask("end", pid)

    def close(self) -> None:
        self._process.communicate()

    def _ask(self, *request: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the fork server has ended"
        return int(answer)


class KlippyServer(ForkServer):
    """It forks for each printer."""

    def __init__(self, source: Source) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="upkeep-")
        python, script = source.link(Path(self._temporary.name), EXTRAS)
        super().__init__(python, SERVER, script, LD_PRELOAD=str(library()))

    def close(self) -> None:
        super().close()
        self._temporary.cleanup()
