"""The extra's link in a test: what it posts runs in the test's thread."""

from __future__ import annotations

import queue
import time

from klippy_extra.mqtt.link import Handlers, Link
from klippy_extra.mqtt.subscriptions import Subscriptions


class Reactor:
    """Runs what the link posts, in the test's thread, until something is heard."""

    def __init__(self):
        self.posted = queue.SimpleQueue()
        self.heard = []

    def until(self, what, within=15):
        """Return the first thing heard whose first word is *what*."""
        deadline = time.monotonic() + within
        while True:
            for thing in self.heard:
                if thing[0] == what:
                    self.heard.remove(thing)
                    return thing
            self.posted.get(timeout=deadline - time.monotonic())()


def make_link(
    reactor,
    broker,
    first=("p/info", "p/availability"),
    then=("p/+/command",),
    instead=None,
):
    """Start a link whose handlers note what they hear at *reactor*."""

    def hear(*thing):
        reactor.posted.put(lambda: reactor.heard.append(thing))

    link = Link(
        broker,
        "p/availability",
        Subscriptions(first, then, instead or {}),
        reactor.posted.put,
        Handlers(
            lambda: reactor.heard.append(("connected",)),
            lambda reason: reactor.heard.append(("lost", reason)),
            lambda *message: hear("message", *message),
            lambda text: reactor.heard.append(("trouble", text)),
            lambda text: reactor.heard.append(("notice", text)),
            lambda: reactor.heard.append(("taken over",)),
        ),
    )
    link.start()
    return link
