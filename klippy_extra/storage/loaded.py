"""The values that are loaded from the store at the start."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..contract import Entry

Post = Callable[[Callable[[], None]], None]
Then = Callable[[str], None]
Read = Callable[["list[Entry] | None"], None]


class Loaded(NamedTuple):
    """The contents of the store, and its faults as sentences or ""."""

    documents: dict[str, Any]
    log: list[Entry]  # the newest first
    problem: str = ""  # how a bad file or document was repaired; it is reported once
    refusal: str = ""  # why nothing can be written now
    known: bool = True  # False: the store could not be read
