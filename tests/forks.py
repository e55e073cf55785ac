"""Starts programs of this project in processes that a server forks.

`tests.fork_server` tells why. Its processes have the environment, the folder and the
files that are given here, and end like others.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
# Python and the system read them only at the start of a program.
AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_")


class _Server:
    """The fork server of this process. It starts when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, request: Mapping[str, Any], files: Sequence[int]) -> None:
        with self._lock:
            control = self._connected()
            socket.send_fds(control, [json.dumps(request).encode()], list(files))

    def _connected(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            atexit.register(self._close, os.getpid())
        return self._control

    def _close(self, owner: int) -> None:
        if os.getpid() == owner and self._control and self._process:
            self._control.close()
            self._process.wait()


_server = _Server()


class Fork:
    """A process of the fork server, with the methods of `subprocess.Popen`."""

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdout: IO[Any] | int,
        stderr: IO[Any] | int,
        network: str = "",
    ) -> None:
        self.args = [program, *arguments]
        self.returncode: int | None = None
        self.stdin = None
        self.stdout: IO[str] | None = None
        read, status = os.pipe()
        self._status = os.fdopen(read, "rb", buffering=0)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, status)
            empty = stack.enter_context(open(os.devnull, "rb"))  # noqa: PTH123
            if stdout == subprocess.PIPE:
                read, stdout = os.pipe()
                stack.callback(os.close, stdout)
                self.stdout = os.fdopen(read)
            streams = [
                each if isinstance(each, int) else each.fileno()
                for each in (empty, stdout, stderr)
            ]
            request = {
                "program": program,
                "arguments": list(arguments),
                "environment": dict(env),
                "folder": str(cwd),
                "network": network,
            }
            _server.start(request, [*streams, status])
        self.pid = self._next()

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, or a signal's number below zero."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = self._next()
            self._status.close()
        return self.returncode

    def _next(self) -> int:
        line = self._status.readline()
        assert line, f"the fork server has ended: {self.args}"
        return int(line)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[Any] | Fork


def is_usual(env: Mapping[str, str]) -> bool:
    """Whether a forked process can have this environment."""
    names = {*env, *os.environ} - {"PYTHONPATH"}
    return all(
        env.get(name) == os.environ.get(name)
        for name in names
        if name.startswith(AT_START)
    )


def start(
    program: str,
    *arguments: str,
    env: Mapping[str, str],
    stdout: IO[Any] | int,
    stderr: IO[Any] | int,
    cwd: Path = ROOT,
    prefix: Sequence[str] = (),
    network: str = "",
) -> Process:
    """Start a module as `python -m` does. Its input is empty.

    *stdout* may be `subprocess.PIPE`, which is read as text. *prefix* is a command that
    starts another one, so the program gets a process that is not forked. *network* is
    the file of the network namespace that a forked process enters.
    """
    if is_usual(env) and not prefix:
        return Fork(
            program,
            arguments,
            env=env,
            cwd=cwd,
            stdout=stdout,
            stderr=stderr,
            network=network,
        )
    assert not network, "only a forked process can enter another network"
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", program, *arguments],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=stdout == subprocess.PIPE,
    )


def run(
    program: str,
    *arguments: str,
    env: Mapping[str, str],
    timeout: float = 60.0,
    network: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a module to its end, as `subprocess.run` does with its output as text."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = start(
            program, *arguments, env=env, stdout=out, stderr=err, network=network
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            [program, *arguments], code, out.read(), err.read()
        )
