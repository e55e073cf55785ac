"""Our programs and the reference's, on a network of their own.

The reference has fixed UDP ports and calls the whole network, so both run in a network
namespace that has only loopback.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEADLINE = 30.0

ITEMS = {
    "count": {"type": "numeric", "initial": 3, "units": "pieces"},
    "note": {"type": "string", "initial": "plain"},
    "lit": {
        "type": "boolean",
        "initial": False,
        "enumerators": {"0": "Off", "1": "On"},
    },
    "taste": {
        "type": "enumerated",
        "initial": 0,
        "enumerators": {"0": "Sweet", "1": "Sour"},
    },
    "leds": {
        "type": "mask",
        "initial": 0,
        "enumerators": {"None": "dark", "0": "Red", "1": "Green", "2": "Blue"},
    },
    "angle": {
        "type": "numeric",
        "initial": 0.5,
        "format": "%2d:%2.2d:%04.1f",
        "units": {"": "rad", "formatted": "deg"},
    },
    "list": {"type": "numeric array", "initial": [1, 2.5]},
    "image": {"type": "bulk"},
    "fixed": {"type": "numeric", "settable": False, "initial": 7},
    "deep.er": {"type": "string", "initial": "below"},
    "kept": {"type": "numeric", "persist": True},
}

LAYOUT = """
ip link set lo up
ip route add 255.255.255.255 dev lo
echo ready
exec sleep infinity
"""


class Side:
    """One implementation, and how its programs are called."""

    def __init__(self, name, python, programs, path, is_early=False):
        self.name = name
        self.python = python
        self.programs = programs
        self.path = path
        self.is_early = is_early  # from before 8 June 2026: its messages have no flags

    def command(self, program, *arguments):
        return [self.python, *self.programs[program], *arguments]


OURS = Side(
    "ours",
    sys.executable,
    {
        "mk": ["-m", "mktl_daemon.cli.mk"],
        "mkd": ["-m", "mktl_daemon.cli.mkd"],
        "registry": ["-m", "mktl_daemon.cli.mkregistryd"],
        "probe": [str(HERE / "probe.py"), "mktl_daemon"],
        "probe_array": [str(HERE / "probe_array.py"), "mktl_daemon"],
    },
    [*sys.path],
)


def reference_side(checkout):
    folder = Path(checkout)
    registries = [
        path
        for path in (folder / "sbin" / "mkregistryd", folder / "sbin" / "mkbrokerd")
        if path.exists()
    ]
    if not registries:
        pytest.fail(f"MKTL_REFERENCE={checkout} is no checkout of the reference mKTL")
    return Side(
        "reference",
        os.environ.get("MKTL_REFERENCE_PYTHON") or sys.executable,
        {
            "mk": [str(folder / "bin" / "mk")],
            "mkd": [str(folder / "sbin" / "mkd")],
            "registry": [str(registries[0])],
            "probe": [str(HERE / "probe.py"), "mktl"],
            "probe_array": [str(HERE / "probe_array.py"), "mktl"],
        },
        [str(folder / "src")],
        is_early=registries[0].name == "mkbrokerd",
    )


@pytest.fixture(scope="session")
def reference():
    checkout = os.environ.get("MKTL_REFERENCE")
    if not checkout:
        pytest.skip("MKTL_REFERENCE does not name a checkout of the reference mKTL")
    return reference_side(checkout)


@pytest.fixture(scope="session")
def sides(reference):
    return {"ours": OURS, "reference": reference}


@pytest.fixture(scope="session")
def arrays(reference):
    """Skip if the reference's Python has a numpy that is too new for it."""
    script = "import numpy; numpy.reshape([1], newshape=[1])"
    done = subprocess.run(
        [reference.python, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        error = done.stderr.splitlines()[-1]
        pytest.skip(f"the reference's arrays need an older numpy: {error}")


class Network:
    """A network namespace, and the programs that run in it."""

    def __init__(self, folder, entry):
        self.folder = folder
        self.entry = entry
        self.running = []

    def environment(self, side, home):
        return {
            **{key: value for key, value in os.environ.items() if "MKTL" not in key},
            "MKTL_HOME": str(self.folder / home),
            "PYTHONPATH": os.pathsep.join(side.path),
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, side, program, *arguments, home):
        log = (self.folder / f"{home}.log").open("a")
        process = subprocess.Popen(
            [*self.entry, *side.command(program, *arguments)],
            env=self.environment(side, home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.running.append(process)
        return process

    def run(self, side, program, *arguments, home="client", timeout=DEADLINE):
        return subprocess.run(
            [*self.entry, *side.command(program, *arguments)],
            env=self.environment(side, home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def mk(self, side, *arguments, home="client"):
        return self.run(side, "mk", *arguments, home=home)

    def until(self, side, *arguments, home, says):
        """Run mk until it prints *says*. Fail the test if it never does."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            done = self.mk(side, *arguments, home=home)
            if says in done.stdout:
                return done
            time.sleep(0.1)
        return pytest.fail(f"mk {arguments}: {done.stdout}{done.stderr}{self.logs()}")

    def registry(self, side, home="registry"):
        process = self.start(side, "registry", home=home)
        self.until(side, "discover", "127.0.0.1", home=f"{home}-asker", says="store")
        return process

    def daemon(self, side, items=None, home="daemon"):
        path = self.folder / "cake.json"
        path.write_text(json.dumps(items or ITEMS))
        if side.name == "reference":
            self.give_ports(home)
        process = self.start(side, "mkd", "-c", str(path), "cake", "batter", home=home)
        # It uses a new client each time, because a client caches what it has read.
        self.until(side, "get", "cake.fixed", home=f"{home}-asker", says="fixed: 7")
        return process

    def give_ports(self, home):
        """Write port files for a daemon, as if it had run before.

        That of June 2026 needs them.
        """
        identity = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
        files = {
            "store/cake/batter.uuid": identity,
            f"port/cake/{identity}.req": "10500",
            f"port/cake/{identity}.pub": "10600",
        }
        for name, text in files.items():
            path = self.folder / home / "daemon" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def stop(self, process, how=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)

    def logs(self):
        return "".join(
            f"\n--- {path.name}\n{path.read_text()}"
            for path in sorted(self.folder.glob("*.log"))
        )

    def close(self):
        for process in list(self.running):
            self.stop(process)


@pytest.fixture(scope="session")
def namespace():
    """Return the command that starts a program in the namespace."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing: no network namespace for the reference")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    holder = subprocess.Popen(
        ["unshare", *user, "--net", "sh", "-ec", LAYOUT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        ready, _, _ = select.select([holder.stdout], [], [], DEADLINE)
        if not ready or holder.stdout.readline() != "ready\n":
            holder.kill()
            error = holder.stderr.read().strip()
            pytest.skip(f"no network namespace for the reference: {error}")
        entry = ["nsenter", f"--target={holder.pid}", "--net"]
        if user:
            entry += ["--user", "--preserve-credentials"]
        yield entry
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
        holder.stderr.close()


@pytest.fixture
def network(tmp_path, namespace):
    made = Network(tmp_path, namespace)
    yield made
    made.close()
