"""One bridge for a farm: the time until it has all retained messages, and its size.

The floor is a bare paho subscriber that receives the same retained messages, and then a
bare mKTL daemon that makes as many items with as many values.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bridge_rig import Rig, cpu, megabytes, threads
from benchmarks.table import Row, at_most
from mqtt_bridge.fleet.items import LIMIT, PRINTER, TASK

_PRINTERS, _TASKS = 10_000, 10

# This program keeps all retained messages. It ends when it has the given number of
# them.
_PAHO = """
import sys
import paho.mqtt.client as paho
port, count = int(sys.argv[1]), int(sys.argv[2])
kept = {}
def received(client, data, message):
    kept[message.topic] = message.payload
    if len(kept) == count:
        client.disconnect()
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client.on_message = received
client.on_connect = lambda *_: client.subscribe('klipper_upkeep/#', 1)
client.connect('127.0.0.1', port)
client.loop_forever()
"""

# This daemon makes the items of one printer for the given number of printers. It makes
# them in the same portions as the bridge, with the same settings of the interpreter.
_DAEMON = """
import sys
from benchmarks.bridge_rig import printer
from mktl_daemon import Daemon, Item
from mqtt_bridge import interpreter
from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Changes
printers, tasks = int(sys.argv[1]), int(sys.argv[2])
changes = Changes()
fleet = Fleet()
for topic, payload in printer('p', tasks):
    fleet.receive(topic, payload, 0.0, changes)
described = {key[1:]: item.description for key, item in changes.placed.items()}
rows = [(key[1:], value, when) for key, value, when in changes.rows]
class Bare(Daemon):
    def setup(self):
        interpreter.begin()
        for first in range(0, printers, 10):
            slugs = [f'p{number}' for number in range(first, first + 10)]
            with self.changing():
                self.add_items(
                    {s + key: each for s in slugs for key, each in described.items()}
                )
            self.publish((s + key, *rest) for s in slugs for key, *rest in rows)
Bare('upkeep', 'bare')
print('on the air', flush=True)
"""


def run() -> Iterator[Row]:
    with Rig() as rig:
        rig.retain(_PRINTERS, _TASKS)
        begin = time.monotonic()
        messages = _PRINTERS * (_TASKS + 4)
        rig.program("paho", _PAHO, str(rig.port), str(messages)).wait()
        flood = time.monotonic() - begin
        begin = time.monotonic()
        bare = rig.program("bare", _DAEMON, str(_PRINTERS), str(_TASKS))
        rig.until_logged("bare", b"on the air", bare)
        making = time.monotonic() - begin
        bare.kill()
        bare.wait()
        begin = time.monotonic()
        bridge = rig.bridge()
        took = time.monotonic() - begin
        size = megabytes(bridge)
        count = _PRINTERS * (_TASKS * len(TASK + LIMIT) + len(PRINTER) + 1)
        farm = f"{_PRINTERS} printers, {count / 1e6:.1f} million items"
        yield at_most(
            f"{farm}: ready, beside bare paho for the flood and a bare daemon",
            f"{took:.0f} s of {flood:.0f} s + {making:.0f} s",
            took / (flood + making),
            1.5,
        )
        yield Row(f"{farm}: processor time until ready", f"{cpu(bridge):.0f} s")
        yield Row(f"{farm}: memory", f"{size:.0f} MB", None, "< 2000 MB", size < 2000)
        many = threads(bridge)
        yield Row(f"{farm}: threads", f"{many}", None, "< 40", many < 40)
