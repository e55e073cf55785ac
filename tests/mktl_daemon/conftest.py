"""Daemons and registries as processes, with their own discovery ports."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zmq

from tests import forks, programs

HERE = Path(__file__).parent
DEADLINE = 20.0  # seconds that a reply may take on a busy machine

ITEMS = {
    "number": {"type": "numeric", "initial": 1},
    "text": {"type": "string", "initial": "apple"},
    "taste": {"type": "enumerated", "enumerators": {"0": "Sweet", "1": "Sour"}},
    "fixed": {"type": "numeric", "settable": False, "initial": 7},
    "secret": {"type": "numeric", "gettable": False, "initial": 8},
    "image": {"type": "bulk"},
    "a.b": {"type": "numeric"},
    "a.bc": {"type": "numeric"},
    "kept": {"type": "numeric", "persist": True},
    "anything": {},
    "reading": {"type": "numeric"},
    "gate": {"type": "string"},
    "opener": {"type": "numeric"},
    "broken": {"type": "numeric"},
}


class Running(NamedTuple):
    """A process that has printed where it can be reached."""

    process: forks.Process
    rep: int
    pub: int
    line: str


class Printed(NamedTuple):
    """The output and exit code of a process that has ended."""

    out: str
    err: str
    code: int


class Kitchen:
    """Starts programs that share discovery ports, which no other test uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registries, self.daemons = free_udp(), free_udp()
        self.running: list[Running] = []
        self._shell: subprocess.Popen[str] | None = None

    def environment(self, home: str) -> dict[str, str]:
        return {
            **os.environ,
            "MKTL_HOME": str(self.folder / home),
            "MKTL_INTERFACE": "127.0.0.1",
            "MKTL_DISCOVERY": f"{self.registries},{self.daemons}",
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
        }

    def enter(self, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process be a client of these programs, with its own home."""
        for name, value in self.environment(home).items():
            if name.startswith("MKTL_"):
                monkeypatch.setenv(name, value)

    def start(
        self, program: str, *arguments: str, home: str, descriptors: int | None = None
    ) -> Running:
        """Start a program and wait until it reports that it is ready."""
        limit = [f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        programs.watch_log(self.folder / f"{home}.log")
        with (self.folder / f"{home}.log").open("a") as log:
            process = forks.start(
                f"mktl_daemon.cli.{program}",
                *arguments,
                env=self.environment(home),
                stdout=subprocess.PIPE,
                stderr=log,
                prefix=["prlimit", *limit] if limit else [],
            )
        ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
        line = process.stdout.readline() if ready else ""
        match = re.search(r"requests at \S+:(\d+), values at (\d+)", line)
        if match is None:
            process.kill()
            process.wait()
            process.stdout.close()
            log = (self.folder / f"{home}.log").read_text()
            pytest.fail(f"{program} did not start: {line}{log}")
        made = Running(process, int(match[1]), int(match[2]), line)
        self.running.append(made)
        return made

    def daemon(
        self,
        store: str = "pie",
        alias: str = "fruit",
        items: Any = None,
        descriptors: int | None = None,
    ) -> Running:
        path = self.folder / f"{store}.{alias}.json"
        path.write_text(json.dumps(ITEMS if items is None else items))
        more = ["--module", "oven"] if items is None else []
        line = "mkd", store, alias, "--catalog", str(path), *more
        home = f"{store}.{alias}"
        _claim_ports(self.folder / home / "daemon", store, alias)
        return self.start(*line, home=home, descriptors=descriptors)

    def registry(self) -> Running:
        return self.start("mkregistryd", home="registry")

    def mk(self, *arguments: str) -> Printed:
        """Run mk to its end, in a process that runs it many times."""
        if self._shell is None:
            self._shell = subprocess.Popen(
                [sys.executable, str(HERE / "shell.py")],
                env=self.environment("client"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._shell.stdin.write(json.dumps(arguments) + "\n")
        self._shell.stdin.flush()
        ready, _, _ = select.select([self._shell.stdout], [], [], DEADLINE)
        if not ready:
            pytest.fail(f"mk does not end: {arguments}")
        return Printed(*json.loads(self._shell.stdout.readline()))

    def mk_alone(self, *arguments: str, home: str = "client") -> Printed:
        """Run mk in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "mktl_daemon.cli.mk", *arguments],
            env=self.environment(home),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Printed(done.stdout, done.stderr, done.returncode)

    def stop(self, running: Running, how: int = signal.SIGTERM) -> None:
        if running.process.poll() is None:
            running.process.send_signal(how)
        try:
            running.process.wait(DEADLINE)
        finally:
            running.process.kill()
            running.process.wait()
            running.process.stdout.close()
            self.running.remove(running)

    def close(self) -> None:
        if self._shell is not None:
            self._shell.stdin.close()
            self._shell.wait(DEADLINE)
            self._shell.stdout.close()
        for running in list(self.running):
            self.stop(running)


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory):
    """Programs that the tests of one session share."""
    made = Kitchen(tmp_path_factory.mktemp("kitchen"))
    yield made
    made.close()


@pytest.fixture
def own_kitchen(tmp_path):
    """Programs of one test, which may stop and start them."""
    made = Kitchen(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def registry(kitchen):
    """The registry of the shared programs."""
    return kitchen.registry()


@pytest.fixture(scope="session")
def oven(kitchen):
    """The daemon that most tests use. It runs longer than any of them."""
    running = kitchen.daemon()
    yield running
    assert running.process.poll() is None, "the test has ended the daemon"


def _claim_ports(folder: Path, store: str, alias: str) -> None:
    """Give a daemon ports that no other program takes while it is stopped."""
    identity = folder / "store" / store / f"{alias}.uuid"
    if identity.exists():
        return
    name = str(uuid.uuid4())
    for path, text in (
        (identity, name),
        (folder / "port" / store / f"{name}.req", str(quiet_port())),
        (folder / "port" / store / f"{name}.pub", str(quiet_port())),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def quiet_port() -> int:
    """Return a free TCP port that no program chooses by itself.

    Daemons choose lower ones, and the system higher ones.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Mute:
    """The port of a silent daemon: it accepts requests and answers none."""

    def __init__(self, context: zmq.Context) -> None:
        self._router = context.socket(zmq.ROUTER)
        self._router.linger = 0
        self.port = self._router.bind_to_random_port("tcp://127.0.0.1")

    def requests(self) -> list[tuple[str, str]]:
        """Return kind and target of each request so far."""
        taken = []
        while self._router.poll(100):
            _, _, _, kind, target, *_ = self._router.recv_multipart()
            taken.append((kind.decode(), target.decode()))
        return taken

    def close(self) -> None:
        self._router.close()


@pytest.fixture
def mute():
    with zmq.Context() as context:
        made = Mute(context)
        yield made
        made.close()


def free_udp() -> int:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition: Any, what: str, deadline: float = DEADLINE) -> Any:
    """Return what *condition* returns once it is true. Fail the test if it never is."""
    begin = time.monotonic()
    while time.monotonic() < begin + deadline:
        if result := condition():
            return result
        programs.pause(begin)
    return pytest.fail(f"never: {what}")


@pytest.fixture(name="until")
def until_fixture():
    return until
