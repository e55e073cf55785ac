"""A broker, a bridge, a bare subscriber and a flood, for the bridge's benchmarks."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import zmq

from mqtt_bridge import contract
from mqtt_bridge.contract import Info, Limit, Meter, Meters, State, Summary

ROOT = Path(__file__).resolve().parents[1]
BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")

# The floor: this program drops all messages, and prints when the last one has arrived.
BARE = """
import sys, time
import paho.mqtt.client as paho
port, topics, last = int(sys.argv[1]), sys.argv[2], sys.argv[3]
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
def received(client, data, message):
    if message.retain:
        pass
    elif message.topic == last:
        print(time.monotonic(), flush=True)
    elif '/ping/' in message.topic:
        print(time.monotonic(), message.payload.split(b'"seq": ')[1].split(b',')[0]
              .decode(), flush=True)
client.on_message = received
client.on_connect = lambda *_: client.subscribe(topics, 1)
client.on_subscribe = lambda *_: print('ready', flush=True)
client.connect('127.0.0.1', port)
client.loop_forever()
"""


def state(task: str, seq: int, used: float, when: float | None = None) -> State:
    limit = Limit("print_time", "h", 150.0, used, 150.0 - used, used / 1.5, 15.0)
    return State(
        seq=seq,
        time=time.time() if when is None else when,
        task=task,
        label="Clean and oil the rods",
        limits=(limit,),
        trigger="print_time",
        status=contract.OK,
        message="Wipe, then one drop of oil on each.",
        guide="https://example.org/guide",
    )


def printer(
    slug: str, tasks: int, below: str = contract.BASE
) -> Iterator[tuple[str, bytes]]:
    """Yield the retained messages of a printer."""
    names = tuple(f"t{number}" for number in range(tasks)) if tasks > 1 else ("t",)
    base = f"{below}/{slug}"
    meters = {"print_time": Meter("h", "Print time")}
    info = Info(uuid=slug, name=slug, tasks=names, meters=meters)
    yield f"{base}/info", info.encode()
    yield f"{base}/meters", Meters(1, 1000.0, {"print_time": 5.0}).encode()
    yield f"{base}/summary", Summary(1, 1000.0, 0, 0, None, None, None).encode()
    for name in names:
        yield f"{base}/tasks/{name}", state(name, 1, 1.0).encode()
    yield f"{base}/availability", contract.ONLINE


class Publisher:
    """Writes PUBLISH packets as fast as a broker reads them; paho would be slower."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._mid = 0
        self._acknowledged = 0
        self._sent = 0
        variable = b"\0\4MQTT\4\2\0\0" + _text("flood")
        self._socket.sendall(b"\x10" + _length(len(variable)) + variable)
        self._socket.recv(4)
        threading.Thread(target=self._drain, daemon=True).start()

    def packet(self, topic: str, payload: bytes, retain: bool = False) -> bytes:
        self._mid = self._mid % 65535 + 1
        body = _text(topic) + struct.pack(">H", self._mid) + payload
        return bytes([0x33 if retain else 0x32]) + _length(len(body)) + body

    def send(self, packets: Iterable[bytes]) -> None:
        batch = list(packets)
        self._sent += len(batch)
        self._socket.sendall(b"".join(batch))

    def settle(self) -> None:
        """Wait until the broker has acknowledged all packets."""
        while self._acknowledged < self._sent:
            time.sleep(0.01)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _drain(self) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                count += len(data)
                self._acknowledged = count // 4


