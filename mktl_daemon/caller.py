"""Sends the requests of one key to its daemon, wherever that is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mktl_daemon.core import wire
from mktl_daemon.core.arithmetic import ByValue
from mktl_daemon.core.errors import NoAckError, RemoteError
from mktl_daemon.core.wire import GET, Buffer
from mktl_daemon.net import dealer

from . import follow

if TYPE_CHECKING:
    from .interfaces import ItemStore


class Caller(ByValue):
    """Knows where the daemon of a key is, and has it searched if it is not there."""

    __slots__ = ()

    key: str
    store: ItemStore
    timeout: float

    @property
    def full_key(self) -> str:
        return f"{self.store.name}.{self.key}"

    def _client(self) -> dealer.Client:
        place = self.store.follower.place_of(self.key)
        return dealer.client(place.host, place.rep)

    def _answering_client(self, kind: bytes) -> dealer.Client:
        """Return the client for a request. NoAckError: nobody answered just now."""
        daemon = self._client()
        if self.store.follower.take_silence(self.key):
            request = wire.Request(b"", kind, self.full_key)
            raise daemon.failure(request, False, "in time")
        return daemon

    def note_sent(self) -> None:
        """Read what the daemon has published, while it answers a request."""
        self.store.follower.read_beside(self.key)

    def note_unheard(self) -> None:
        """Search for the daemon, which does not acknowledge a request."""
        self.store.follower.search_beside(self.key)

    def _call(
        self, kind: bytes, payload: bytes, bulk: Buffer | None = None
    ) -> wire.Answer:
        """Send a request to the daemon, wherever it is. No SET is carried out twice.

        NoAckError: no daemon answers, here or elsewhere.
        """
        began = time.monotonic()
        daemon = self._answering_client(kind)
        request = (kind, self.full_key, payload, bulk, self.timeout)
        try:
            return daemon.call(*request, self)
        except (NoAckError, RemoteError) as error:
            if isinstance(error, RemoteError) and error.type != "KeyError":
                raise
            # A search that began beside the request serves as well.
            age = max(follow.FRESH, time.monotonic() - began)
            follower = self.store.follower
            follower.search([self.key], age)
            # On a line that loses packets the request or its ACK may be lost.
            is_lost = isinstance(error, NoAckError) and follower.is_there(self.key)
            if self._client() is daemon and not (kind == GET and is_lost):
                raise
        return self._client().call(*request)
