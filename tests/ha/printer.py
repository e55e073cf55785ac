"""The printer of these tests, and what a test can do with it."""

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

# Two limits of one unit, single limits of each unit, and two limits of different units.
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
    """The virtual printer, with the tasks above or with others."""

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
        # The tests kill the broker twice within a minute. A printer could take this for
        # another client with its name, and would wait a minute before it reconnects.
        back_end = back_end or Virtual(1.0, "--trusting")
        self._printer = Printer(back_end, self._sections(tasks, name), MACHINE)

    def start(self) -> None:
        assert self._printer.start()[0] == "ready"

    def kill(self) -> None:
        """Stop as suddenly as in a power cut."""
        self._printer.kill()

    def close(self) -> None:
        self._printer.close()

    def reconfigure(
        self, tasks: dict[str, str], name: str = "", more: str = ""
    ) -> None:
        """Change the configuration. *more* are lines of `[maintain]`."""
        self._more = more
        self._printer.configure(self._sections(tasks, name or self._name))
        assert self._printer.restart()[0] == "ready"

    def log_of(self, task: str) -> str:
        return self._printer.console(f"MAINTENANCE_LOG NAME={task}")

    def wear_out(self, task: str, used: float) -> None:
        """Set what was used since the task was done."""
        self._printer.gcode(f"ADJUST_MAINTENANCE NAME={task} USED={used}")

    def done(self, task: str) -> None:
        self._printer.gcode(f"UPDATE_MAINTENANCE NAME={task}")

    def print_something(self) -> None:
        """Print a file with a tenth of a metre of filament."""
        self._printer.print_file(COLD + parts.rings(layers=12))
        self._printer.finish_printing()

    def _sections(self, tasks: dict[str, str], name: str) -> str:
        section = MAINTAIN.format(port=self._port, name=name, base=self._base)
        section += self._more
        return section + "".join(tasks.values())


def forget(listener: Listener, about: str) -> None:
    """Clear all retained topics of a closed printer.

    They have *about* in their names.
    """
    listener.wait(
        lambda message: message.topic.endswith("/availability") and message.retained
    )
    for topic in {message.topic for message in listener.messages if message.payload}:
        payloads = [
            message.payload for message in listener.messages if message.topic == topic
        ]
        if about in topic or any(about.encode() in each for each in payloads):
            listener.publish(topic, "", retain=True)


def retained(listener: Listener, kind: str) -> dict[str, Any]:
    """Return what the broker retains of the Voron.

    For `tasks` it is a dict by task, otherwise one message.
    """
    wanted = [f"tasks/{task}" for task in TASKS] if kind == "tasks" else [kind]
    messages = {}
    for each in wanted:
        message = listener.wait(
            lambda message, each=each: (
                message.retained and message.topic.endswith(f"/voron/{each}")
            )  # type: ignore[misc]
        )
        messages[each.rsplit("/", 1)[-1]] = json.loads(message.payload)
    return messages if kind == "tasks" else messages[kind]


class Paper:
    """A printer that only exists as retained messages."""

    def __init__(
        self,
        listener: Listener,
        info: contract.Info,
        states: Sequence[contract.State] = (),
        availability: bytes = contract.OFFLINE,
        summary: contract.Summary | None = None,
    ) -> None:
        self._listener = listener
        self._name = contract.slug(info.name)
        made = discovery.announce(info, states, self._name)
        self._retained = {each.topic: each.payload for each in made.messages}
        for state in states:
            self._retained[self._topic("task", state.task)] = state.encode()
        if summary is not None:
            self._retained[self._topic("summary")] = summary.encode()
        self._retained[self._topic("availability")] = availability
        for topic, payload in self._retained.items():
            listener.publish(topic, payload, retain=True)

    def read(self, **meters: float) -> None:
        """Publish the readings of its meters."""
        topic = self._topic("meters")
        self._retained[topic] = contract.Meters(1, time.time(), meters).encode()
        self._listener.publish(topic, self._retained[topic], retain=True)

    def clear(self) -> None:
        for topic in self._retained:
            self._listener.publish(topic, "", retain=True)

    def _topic(self, kind: str, task: str | None = None) -> str:
        return contract.Topic(self._name, kind, task).format(contract.BASE)
