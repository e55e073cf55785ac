"""Goes from task to task, and saves, publishes and reminds of changes.

It does a little in each turn of the reactor, so that no turn is long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import event_of

if TYPE_CHECKING:
    from typing import Protocol

    from ..contract import State
    from ..ledger.ledger import Ledger
    from ..ledger.records import Record
    from .commands import Commands
    from .publisher_proxy import PublisherProtocol
    from .upkeep import Upkeep

    class Reminding(Protocol):
        """The reminders, as the rounds call them."""

        def busy(self, eventtime: float) -> bool: ...
        def remind(self, book: Ledger, state: State, busy: bool) -> Record: ...


EVERY = 0.25  # seconds between two turns
SOON = 0.02  # seconds, while messages wait for their turn
ROUND = 32  # turns in which all of many tasks are examined
LEAST = 4  # tasks that are examined in one turn at least
MESSAGES = 3  # messages that are made in one turn
RATES_EVERY = 60.0  # seconds between two updates of the rates
SUM_EVERY = 1.0  # seconds between two summaries
SETTLED = 30.0  # seconds with a broker after which it has all messages


class Rounds:
    """Does one thing in each turn."""

    def __init__(
        self, upkeep: Upkeep, commands: Commands, reminding: Reminding, now: float
    ) -> None:
        self._upkeep = upkeep
        self._commands = commands
        self._reminding = reminding
        self._saved = self._rated = self._metered = self._summed = now
        self._live_since: float | None = None
        self._busy = False
        self._working: tuple[str, ...] = ()  # the tasks of the present round
        self._round: list[str] = []

    def turn(self, eventtime: float) -> float:
        """Do the next step; return the time of the next turn."""
        upkeep = self._upkeep
        if eventtime - self._rated >= RATES_EVERY:
            self._rated = eventtime
            upkeep.settle()
        elif eventtime - self._saved >= upkeep.settings.store_interval:
            self._saved = eventtime
            upkeep.save()
        # Changes on their way to disk are published first, in the order of `seq`.
        elif not self._commands.unsaved:
            publisher = upkeep.publisher.target
            if publisher is not None and publisher.busy:
                publisher.turn(MESSAGES)
                return eventtime + SOON
            self._examine_some(eventtime)
            if publisher is not None:
                self._publish(publisher, eventtime)
        return eventtime + EVERY

    def _examine_some(self, eventtime: float) -> None:
        """Examine the tasks whose turn it is."""
        self._busy = self._reminding.busy(eventtime)
        if self._working is not self._upkeep.book.working:
            self._working = self._upkeep.book.working
            self._round = list(self._working)
        share = max(LEAST, -(-len(self._round) // ROUND))
        for task in self._round[:share]:
            self._examine(task)
        self._round = self._round[share:] + self._round[:share]

    def _examine(self, task: str) -> None:
        """Save, publish and remind of a task's changes."""
        upkeep, book = self._upkeep, self._upkeep.book
        now = upkeep.wall()
        view = book.view(task, now)
        record, events = book.examine(task, view, now)
        changed = upkeep.keep(task, record)
        state = upkeep.board.state(task, view=None if changed else view)
        upkeep.keep(task, self._reminding.remind(book, state, self._busy))
        publisher = upkeep.publisher.target
        if publisher is None:
            return
        if events:
            numbered = state._replace(seq=upkeep.memory.next_seq())
            publisher.state(numbered)
            for event in events:
                publisher.event(event_of(numbered, event))
            upkeep.sum_up()
        else:
            publisher.offer(state)

    def _publish(self, publisher: PublisherProtocol, eventtime: float) -> None:
        """Publish the changes of the printer as a whole."""
        upkeep = self._upkeep
        if not publisher.live:
            self._live_since = None
        elif self._live_since is None:
            self._live_since = eventtime
        elif eventtime - self._live_since >= SETTLED and publisher.cleared():
            upkeep.memory.save({"unpublish": None})
        if eventtime - self._metered >= upkeep.settings.publish_interval:
            self._metered = eventtime
            publisher.meters(upkeep.counting.published())
        # This is not done for each task, since a summary reads all of them.
        elif eventtime - self._summed >= SUM_EVERY:
            self._summed = eventtime
            upkeep.sum_up()
        publisher.turn(MESSAGES)
