"""A fleet with the items that a daemon would have, for tests."""

from __future__ import annotations

from mqtt_bridge.fleet.fleet import Fleet
from mqtt_bridge.fleet.records import Changes

NOW = 5000.0


class Mirror:
    """A fleet, its items by their keys, and the changes of the last messages."""

    def __init__(self, **options):
        self.fleet = Fleet(**options)
        self.items = {}
        self.changes = Changes()

    def receive(self, payloads):
        changes = self.changes = Changes()
        for topic, payload in payloads.items():
            self.fleet.receive(topic, payload, NOW, changes)
        self._apply(changes)

    def _apply(self, changes):
        for key in changes.removed:
            del self.items[key]
        self.items.update(changes.placed)

    def connection(self, up):
        changes = self.changes = Changes()
        self.fleet.connection(up=up, now=NOW, changes=changes)
        self._apply(changes)

    def forget(self, slug):
        changes = self.changes = Changes()
        self.fleet.forget(slug, changes)
        self._apply(changes)

    def __getitem__(self, key):
        return self.items[key].value

    def rows(self):
        return {key: (value, time) for key, value, time in self.changes.rows}
