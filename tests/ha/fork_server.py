"""`python fork_server.py` starts Home Assistants that need not import themselves.

It imports Home Assistant and the integrations that the tests set up, and forks for each
start. What is tested, our integration, is not among that: each Home Assistant imports
its own copy. It runs on Home Assistant's Python, and carries out the requests of
`tests/system/fork_server.py`.
"""

import contextlib
import gc
import importlib
import logging
import os
import pkgutil
import runpy
import sys
from pathlib import Path

SERVER = Path(__file__).parents[1] / "system" / "fork_server.py"
DOMAINS = """
    automation config conversation diagnostics energy frontend history http local_todo
    logbook mobile_app mqtt my recorder repairs script sun websocket_api
"""


def prepare():
    """Import Home Assistant and all modules of these integrations."""
    importlib.import_module("homeassistant.__main__")
    importlib.import_module("homeassistant.bootstrap")
    logging.disable()  # Some say that a library for hardware is missing.
    for domain in DOMAINS.split():
        package = importlib.import_module(f"homeassistant.components.{domain}")
        for each in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):
                importlib.import_module(each.name)
    logging.disable(logging.NOTSET)
    assert "custom_components" not in sys.modules
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a fork would lose a thread"
    gc.collect()
    gc.freeze()


def main():
    """Carry out requests. In each new process run `python -m homeassistant`."""
    del sys.path[0]  # Our modules are there, and Home Assistant has others.
    prepare()
    folder, *sys.argv[1:] = runpy.run_path(str(SERVER))["serve"]()
    os.setsid()
    os.chdir(folder)
    sys.path.insert(0, folder)
    del sys.modules["homeassistant.__main__"]  # `runpy` would warn.
    runpy.run_module("homeassistant", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
