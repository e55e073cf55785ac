"""`[turns]`: an extra for tests, which measures what the extra takes of the reactor.

Each call of the extra by a timer or a callback is measured, in seconds of the thread's
own time: what the machine gives to others meanwhile does not count. A call that waits
in between is left out.
"""

from __future__ import annotations

import time


class Turns:
    def __init__(self, config):
        self._reactor = reactor = config.get_printer().get_reactor()
        self._register = reactor.register_timer
        reactor.register_timer = self._registered
        self._reset()
        gcode = config.get_printer().lookup_object("gcode")
        gcode.register_command("RESET_TURNS", lambda gcmd: self._reset())

    def get_status(self, eventtime):
        return {"calls": self._calls, "longest": self._longest, "where": self._where}

    def _reset(self):
        self._calls, self._longest, self._where = 0, 0.0, ""

    def _registered(self, callback, *when):
        # Klippy makes a timer of each callback, which has ours inside.
        inner = getattr(getattr(callback, "__self__", None), "callback", callback)
        if "maintain" in (getattr(inner, "__module__", None) or ""):
            return self._register(self._measured(callback, inner), *when)
        return self._register(callback, *when)

    def _measured(self, callback, inner):
        def call(eventtime):
            dispatch = self._reactor._g_dispatch
            begin = time.thread_time()
            result = callback(eventtime)
            took = time.thread_time() - begin
            if dispatch is self._reactor._g_dispatch:
                self._calls += 1
                if took > self._longest:
                    self._longest, self._where = took, inner.__qualname__
            return result

        return call


def load_config(config):
    return Turns(config)
