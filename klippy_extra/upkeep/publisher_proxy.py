"""Passes messages to the publisher, if there is one yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping

if TYPE_CHECKING:
    from typing import Protocol

    from ..contract import Event, Result, State, Summary

    class PublisherProtocol(Protocol):
        """The publisher. Its methods never wait."""

        @property
        def live(self) -> bool: ...
        @property
        def busy(self) -> bool: ...
        def turn(self, most: int) -> None: ...
        def offer(self, state: State) -> None: ...
        def state(self, state: State) -> None: ...
        def event(self, event: Event) -> None: ...
        def result(self, result: Result) -> None: ...
        def summary(self, summary: Summary) -> None: ...
        def meters(self, readings: Mapping[str, float]) -> None: ...
        def info(self) -> None: ...
        def cleared(self) -> bool: ...


class PublisherProxy:
    """Passes each call to the publisher, if there is one."""

    def __init__(self) -> None:
        self.target: PublisherProtocol | None = None

    def state(self, state: State) -> None:
        if self.target is not None:
            self.target.state(state)

    def event(self, event: Event) -> None:
        if self.target is not None:
            self.target.event(event)

    def result(self, result: Result) -> None:
        if self.target is not None:
            self.target.result(result)

    def summary(self, summary: Summary) -> None:
        if self.target is not None:
            self.target.summary(summary)

    def info(self) -> None:
        if self.target is not None:
            self.target.info()
