"""What goes to the broker and in which order, and what comes from it.

Lives on the reactor; the link's thread does the waiting. Messages of a snapshot are
made one by one when their turn has come, so that no turn of the reactor is long.
"""

from __future__ import annotations

import collections
import random
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

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
from . import changes, intake
from .discovery import MIGRATE, Message
from .intake import Topics
from .subscriptions import Subscriptions

BIRTH_DELAY = (1.0, 5.0)  # seconds: not all printers of a farm at once
DEFEND_EVERY = 10.0  # seconds between two snapshots against a namesake
INSIST_EVERY = 1.0  # seconds between two answers to a false `offline`


class Sight(NamedTuple):
    """What the publisher may ask the printer for; messages come with their `seq`."""

    info: Callable[[], Info]
    tasks: Sequence[str]
    seq: Callable[[], int]
    state: Callable[[str], State]
    meters: Callable[[], Meters]
    summary: Callable[[], Summary]
    command: Callable[[str, Command], None]
    say: Callable[[str], None]  # to the console
    clock: Callable[[], float]  # the reactor's, in seconds
    may_work: Callable[[], bool] = lambda: True  # whether a command may be carried out


class Published(NamedTuple):
    """What may be retained at the broker under a name: what the store remembers."""

    base: str = ""
    printer: str = ""
    tasks: tuple[str, ...] = ()
    discovery: str = ""  # the one message of older versions
    components: Mapping[str, str] = {}  # of Home Assistant's device, by key
    announced: tuple[str, ...] = ()  # the topics of its messages

    def topics(self) -> set[str]:
        if not self.printer:
            return set()
        kinds = ("availability", "info", "meters", "summary")
        found = {Topic(self.printer, kind).format(self.base) for kind in kinds}
        found |= {Topic(self.printer, "task", t).format(self.base) for t in self.tasks}
        return found | ({self.discovery, *self.announced} - {""})

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Published:
        known = {n: v for n, v in (document or {}).items() if n in cls._fields}
        lists = {name: tuple(known.get(name, ())) for name in ("tasks", "announced")}
        return cls(**dict(known, **lists))


