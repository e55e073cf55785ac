"""`python -m tests.fork_server DESCRIPTOR` starts programs of this project by forking.

To import a program takes longer than most tests need it, so this process imports it
once, and forks for each start. It has no threads, and runs nothing of a program itself.

The descriptor is a socket. Each packet is a request as JSON: the module to run as with
`python -m`, its arguments, its environment, its folder, and the file of its network
namespace, or "" for that of this server. With it come four descriptors: input, output
and errors of the new process, and a pipe. The pipe gets two lines: the number of the
process, and the status of its end in the form of `subprocess`.

A process ends as Python ends, but does not take its modules apart, which takes longer
than most programs run. Programs that a test starts without this server do.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

EXTRA = Path(__file__).parents[1] / "klippy_extra"
OWN = ("extras", "mktl_daemon", "mqtt_bridge", "tests")
CLONE_NEWNET = 0x40000000
LARGEST = 1 << 20  # bytes of a request

# What a program imports when it is needed, or the packages that have it. A program that
# is not here imports everything by itself. numpy and pint are not among them: few
# programs need them, and numpy would start threads.
LATER = {
    "mktl_daemon.cli.mk": "mktl_daemon",
    "mktl_daemon.cli.mkd": "mktl_daemon",
    "mktl_daemon.cli.mkregistryd": "mktl_daemon",
    "mqtt_bridge": "mktl_daemon mqtt_bridge aiohttp.web paho.mqtt.client",
    "tests.mqtt_bridge.reader": "mktl_daemon",
    "tests.fakes.klippy": "tests.fakes.klippy extras.maintain paho.mqtt.client",
}

_done: set[str] = set()  # the packages that are imported with all their modules


def prepare(program: str) -> None:
    """Import what *program* needs, at its first start."""
    for name in LATER.get(program, "").split():
        if name in _done:
            continue
        _done.add(name)
        with contextlib.suppress(ImportError):
            _import_all(name)
    gc.collect()
    gc.freeze()


def _import_all(name: str) -> None:
    """Import a module, and all modules of a package that is our own."""
    if name == "extras.maintain":
        host = importlib.import_module("tests.fakes.klippy.host")
        package = host.load_extra("maintain", EXTRA)
    else:
        package = importlib.import_module(name)
    if name.partition(".")[0] not in OWN:
        return
    for each in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}."):
        if not each.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # an extra that is not installed
                importlib.import_module(each.name)


class Server:
    """Starts processes, and reports their ends."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._running: dict[int, int] = {}  # the pipe for the status of each process
        self._ends, wake = socket.socketpair()
        self._ends.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> tuple[str, list[str]]:
        """Carry out requests. In each new process, return its program and arguments.

        This process itself ends when nobody can send requests any more.
        """
        while True:
            ready, _, _ = select.select([self._control, self._ends], [], [])
            if self._ends in ready:
                self._report()
            if self._control in ready:
                data, files, _, _ = socket.recv_fds(self._control, LARGEST, 4)
                if not data:
                    sys.exit()
                request = json.loads(data)
                if self._start(request, files) == 0:
                    return request["program"], request["arguments"]

    def _start(self, request: dict[str, Any], files: list[int]) -> int:
        prepare(request["program"])
        pid = os.fork()
        if pid == 0:
            self._leave()
            _enter(request, files)
            return 0
        *streams, status = files
        for each in streams:
            os.close(each)
        self._running[pid] = status
        _tell(status, pid)
        return pid

    def _report(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._ends.recv(4096):
                pass
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                pipe = self._running.pop(pid)
                _tell(pipe, os.waitstatus_to_exitcode(status))
                os.close(pipe)

    def _leave(self) -> None:
        """Close in a new process what only the server needs."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self._control, self._ends, self._wake):
            each.close()
        for pipe in self._running.values():
            os.close(pipe)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # its test is over
        os.write(pipe, b"%d\n" % number)


def _enter(request: dict[str, Any], files: list[int]) -> None:
    """Give a new process its files, environment and folder, as at a usual start."""
    *streams, status = files
    os.close(status)
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        new = open(  # noqa: SIM115 - the process has it until its end
            number,
            "w" if number else "r",
            buffering=1 if number == 2 or os.isatty(number) else -1,
            encoding=old.encoding,
            errors=old.errors,
            closefd=False,
        )
        if number:
            new.reconfigure(write_through="PYTHONUNBUFFERED" in os.environ)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    if request["network"]:
        _change_network(request["network"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    more = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = [each for each in sys.path[1:] if each not in more]
    sys.path[:] = [request["folder"], *filter(None, more), *own]


def _change_network(file: str) -> None:
    """Move to the network namespace of this file. OSError: this is not allowed."""
    with open(file) as network:  # noqa: PTH123
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unable to change the network")


def main() -> None:
    """Serve requests, and in each new process run the program as `python -m` does."""
    control = socket.socket(fileno=int(sys.argv[1]))
    program, sys.argv[1:] = Server(control).serve()
    # `runpy` warns of a module that is there already, and a package runs another one.
    if not hasattr(sys.modules.get(program), "__path__"):
        sys.modules.pop(program, None)
    code: Any = None
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code
    _end(code)


def _end(code: Any) -> None:
    """Wait for threads, call what is registered for the end, and write what is left.

    SystemExit: Python itself has to report *code*, or that something cannot be written.
    """
    if code is not None and not isinstance(code, int):
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        sys.exit(code)
    os._exit(code or 0)


if __name__ == "__main__":
    main()
