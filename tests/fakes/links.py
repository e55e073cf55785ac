"""The extra's link in a test. What it posts runs in the test's thread."""

from __future__ import annotations

import queue
import time

from klippy_extra.mqtt.link import Handlers, Link
from klippy_extra.mqtt.subscriptions import Subscriptions


class Reactor:
    """Runs what the link posts in the test's thread, until an expected event comes."""

    def __init__(self):
        self.posted = queue.SimpleQueue()
        self.events = []

    def until(self, what, within=15):
        """Return the first event whose first word is *what*."""
        deadline = time.monotonic() + within
        while True:
            for thing in self.events:
                if thing[0] == what:
                    self.events.remove(thing)
                    return thing
            self.posted.get(timeout=deadline - time.monotonic())()


def make_link(
    reactor,
    broker,
    first=("p/info", "p/availability"),
    then=("p/+/command",),
    instead=None,
):
    """Start a link whose handlers report their events to *reactor*."""

    def report(*thing):
        reactor.posted.put(lambda: reactor.events.append(thing))

    link = Link(
        broker,
        "p/availability",
        Subscriptions(first, then, instead or {}),
        reactor.posted.put,
        Handlers(
            lambda: reactor.events.append(("connected",)),
            lambda reason: reactor.events.append(("lost", reason)),
            lambda *message: report("message", *message),
            lambda text: reactor.events.append(("trouble", text)),
            lambda text: reactor.events.append(("notice", text)),
            lambda: reactor.events.append(("taken over",)),
        ),
    )
    link.start()
    return link
