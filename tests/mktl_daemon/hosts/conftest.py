"""Hosts: network namespaces in which our programs run, with cables between them.

The tests make them and connect them only with each other. They end with the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import forks

HERE = Path(__file__).parent
DEADLINE = 60.0  # seconds that a program may take on a busy machine


class Namespace:
    """A network namespace. It exists as long as a process in it."""

    def __init__(self) -> None:
        layout = "ip link set lo up && echo ready && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-ec", layout],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout.readline() == "ready\n"
        self.pid = self._holder.pid
        self.network = f"/proc/{self.pid}/ns/net"

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--net", "--", *words]

    def run(self, *words: str) -> None:
        subprocess.run(self.command(*words), check=True, timeout=DEADLINE)

    def close(self) -> None:
        self._holder.stdin.close()
        self._holder.wait(DEADLINE)
        self._holder.stdout.close()


class Host(Namespace):
    """Runs mkd, mkregistryd and mk with a home of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__()
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.addresses: list[str] = []
        self._running: list[forks.Process] = []

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if "MKTL" not in name},
            "MKTL_HOME": str(self.folder / "home"),
            "MKTL_INTERFACE": "0.0.0.0",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **more,
        }

    def start(self, *words: str, says: str = "requests at", **more: str) -> Any:
        """Start a Python program and wait until it prints a line with *says*."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self.command(sys.executable, "-u", *words),
                env=self.environment(**more),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        return self._began(process, words, says)

    def launch(self, *words: str, says: str = "requests at", **more: str) -> Any:
        """Start a module of this project in the same way, but forked."""
        with self.log.open("a") as log:
            process = forks.start(
                *words,
                env=self.environment(**more),
                stdout=subprocess.PIPE,
                stderr=log,
                network=self.network,
            )
        process.stdout = process.stdout.detach().detach()  # no line waits in a buffer
        return self._began(process, words, says)

    def _began(self, process: Any, words: tuple[str, ...], says: str) -> Any:
        self._running.append(process)
        process.first = line(process)
        if says not in process.first:
            pytest.fail(f"{words} did not start: {process.first}{self.log.read_text()}")
        return process

    def registry(self) -> Any:
        return self.launch("mktl_daemon.cli.mkregistryd")

    def daemon(self, items: dict[str, Any], *options: str, **more: str) -> Any:
        path = self.folder / "items.json"
        path.write_text(json.dumps(items))
        command = "mktl_daemon.cli.mkd", "pie", self.name, "-c", str(path)
        return self.launch(*command, *options, **more)

    def mk(self, *words: str) -> subprocess.CompletedProcess[str]:
        return forks.run(
            "mktl_daemon.cli.mk",
            *words,
            env=self.environment(),
            timeout=2 * DEADLINE,
            network=self.network,
        )

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(sys.executable, *words),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE,
            check=False,
        )

    def end(self, process: Any, kill: bool = False) -> None:
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait(DEADLINE)
        if process.stdin is not None:
            process.stdin.close()
        process.stdout.close()
        self._running.remove(process)

    def close(self) -> None:
        for process in list(self._running):
            self.end(process, kill=True)
        super().close()


class Network:
    """A switch with a cable to each of its hosts. Its faults can be changed."""

    def __init__(self, number: int, hosts: list[Host]) -> None:
        self._namespace = Namespace()
        self._ports = {}
        for position, host in enumerate(hosts, 1):
            port, card = f"p{position}", f"eth{len(host.addresses)}"
            address = f"10.77.{number}.{position}"
            self._namespace.run(
                *f"ip link add {port} type veth peer name {card}".split(),
                *f"netns {host.pid}".split(),
            )
            self._namespace.run(*f"ip link set {port} up".split())
            host.run(
                *f"ip address add {address}/24 broadcast + dev {card}".split(),
            )
            host.run(*f"ip link set {card} up".split())
            host.run(sys.executable, str(HERE / "link.py"), "small", card)
            host.addresses.append(address)
            self._ports[host.name] = port
        self._switch = subprocess.Popen(
            self._namespace.command(
                sys.executable, str(HERE / "link.py"), *self._ports.values()
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert line(self._switch) == "ready\n"

    def change(self, **what: Any) -> None:
        """Set ``delay``, ``loss``, ``rate``, or the hosts that are ``cut`` off."""
        if "cut" in what:
            what["cut"] = [self._ports[host.name] for host in what["cut"]]
        self._switch.stdin.write(json.dumps(what).encode() + b"\n")
        assert line(self._switch) == "done\n"

    def close(self) -> None:
        self._switch.stdin.close()
        self._switch.wait(DEADLINE)
        self._switch.stdout.close()
        self._namespace.close()


def line(process: Any, timeout: float = DEADLINE) -> str:
    """Return the next line that a process prints. Fail the test if there is none."""
    ready, _, _ = select.select([process.stdout], [], [], timeout)
    if not ready:
        pytest.fail("nothing is printed")
    return process.stdout.readline().decode()


@pytest.fixture
def world(tmp_path):
    """Return a maker of hosts and of the networks that connect them."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing: no hosts")
    if subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        pytest.skip("this user may make no network namespaces")
    with contextlib.ExitStack() as stack:

        def made(thing: Any) -> Any:
            stack.callback(thing.close)
            return thing

        class World:
            def host(self, name: str) -> Host:
                return made(Host(name, tmp_path))

            def network(self, number: int, *hosts: Host) -> Network:
                return made(Network(number, list(hosts)))

        yield World()


def port_of(process: Any) -> int:
    """Return the request port that a daemon has printed."""
    return int(re.search(r"requests at \S+:(\d+)", process.first)[1])
