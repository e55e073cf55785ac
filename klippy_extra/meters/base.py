"""The interface of a source of wear, and the options that it gets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, NamedTuple, Sequence

Increments = Dict[str, float]  # each meter's growth, in its unit, never negative

if TYPE_CHECKING:
    from typing import Protocol

    from ..contract import Meter
    from ..klipper_objects import HomingMove
    from .queue import Piece

    class Source(Protocol):
        """Reads one kind of wear. Made when Klippy is ready.

        It has no meters where Klipper has no such object.
        """

        meters: dict[str, Meter]

        def poll(self, eventtime: float) -> Increments:
            """Return the growth since the last poll. It only reads memory."""

    class Reader(Protocol):
        """Counts the moves that are read from motion queues, in mm."""

        @property
        def meters(self) -> dict[str, Meter]: ...

        @property
        def moves(self) -> int:
            """The most moves that one poll should read."""

        def read(
            self, queue: str, pieces: Sequence[Piece], eventtime: float
        ) -> Increments: ...
        def homed(self, queue: str, move: HomingMove) -> Increments: ...


class Options(NamedTuple):
    """The options of every source."""

    wall: Callable[[], float] = time.time
    synchronized: Callable[[], bool] | None = None  # None: ask the kernel
    memory: Mapping[str, Any] = {}  # the stored value of `Sources.memory`
    counts: tuple[str, ...] = ()  # the `count_...` meters that tasks count
    counts_left: tuple[str, ...] = ()  # `count_...` meters that no task counts any more