class Rig:
    """A broker without limits, and other processes. All are ended with the context."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="upkeep-bench-"))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Rig:
        if BROKER is None:
            raise FileNotFoundError("no mosquitto (Debian: apt-get install mosquitto)")
        self.port, self.metrics, self.web = _free_tcp(), _free_tcp(), _free_tcp()
        self._discovery = f"{_free_udp()},{_free_udp()}"
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "max_queued_messages 0\nmax_inflight_messages 1000\nlog_type error\n"
            "sys_interval 1\n"
        )
        self.broker = self._spawn([BROKER, "-c", str(config)])
        _until_open(self.port)
        self.publisher = Publisher(self.port)
        self._stack.callback(self.publisher.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def retain(self, printers: int, tasks: int, *bases: str) -> None:
        for base in bases or (contract.BASE,):
            for number in range(printers):
                slug = f"{base.rpartition('/')[2]}-p{number}" if bases else f"p{number}"
                self.publisher.send(
                    self.publisher.packet(topic, payload, retain=True)
                    for topic, payload in printer(slug, tasks, base)
                )
        self.publisher.settle()

    def bare(self, last: str, below: str = "#") -> subprocess.Popen[bytes]:
        topics = f"{contract.BASE}/{below}"
        process = self._spawn(
            [sys.executable, "-c", BARE, str(self.port), topics, last], pipe=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def bridge(
        self,
        *flags: str,
        name: str = "mktl",
        page: bool = False,
        ready: bytes = b"on the air",
    ) -> subprocess.Popen[bytes]:
        """Start a bridge, and return it when *ready* is in its log.

        With *page* it serves its page at the port `web`. Bridges of different names
        have different homes, as if they were on different machines.
        """
        env = {**self._env(name), "UPKEEP_BROKER_HOST": "127.0.0.1"}
        env["UPKEEP_BROKER_PORT"] = str(self.port)
        if name == "mktl":
            env["UPKEEP_METRICS_LISTEN"] = f"127.0.0.1:{self.metrics}"
        if page:
            env["UPKEEP_WEB_LISTEN"] = f"127.0.0.1:{self.web}"
            env["UPKEEP_WEB_OPEN"] = "true"
        command = [sys.executable, "-m", "mqtt_bridge"]
        for flag in flags:
            command += ["--set", flag]
        with self.log(name).open("wb") as out:
            process = self._spawn(command, env, out)
        self.until_logged(name, ready, process)
        return process

    def registry(self) -> None:
        """Start a registry, which several bridges need."""
        program = "from mktl_daemon.cli.mkregistryd import main; main()"
        process = self.program("registry", program)
        self.until_logged("registry", b"requests at", process)

    def program(self, name: str, text: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a Python program with a home and a log of its own."""
        with self.log(name).open("wb") as out:
            command = [sys.executable, "-c", text, *words]
            return self._spawn(command, self._env(name), out)

    def _env(self, name: str) -> dict[str, str]:
        return {
            **os.environ,
            "MKTL_HOME": str(self.folder / name),
            "MKTL_INTERFACE": "127.0.0.1",
            "MKTL_DISCOVERY": self._discovery,
        }

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def until_logged(
        self, name: str, text: bytes, process: subprocess.Popen[bytes]
    ) -> None:
        """Wait until the log *name* of *process* has *text*.

        RuntimeError if the process ends, or after ten minutes.
        """
        until = time.monotonic() + 600
        while text not in (log := self.log(name).read_bytes()):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(log[-2000:].decode())
            time.sleep(0.02)

    def bytes_sent(self) -> int:
        """Wait until the broker is quiet; return how many bytes it says it has sent."""
        counts = [-2, -1]
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.on_message = lambda _c, _d, message: counts.append(int(message.payload))
        client.on_connect = lambda *_: client.subscribe("$SYS/broker/bytes/sent")
        client.connect("127.0.0.1", self.port)
        # The broker also counts these messages to us, some tens of bytes each time.
        while counts[-1] - counts[-2] > 200 or counts[-2] < 0:
            client.loop(1.0)
        client.disconnect()
        return counts[-1]

    def subscribe(self, *topics: str) -> zmq.Socket[bytes]:
        """Return a bare SUB that is connected to the bridge."""
        [file] = (self.folder / "mktl" / "daemon" / "port" / "upkeep").glob("*.pub")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        subscriber = context.socket(zmq.SUB)
        subscriber.set(zmq.RCVHWM, 0)
        subscriber.set(zmq.RCVTIMEO, 120_000)
        for topic in topics:
            subscriber.subscribe(topic.encode())
        subscriber.connect(f"tcp://127.0.0.1:{int(file.read_text())}")
        self._stack.callback(lambda: context.destroy(linger=0))
        return subscriber

    def superseded(self) -> int:
        """Return how many states the bridge replaced by newer ones before reading."""
        address = f"http://127.0.0.1:{self.metrics}/metrics"
        with urllib.request.urlopen(address) as answer:
            [line] = [
                line
                for line in answer.read().decode().splitlines()
                if line.startswith("upkeep_messages_superseded_total ")
            ]
        return int(float(line.split()[1]))

    def _spawn(
        self,
        command: list[str],
        env: dict[str, str] | None = None,
        log: object = None,
        pipe: bool = False,
    ) -> subprocess.Popen[bytes]:
        out = subprocess.PIPE if pipe else log or subprocess.DEVNULL
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            command, cwd=ROOT, env=env, stdout=out, stderr=log or subprocess.DEVNULL
        )
        self._stack.callback(_end, process)
        return process


def megabytes(process: subprocess.Popen[bytes]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    [line] = [each for each in status.splitlines() if each.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(process: subprocess.Popen[bytes]) -> int:
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _until_open(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("the broker does not listen")


def _free_tcp() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free_udp() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, digit = divmod(number, 128)
        out.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(out)
