"""An array there and back, for either implementation; as probe.py."""

import importlib
import json
import queue
import sys

import numpy as np

mktl = importlib.import_module(sys.argv[1])
heard = queue.Queue()


def hear(item, value, timestamp):
    heard.put(value)


image = mktl.get("cake.image")
image.register(hear)
image.set(np.arange(12, dtype="int16").reshape(3, 4))
published = heard.get(timeout=10)
while getattr(published, "shape", None) != (3, 4):
    published = heard.get(timeout=10)

seen = [
    [str(array.dtype), list(array.shape), array.tolist()]
    for array in (image.value, published)
]
print(json.dumps(seen))  # noqa: T201 - its answer
