"""A daemon whose items do what users' methods may do: wait, fail, count."""

import threading

import mktl_daemon


class Reading(mktl_daemon.Item):
    """A sensor. Each reading gives the next number."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.readings = 0

    def perform_get(self):
        self.readings += 1
        return self.readings


class Gate(mktl_daemon.Item):
    """Setting it to "wait" waits until another client sets it to "go"."""

    opened = threading.Event()

    def perform_set(self, new_value):
        if new_value == "wait" and not self.opened.wait(30):
            raise TimeoutError("nobody opened the gate")


class Opener(mktl_daemon.Item):
    """Setting it opens the gate."""

    def perform_set(self, new_value):
        Gate.opened.set()


class Broken(mktl_daemon.Item):
    """Every method of it fails."""

    def perform_get(self):
        raise ZeroDivisionError("the sensor has no zero")

    def perform_set(self, new_value):
        raise OSError("the wire is cut")


class Daemon(mktl_daemon.Daemon):
    def setup(self):
        for key, item in (
            ("reading", Reading),
            ("gate", Gate),
            ("opener", Opener),
            ("broken", Broken),
        ):
            self.add_item(item, key)
