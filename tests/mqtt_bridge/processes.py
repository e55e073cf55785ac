"""A registry, bridges and mKTL clients as processes with their own home and ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests import forks, programs
from tests.waiting import PATIENCE, until

ROOT = forks.ROOT


class Process:
    """A program of this project, with its log in a file."""

    def __init__(
        self, folder: Path, name: str, arguments: list[str], env: dict
    ) -> None:
        self.log_file = folder / f"{name}.log"
        programs.watch_log(self.log_file)
        with self.log_file.open("ab") as log:
            self._process = forks.start(*arguments, env=env, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def ended(self) -> int | None:
        return self._process.poll()

    def wait_for(self, text: str, since: int = 0, seconds: float = PATIENCE) -> None:
        def is_logged() -> bool:
            assert self.ended is None or text in self.log, self.log[-3000:]
            return text in self.log[since:]

        try:
            until(is_logged, repr(text), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error} in\n{self.log[-3000:]}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


class Community:
    """A home folder, UDP ports, a registry, and the processes that a test starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = ",".join(str(free_udp_port()) for _ in range(2))
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("UPKEEP_")},
            "MKTL_HOME": str(folder / "mktl"),
            "MKTL_DISCOVERY": ports,
            "MKTL_INTERFACE": "127.0.0.1",
        }
        self.processes: list[Process] = []

    def __enter__(self) -> Community:
        self.registry = self.start("registry", ["mktl_daemon.cli.mkregistryd"])
        self.registry.wait_for("requests at")
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self.processes):
            process.kill()

    def start(self, name: str, arguments: list[str], **env: str) -> Process:
        process = Process(self.folder, name, arguments, {**self.env, **env})
        self.processes.append(process)
        return process

    def bridge(
        self,
        port: int,
        *flags: str,
        name: str = "bridge",
        wait: bool = True,
        verbose: bool = True,
        file: Path | None = None,
        **env: str,
    ) -> Process:
        """Start `upkeep-bridge` with the broker at *port*.

        Each flag is a setting. *file* has more settings.
        """
        settings = [f"broker.port={port}", "broker.host=127.0.0.1", *flags]
        arguments = ["mqtt_bridge", *["-v"] * verbose]
        arguments += [] if file is None else ["--config", str(file)]
        for each in settings:
            arguments += ["--set", each]
        process = self.start(name, arguments, **env)
        if wait:
            process.wait_for("on the air")
        return process

    # What a user types

    def mk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return forks.run("mktl_daemon.cli.mk", *arguments, env=self.env)

    def get(self, *keys: str) -> Any:
        """Return the value of an item of `upkeep`, or a list for several keys."""
        done = self.mk("get", "--terse", "--unformatted", "-s", "upkeep", *keys)
        assert done.returncode == 0, done.stderr
        values = [_value(line) for line in done.stdout.splitlines()]
        assert len(values) == len(keys), done.stdout
        return values[0] if len(keys) == 1 else values

    def set(self, setting: str) -> str:
        """Set a value, and return the error text. It is empty on success."""
        done = self.mk("set", f"upkeep.{setting}")
        return done.stderr if done.returncode else ""

    def listed(self, store: str = "upkeep") -> set[str]:
        done = self.mk("list", store)
        prefix = f"{store}."
        words = [line.split()[0] for line in done.stdout.splitlines() if line.split()]
        return {word.removeprefix(prefix) for word in words}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
