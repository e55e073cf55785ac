"""A real mosquitto on a free loopback port, to start, kill and start again."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests import programs


class Mosquitto:
    """``start`` returns when it listens. ``lines`` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.port = port or free_port()
        self.lines = lines
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        binary = programs.require("mosquitto")
        config = self.folder / "mosquitto.conf"
        # As root it would change to a user who may not read the test's files.
        lines = ["user root", f"listener {self.port} 127.0.0.1", *self.lines]
        if not any(line.startswith("allow_anonymous") for line in lines):
            lines.append("allow_anonymous true")
        config.write_text("\n".join(lines) + "\n")
        programs.watch_log(self.folder / "log", programs.errors_of_broker("mosquitto"))
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [binary, "-c", str(config), "-v"], stdout=log, stderr=log
            )
        self._await_port()
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _await_port(self) -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert self._process.poll() is None, self.log
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)  # the pause between two attempts to connect
        raise TimeoutError(self.log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
