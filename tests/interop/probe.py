"""All uses of a client, with either implementation: they have one interface.

``python probe.py mktl_daemon`` prints the results as one JSON object.
"""

import importlib
import json
import queue
import sys

mktl = importlib.import_module(sys.argv[1])
seen = {}


def get(key):
    item = mktl.get("cake." + key)
    return [item.value, item.formatted]


def change(key, value, formatted=False):
    item = mktl.get("cake." + key)
    item.set(value, formatted=formatted)
    return item.get(refresh=True)


def refusal(attempt):
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - every error is a result
        return isinstance(error, (RuntimeError, KeyError))
    return "nothing was raised"


for key in ("count", "note", "lit", "taste", "leds", "angle", "list", "deep.er"):
    seen["get " + key] = get(key)

seen["set count"] = change("count", 5)
seen["set count to a fraction"] = change("count", 5.25)
seen["set note"] = change("note", "a piece of é🥧")
seen["set lit"] = change("lit", "on", formatted=True)
seen["set taste"] = change("taste", "SOUR", formatted=True)
seen["set leds"] = change("leds", "red, blue", formatted=True)
seen["set angle"] = round(change("angle", "90:00:00", formatted=True), 6)
seen["set list"] = change("list", [4, 5.5])
seen["set deep.er"] = change("deep.er", "still")

seen["quantity"] = round(mktl.get("cake.angle").quantity.to("degree").magnitude, 6)

seen["fixed cannot be set"] = refusal(lambda: mktl.get("cake.fixed").set(1))
seen["a bad value is refused"] = refusal(lambda: mktl.get("cake.taste").set(99))
seen["an unknown key is refused"] = refusal(lambda: mktl.get("cake.nothing"))
seen["fixed stays"] = mktl.get("cake.fixed").get(refresh=True)

values_seen = queue.Queue()


def keep_value(item, value, timestamp):
    values_seen.put(value)


count = mktl.get("cake.count")
count.register(keep_value)
count.set(100)
for value in range(101, 121):
    # one after the other, because the reference keeps no order in a burst
    count.set(value)
values = []
while not values or values[-1] != 120:
    values.append(values_seen.get(timeout=10))
seen["heard"] = values[-21:]
seen["pending"] = count.set(7, wait=False).wait(10) is not None
while values_seen.get(timeout=10) != 7:
    continue

count += 3
seen["in place"] = count.get(refresh=True)
seen["keys"] = sorted(filter(lambda key: key[0] != "_", mktl.get("cake").keys()))
seen["uptime"] = mktl.get("cake._batterclk").get(refresh=True) > 0

print(json.dumps(seen))  # noqa: T201 - this is its result
