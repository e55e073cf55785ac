"""Subscriptions to all keys that begin alike, as a printer's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from mktl_daemon.core import wire
from mktl_daemon.core.value import decode
from mktl_daemon.net import loop, sub
from mktl_daemon.net.workers import Pool

from . import find
from .follow import Place

Callback = Callable[[str, Any, float], Any]

_logger = logging.getLogger(__name__)
_pool = Pool("mktl-client-prefix")


class Subscription:
    """Hears all that is published under a prefix, until it is closed."""

    def __init__(self, prefix: str, callback: Callback) -> None:
        store, _, _ = prefix.partition(".")
        self._prefix = prefix.lower().encode()
        self._callback = callback
        self._catalog = find.store_of(store.lower()).catalog
        self._places: set[Place] = set()
        self._catalog.register(self._follow)  # and whenever a daemon has joined

    def close(self) -> None:
        """Hear no more."""
        places, self._places = self._places, set()
        self._closed = True
        for place in places:
            source = sub.client(place.host, place.pub)
            source.unregister_prefix(self._prefix, self._receive)

    _closed = False

    def _follow(self) -> None:
        for block in self._catalog.blocks().values():
            try:
                place = Place.of(block)
            except RuntimeError:
                continue
            if place not in self._places and not self._closed:
                self._places.add(place)
                source = sub.client(place.host, place.pub)
                source.register_prefix(self._prefix, self._receive)

    def _receive(self, publication: wire.Publication) -> None:
        key = publication.topic.decode().rstrip(".")
        if key.endswith("._hash"):
            return
        fields = wire.fields(publication.payload)
        value = decode(fields, publication.bulk)
        when = fields.get("time")
        stamp = when if isinstance(when, int | float) else time.time()
        loop.defer(_pool, (id(self), key), lambda: self._call(key, value, stamp))

    def _call(self, key: str, value: Any, when: float) -> None:
        try:
            self._callback(key, value, when)
        except Exception:
            _logger.exception("a callback of %s failed", self._prefix.decode())


def subscribe(prefix: str, callback: Callback) -> Subscription:
    """Call ``callback(key, value, time)`` for all that is published under *prefix*.

    *prefix* is a store, a dot, and how keys begin: ``upkeep.voron.`` is a printer.
    What items follow besides is heard as well. Hold on to what is returned, and
    `close` it. RuntimeError: nobody knows the store.
    """
    return Subscription(prefix, callback)
