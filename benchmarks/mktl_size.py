"""A daemon with a hundred thousand items: the time until it is ready, and its size."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.mktl_peers import peer
from benchmarks.table import Row

_ITEMS = 100_000


def run() -> Iterator[Row]:
    with peer("ours", "0") as small:
        bare = small.megabytes()
    started = time.monotonic()
    with peer("ours", str(_ITEMS)) as large:
        elapsed = time.monotonic() - started
        size, threads = large.megabytes(), large.threads()
    measure = f"daemon with {_ITEMS} items"
    yield Row(f"{measure}, start", f"{elapsed:.1f} s", None, "< 5 s", elapsed < 5)
    text = f"{size:.0f} MB ({size / bare:.1f} x an empty one)"
    yield Row(f"{measure}, memory", text, None, "< 300 MB", size < 300)
    yield Row(f"{measure}, threads", str(threads), None, "< 20", threads < 20)
