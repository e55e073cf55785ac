"""Starts the chain's processes, with their files: broker, registry, bridge, printer."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mktl_daemon
from demo.children import Child, free_port
from demo.clock import Clock
from demo.klippy import EXTRAS, Api, Source
from demo.observer import Address, Observer
from mqtt_bridge import contract

HERE = Path(__file__).parent
MODULE = (sys.executable, "-m")
FILE = "gear.gcode"
CONFIGURATIONS = ("printer.cfg", "maintain.cfg")

# Only this machine can connect. Without `plugins`, amqtt would load all of its own.
BROKER = """\
listeners: {{default: {{type: tcp, bind: "127.0.0.1:{port}"}}}}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin: {{allow_anonymous: true}}
"""


class Chain:
    """All that the demo starts. At the end of the context nothing of it is left."""

    printer: Api
    observer: Observer

    def __init__(self, speed: float, broker: Address | None, klippy: Source) -> None:
        self._klippy = klippy
        self._own_broker = broker is None
        self.address = broker or Address("127.0.0.1", free_port())
        # The user's own broker may already have a printer named Demo, whose retained
        # messages must not be cleared.
        name = "Demo" if broker is None else f"Demo-{secrets.token_hex(2)}"
        self.slug = contract.slug(name)
        self.folder = Path(tempfile.mkdtemp(prefix="klipper-upkeep-"))
        self.clock = Clock(speed, self.folder / "clock")
        ports = (free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM))
        self._environment = {
            "MKTL_HOME": str(self.folder / "mktl"),
            "MKTL_DISCOVERY": f"{ports[0]},{ports[1]}",
        }
        self._children: list[Child] = []
        self._end = contextlib.ExitStack()  # ends all in the opposite order
        self._end.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._write(name)

    def __enter__(self) -> Chain:
        os.environ.update(self._environment)  # this process is an mKTL client too
        mktl_daemon.home(self._environment["MKTL_HOME"])
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        # After a second Ctrl-C, some of the processes would stay.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._end.close()

    def check(self) -> None:
        """Raise `ChildError` if one of the processes has ended."""
        for child in self._children:
            child.check()

    # Files

    def _write(self, name: str) -> None:
        """Write the configurations, and the environment for a second terminal."""
        settings = {"host": self.address.host, "port": self.address.port}
        if self.address.tls:
            settings["tls"] = True
        options = {f"mqtt_{option}": value for option, value in settings.items()}
        options |= {"printer_name": name, "publish_interval": 30}
        if self.address.user is not None:
            # The printer and the bridge share this file. Other users may not read it.
            secret = self.folder / "upkeep.secrets"
            secret.touch(mode=0o600)
            text = f"username: {self.address.user}\npassword: {self.address.password}\n"
            secret.write_text(text)
            settings["credentials"] = options["credentials"] = str(secret)
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
        self.bridge_settings = self.folder / "bridge.toml"
        self.bridge_settings.write_text("[broker]\n" + "".join(lines))
        printer = "".join((HERE / each).read_text() for each in CONFIGURATIONS)
        # The printer needs the paths of the board and of the file that it prints.
        printer = printer.replace("/dev/null", str(self.folder / "serial"))
        printer = printer.replace("path: .", f"path: {HERE}")
        lines = [f"{option}: {value}\n" for option, value in options.items()]
        config = printer + "\n[maintain]\n" + "".join(lines)
        (self.folder / "printer.cfg").write_text(config)
        variables = self._environment | {"PATH": f"{Path(sys.executable).parent}:$PATH"}
        lines = [f'export {name}="{value}"\n' for name, value in variables.items()]
        self.environment_file = self.folder / "env"
        self.environment_file.write_text("".join(lines) + f'cd "{HERE.parent}"\n')

    # Processes

    def _start(self) -> None:
        faster = self.clock.environment()
        if self._own_broker:
            # Like a broker of the user, it runs in real time.
            settings = self.folder / "broker.yaml"
            settings.write_text(BROKER.format(port=self.address.port))
            broker = [*MODULE, "amqtt.scripts.broker_script", "-c", str(settings)]
            child = self._run("broker", broker, {})
            self.observer = child.wait_until(lambda: Observer(self.address))
        else:
            self.observer = Observer(self.address)
        self._end.callback(self._forget)
        self._run("registry", [*MODULE, "mktl_daemon.cli.mkregistryd"], faster)
        bridge = [*MODULE, "mqtt_bridge", "--config", str(self.bridge_settings)]
        child = self._run("bridge", bridge, faster)
        child.wait_until(lambda: mktl_daemon.get("upkeep"))
        config, serial = self.folder / "printer.cfg", self.folder / "serial"
        board = [*MODULE, "demo.board", str(config), str(serial)]
        clock = {"DEMO_CLOCK": str(self.clock.file)}
        self._run("board", board, clock).wait_until(serial.exists)
        command = [
            *self._klippy.link(self.folder / "klippy", EXTRAS),
            *(str(config), "-a", str(self.folder / "api")),
            *("-I", str(self.folder / "tty"), "-l", str(self.folder / "klippy.log")),
        ]
        klippy = self._run("klippy", command, faster)
        self.clock.wait_for(klippy.pid)
        self.printer = klippy.wait_until(lambda: Api(self.folder / "api"))
        self._end.callback(self.printer.close)
        klippy.wait_until(lambda: self.printer.call("info")["state"] == "ready")

    def _run(
        self, name: str, command: list[str], environment: Mapping[str, str]
    ) -> Child:
        child = Child(name, command, self.folder, environment)
        self._end.callback(child.end)
        self._children.append(child)
        return child

    def _forget(self) -> None:
        # A broker that has ended has no retained messages to clear.
        with contextlib.suppress(RuntimeError):
            if not self._own_broker:
                self.observer.clear(self.slug)
        self.observer.close()
