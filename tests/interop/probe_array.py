"""Setting and reading an array with either implementation, like probe.py."""

import importlib
import json
import queue
import sys

import numpy as np

mktl = importlib.import_module(sys.argv[1])
publications = queue.Queue()


def keep_value(item, value, timestamp):
    publications.put(value)


image = mktl.get("cake.image")
image.register(keep_value)
image.set(np.arange(12, dtype="int16").reshape(3, 4))
published = publications.get(timeout=10)
while getattr(published, "shape", None) != (3, 4):
    published = publications.get(timeout=10)

seen = [
    [str(array.dtype), list(array.shape), array.tolist()]
    for array in (image.value, published)
]
print(json.dumps(seen))  # noqa: T201 - this is its result
