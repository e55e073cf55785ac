"""Starts a real broker on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from tests import programs
from tests.brokers.scripted import ScriptedBroker

HERE = Path(__file__).resolve().parent
_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
PATIENCE = 60.0  # seconds in which it must listen


BROKERS = ("mosquitto", "nats", "rabbitmq", "aedes", "amqtt", "scripted")


class Broker:
    """A broker that listens on `port`. Its output is in `log`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(dir=folder, prefix=f"{name}-"))
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def run(self, command: list[str], **env: str) -> None:
        programs.watch_log(self.folder / "log", programs.errors_of_broker(self.name))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log,
                env={**os.environ, **env}, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        if self._process is not None:
            # RabbitMQ is a shell that runs Erlang, and both are in one process group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def await_port(self) -> None:
        """Wait until MQTT is answered on the port.

        RabbitMQ listens before it is ready.
        """
        until = time.monotonic() + PATIENCE
        while not _answers(self.port):
            assert self._process is not None
            assert self._process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.05)  # the pause between two attempts to connect


def start(name: str, folder: Path, *lines: str) -> Broker | ScriptedBroker:
    """Start *name*.

    *lines* are added to the configuration, which only mosquitto has.
    """
    if name == "scripted":
        return ScriptedBroker()
    broker = Broker(name, folder)
    try:
        _START[name](broker, lines)
        broker.await_port()
    except BaseException:
        broker.kill()
        raise
    return broker


def _mosquitto(broker: Broker, lines: tuple[str, ...]) -> None:
    broker.port = _free_port()
    config = broker.folder / "mosquitto.conf"
    text = f"user root\nlistener {broker.port} 127.0.0.1\nallow_anonymous true\n"
    config.write_text(text + "\n".join(lines) + "\n")
    broker.run([programs.require("mosquitto"), "-c", str(config), "-v"])


def _nats(broker: Broker, _lines: tuple[str, ...]) -> None:
    broker.port = _free_port()
    config = broker.folder / "nats.conf"
    config.write_text(
        f'server_name: test\nlisten: "127.0.0.1:{_free_port()}"\n'
        f'jetstream {{ store_dir: "{broker.folder}" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{broker.port}" }}\n'
    )
    broker.run([programs.require("nats-server"), "-c", str(config)])


def _rabbitmq(broker: Broker, _lines: tuple[str, ...]) -> None:
    broker.port = _free_port()
    plugins, config = broker.folder / "plugins", broker.folder / "rabbitmq.conf"
    plugins.write_text("[rabbitmq_mqtt].\n")
    config.write_text(
        f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{broker.port}\n"
        "mqtt.allow_anonymous = true\n"
    )
    # Debian's own script changes to another user, who may not read the test's files.
    outer, inner = programs.require("rabbitmq-server"), Path(_RABBITMQ)
    broker.run(
        [str(inner) if inner.exists() else outer],
        HOME=str(broker.folder),
        RABBITMQ_NODENAME=f"upkeep{broker.port}@localhost",
        # For a moment Erlang still remembers the last broker and its port.
        RABBITMQ_DIST_PORT=str(_free_port()),
        RABBITMQ_BASE=str(broker.folder),
        RABBITMQ_MNESIA_BASE=str(broker.folder / "mnesia"),
        RABBITMQ_LOG_BASE=str(broker.folder),
        RABBITMQ_LOGS="-",
        RABBITMQ_CONFIG_FILE=str(config),
        RABBITMQ_ENABLED_PLUGINS_FILE=str(plugins),
        RABBITMQ_PID_FILE=str(broker.folder / "pid"),
    )


def _aedes_broker(broker: Broker, _lines: tuple[str, ...]) -> None:
    modules = programs.require_node_package("aedes", HERE)
    node = programs.require("node")
    broker.run([node, str(HERE / "aedes.cjs")], NODE_PATH=str(modules))
    until = time.monotonic() + PATIENCE
    while not broker.log.strip().isdigit():
        assert time.monotonic() < until, broker.log
        time.sleep(0.05)  # the pause between two readings of the output
    broker.port = int(broker.log)


def _amqtt_broker(broker: Broker, _lines: tuple[str, ...]) -> None:
    broker.port = _free_port()
    program = f"""
        import asyncio
        from amqtt.broker import Broker
        config = {{
            "listeners": {{
                "default": {{"type": "tcp", "bind": "127.0.0.1:{broker.port}"}}
            }},
            "plugins": {{
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {{
                    "allow_anonymous": True
                }}
            }},
        }}
        async def main():
            broker = Broker(config)
            await broker.start()
            await asyncio.Event().wait()
        asyncio.run(main())
    """
    broker.run([sys.executable, "-c", textwrap.dedent(program)])


_START = {
    "mosquitto": _mosquitto,
    "nats": _nats,
    "rabbitmq": _rabbitmq,
    "aedes": _aedes_broker,
    "amqtt": _amqtt_broker,
}


def _answers(port: int) -> bool:
    """Whether a CONNECT of MQTT 3.1.1 gets a CONNACK."""
    connect = b"\x10\x12\0\4MQTT\4\2\0\x3c\0\6upkeep"
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as probe:
            probe.sendall(connect)
            return probe.recv(4)[:1] == b"\x20"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
