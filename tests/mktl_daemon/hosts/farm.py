"""Many daemons of one store, each a process. They share what the first has imported.

``python farm.py 21`` prints a line with ``requests at`` when all daemons are ready.
"""

import os
import sys
from pathlib import Path

import mktl_daemon as mktl


class Farmer(mktl.Daemon):
    def describe_items(self):
        return {f"{self.alias}.count": {"type": "numeric", "initial": 7}}


def serve(number, home, ready):
    os.environ["MKTL_HOME"] = str(home / str(number))
    daemon = Farmer("pie", f"farmer{number}")
    os.write(ready, b".")
    os.read(alive, 1)  # These end with the first process, however it ends.
    daemon.cleanup()


count = int(sys.argv[1])
home = Path(os.environ["MKTL_HOME"])
end, ready = os.pipe()
alive, first = os.pipe()
for number in range(count):
    if os.fork() == 0:
        os.close(first)
        serve(number, home, ready)
        os._exit(0)
    os.read(end, 1)
print(f"{count} daemons, requests at many ports", flush=True)  # noqa: T201
sys.stdin.read()
