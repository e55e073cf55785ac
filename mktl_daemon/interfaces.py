"""The Protocols between items, stores and daemons. Users need none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mktl_daemon.core import wire
from mktl_daemon.core.value import State
from mktl_daemon.net import pub
from mktl_daemon.net.pending import Pending

if TYPE_CHECKING:
    from .configuration import Configuration
    from .follow import Follower
    from .item import Item


class AuthoritativeDaemon(Protocol):
    """A store's view of the daemon of this process that has its items."""

    pub: pub.Server

    def note_change(self, item: Item) -> None:
        """Note that an item which persists has a new value."""


class ItemStore(Protocol):
    """An item's view of its store."""

    name: str
    catalog: Configuration
    follower: Follower

    def is_own(self, key: str) -> bool:
        """Tell whether *key* is an item of a daemon of this process."""

    def has_item(self, item: Any) -> bool:
        """Tell whether *item* is the one of its key."""

    def enter(self, item: Any) -> None:
        """Have *item* as the one of its key. RuntimeError: there is another."""

    def publisher(self) -> pub.Server:
        """Return the PUB of the daemon. RuntimeError: it is another process's."""

    def note_change(self, item: Any) -> None:
        """Note that an item which persists has a new value."""


class Followed(Protocol):
    """A follower's view of a client's item."""

    key: str
    authoritative: bool

    @property
    def full_key(self) -> str: ...

    @property
    def held_state(self) -> State: ...

    def receive_publication(self, publication: wire.Publication) -> bool:
        """Take a value; return whether it has changed."""

    def catch_up_with(self, before: State, pending: Pending) -> None:
        """Take the value of a reply, unless the item has changed since *before*."""
