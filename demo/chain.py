"""The chain: broker, registry, bridge and printer, each a process, and their files."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import mktl_daemon
from demo.api import Api
from demo.broker import free_port
from demo.children import Child, Children
from demo.clock import Clock
from demo.klippy import EXTRAS, Source, board_command, board_environment
from demo.observer import Address, Observer
from mqtt_bridge import contract

HERE = Path(__file__).parent

FILE = "gear.gcode"

CONFIG = """\
[include {here}/printer.cfg]
[include {here}/maintain.cfg]

[mcu]
serial: {serial}

[virtual_sdcard]
path: {here}

"""
MAINTAIN = """\
[maintain]
printer_name: {name}
mqtt_host: {address.host}
mqtt_port: {address.port}
publish_interval: 30
{options}
"""
BRIDGE = """\
[broker]
host = "{address.host}"
port = {address.port}
{options}
"""


class Chain:
    """Everything that the demo starts. Leaving the context ends it, without a trace."""

    def __init__(self, speed: float, broker: Address | None, klippy: Source) -> None:
        self._klippy = klippy
        self._own_broker = broker is None
        self.address = broker or Address("127.0.0.1", free_port())
        # On a broker of the user's there may be another printer of our name, and
        # what is retained of that is not ours to clear.
        name = "Demo" if broker is None else f"Demo-{secrets.token_hex(2)}"
        self._name = name
        self.slug = contract.slug(name)
        self.folder = Path(tempfile.mkdtemp(prefix="klipper-upkeep-"))
        self.clock = Clock(speed, self.folder / "clock")
        ports = (free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM))
        self.environment = {
            "MKTL_HOME": str(self.folder / "mktl"),
            "MKTL_DISCOVERY": f"{ports[0]},{ports[1]}",
        }
        # The environment for a second terminal.
        variables = self.environment | {"PATH": f"{Path(sys.executable).parent}:$PATH"}
        self.bridge_settings = self.folder / "bridge.toml"
        self.environment_file = self.folder / "env"
        self.environment_file.write_text(
            "".join(f'export {name}="{value}"\n' for name, value in variables.items())
            + f'cd "{HERE.parent}"\n'
        )
        self.printer: Api | None = None
        self.observer: Observer | None = None
        self._children = Children()

    def __enter__(self) -> Chain:
        os.environ.update(self.environment)  # our own mKTL client is one of the chain
        mktl_daemon.home(self.environment["MKTL_HOME"])
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        # A second Ctrl-C must not leave half of it behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if self.printer is not None:
            self.printer.close()
        self._children.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.observer is not None:
            uuid = self.observer.uuids.get(self.slug)
            if uuid and not self._own_broker:
                # A broker that is gone needs no clearing.
                with contextlib.suppress(RuntimeError):
                    self.observer.clear(self.slug, uuid)
            self.observer.close()

    def check(self) -> None:
        """Raise `ChildError` if one of the processes is gone."""
        self._children.check()

    def _start(self) -> None:
        if self._own_broker:
            self._start_broker()
        self.observer = Observer(self.address)
        self._module("registry", "mktl_daemon.cli.mkregistryd")
        self._start_bridge()
        self._start_printer()

    def _module(self, name: str, module: str, *arguments: str) -> Child:
        """Start a program of ours by the printer's clock."""
        command = [sys.executable, "-m", module, *arguments]
        environment = self.clock.environment()
        return self._children.add(Child(name, command, self.folder, environment))

    def _start_broker(self) -> None:
        # By life's clock, as a broker of the user's.
        command = [sys.executable, "-m", "demo.broker", str(self.address.port)]
        broker = self._children.add(Child("broker", command, self.folder))
        broker.wait_until(self._broker_listens)

    def _broker_listens(self) -> bool:
        try:
            with socket.create_connection((self.address.host, self.address.port), 1):
                return True
        except OSError:
            return False

    def _start_bridge(self) -> None:
        options = ""
        if self.address.user is not None:
            options = f'credentials = "{self._credentials()}"\n'
        if self.address.tls:
            options += "tls = true\n"
        settings = BRIDGE.format(address=self.address, options=options)
        self.bridge_settings.write_text(settings)
        command = ("mqtt_bridge", "--config", str(self.bridge_settings))
        bridge = self._module("bridge", *command)
        bridge.wait_until(self._bridge_answers)

    def _credentials(self) -> Path:
        """The file that bridge and extra read name and password from."""
        secret = self.folder / "upkeep.secrets"
        secret.touch(mode=0o600)
        secret.write_text(
            f"username: {self.address.user}\npassword: {self.address.password}\n"
        )
        return secret

    def _bridge_answers(self) -> bool:
        try:
            mktl_daemon.get("upkeep")
        except (RuntimeError, TimeoutError):
            return False
        return True

    def _start_printer(self) -> None:
        options = ""
        if self.address.user is not None:
            options = f"credentials: {self._credentials()}\n"
        if self.address.tls:
            options += "mqtt_tls: True\n"
        maintain = MAINTAIN.format(
            name=self._name, address=self.address, options=options
        )
        config, serial = self.folder / "printer.cfg", self.folder / "serial"
        config.write_text(CONFIG.format(here=HERE, serial=serial) + maintain)
        self._start_board(config, serial)
        printer = self._start_klippy(config)

        def is_ready() -> bool:
            with contextlib.suppress(OSError):
                self.printer = self.printer or Api(self.folder / "api")
                return self.printer.is_ready()
            return False

        printer.wait_until(is_ready)

    def _start_board(self, config: Path, serial: Path) -> None:
        command = board_command(config, serial)
        environment = board_environment(self.clock)
        board = Child("board", command, self.folder, environment, is_held=True)
        self._children.add(board).wait_until(serial.exists)

    def _start_klippy(self, config: Path) -> Child:
        command = [
            *self._klippy.link(self.folder / "klippy", EXTRAS),
            *(str(config), "-a", str(self.folder / "api")),
            *("-I", str(self.folder / "tty"), "-l", str(self.folder / "klippy.log")),
        ]
        environment = self.clock.environment()
        klippy = Child("klippy", command, self.folder, environment, signal.SIGINT)
        self.clock.wait_for(klippy.pid)
        return self._children.add(klippy)
