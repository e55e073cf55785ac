"""Users' coroutines: they run on a loop of asyncio that the process has for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from mktl_daemon import process


def run(coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
    """Run *coroutine* beside others, and return a Future of its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop.get())


def _start() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(
        target=loop.run_forever, name="mktl-client-asyncio", daemon=True
    ).start()
    return loop


# A child has the loop, and not its thread.
_loop: process.Once[asyncio.AbstractEventLoop] = process.Once(_start, lambda _: None)
