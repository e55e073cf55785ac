"""Runs the bridge until it is told to end; a standby while the main bridge is gone."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, SimpleNamespace

from mktl_daemon import RefusedError
from mqtt_bridge import settings, systemd
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.broker.watcher import Watcher
from mqtt_bridge.daemon import BridgeDaemon

logger = logging.getLogger(__name__)

AGAIN = 5.0  # seconds until a registry that refused is asked again
# The same for a standby: the main bridge lives and has only lost its broker.
STANDBY_AGAIN = 15.0
GLANCE = 0.5  # seconds between two looks at what the main bridge says


def serve(loaded: settings.Settings) -> int:
    """Run the bridge until SIGINT, SIGTERM or SIGHUP; 0 if it was asked to end."""
    runner = Runner(loaded)
    # SIGHUP, too: who starts the bridge starts it again, with the settings of then.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, runner.leave)
    with runner.watching():
        return runner.run()


class Runner:
    """Starts one bridge after the other with these settings, until `leave`."""

    def __init__(self, loaded: settings.Settings) -> None:
        self._settings = loaded
        self._stop = threading.Event()
        self._daemon: BridgeDaemon | None = None
        self._presence = Presence.of(loaded)
        self._is_standby = loaded.store.role == settings.STANDBY
        self._is_waiting = False  # a standby, for the main bridge to go
        self._watcher: Watcher | None = None

    def leave(self, _number: int, _frame: FrameType | None) -> None:
        """End the bridge; called by signals."""
        self._stop.set()
        if self._daemon is not None:
            self._daemon.stop()
        elif not self._is_waiting:
            raise SystemExit(0)  # still being set up: the constructor cleans up

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Hear the main bridge meanwhile, if this is a standby."""
        if not self._is_standby or self._presence is None:
            yield
            return
        self._watcher = Watcher(self._settings.broker, self._presence)
        self._watcher.start()
        try:
            yield
        finally:
            self._watcher.close()

    def run(self) -> int:
        """Return the exit code."""
        while not self._stop.is_set() and self._wait():
            try:
                self._daemon = start(self._settings, self._presence)
            except RefusedError as error:
                # Another bridge still has some of these printers: it may be leaving.
                logger.error("%s; trying again", error)  # noqa: TRY400
                self._pause(STANDBY_AGAIN if self._is_standby else AGAIN)
                continue
            except (OSError, RuntimeError, ValueError) as error:
                print(f"upkeep-bridge: {error}", file=sys.stderr)
                return 2 if isinstance(error, settings.SettingsError) else 1
            try:
                self._stay(self._daemon)
            finally:
                if not self._is_standby or self._stop.is_set():
                    systemd.tell("STOPPING=1")
                self._daemon.cleanup()
                self._daemon = None
                if self._watcher is not None:
                    self._watcher.say_left()
            if not self._is_standby:
                break
        return 0

    def _pause(self, seconds: float) -> None:
        self._is_waiting = True
        self._stop.wait(seconds)
        self._is_waiting = False

    def _wait(self) -> bool:
        """Wait until this bridge is needed; False: it is to end."""
        if not self._is_standby or self._presence is None:
            return True
        systemd.tell("READY=1")
        logger.info("standing by for the main bridge")
        while not self._presence.is_absent(time.monotonic()):
            self._pause(min(systemd.pause() or GLANCE, GLANCE))
            if self._stop.is_set():
                return False
            systemd.tell("WATCHDOG=1")
        logger.warning("the main bridge is gone: this standby takes its place")
        return True

    def _stay(self, daemon: BridgeDaemon) -> None:
        systemd.tell("READY=1")
        pause = systemd.pause()
        if self._is_standby:
            pause = min(pause or GLANCE, GLANCE)
        while not daemon.shutdown.wait(pause):
            # Proof of life: the bridge's own thread has to answer.
            daemon.bridge.call(lambda: systemd.tell("WATCHDOG=1"))
            if self._is_relieved:
                logger.warning("the main bridge is back: this standby leaves")
                return

    @property
    def _is_relieved(self) -> bool:
        presence = self._presence if self._is_standby else None
        return presence is not None and presence.other_serves(time.monotonic())


def start(loaded: settings.Settings, presence: Presence | None = None) -> BridgeDaemon:
    """Return the bridge on the air. RefusedError: other bridges have its printers."""
    store = loaded.store
    options = SimpleNamespace(settings=loaded, presence=presence)
    return BridgeDaemon(store.name, store.alias, options=options)
