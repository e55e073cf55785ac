"""README's steps for the bridge, word by word, with two machines and a user on each.

Each machine is a network namespace. A pair of virtual cables connects them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import programs
from tests.package.conftest import ROOT

pytestmark = [
    pytest.mark.network,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes two machines of one"),
]
NET = "10.77.0"
PRINTER = """
import sys
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.scripted import ScriptedPrinter
with ScriptedPrinter(1883, "voron", m.state("rails")):
    print("ready", flush=True)
    sys.stdin.read()
"""


def blocks(kind):
    """Return README's blocks of this kind."""
    text = (ROOT / "README.md").read_text()
    every = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for its_kind, block in every if its_kind == kind]


def lines_of(word):
    """Return the lines of README's block of commands that has *word* in it."""
    (block,) = [each for each in blocks("") if word in each]
    return [line.partition("  #")[0].strip() for line in block.splitlines() if line]


class Machine:
    """A network namespace, and an ordinary user with a home."""

    def __init__(self, name, address, uid, programs_folder):
        self.name, self.address, self.uid = f"upkeep-{name}", address, uid
        self.home = Path(tempfile.mkdtemp(prefix=f"upkeep-{name}-"))
        self.home.chmod(0o755)
        os.chown(self.home, uid, uid)
        self._programs = programs_folder
        self.log = self.home / "log"

    def command(self, line):
        # They may read everywhere, because a Python may be below root's home.
        reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", *reads]
        return [
            *("ip", "netns", "exec", self.name, *user, "--clear-groups"),
            *("env", "-i", f"HOME={self.home}"),
            f"PATH={self._programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin",
            *("sh", "-c", line),
        ]

    def run(self, line):
        return subprocess.run(
            self.command(line), cwd=self.home, capture_output=True, text=True,
            timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, line, **options):
        # Without exec the shell would be ended, and its program would go on.
        command = self.command(f"exec {line}")
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=self.home, stderr=log, **options)


@pytest.fixture
def machines(installed):
    """The bridge's machine and a client's. They are always removed after the tests."""
    for name in ("ip", "setpriv", "mosquitto", "mosquitto_sub"):
        programs.require(name)
    bridge = Machine("bridge", f"{NET}.1", 4001, installed)
    client = Machine("client", f"{NET}.2", 4002, installed)
    with contextlib.ExitStack() as stack:
        for machine in (bridge, client):
            stack.callback(shutil.rmtree, machine.home, ignore_errors=True)
            ip("netns", "add", machine.name)
            stack.callback(ip, "netns", "delete", machine.name)
        ip("link", "add", "upkeep-b", "netns", bridge.name, "type", "veth",
           "peer", "name", "upkeep-c", "netns", client.name)  # fmt: skip
        for machine, cable in ((bridge, "upkeep-b"), (client, "upkeep-c")):
            there = ("-n", machine.name)
            ip(*there, "address", "add", f"{machine.address}/24",
               "broadcast", f"{NET}.255", "dev", cable)  # fmt: skip
            ip(*there, "link", "set", "lo", "up")
            ip(*there, "link", "set", cable, "up")
            ip(*there, "route", "add", "default", "dev", cable)
        yield bridge, client


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def started():
    """Processes that end with the test."""
    processes = []
    yield processes.append
    for process in reversed(processes):
        process.terminate()
        process.wait(20)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def test_readmes_steps_show_a_task_on_another_machine(machines, started):
    bridge, client = machines
    started(bridge.start(f"{programs.require('mosquitto')} -p 1883"))
    until(lambda: bridge.run("mosquitto_pub -t up -n"), "the broker")
    # The printer is on the bridge's machine, because its broker listens only there.
    printer = subprocess.Popen(
        ["ip", "netns", "exec", bridge.name, sys.executable, "-c", PRINTER],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    started(printer)
    assert printer.stdout.readline() == "ready\n"

    write, check, run = [
        line for line in lines_of("upkeep-bridge init") if "pip" not in line
    ]

    assert bridge.run(write).returncode == 0
    settings = bridge.home / "bridge.toml"
    (network,) = [text for text in blocks("toml") if "registry" in text]
    own = network.replace("192.168.1.0/24", f"{NET}.0/24")
    settings.write_text(f'[broker]\nhost = "127.0.0.1"\n{own}')
    until(lambda: bridge.run(check), "a set-up that works")
    started(bridge.start(run))
    get, watch, done = [line for line in lines_of("mk get") if line.startswith("mk ")]
    shown = until(lambda: client.run(get), "the task, on the other machine")
    assert shown.stdout == "voron.rails.remaining: 112.50 hour\n"
    watching = client.start(watch, stdout=subprocess.PIPE, text=True)
    started(watching)
    assert watching.stdout.readline().rstrip().endswith("voron.rails.status: ok")
    assert client.run(done).returncode == 0
    assert client.run("mk get --terse upkeep.voron.rails.done_count").stdout == "1\n"
    # A bridge that works is reported as working.
    assert bridge.run(check).returncode == 0, bridge.run(check).stdout


def until(run, what):
    """Run a program again until it succeeds."""
    deadline = time.monotonic() + 60
    while True:
        done = run()
        if done.returncode == 0:
            return done
        assert time.monotonic() < deadline, f"never: {what}: {done}"
        time.sleep(0.2)  # the pause between two attempts
