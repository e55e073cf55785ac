"""``python -m benchmarks.soak --minutes 60`` runs a farm and a bridge with many faults.

At the end, each counter that an mKTL client reads must be the printer's own, each task
that was confirmed as done must be done, and the bridge must not be larger than after
the first quarter.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from benchmarks.bridge_rig import megabytes, printer, state
from mqtt_bridge import contract
from mqtt_bridge.contract import Command, ContractError, Result, State, Topic
from tests.fakes.mosquitto import Mosquitto

ROOT = Path(__file__).resolve().parents[1]
PRINTERS, TASKS = 20, 5
TICK = 0.05  # seconds
ANSWERED = 180.0  # seconds after which a client without an answer counts as hanging
FAULT = (4.0, 12.0)  # seconds between two faults


class Farm:
    """Printers that count and carry out commands. All use one MQTT client."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.RLock()
        self._seq = 1
        self.states = {
            (f"p{number}", f"t{task}"): state(f"t{task}", 1, 1.0)
            for number in range(PRINTERS)
            for task in range(TASKS)
        }
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._connected
        self._client.on_message = self._received
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def work(self) -> None:
        """Let some tasks count one step."""
        for key in self._chance.sample(sorted(self.states), 5):
            with self._lock:
                used = round(self.states[key].deciding.used + 0.01, 2)
                self._say(key, self._next(key, used))

    def _next(self, key: tuple[str, str], used: float, **more: Any) -> State:
        self._seq += 1
        old = self.states[key]
        made = state(key[1], self._seq, used)
        return made._replace(
            done_count=more.get("done_count", old.done_count),
            last_by=more.get("last_by", old.last_by),
        )

    def _say(self, key: tuple[str, str], state: State) -> None:
        self.states[key] = state
        topic = Topic(key[0], "task", key[1]).format(contract.BASE)
        if self._client.is_connected():
            self._client.publish(topic, state.encode(), qos=1, retain=True)

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"{contract.BASE}/+/tasks/+/command", 1)
        with self._lock:
            for number in range(PRINTERS):
                slug = f"p{number}"
                for topic, payload in printer(slug, TASKS):
                    where = Topic.parse(contract.BASE, topic)
                    state = self.states.get((slug, where.task or ""))
                    newest = payload if state is None else state.encode()
                    client.publish(topic, newest, qos=1, retain=True)

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            command = Command.decode(bytes(message.payload))
            where = Topic.parse(contract.BASE, message.topic)
        except ContractError:
            return
        key = (where.printer, where.task or "")
        if key not in self.states or command.transaction is None:
            return
        with self._lock:
            count = self.states[key].done_count + 1
            state = self._next(key, 0.0, done_count=count, last_by=command.by)
            self._say(key, state)
        result = Result(command.transaction, key[1], state.seq)
        topic = Topic(key[0], "results").format(contract.BASE)
        self._client.publish(topic, result.encode(), qos=1)


