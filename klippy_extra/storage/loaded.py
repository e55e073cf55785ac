"""What a life starts from. Values only."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..contract import Entry

Post = Callable[[Callable[[], None]], None]
Then = Callable[[str], None]
Read = Callable[["list[Entry] | None"], None]


class Loaded(NamedTuple):
    """What was on disk, and what is wrong, in sentences or ""."""

    documents: dict[str, Any]
    log: list[Entry]  # newest first
    problem: str = ""  # what was done about a bad file or document; said once
    refusal: str = ""  # why nothing can be written at present
    known: bool = True  # False: what the disk holds could not be read
