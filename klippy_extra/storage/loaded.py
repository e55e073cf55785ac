"""The values that are loaded from the store at start."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..contract import Entry

Post = Callable[[Callable[[], None]], None]
Then = Callable[[str], None]
Read = Callable[["list[Entry] | None"], None]


class Loaded(NamedTuple):
    """The contents of the disk, and its faults as sentences or ""."""

    documents: dict[str, Any]
    log: list[Entry]  # newest first
    problem: str = ""  # how a bad file or document was repaired; reported once
    refusal: str = ""  # why nothing can be written at present
    known: bool = True  # False: what the disk holds could not be read
