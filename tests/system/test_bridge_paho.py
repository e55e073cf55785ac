"""The stand-in for paho's socket works with each supported version of paho."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mqtt_bridge.broker.buffered_socket import TRIED
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.processes import ROOT
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Authority

pytestmark = [
    pytest.mark.network,  # uv installs each of these versions
    pytest.mark.system,
    pytest.mark.timeout(180),
]

# Prints the version of paho and what one command changed.
PROGRAM = """
    import sys
    import paho.mqtt
    from mqtt_bridge.assembly import make_bridge
    from mqtt_bridge.contract import Command
    from mqtt_bridge.settings import load
    from tests.system.test_bridge_broker import Items

    bridge = make_bridge(load(None, {}, sys.argv[1:]), Items())
    bridge.start()
    assert bridge.ready.wait(20), "it is not ready"
    asked = bridge.ask("voron", "rods", lambda record, ident: Command("done", ident))
    asked.result(20)
    count = bridge.fleet.printers["voron"].tasks["rods"].named()["done_count"]
    print(paho.mqtt.__version__, count)
    bridge.close()
"""


@pytest.fixture(scope="module", params=TRIED)
def paho(request, tmp_path_factory):
    """Return a folder with that version of paho."""
    folder = tmp_path_factory.mktemp(f"paho-{request.param}")
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet",
         "--no-deps", "--target", folder, f"paho-mqtt=={request.param}.*"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no paho-mqtt {request.param} (uv): {done.stderr[-200:]}")
    return request.param, folder


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_bridge_reads_and_sends_commands(paho, version, tls, tmp_path):
    name, folder = paho
    lines, flags = [], []
    if tls:
        authority = Authority(tmp_path)
        authority.sign(days=1)
        port = free_port()
        lines = [
            f"listener {port} 127.0.0.1", f"cafile {authority.ca}",
            f"certfile {authority.certificate}", f"keyfile {authority.key}",
        ]  # fmt: skip
        flags = [f"broker.ca={authority.ca}"]
    broker = Mosquitto(tmp_path, "allow_anonymous true", *lines).start()
    flags += [f"broker.port={port if tls else broker.port}"]
    with ScriptedPrinter(broker.port, "voron", m.state()):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM),
             "broker.host=127.0.0.1", f"broker.version={version}", *flags],
            cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
            env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
        )  # fmt: skip
    broker.kill()
    assert done.returncode == 0, done.stderr
    used, count = done.stdout.split()
    assert used.startswith(f"{name}.")
    assert int(count) == 1