class Soak:
    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.broker = Mosquitto(folder).start()
        self.folder = folder
        self.env = {
            **os.environ,
            "UPKEEP_BROKER_HOST": "127.0.0.1",
            "UPKEEP_BROKER_PORT": str(self.broker.port),
        }
        self.registry = self._start("mktl_daemon.cli.mkregistryd")
        self.farm = Farm(self.broker.port, self.chance)
        self.bridge = self._start("mqtt_bridge")
        self.faults = dict.fromkeys(FAULTS, 0)
        self.sets = {"done": 0, "refused": 0}
        self.sizes: list[float] = []

    def close(self) -> None:
        self.farm.close()
        for process in (self.bridge, self.registry):
            process.kill()
            process.wait()
        self.broker.kill()

    def _start(self, module: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{module}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module], cwd=ROOT, env=self.env,
                stdout=log, stderr=log,
            )  # fmt: skip

    # Faults

    def broker_is_killed(self) -> None:
        self.broker.kill()
        time.sleep(self.chance.uniform(0.0, 3.0))
        self.broker.start()

    def bridge_is_killed(self) -> None:
        self.bridge.kill()
        self.bridge.wait()
        self.bridge = self._start("mqtt_bridge")

    def bridge_stands_still(self) -> None:
        self.bridge.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.5, 3.0))
        self.bridge.send_signal(signal.SIGCONT)

    def rubbish_comes(self) -> None:
        client = self._client()
        good = list(printer("p0", 1))
        for _ in range(500):
            topic, payload = self.chance.choice(good)
            damaged = bytearray(payload)
            damaged[self.chance.randrange(len(damaged))] = self.chance.randrange(128)
            client.publish(topic.replace("/p0/", "/rubbish/"), bytes(damaged), qos=1)
        huge = f"{contract.BASE}/rubbish/tasks/huge"
        client.publish(huge, b"x" * 10_000_000, qos=1).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def a_flood_comes(self) -> None:
        for _ in range(200):
            self.farm.work()

    def _client(self) -> paho.Client:
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        return client

    # The run

    def run(self, seconds: float) -> None:
        begin = time.monotonic()
        fault_at = begin + 5.0
        set_at = sample_at = begin + 3.0
        while (now := time.monotonic()) < begin + seconds:
            self.farm.work()
            if now > set_at:
                set_at = now + 1.0
                self._set()
            if now > sample_at:
                sample_at = now + 2.0
                self.sizes.append(megabytes(self.bridge))
            if now > fault_at:
                fault_at = now + self.chance.uniform(*FAULT)
                name = self.chance.choice(FAULTS)
                self.faults[name] += 1
                getattr(self, name)()
            time.sleep(TICK)

    def _set(self) -> None:
        slug, task = self.chance.choice(sorted(self.farm.states))
        before = self.farm.states[slug, task].done_count
        done = self._mk("set", f"upkeep.{slug}.{task}.done=1")
        if done.returncode == 0:
            assert self.farm.states[slug, task].done_count > before, (
                "the client got a result, but the printer has not done it"
            )
        self.sets["done" if done.returncode == 0 else "refused"] += 1

    def compare(self) -> list[str]:
        """Return a text for each task whose values differ in an mKTL client."""
        keys = sorted(self.farm.states)
        names = [f"upkeep.{p}.{t}.{f}" for p, t in keys for f in ("used", "done_count")]
        lines = self._mk("get", "--terse", "--unformatted", *names).stdout.split()
        if len(lines) != len(names):
            return [f"{len(lines)} of {len(names)} values"]
        wrong = []
        for number, key in enumerate(keys):
            state = self.farm.states[key]
            read = float(lines[2 * number]), int(lines[2 * number + 1])
            if read != (state.deciding.used, state.done_count):
                wrong.append(f"{key}: {read}, the printer says {state.deciding.used}")
        return wrong

    def _mk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mktl_daemon.cli.mk", *arguments],
            cwd=ROOT, env=self.env, capture_output=True, text=True, check=False,
            timeout=ANSWERED,
        )  # fmt: skip


FAULTS = (
    "broker_is_killed",
    "bridge_is_killed",
    "bridge_stands_still",
    "rubbish_comes",
    "a_flood_comes",
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="upkeep-soak-") as folder:
        os.environ["MKTL_HOME"] = f"{folder}/mktl"
        os.environ["MKTL_DISCOVERY"] = f"{_udp()},{_udp()}"
        os.environ["MKTL_INTERFACE"] = "127.0.0.1"
        soak = Soak(Path(folder), options.seed)
        try:
            soak.run(options.minutes * 60)
            wrong = _settled(soak)
            log = (Path(folder) / "mqtt_bridge.log").read_text()
        finally:
            soak.close()
    print(f"faults {soak.faults}, sets {soak.sets}")
    early, late = _halves(soak.sizes)
    print(f"memory {early:.0f} MB early, {late:.0f} MB late")
    tracebacks = log.count("Traceback")
    print(f"{len(wrong)} counters differ, {tracebacks} tracebacks")
    for each in wrong[:10]:
        print(each)
    if tracebacks:
        print(log[-4000:])
    return int(bool(wrong) or tracebacks > 0 or late > 1.1 * early + 10)


def _settled(soak: Soak) -> list[str]:
    until = time.monotonic() + 60
    while True:
        wrong = soak.compare()
        if not wrong or time.monotonic() > until:
            return wrong
        time.sleep(1.0)


def _halves(sizes: list[float]) -> tuple[float, float]:
    """Return the bridge's size in the second quarter of the run, and in the last."""
    quarter = max(1, len(sizes) // 4)
    early = sizes[quarter : 2 * quarter] or sizes
    return max(early), max(sizes[-quarter:])


def _udp() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
