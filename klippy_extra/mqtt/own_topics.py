"""The topics of one printer, and the subscriptions of its link. Pure."""

from __future__ import annotations

from typing import Sequence

from ..contract import Topic
from .intake import Topics
from .subscriptions import Subscriptions


class OwnTopics:
    """A printer's topics. *birth* is the topic of Home Assistant's start, or ""."""

    def __init__(
        self, base: str, printer: str, tasks: Sequence[str], birth: str
    ) -> None:
        self._base = base
        self._printer = printer
        self._tasks = tasks
        self._birth = birth

    def of(self, kind: str, task: str | None = None) -> str:
        """Return one of the printer's topics."""
        return Topic(self._printer, kind, task).format(self._base)

    def subscriptions(self, clear: Sequence[str]) -> Subscriptions:
        """Return the link's subscriptions. *clear* are topics of an earlier name.

        Their infos tell which printer has them, since the name may have a new owner.
        """
        left = [topic for topic in clear if topic.endswith("/info")]
        commands = f"{self._base}/{self._printer}/tasks/+/command"
        exact = [self.of("command", task) for task in self._tasks]
        return Subscriptions(
            first=(self.of("info"), self.of("availability"), *left),
            then=(commands, *filter(None, [self._birth])),
            instead={commands: exact},
        )

    def inbound(self, clear: Sequence[str]) -> Topics:
        """Return the same topics by their purpose."""
        return Topics(
            base=self._base,
            info=self.of("info"),
            availability=self.of("availability"),
            birth=self._birth,
            others=frozenset(each for each in clear if each.endswith("/info")),
        )
