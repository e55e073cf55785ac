"""Decides which messages go to the broker, and in which order.

It runs on the reactor. Only the link's thread waits for the broker. Each message of a
snapshot is made only when it is sent, so that no turn of the reactor is long.
"""

from __future__ import annotations

import collections
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Collection,
    Iterable,
    Mapping,
    NamedTuple,
    Sequence,
)

from ..contract import (
    ONLINE,
    Command,
    Event,
    Info,
    Meters,
    Result,
    State,
    Summary,
    Topic,
)
from ..language import tr
from . import changes, intake
from .announcements import Announcements
from .discovery import Message
from .namesake import Namesake
from .own_topics import OwnTopics

if TYPE_CHECKING:
    from typing import Protocol

    class Sending(Protocol):
        """The link. None of its methods waits."""

        def publish(
            self, topic: str, payload: bytes, retain: bool = ..., keep: bool = ...
        ) -> None: ...
        def release(self) -> None: ...


class PrinterView(NamedTuple):
    """The printer, as the publisher reads it. Messages already have their `seq`."""

    info: Callable[[], Info]
    tasks: Sequence[str]
    seq: Callable[[], int]
    state: Callable[[str], State]
    meters: Callable[[], Meters]
    summary: Callable[[], Summary]
    command: Callable[[str, Command], None]
    say: Callable[[str], None]  # shows a sentence on the console
    clock: Callable[[], float]  # the reactor's, in seconds
    may_work: Callable[[], bool] = lambda: True  # whether a command may be carried out
    # Gets a sentence if another printer has the name, and "" when it is free again.
    taken: Callable[[str], None] = lambda text: None


class Published(NamedTuple):
    """The topics that may be retained under a name, for the store."""

    base: str = ""
    printer: str = ""
    tasks: tuple[str, ...] = ()
    discovery: str = ""  # the topic of the one message of older versions
    components: Mapping[str, str] = {}  # the platforms of discovery's components
    announced: tuple[str, ...] = ()  # the topics of discovery's messages
    integration: bool = False  # whether Home Assistant's integration had the entities

    def topics(self) -> set[str]:
        if not self.printer:
            return set()
        kinds = ("availability", "info", "meters", "summary")
        topics = {Topic(self.printer, kind).format(self.base) for kind in kinds}
        topics |= {Topic(self.printer, "task", t).format(self.base) for t in self.tasks}
        return topics | ({self.discovery, *self.announced} - {""})

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Published:
        known = {n: v for n, v in (document or {}).items() if n in cls._fields}
        lists = {name: tuple(known.get(name, ())) for name in ("tasks", "announced")}
        return cls(**dict(known, **lists))


