"""The printer that Home Assistant sees in these tests, and what is to do on it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from klippy_extra import contract
from klippy_extra.mqtt import discovery
from tests.system import parts
from tests.system.klippy import PRINTER_CFG, BackEnd, Printer, Virtual
from tests.system.listener import Listener

MAINTAIN = """
[maintain]
printer_name: {name}
model: Voron 2.4
web_page: http://127.0.0.1/
store: {{folder}}/upkeep.sqlite
publish_interval: 1
mqtt_host: 127.0.0.1
mqtt_port: {port}
base_topic: {base}
"""

# Nobody waits for a heater here.
MACHINE = PRINTER_CFG.replace("[extruder]\n", "[extruder]\nmin_extrude_temp: 0\n")
COLD = "G28\nG1 X0 Y0 Z0 F3000\n"

# Two limits of one unit, single limits of each unit, and two of different units.
TASKS = {
    "rods": """
[maintain rods]
label: Clean and oil the rods
message: Wipe them, then one drop of oil on each.
guide: https://docs.vorondesign.com/
trigger: print_time, time
threshold: 150, 720
""",
    "nozzle": """
[maintain nozzle]
label: Replace the nozzle
trigger: filament
threshold: 3000
""",
    "filter": """
[maintain filter]
label: Carbon filter
message: Replace the carbon.
guide: https://example.org/filter
trigger: print_time
threshold: 50
""",
    "cutter": """
[maintain cutter]
label: Cutter blade
trigger: jobs_completed
threshold: 3000
""",
    "belts": """
[maintain belts]
label: Check the belts
trigger: travel_x, print_time
threshold: 200000, 700
""",
}


class Voron:
    """The virtual printer, with the tasks above unless told otherwise."""

    def __init__(
        self,
        port: int,
        name: str = "Voron",
        tasks: dict[str, str] = TASKS,
        back_end: BackEnd | None = None,
        base: str = "klipper_upkeep",
    ) -> None:
        self._port, self._name, self._base = port, name, base
        self._more = ""
        # The broker is killed twice within a minute here. A printer would take that for
        # another client of its name, and stay away for as long.
        back_end = back_end or Virtual(1.0, "--trusting")
        self._printer = Printer(back_end, self._sections(tasks, name), MACHINE)

    def start(self) -> None:
        assert self._printer.start()[0] == "ready"

    def kill(self) -> None:
        """As a power cut does it."""
        self._printer.kill()

    def close(self) -> None:
        self._printer.close()

    def reconfigure(
        self, tasks: dict[str, str], name: str = "", more: str = ""
    ) -> None:
        """*more* are lines of `[maintain]`."""
        self._more = more
        self._printer.configure(self._sections(tasks, name or self._name))
        assert self._printer.restart()[0] == "ready"

    def log_of(self, task: str) -> str:
        return self._printer.console(f"MAINTENANCE_LOG NAME={task}")

    def wear_out(self, task: str, used: float) -> None:
        """As if so much had been used since it was done."""
        self._printer.gcode(f"ADJUST_MAINTENANCE NAME={task} USED={used}")

    def done(self, task: str) -> None:
        self._printer.gcode(f"UPDATE_MAINTENANCE NAME={task}")

    def print_something(self) -> None:
        """A file with a tenth of a metre of filament in it."""
        self._printer.print_file(COLD + parts.rings(layers=12))
        self._printer.finish_printing()

    def _sections(self, tasks: dict[str, str], name: str) -> str:
        section = MAINTAIN.format(port=self._port, name=name, base=self._base)
        section += self._more
        return section + "".join(tasks.values())


def forget(hears: Listener, about: str) -> None:
    """Clear all that a printer that was closed has retained; *about* is in it."""
    hears.wait(lambda told: told.topic.endswith("/availability") and told.retained)
    for topic in {told.topic for told in hears.heard if told.payload}:
        said = [told.payload for told in hears.heard if told.topic == topic]
        if about in topic or any(about.encode() in each for each in said):
            hears.publish(topic, "", retain=True)


def retained(hears: Listener, kind: str) -> dict[str, Any]:
    """What the broker keeps of the Voron: by task for `tasks`, else the one message."""
    wanted = [f"tasks/{task}" for task in TASKS] if kind == "tasks" else [kind]
    found = {}
    for each in wanted:
        told = hears.wait(
            lambda told, each=each: (
                told.retained and told.topic.endswith(f"/voron/{each}")
            )  # type: ignore[misc]
        )
        found[each.rsplit("/", 1)[-1]] = json.loads(told.payload)
    return found if kind == "tasks" else found[kind]


class Paper:
    """A printer of which nothing is there but what it has retained."""

    def __init__(
        self,
        hears: Listener,
        info: contract.Info,
        states: Sequence[contract.State] = (),
        availability: bytes = contract.OFFLINE,
    ) -> None:
        self._hears = hears
        self._name = contract.slug(info.name)
        made = discovery.announce(info, states, self._name)
        self._told = {each.topic: each.payload for each in made.messages}
        for state in states:
            self._told[self._topic("task", state.task)] = state.encode()
        self._told[self._topic("availability")] = availability
        for topic, payload in self._told.items():
            hears.publish(topic, payload, retain=True)

    def read(self, **meters: float) -> None:
        """Say what its meters read."""
        topic = self._topic("meters")
        self._told[topic] = contract.Meters(1, time.time(), meters).encode()
        self._hears.publish(topic, self._told[topic], retain=True)

    def clear(self) -> None:
        for topic in self._told:
            self._hears.publish(topic, "", retain=True)

    def _topic(self, kind: str, task: str | None = None) -> str:
        return contract.Topic(self._name, kind, task).format(contract.BASE)
