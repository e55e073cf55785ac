"""`[turns]`: an extra for tests, which measures the time taken from Klippy's reactor.

Each stretch of a timer or a callback is measured, from its call or from the end of a
pause to its return or to the next pause. `maintain` is the group of what the extra
itself runs, `webhooks` of what answers requests and subscriptions. A stretch has the
processor time of its thread, and the time for which it held the reactor: the time that
passed, less the time in which the thread was ready to run and the machine ran others.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import greenlet

GROUPS = ("maintain", "webhooks")
# The tests make printers faster, but not this clock.
CLOCK = getattr(time, "CLOCK_TAI", 11)


class Turns:
    def __init__(self, config):
        self._reactor = reactor = config.get_printer().get_reactor()
        self._register, self._pause = reactor.register_timer, reactor.pause
        reactor.register_timer, reactor.pause = self._registered, self._paused
        # by greenlet: the group, the function, and the start of its stretch
        self._begun = {}
        self._waited = os.open(
            f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY
        )
        self._reset()
        gcode = config.get_printer().lookup_object("gcode")
        gcode.register_command("RESET_TURNS", lambda gcmd: self._reset())
        gcode.register_command("WRITE_TURNS", self._write)

    def get_status(self, eventtime):
        calls = self._stretches["maintain"]
        longest = max(calls, default=(0.0, 0.0, ""))
        return {"calls": len(calls), "longest": longest[0], "where": longest[2]}

    def _reset(self):
        self._stretches = {group: [] for group in GROUPS}

    def _write(self, gcmd):
        """Write the stretches by group, and the time of the extra's own threads.

        A stretch is the seconds of the thread, the seconds held, and a name.
        """
        threads = [each for each in threading.enumerate() if "maintain" in each.name]
        written = {**self._stretches, "threads": sum(map(_seconds_of, threads))}
        Path(gcmd.get("FILE")).write_text(json.dumps(written))

    def _registered(self, callback, *when):
        return self._register(self._measured(callback), *when)

    def _measured(self, callback):
        def call(eventtime):
            # Klippy makes a timer of each callback, and sets the callback afterwards.
            inner = getattr(getattr(callback, "__self__", None), "callback", callback)
            module = getattr(inner, "__module__", None) or ""
            group = next((each for each in GROUPS if each in module), None)
            if group is None:
                return callback(eventtime)
            current = greenlet.getcurrent()
            self._begin(current, group, inner.__qualname__)
            try:
                return callback(eventtime)
            finally:
                self._end(current)

        return call

    def _paused(self, waketime):
        current = greenlet.getcurrent()
        if current not in self._begun:
            return self._pause(waketime)
        group, name = self._end(current)
        try:
            return self._pause(waketime)
        finally:
            self._begin(current, group, name)

    def _begin(self, current, group, name):
        now, waited = time.clock_gettime(CLOCK), self._waiting()
        self._begun[current] = group, name, now, waited, time.thread_time()

    def _end(self, current):
        worked = time.thread_time()
        group, name, begin, waited, begun = self._begun.pop(current)
        others = self._waiting() - waited
        held = time.clock_gettime(CLOCK) - begin - others
        self._stretches[group].append((worked - begun, held, name))
        return group, name

    def _waiting(self):
        """Return the seconds in which this thread was ready to run and others ran."""
        return int(os.pread(self._waited, 64, 0).split()[1]) / 1e9


def _seconds_of(thread):
    """Return the processor time of a thread of this process since its start."""
    path = Path(f"/proc/self/task/{thread.native_id}/schedstat")
    return int(path.read_text().split()[0]) / 1e9


def load_config(config):
    return Turns(config)
