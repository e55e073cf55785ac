"""Two printers from one image of an SD card at one broker, with a bridge beside them.

They have one uuid, one name and so one client id. When one of them connects, the broker
ends the connection of the other.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from functools import partial

import pytest

from tests import forks
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.virtual_printer import VirtualPrinter
from tests.mqtt_bridge.processes import Community
from tests.system.listener import Listener
from tests.system.test_bridge_people import Ntfy
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

MINUTE = 60.0  # seconds that are watched, as the documentation promises
STEP = 0.5
ASKS = "// action:prompt_begin Is this printer a copy?"


class Farm:
    """A broker, a bridge that sends messages to people, and printers from one image."""

    def __init__(self, folder, version, monkeypatch):
        self.folder = folder
        self.version = version
        self._monkeypatch = monkeypatch
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        use = self._stack.enter_context
        self.broker = Mosquitto(self.folder).start()
        self._stack.callback(self.broker.kill)
        self.image = self.folder / "image"
        with self.start(self.folder / "none"):
            pass  # The first start loads the extra.
        self.use_machine("first")
        with self.start(self.image) as printer:
            printer.gcode("ADJUST_MAINTENANCE NAME=rods USED=200")
            uuid = printer.lookup("maintain").memory.uuid
            printer.wait_for(lambda: is_live(printer))
        self.client_id = f"upkeep-{uuid[:16]}"
        self.before = self.connections
        self.phone = use(Ntfy())
        self.community = use(Community(self.folder))
        self.listener = use(Listener(self.broker.port))
        settings = self.folder / "bridge.toml"
        settings.write_text(
            f'[push]\nstate = "{self.folder}/told.db"\n'
            f'[[push.rule]]\nto = ["{self.phone.address}"]\nevents = ["due", "done"]\n'
        )
        self.bridge = self.community.bridge(self.broker.port, file=settings)
        return self

    def __exit__(self, *error):
        self._stack.close()

    def use_machine(self, serial):
        """Start the following printers on a machine with that serial number."""
        root = self.folder / f"machine-{serial}"
        number = root / "sys/firmware/devicetree/base/serial-number"
        number.parent.mkdir(parents=True)
        number.write_text(serial)
        identity = sys.modules["extras.maintain.identity"]
        self._monkeypatch.setattr(identity, "ROOT", root)

    def start(self, card):
        card.mkdir(exist_ok=True)
        config = (
            f"[maintain]\nstore: {card}/store\nprinter_name: voron\n"
            f"mqtt_host: 127.0.0.1\nmqtt_port: {self.broker.port}\n"
            f"mqtt_version: {self.version}\n"
            "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
        )
        return VirtualPrinter(config, card)

    def copy(self, name):
        """Start a printer from a copy of the image."""
        card = self.folder / name
        shutil.copytree(self.image, card)
        return self._stack.enter_context(self.start(card))

    @property
    def connections(self):
        """How often the printers' client has connected, from the broker's own log."""
        lines = self.broker.log.splitlines()
        return sum(f" as {self.client_id} " in line for line in lines)

    @property
    def made(self):
        """The number of connections of the copies."""
        return self.connections - self.before

    def cleared(self):
        return [each.topic for each in self.listener.messages if not each.payload]

    def run(self, command):
        """Run `upkeep-bridge` with *command*."""
        flags = [f"broker.port={self.broker.port}", "broker.host=127.0.0.1"]
        options = [word for flag in flags for word in ("--set", flag)]
        env = self.community.env
        return forks.run("mqtt_bridge", *options, *command.split(), env=env)


def is_live(printer):
    printer.advance(0.1)
    connection = printer.lookup("maintain").life.connection
    return connection is not None and connection.publisher.live


@pytest.fixture(params=["3.1.1", "5"])
def farm(request, tmp_path, monkeypatch):
    with Farm(tmp_path, request.param, monkeypatch) as made:
        yield made


def test_two_printers_from_one_image_connect_seldom_and_delete_nothing(farm):
    """Nobody can know which of them is the copy. Both go on counting.

    The minute is real, because the documentation promises it to brokers.
    """
    printers = [farm.copy("first"), farm.copy("second")]
    deadline = time.monotonic() + MINUTE
    while time.monotonic() < deadline:
        for printer in printers:
            printer.advance(STEP)
        time.sleep(STEP)

    assert 2 <= farm.made < 5, farm.broker.log
    assert farm.cleared() == []
    assert any("a copied card" in line for each in printers for line in each.console)
    for printer in printers:
        assert printer.status("maintain rods")["used"] == 200.0
    get = partial(farm.community.get, "voron.online", "voron.rods.used")
    until(lambda: get() == [1, 200.0], "the one of them that is online")
    assert "has no printer" not in farm.bridge.log
    assert farm.phone.messages == []
    check = farm.run("check")
    assert check.returncode == 0, check
    assert "printers: 1 found at the broker" in check.stdout, check
    assert farm.run("watch --once").stdout.count("voron") == 1


def test_a_copy_on_another_machine_does_not_connect_to_the_broker(farm):
    """It goes on counting, and gets a new identity.

    The first printer's messages stay.
    """
    first = farm.copy("first")
    first.wait_for(lambda: is_live(first))
    farm.use_machine("another")
    second = farm.copy("second")
    second.wait_for(lambda: second.advance(STEP) or ASKS in second.console)

    assert farm.made == 1
    assert second.status("maintain rods")["used"] == 200.0
    assert "identity of its own" in "".join(second.gcode("MAINTENANCE_IDENTITY NEW=1"))
    # The first printer still has the name, and publishes it.
    second.wait_for(
        lambda: (
            first.advance(STEP) or second.advance(STEP)
            or any("Another printer" in line for line in second.console)
        )
    )  # fmt: skip
    assert farm.made == 1
    assert farm.cleared() == []
    assert farm.community.get("voron.online", "voron.rods.used") == [1, 200.0]
    assert farm.phone.messages == []
