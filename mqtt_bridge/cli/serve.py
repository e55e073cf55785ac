"""Runs the bridge until a signal. A standby serves while the main bridge is absent."""

from __future__ import annotations

import _thread
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
from mqtt_bridge.registry import RegistryProcess

logger = logging.getLogger(__name__)

AGAIN = 5.0  # seconds between two attempts after a registry has refused the bridge
# The same for a standby. The main bridge then runs, and has only lost its broker.
STANDBY_AGAIN = 15.0
# Seconds between two checks of the main bridge's presence. Python does not see a signal
# that arrives just before its main thread sleeps, until this thread is awake again.
GLANCE = 0.5
# Seconds for which a standby still serves after the main bridge took over, since a
# registry may need a minute for many printers.
GOES_ON = 60.0


def serve(loaded: settings.Settings) -> int:
    """Run the bridge until SIGINT, SIGTERM or SIGHUP. Return the exit code, 0 then."""
    runner = Runner(loaded)
    # SIGHUP ends it too. The service manager then starts it again with new settings.
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
        self._is_waiting = False  # whether it waits after a registry's refusal
        self._standby = (
            Standby(loaded, self._stop)
            if loaded.store.role == settings.STANDBY
            else None
        )

    def leave(self, _number: int, _frame: FrameType | None) -> None:
        """End the bridge. This handles signals."""
        # This thread may wait for one of the events, and have its lock.
        _thread.start_new_thread(self._end, ())
        if self._daemon is None and not self._is_waiting and self._standby is None:
            raise SystemExit(0)  # the constructor still runs, and cleans up
        # The constructor of a standby collects garbage, and Python would lose an
        # exception in a callback of a weak reference. So a standby checks the flag.

    def _end(self) -> None:
        self._stop.set()
        daemon = self._daemon
        if daemon is not None:
            daemon.stop()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the main bridge meanwhile, if this is a standby."""
        if self._standby is None:
            yield
            return
        self._standby.start()
        try:
            yield
        finally:
            self._standby.close()

    def run(self) -> int:
        """Return the exit code."""
        while not self._stop.is_set():
            try:
                self._daemon = start(self._settings, self._standby)
                if self._stop.is_set():
                    self._daemon.stop()
            except RefusedError as error:
                # Another bridge still has some of these printers. It may be ending.
                logger.error("%s; trying again", error)  # noqa: TRY400
                self._pause(AGAIN if self._standby is None else STANDBY_AGAIN)
                continue
            except (OSError, RuntimeError, ValueError) as error:
                print(f"upkeep-bridge: {error}", file=sys.stderr)
                return 2 if isinstance(error, settings.SettingsError) else 1
            try:
                self._stay(self._daemon)
            finally:
                if self._standby is None or self._stop.is_set():
                    systemd.tell("STOPPING=1")
                self._daemon.cleanup()
                self._daemon = None
                if self._standby is not None:
                    self._standby.say_left()
            if self._standby is None:
                break
        return 0

    def _pause(self, seconds: float) -> None:
        self._is_waiting = True
        self._stop.wait(seconds)
        self._is_waiting = False

    def _stay(self, daemon: BridgeDaemon) -> None:
        systemd.tell("READY=1")
        while not daemon.shutdown.wait(_glance()):
            # The bridge's own thread has to answer, as a proof that it still works.
            daemon.bridge.call(lambda: systemd.tell("WATCHDOG=1"))
            if self._standby is not None and self._standby.is_relieved(daemon):
                logger.warning("the main bridge is back: this standby leaves")
                return


class Standby:
    """Follows the main bridge's presence, for all bridges that this process starts."""

    def __init__(self, loaded: settings.Settings, stop: threading.Event) -> None:
        self._stop = stop
        presence = Presence.of(loaded)
        assert presence is not None  # noqa: S101 - its role is that of a standby
        self.presence = presence
        self.registry = RegistryProcess(here=True)
        self._watcher = Watcher(loaded.broker, presence)
        self._made_room_at: float | None = None

    def start(self) -> None:
        self._watcher.start()

    def close(self) -> None:
        self._watcher.close()
        self.registry.close()

    def stand_by(self) -> None:
        """Wait until the main bridge is absent. SystemExit: this process must end."""
        self._made_room_at = None
        systemd.tell("READY=1")
        logger.info("standing by for the main bridge")
        while not self.presence.is_absent(time.monotonic()):
            self._stop.wait(_glance())
            self.leave_if_told()
            systemd.tell("WATCHDOG=1")
        logger.warning("the main bridge is gone: this standby takes its place")

    def leave_if_told(self) -> None:
        """Raise SystemExit after a signal to end. The constructor then cleans up."""
        if self._stop.is_set():
            raise SystemExit(0)

    def is_relieved(self, daemon: BridgeDaemon) -> bool:
        """Let the main bridge take over, and return whether clients find it now.

        It takes over once it has all messages. Until clients find it, this one serves.
        """
        now = time.monotonic()
        if self._made_room_at is None:
            if self.presence.other_serves(now):
                self._made_room_at = now
                daemon.make_room()
            return False
        gone = self.presence.is_absent(now) or now - self._made_room_at > GOES_ON
        return gone or self.presence.other_is_announced(now)

    def say_left(self) -> None:
        self._watcher.say_left()


def _glance() -> float:
    """Return the seconds between two checks, with each of which systemd is informed."""
    return min(systemd.pause() or GLANCE, GLANCE)


def start(loaded: settings.Settings, standby: Standby | None = None) -> BridgeDaemon:
    """Return the running bridge. RefusedError: other bridges have its printers."""
    store = loaded.store
    options = SimpleNamespace(settings=loaded, standby=standby)
    return BridgeDaemon(store.name, store.alias, options=options)