class Publisher:
    """Decides what is sent; `link` sends it."""

    def __init__(
        self,
        base: str,
        printer: str,
        uuid: str,
        sight: Sight,
        interval: float,
        clear: Iterable[str] = (),
        discovery: Sequence[Message] = (),
        replaces: str = "",
        birth_topic: str = "",
    ) -> None:
        self._base, self._printer, self._uuid = base, printer, uuid
        self._sight = sight
        self._interval = interval
        self._clear = sorted(clear)
        self._discovery = discovery
        self._replaces = replaces  # the topic of an older version's message
        self._birth_topic = birth_topic
        self._born_at: float | None = None
        self.link: Any = None
        self.intake: intake.Intake | None = None
        self._queue: collections.deque[Callable[[], None]] = collections.deque()
        # Apart, as no state waits for what only Home Assistant reads, and seldom.
        self._announcements: collections.deque[tuple[str, bytes]] = collections.deque()
        self._states: dict[str, tuple[float, State]] = {}
        self._readings: Mapping[str, float] = {}
        self._summed: tuple[float, Summary | None] = (0.0, None)
        self._others: dict[str, Any] = {}  # what is retained under our name
        self._silent = False  # the name is somebody else's
        self.live = False  # the snapshot is out
        self._defended_at = self._insisted_at = -DEFEND_EVERY

    @property
    def silent(self) -> bool:
        """Whether the name is somebody else's, who has its topics then."""
        return self._silent

    @silent.setter
    def silent(self, silent: bool) -> None:
        self._silent = silent
        if self.intake is not None:
            self.intake.silent = silent

    # What the link subscribes to.

    @property
    def will_topic(self) -> str:
        return self._topic("availability")

    @property
    def subscriptions(self) -> Subscriptions:
        # Whose are the topics that we would clear? The name may have a new owner.
        left = [topic for topic in self._clear if topic.endswith("/info")]
        commands = f"{self._base}/{self._printer}/tasks/+/command"
        exact = [self._topic("command", task) for task in self._sight.tasks]
        return Subscriptions(
            first=(self._topic("info"), self._topic("availability"), *left),
            then=(commands, *filter(None, [self._birth_topic])),
            instead={commands: exact},
        )

    @property
    def topics(self) -> Topics:
        return Topics(
            base=self._base,
            info=self._topic("info"),
            availability=self._topic("availability"),
            birth=self._birth_topic,
            others=frozenset(each for each in self._clear if each.endswith("/info")),
        )

    @property
    def handlers(self) -> intake.Handlers:
        return intake.Handlers(
            command=self._sight.command,
            seen=self._seen,
            taken=self._spare,
            availability=self._told_available,
            birth=self._born,
            may_work=self._sight.may_work,
            say=self._sight.say,
        )

    # The link's callbacks.

    def connected(self) -> None:
        """Send the snapshot, unless somebody else is online under our name."""
        self._stop()
        other = self._others.get("info")
        if other is not None and self._others.get("availability") == ONLINE:
            self._yield(other)
            return
        self.silent = False
        self._snapshot()

    def lost(self, reason: str) -> None:
        self._stop()
        self._others.clear()

    def _stop(self) -> None:
        self.live = False
        self._queue.clear()
        self._announcements.clear()

    # The reactor's turns.

    @property
    def busy(self) -> bool:
        """Whether messages wait for their turn."""
        return bool(self._queue)

    def turn(self, most: int) -> None:
        """Send up to *most* of the waiting messages."""
        born = self._born_at is not None and self._sight.clock() >= self._born_at
        if born and self.live:
            self._born_at = None
            self._announce(again=True)
        for _ in range(min(most, len(self._queue))):
            self._queue.popleft()()
            most -= 1
        for _ in range(min(most, len(self._announcements)) if self.live else 0):
            self._send(*self._announcements.popleft())

    def offer(self, state: State) -> None:
        """Publish a state if the contract wants it now; its `seq` comes then."""
        if not self.live or self._queue:
            return
        at, last = self._states.get(state.task, (0.0, None))
        if last is not None and changes.settled(state) == changes.settled(last):
            moved = changes.moved(last.due_at, state.due_at, state.time)
            if changes.numbers(state) == changes.numbers(last) and not moved:
                return
            if self._sight.clock() - at < self._interval:
                return
        self.state(state._replace(seq=self._sight.seq()))

    def state(self, state: State) -> None:
        """Publish a state; a snapshot that is still to come has it anyway."""
        if self.live:
            self._state(state)

    def _state(self, state: State) -> None:
        self._states[state.task] = (self._sight.clock(), state)
        self._put("task", state.encode(), state.task)

    def meters(self, readings: Mapping[str, float]) -> None:
        """Publish the readings, rounded as they are, if one differs."""
        if self.live and readings != self._readings:
            self._meters()

    def _meters(self) -> None:
        meters = self._sight.meters()
        self._readings = meters.meters
        self._put("meters", meters.encode())

    def summary(self, summary: Summary) -> None:
        """Publish the summary, a forecast that moved only once in an interval."""
        at, last = self._summed
        if last is not None and changes.same(summary, last):
            moved = changes.moved(last.next_due_at, summary.next_due_at, summary.time)
            if not moved or self._sight.clock() - at < self._interval:
                return
        if self.live:
            self._summary()

    def _summary(self) -> None:
        summary = self._sight.summary()
        self._summed = self._sight.clock(), summary
        self._put("summary", summary.encode())

    def info(self) -> None:
        if self.live:
            self._put("info", self._sight.info().encode())

    def event(self, event: Event) -> None:
        topic = self._topic("events")
        self._send(topic, event.encode(), retain=False, keep=True)

    def result(self, result: Result) -> None:
        topic = self._topic("results")
        self._send(topic, result.encode(), retain=False, keep=True)

    # Sending.

    def _snapshot(self) -> None:
        """The contract's order: whoever sees `online` has the values already."""
        sight = self._sight
        self._later(lambda: self._put("info", sight.info().encode()))
        self._later(self._meters)
        self._later_states()
        self._later(self._summary)
        for topic in self._clear:
            if topic != self._replaces:
                self._later(lambda topic=topic: self._send(topic, b""))  # type: ignore[misc]
        self._later(self._out)

    def _out(self) -> None:
        self._put("availability", ONLINE)
        self.live = True
        self.link.release()
        self._announce(again=False)

    def _announce(self, again: bool) -> None:
        """Describe the printer to Home Assistant; *again* once that was started.

        What an older version described in one message is handed over: Home Assistant
        keeps the entities when it is told so before and the message goes after.
        """
        hands_over = self._replaces in self._clear
        if hands_over:
            self._announcements.append((self._replaces, MIGRATE))
        for each in self._discovery:
            if each.revival and (again or hands_over):
                self._announcements.append((each.topic, each.revival))
                self._announcements.append((each.topic, each.payload))
            elif each.payload:
                self._announcements.append((each.topic, each.payload))
        if hands_over:
            self._announcements.append((self._replaces, b""))

    def _later_states(self) -> None:
        for task in self._sight.tasks:
            self._later(lambda task=task: self._state(self._sight.state(task)))  # type: ignore[misc]

    def _later(self, send: Callable[[], None]) -> None:
        self._queue.append(send)

    def _put(self, kind: str, payload: bytes, task: str | None = None) -> None:
        self._send(self._topic(kind, task), payload)

    def _send(
        self, topic: str, payload: bytes, retain: bool = True, keep: bool = False
    ) -> None:
        if self.link is not None and not self.silent:
            self.link.publish(topic, payload, retain=retain, keep=keep)

    def _topic(self, kind: str, task: str | None = None) -> str:
        return Topic(self._printer, kind, task).format(self._base)

    # Receiving.

    def _born(self) -> None:
        """Home Assistant has started."""
        if self._born_at is None:
            delay = random.uniform(*BIRTH_DELAY)  # noqa: S311
            self._born_at = self._sight.clock() + delay

    def _told_available(self, payload: bytes) -> None:
        self._others["availability"] = payload
        # The last will of somebody who had the name before, or a stray tool.
        if payload == ONLINE or not self.live or self.silent:
            return
        now = self._sight.clock()
        if now - self._insisted_at >= INSIST_EVERY:
            self._insisted_at = now
            self._put("availability", ONLINE)

    def _seen(self, info: Info) -> None:
        """Somebody's info under our name: ours, or another printer's."""
        if info.uuid == self._uuid:
            self._others.pop("info", None)
            return
        self._others["info"] = info
        if not self.live or self.silent:
            return
        # Both came at once: the lower uuid stays, whoever looks at it.
        if info.uuid < self._uuid:
            self._yield(info)
            return
        now = self._sight.clock()
        if now - self._defended_at >= DEFEND_EVERY:
            self._defended_at = now
            self._queue.clear()
            self._snapshot()

    def _spare(self, topic: str, info: Info) -> None:
        """Clear nothing of a name that another printer has taken meanwhile."""
        if info.uuid != self._uuid:
            name = topic[: -len("info")]
            self._clear = [each for each in self._clear if not each.startswith(name)]

    def cleared(self) -> bool:
        """Forget what was to be cleared, once it is; whether there was anything."""
        if not (self.live and self._clear) or self._announcements:
            return False
        self._clear = []
        return True

    def _yield(self, other: Info) -> None:
        self.silent = True
        self._queue.clear()
        self._announcements.clear()
        # What only we had must not stay under the other's name.
        if self.live:
            mine = set(self._sight.tasks) - set(other.tasks)
            topics = [self._topic("task", task) for task in sorted(mine)]
            topics += [each.topic for each in self._discovery]
            for topic in topics:
                self.link.publish(topic, b"", retain=True)
        self.live = False
        who = " ".join(f"{other.host or other.name}, {other.uuid}".split())
        self._sight.say(
            f"Another printer ({who}) is online at"
            f" the MQTT broker as '{self._printer}': this one publishes nothing. Give"
            " one of them another 'printer_name' in its section [maintain]."
        )
