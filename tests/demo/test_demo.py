"""The demo itself: its processes and its broker. It leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from demo.chain import BROKER
from demo.children import Child, ChildError, free_port
from demo.observer import Address, Observer
from tests import programs
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.virtual_printer import ROOT


@pytest.fixture
def tmp_path():
    """A folder with a short path: the path of a Unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="upkeep-") as folder:
        yield Path(folder)


SLEEPER = "import time; print('up', flush=True); time.sleep(99)"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://there", Address("there", 1883)),
        ("there:1884", Address("there", 1884)),
        ("mqtts://there", Address("there", 8883, tls=True)),
        ("mqtt://me:pass%40word@there", Address("there", 1883, "me", "pass@word")),
    ],
)
def test_a_broker_is_named_by_its_address(url, address):
    """Scheme and port may be left out. A password is quoted as in any URL."""
    assert Address.parse(url) == address


@pytest.mark.parametrize("url", ["http://there", "mqtt://", ""])
def test_a_text_that_is_no_address_is_refused(url):
    """The ValueError has an example."""
    with pytest.raises(ValueError, match="mqtt://host:port"):
        Address.parse(url)


def test_child_processes_end_with_a_demo_that_is_killed(tmp_path):
    """The kernel notices that the demo has gone, and ends its child processes."""
    code = (
        "import pathlib, sys, time\n"
        "from demo.children import Child\n"
        f"sleeper = [sys.executable, '-c', {SLEEPER!r}]\n"
        f"child = Child('c', sleeper, pathlib.Path({str(tmp_path)!r}))\n"
        "child.wait_until(lambda: child.last_lines() == 'up')\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(99)\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    pid = int(killed.stdout.readline())
    killed.kill()
    killed.communicate()

    until(lambda: is_gone(pid), 20)


def test_a_child_process_that_ended_tells_why(tmp_path):
    """The error has its status and its last lines."""
    child = Child("c", [sys.executable, "-c", "print('oh no'); exit(3)"], tmp_path)
    with pytest.raises(ChildError, match="c ended with status 3:\noh no"):
        child.wait_until(lambda: False)
    child.end()


def test_the_broker_accepts_clients_of_this_machine(tmp_path):
    """It is amqtt in its own process. It retains messages, and warns of nothing."""
    port, settings = free_port(), tmp_path / "broker.yaml"
    settings.write_text(BROKER.format(port=port))
    broker = [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(settings)]
    child = Child("broker", broker, tmp_path)
    address = Address("127.0.0.1", port)
    try:
        child.wait_until(lambda: reachable(address))
        publish(address, "a/b", b"kept")
        assert retained(address, "a/#") == {"a/b": b"kept"}
    finally:
        child.end()

    assert "WARNING" not in child.last_lines()


def test_the_topics_of_a_printer_are_cleared_at_a_broker(tmp_path):
    """Its topics and its discovery are cleared, and those of other printers stay."""
    broker = Mosquitto(tmp_path).start()
    address = Address("127.0.0.1", broker.port)
    others = {
        "klipper_upkeep/other/availability": b"online",
        "homeassistant/device/other/config": b'{"t": "klipper_upkeep/demo-2/summary"}',
    }
    try:
        for topic, payload in {
            **others,
            "klipper_upkeep/demo/availability": b"offline",
            "klipper_upkeep/demo/summary": b"{}",
            "homeassistant/device/ours/config": b'{"t": "klipper_upkeep/demo/summary"}',
        }.items():
            publish(address, topic, payload)
        observer = Observer(address)
        until(lambda: len(observer.payloads) == 5, 20)
        observer.clear("demo")
        observer.close()

        assert retained(address, "#") == others
    finally:
        broker.kill()


@pytest.mark.system
@pytest.mark.klipper
@pytest.mark.timeout(240)
def test_the_demo_shows_a_task_from_due_to_done(tmp_path):
    """`--once` ends with a summary and status 0, and leaves nothing behind."""
    result = demo(tmp_path, "--once")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "MQTT event: demo.nozzle is due" in result.stdout
    assert "mk set upkeep.demo.nozzle.done=1" in result.stdout
    assert "MQTT event: demo.nozzle is done" in result.stdout
    assert "counting again from" in result.stdout
    assert "5 tasks were counted" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.system
@pytest.mark.klipper
@pytest.mark.timeout(240)
def test_ctrl_c_leaves_nothing_on_a_user_s_broker(tmp_path):
    """No retained message, no process and no file stays.

    This is so also if SIGINT is ignored at the start, as a shell does for programs in
    the background.
    """
    broker = Mosquitto(tmp_path).start()
    address = Address("127.0.0.1", broker.port)
    folder = tmp_path / "demo"
    folder.mkdir()
    process = subprocess.Popen(
        [
            *("sh", "-c", 'trap "" INT; exec "$0" -m demo --broker "$1"'),
            *(sys.executable, f"mqtt://127.0.0.1:{broker.port}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(folder),
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("demo-") and ".nozzle: used" in line:
                break
        printer = line.split(".")[0]
        assert f"klipper_upkeep/{printer}/tasks/nozzle" in retained(address, "#")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

        assert process.returncode == 0
        assert retained(address, "#") == {}
        assert list(folder.iterdir()) == []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        broker.kill()


@pytest.mark.parametrize(
    ("arguments", "wording"),
    [
        (
            ["--klipper", "/nobody/here"],
            "/nobody/here is no checkout",
        ),
        (["--broker", "http://x"], "'http://x' is no address like mqtt://host:port"),
        (["--broker", "mqtt://127.0.0.1:1"], "refused"),
    ],
)
def test_the_demo_reports_what_it_cannot_show(tmp_path, arguments, wording):
    """It prints one line, ends with status 1, and leaves nothing behind."""
    result = demo(tmp_path, *arguments)

    assert result.returncode == 1
    assert wording in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def environment(folder):
    return {**os.environ, "TMPDIR": str(folder)}


def demo(folder, *arguments):
    programs.require("gcc")
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(folder),
        timeout=230,
        check=False,
    )


def is_gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # where nobody waits for the ended child


def until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)  # the pause between two looks at another process


def reachable(address):
    try:
        client = address.client()
        client.connect(address.host, address.port)
    except OSError:
        return False
    client.loop_start()
    client.disconnect()
    client.loop_stop()
    return True


def publish(address, topic, payload):
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(address.host, address.port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=True).wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


def retained(address, pattern):
    """Return the retained messages that a new subscriber of *pattern* gets."""
    payloads, complete = {}, threading.Event()

    def received(client, data, message):
        if message.topic == "end/of/it":
            complete.set()
        elif message.retain:
            payloads[message.topic] = message.payload

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = received
    client.on_connect = lambda *_: client.subscribe([(pattern, 1), ("end/of/it", 1)])
    client.on_subscribe = lambda *_: client.publish("end/of/it", b"", qos=1)
    client.connect(address.host, address.port)
    client.loop_start()
    complete.wait(20)
    client.disconnect()
    client.loop_stop()
    return {topic: payload for topic, payload in payloads.items() if payload}
