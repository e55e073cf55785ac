"""A Moonraker from PyPI beside a printer, in its own environment.

`make test-klipper` makes that environment. The variable `MOONRAKER_PYTHON` names
another Python that has Moonraker.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mosquitto import free_port
from tests.system.klippy import ROOT, Printer, end, spawn, until

PYTHON = Path(
    os.environ.get("MOONRAKER_PYTHON") or ROOT / ".venv-moonraker" / "bin" / "python"
)
COMPONENT = ROOT / "deploy" / "moonraker" / "upkeep.py"
needs_moonraker = pytest.mark.skipif(
    not PYTHON.exists(), reason="no Moonraker: make .venv-moonraker/ready"
)
OPEN = "[authorization]\ntrusted_clients:\n  127.0.0.0/8\n"


class Moonraker:
    """A Moonraker for *printer*. *sections* are added to moonraker.conf."""

    def __init__(self, printer: Printer, *sections: str, access: str = OPEN) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = printer.folder / "moonraker"
        (self.folder / "config").mkdir(parents=True)
        server = (
            f"[server]\nhost: 127.0.0.1\nport: {self.port}\n"
            f"klippy_uds_address: {printer.folder}/api\n"
            "[machine]\nprovider: none\nvalidate_service: False\n"
            "[file_manager]\ncheck_klipper_config_path: False\n"
        )
        text = "\n".join([server, access, *sections])
        (self.folder / "config" / "moonraker.conf").write_text(text)
        # Moonraker expects the files of the virtual SD card where the printer has them.
        (self.folder / "gcodes").symlink_to(printer.folder / "gcodes")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Moonraker:
        _link_component()
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        command = [str(PYTHON), "-m", "moonraker", "-d", str(self.folder)]
        self._process = spawn(command, self.folder, self.folder / "out", {})
        try:
            until(self.ready, "Moonraker")
        except AssertionError:
            self.stop()
            raise

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            end(self._process, how)
            self._process = None

    @property
    def log(self) -> str:
        return (self.folder / "logs" / "moonraker.log").read_text()

    def ready(self) -> bool:
        try:
            answer = self.ask("/server/info")
        except urllib.error.HTTPError as error:
            return error.code == 401
        except (urllib.error.URLError, ConnectionError):
            return False
        return bool(answer["klippy_state"] == "ready")

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Return the result of a request."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["result"]


@functools.cache
def _link_component() -> None:
    """Link the component as `install.sh` does."""
    script = "import moonraker; print(moonraker.__path__[0])"
    done = subprocess.run(
        [str(PYTHON), "-c", script], capture_output=True, text=True, check=True
    )
    link = Path(done.stdout.strip()) / "components" / "upkeep.py"
    if not link.is_symlink() or link.resolve() != COMPONENT:
        made = link.with_name(f".{os.getpid()}.py")
        made.symlink_to(COMPONENT)
        made.replace(link)  # Tests that run at the same time make the same link.
