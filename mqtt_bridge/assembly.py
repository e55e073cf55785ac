"""Puts a bridge together: its inbox, its fleet and its link."""

from __future__ import annotations

from collections.abc import Callable

from mqtt_bridge.bridge import Bridge, Sink
from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.broker.link import Link
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.fleet.fleet import MAX_PRINTERS, Fleet
from mqtt_bridge.settings import Settings


def make_bridge(
    settings: Settings, sink: Sink, presence: Presence | None = None
) -> Bridge:
    """Return a bridge of *settings* that has not been started.

    With *presence* it is a main bridge or a standby, and publishes its state.
    """
    broker, store = settings.broker, settings.store
    # A bridge decides this twice for each message, and a long list makes it slow.
    owns = _Decisions(store.owns).__getitem__
    inbox = Inbox()
    fleet = Fleet(broker.bases, owns, read_only=store.read_only)
    link = Link(broker, inbox, store.printers or ("+",), owns, presence)
    return Bridge(settings, fleet, inbox, link, sink)


class _Decisions(dict[str, bool]):
    """Remembers what *decide* returned for a text, so that it is called once."""

    def __init__(self, decide: Callable[[str], bool]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, text: str) -> bool:
        if len(self) > MAX_PRINTERS:
            self.clear()
        decision = self[text] = self._decide(text)
        return decision
