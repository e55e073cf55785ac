"""Runs a registry of mKTL beside the bridge, if `store.registry` is true."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import time

import mktl_daemon

logger = logging.getLogger(__name__)

WITHIN = 10.0  # seconds in which the registry must answer
CLOSE_WITHIN = 1.0  # seconds
# With this, Linux also ends the registry when the bridge is killed.
_PROGRAM = """
import ctypes, signal, sys
from mktl_daemon.cli.mkregistryd import main
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
sys.exit(main())
"""


class RegistryProcess:
    """`mkregistryd` as a child process, unless a registry answers already.

    With *here*, a registry on another machine does not count, since that machine may
    fail.
    """

    def __init__(self, *, here: bool = False) -> None:
        self._here = here
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, interface: str) -> None:
        """Start the registry, and wait until it answers. OSError: it does not."""
        if self._answers():
            if self._process is None:
                logger.info("store.registry: a registry answers already")
            return
        self.close()
        self._process = subprocess.Popen(  # noqa: S603 - this project's own program
            [sys.executable, "-c", _PROGRAM, "--interface", interface]
        )
        until = time.monotonic() + WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.close()
                raise OSError("store.registry: the registry does not start; see above")
            time.sleep(0.1)  # between two checks of another process

    def close(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_WITHIN)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            mktl_daemon.discover(local=self._here)
        except (RuntimeError, OSError):
            return False
        return True
