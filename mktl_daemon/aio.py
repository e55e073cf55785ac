"""Items in programs that are written with ``async``.

These functions call the methods of items in threads, so there is one implementation::

    setpoint = await aio.get("kitchen.setpoint")
    await aio.write(setpoint, 180)
    async for value, time in aio.values(setpoint):
        ...

A daemon's `perform_set` may be a coroutine. This package runs it on its own loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal, overload

from . import find
from .item import Item, V


@overload
async def get(store: str, key: str) -> Item: ...


@overload
async def get(store: str, key: None = None) -> Any: ...


async def get(store: str, key: str | None = None) -> Any:
    """Do as `mktl_daemon.get`."""
    return await asyncio.to_thread(find.get, store, key)


@overload
async def read(
    item: Item[V],
    refresh: bool = False,
    *,
    formatted: Literal[False] = False,
    quantity: Literal[False] = False,
) -> V: ...


@overload
async def read(
    item: Item[Any],
    refresh: bool = False,
    *,
    formatted: bool = False,
    quantity: bool = False,
) -> Any: ...


async def read(
    item: Item[Any],
    refresh: bool = False,
    *,
    formatted: bool = False,
    quantity: bool = False,
) -> Any:
    """Do as `Item.get`."""
    return await asyncio.to_thread(item.get, refresh, formatted, quantity)


async def write(
    item: Item[Any], value: Any, *, formatted: bool = False, quantity: bool = False
) -> None:
    """Do as `Item.set`, and wait until the item is set."""
    await asyncio.to_thread(
        lambda: item.set(value, formatted=formatted, quantity=quantity)
    )


async def values(item: Item[V]) -> AsyncIterator[tuple[V, float]]:
    """Yield each value that the item takes from now on, with its time."""
    listener = _Listener()
    # An item holds a weak reference to the method, which ends with the listener.
    await asyncio.to_thread(item.register, listener.hear)
    while True:
        yield await listener.queue.get()


class _Listener:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Any, float]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def hear(self, _item: Item, value: Any, time: float) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.queue.put_nowait, (value, time))
