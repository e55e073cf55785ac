"""The values that the items of a daemon have at its start, and keep over its end."""

from __future__ import annotations

import logging
from typing import Any

from mktl_daemon.core import wire
from mktl_daemon.core.wire import Buffer
from mktl_daemon.files.persistent_values import PersistentValues
from mktl_daemon.item import Item
from mktl_daemon.store import Store

from .requests import Incoming
from .saver import Saver

_logger = logging.getLogger(__name__)


class Values:
    """Gives items their initial values, and then replaces these by persistent ones."""

    def __init__(self, persistent: PersistentValues, saver: Saver) -> None:
        self._persistent = persistent
        self._saver = saver
        self._restored = False

    def restore(self, store: Store, keys: list[str]) -> None:
        """Give the items *keys* their values."""
        # From here on items that are added see to their values themselves.
        self._restored = True
        for key in keys:
            item = store.find(key)
            if item is not None:
                self._give_initial_value(item)
        for key, payload, bulk in self._persistent.load():
            item = store.find(key)
            if item is not None and item.is_persistent:
                self._restore_value(item, payload, bulk)
        self._saver.begin()

    def give(self, item: Item) -> None:
        """Give an item that came late the value that it would have had."""
        if not self._restored or item.held_state.time is not None:
            return
        if item.is_persistent:
            # What had this key before may have taken a value a moment ago.
            self._saver.save()
            saved = self._persistent.read(item.key)
            if saved is not None and self._restore_value(item, *saved):
                return
        self._give_initial_value(item)

    def _give_initial_value(self, item: Item) -> None:
        initial = item.own_description().get("initial")
        if initial is not None:
            self._initialize(item, initial)
            self._saver.forget(item.key)

    def _initialize(self, item: Item, value: Any) -> None:
        request = wire.Request(
            b"", wire.SET, item.full_key, 0, wire.dumps({"value": value})
        )
        try:
            item.req_initialize(Incoming(request))
        except ValueError as error:
            raise ValueError(
                f"the initial value of {item.full_key}: {error}"
            ) from error

    def _restore_value(self, item: Item, payload: bytes, bulk: Buffer | None) -> bool:
        """Return whether the item took the value."""
        try:
            request = wire.Request(b"", wire.SET, item.full_key, 0, payload, bulk)
            if item.uses_set_code and item.own_description().get("settable", True):
                item.req_set(Incoming(request))
            else:
                item.req_initialize(Incoming(request))
        except Exception:
            _logger.exception("the persistent value of %s is lost", item.full_key)
            return False
        self._saver.forget(item.key)
        return True