class Publisher:
    """Decides what is sent. `link` sends it."""

    def __init__(
        self,
        base: str,
        printer: str,
        uuid: str,
        view: PrinterView,
        interval: float,
        clear: Iterable[str] = (),
        discovery: Sequence[Message] = (),
        replaces: Collection[str] = (),
        birth_topic: str = "",
        waits: bool = False,
    ) -> None:
        self._printer = printer
        self._view = view
        self._interval = interval
        self.clear = sorted(clear)  # topics of an earlier name, and of former tasks
        self.topics = OwnTopics(base, printer, view.tasks, birth_topic)
        self._link: Sending | None = None
        self._intake: intake.Intake | None = None
        self._queue: collections.deque[Callable[[], None]] = collections.deque()
        self._announcements = Announcements(discovery, replaces, view.clock, waits)
        self._states: dict[str, tuple[float, State]] = {}
        self._readings: Mapping[str, float] = {}
        self._summed: tuple[float, Summary | None] = (0.0, None)
        self._namesake = Namesake(uuid, view.clock)
        self._silent = False  # whether another printer has the name
        self.live = False  # whether the snapshot was sent

    def attach(self, link: Sending, inbound: intake.Intake) -> None:
        """Send by *link* from now on. *inbound* handles arriving messages."""
        self._link, self._intake = link, inbound

    @property
    def silent(self) -> bool:
        """Whether another printer has the name, and so the topics."""
        return self._silent

    @silent.setter
    def silent(self, silent: bool) -> None:
        self._silent = silent
        if self._intake is not None:
            self._intake.silent = silent

    # For the intake.

    @property
    def handlers(self) -> intake.Handlers:
        return intake.Handlers(
            command=self._view.command,
            seen=self._seen,
            taken=self._spare,
            availability=self._told_available,
            birth=self._announcements.born,
            may_work=self._view.may_work,
            say=self._view.say,
        )

    # The link's callbacks.

    def connected(self) -> None:
        """Send the snapshot, unless another printer is online under our name."""
        self._stop()
        other = self._namesake.online
        if other is not None:
            self._yield(other)
            return
        if self.silent:
            self._view.taken("")
        self.silent = False
        self._snapshot()

    def lost(self, reason: str) -> None:
        self._stop()
        self._namesake.forget()

    def _stop(self) -> None:
        self.live = False
        self._queue.clear()
        self._announcements.stop()

    # The reactor's turns.

    @property
    def busy(self) -> bool:
        """Whether messages wait for their turn."""
        return bool(self._queue)

    def turn(self, most: int) -> None:
        """Send up to *most* of the waiting messages."""
        if self.live and self._announcements.is_time():
            self._announce(again=True)
        for _ in range(min(most, len(self._queue))):
            self._queue.popleft()()
            most -= 1
        for _ in range(min(most, self._announcements.ready) if self.live else 0):
            self._send(*self._announcements.take())

    def offer(self, state: State) -> None:
        """Publish a state if the contract demands it now. It then gets its `seq`."""
        if not self.live or self._queue:
            return
        at, last = self._states.get(state.task, (0.0, None))
        if last is not None and changes.settled(state) == changes.settled(last):
            moved = changes.moved(last.due_at, state.due_at, state.time)
            if changes.numbers(state) == changes.numbers(last) and not moved:
                return
            if self._view.clock() - at < self._interval:
                return
        self.state(state._replace(seq=self._view.seq()))

    def state(self, state: State) -> None:
        """Publish a state, unless the snapshot with it is still to be sent."""
        if self.live:
            self._state(state)

    def _state(self, state: State) -> None:
        self._states[state.task] = (self._view.clock(), state)
        self._put("task", state.encode(), state.task)

    def meters(self, readings: Mapping[str, float]) -> None:
        """Publish the rounded readings, if one of them has changed."""
        if self.live and readings != self._readings:
            self._meters()

    def _meters(self) -> None:
        meters = self._view.meters()
        self._readings = meters.meters
        self._put("meters", meters.encode())

    def summary(self, summary: Summary) -> None:
        """Publish the summary. A changed forecast is published once in an interval."""
        at, last = self._summed
        if last is not None and changes.same(summary, last):
            moved = changes.moved(last.next_due_at, summary.next_due_at, summary.time)
            if not moved or self._view.clock() - at < self._interval:
                return
        if self.live:
            self._summary()

    def _summary(self) -> None:
        summary = self._view.summary()
        self._summed = self._view.clock(), summary
        self._put("summary", summary.encode())

    def info(self) -> None:
        if self.live:
            self._put("info", self._view.info().encode())

    def event(self, event: Event) -> None:
        topic = self.topics.of("events")
        self._send(topic, event.encode(), retain=False, keep=True)

    def result(self, result: Result) -> None:
        topic = self.topics.of("results")
        self._send(topic, result.encode(), retain=False, keep=True)

    # Sending.

    def _snapshot(self) -> None:
        """Queue the snapshot. By the contract, `online` comes after all values."""
        view = self._view
        self._queue.append(lambda: self._put("info", view.info().encode()))
        self._queue.append(self._meters)
        for task in view.tasks:
            self._queue.append(lambda task=task: self._state(view.state(task)))  # type: ignore[misc]
        self._queue.append(self._summary)
        for topic in self.clear:
            if topic not in self._announcements.replaces:
                self._queue.append(lambda topic=topic: self._send(topic, b""))  # type: ignore[misc]
        self._queue.append(self._out)

    def _out(self) -> None:
        self._put("availability", ONLINE)
        self.live = True
        if self._link is not None:
            self._link.release()
        self._announce(again=False)

    def _announce(self, again: bool) -> None:
        """Send the discovery messages; *again* after a start of Home Assistant."""
        replaced = [each for each in self.clear if each in self._announcements.replaces]
        self._announcements.prepare(again, replaced)

    def _put(self, kind: str, payload: bytes, task: str | None = None) -> None:
        self._send(self.topics.of(kind, task), payload)

    def _send(
        self, topic: str, payload: bytes, retain: bool = True, keep: bool = False
    ) -> None:
        if self._link is not None and not self.silent:
            self._link.publish(topic, payload, retain=retain, keep=keep)

    # Receiving.

    def _told_available(self, payload: bytes) -> None:
        self._namesake.take_availability(payload)
        # This is the last will of a printer that had the name before, or another
        # tool's.
        if payload == ONLINE or not self.live or self.silent:
            return
        if self._namesake.may_insist():
            self._put("availability", ONLINE)

    def _seen(self, info: Info) -> None:
        """Handle an info under our name. It is ours, or another printer's."""
        if not self._namesake.take(info) or not self.live or self.silent:
            return
        if self._namesake.goes_first(info):
            self._yield(info)
        elif self._namesake.may_defend():
            self._queue.clear()
            self._snapshot()

    def _spare(self, topic: str, info: Info) -> None:
        """Keep the topics of an earlier name that another printer now has."""
        if self._namesake.is_other(info):
            name = topic[: -len("info")]
            self.clear = [each for each in self.clear if not each.startswith(name)]

    def cleared(self) -> bool:
        """Forget the topics that have been cleared; return whether there were any."""
        if not (self.live and self.clear) or self._announcements:
            return False
        self.clear = []
        return True

    def _yield(self, other: Info) -> None:
        self.silent = True
        self._queue.clear()
        self._announcements.stop()
        # Topics that only this printer had must not stay under the other one's name.
        if self.live:
            mine = set(self._view.tasks) - set(other.tasks)
            topics = [self.topics.of("task", task) for task in sorted(mine)]
            topics += self._announcements.topics
            if self._link is not None:
                for topic in topics:
                    self._link.publish(topic, b"", retain=True)
        self.live = False
        who = " ".join(f"{other.host or other.name}, {other.uuid}".split())
        text = tr(
            "Another printer ({who}) is online at the MQTT broker as '{name}': this"
            " one publishes nothing. Give one of them another 'printer_name' in its"
            " section [maintain].",
            who=who,
            name=self._printer,
        )
        self._view.taken(text)
        self._view.say(text)
