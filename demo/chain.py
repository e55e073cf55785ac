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
from demo import realklippy
from demo.api import Api
from demo.broker import free_port
from demo.children import Child, Children
from demo.observer import Address, Observer, clear
from demo.realklippy import RealKlippy
from mqtt_bridge import contract

HERE = Path(__file__).parent

CONFIG = """\
[include {here}/printer.cfg]
[include {here}/maintain.cfg]

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

    def __init__(
        self, speed: float, broker: Address | None, klippy: RealKlippy | None
    ) -> None:
        """ValueError: *klippy* runs already, and nobody said at which broker."""
        if klippy is not None and not klippy.is_ours and broker is None:
            raise ValueError(
                "a Klippy that runs already is seen at its broker: name that with"
                " --broker; or build the checkout's firmware for the Linux process"
            )
        self.speed = speed if klippy is None else 1.0
        self.file = "gear.gcode" if klippy is None else realklippy.FILE
        self._klippy = klippy
        self._own_broker = broker is None
        self.address = broker or Address("127.0.0.1", free_port())
        # On a broker of the user's there may be another printer of our name, and
        # what is retained of that is not ours to clear.
        name = "Demo" if broker is None else f"Demo-{secrets.token_hex(2)}"
        self._name = name
        self.slug = contract.slug(name)
        self.folder = Path(tempfile.mkdtemp(prefix="klipper-upkeep-"))
        ports = (free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM))
        self.environment = {
            "MKTL_HOME": str(self.folder / "mktl"),
            "MKTL_DISCOVERY": f"{ports[0]},{ports[1]}",
        }
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
        if self._klippy is not None:
            self._klippy.leave()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.observer is not None:
            self.observer.close()
            uuid = self.observer.uuids.get(self.slug)
            if uuid and self.runs_printer and not self._own_broker:
                # A broker that is gone has nothing that we could clear.
                with contextlib.suppress(OSError):
                    clear(self.address, self.slug, uuid)

    @property
    def runs_printer(self) -> bool:
        """Whether there is a printer of the demo's own, to do with as it likes."""
        return self._klippy is None or self._klippy.is_ours

    def check(self) -> None:
        """Raise `ChildError` if one of the processes is gone."""
        self._children.check()

    def _start(self) -> None:
        if self._own_broker:
            self._start_broker()
        self.observer = Observer(self.address)
        self._module("registry", "mktl_daemon.cli.mkregistryd")
        self._start_bridge()
        if self.runs_printer:
            self._start_printer()

    def _module(self, name: str, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", module, *arguments]
        return self._children.add(Child(name, command, self.folder))

    def _start_broker(self) -> None:
        broker = self._module("broker", "demo.broker", str(self.address.port))
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
        settings = self.folder / "bridge.toml"
        settings.write_text(BRIDGE.format(address=self.address, options=options))
        bridge = self._module("bridge", "mqtt_bridge", "--config", str(settings))
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
        api = self.folder / "printer.sock"
        if self._klippy is not None:
            printer = self._klippy.start(self._children, self.folder, maintain, api)
        else:
            printer = self._start_virtual_printer(maintain, api)

        def is_ready() -> bool:
            with contextlib.suppress(OSError):
                self.printer = self.printer or Api(api)
                return self.printer.is_ready()
            return False

        printer.wait_until(is_ready)

    def _start_virtual_printer(self, maintain: str, api: Path) -> Child:
        config = self.folder / "printer.cfg"
        config.write_text(CONFIG.format(here=HERE) + maintain)
        command = [
            *(sys.executable, "-m", "tests.fakes.klippy", str(config)),
            *("--speed", str(self.speed), "--api", str(api)),
            *("--log", str(self.folder / "klippy.log")),
        ]
        printer = Child("printer", command, self.folder, ending=signal.SIGINT)
        return self._children.add(printer)
