"""Checks the broker's messages in the link's thread, and hands them over in portions.

Anybody who may publish can send anything, in any amount. The thread checks sizes and
contents, and refuses wrong messages and floods. The reactor gets finished objects: only
the newest one of each retained topic, and a few commands in each turn.
"""

from __future__ import annotations

import collections
import logging
from typing import Callable, NamedTuple

from ..contract import (
    BAD_ARGUMENT,
    NOT_READY,
    Command,
    ContractError,
    Info,
    Result,
    Topic,
)
from ..language import mark, tr

BIRTH = b"online"
WAITING = 256  # commands that may wait for the reactor
A_TURN = 2  # commands in one turn of the reactor
TURN_EVERY = 0.02  # seconds
LARGEST_INFO = 1 << 17  # bytes; an info of a thousand tasks fits
COMPLAINTS = 200  # reported refusals that are remembered, so as not to repeat them
QUIET_AFTER = 600.0  # seconds without a refusal after which a flood counts as ended
TOO_MUCH = mark("Too many commands arrive at once. Send this one again in a moment.")


class Topics(NamedTuple):
    """The subscribed topics, by their purpose."""

    base: str
    info: str
    availability: str
    birth: str  # "": there is none
    others: frozenset[str]  # the infos of names that this printer had before


class Handlers(NamedTuple):
    """Functions that run on the reactor. None of them waits."""

    command: Callable[[str, Command], None]
    seen: Callable[[Info], None]  # an info has arrived under our own name
    taken: Callable[[str, Info], None]  # another printer has the name in a topic
    availability: Callable[[bytes], None]
    birth: Callable[[], None]
    may_work: Callable[[], bool]  # whether the next command may be carried out
    say: Callable[[str], None]  # shows a sentence on the console


class Intake:
    """The link's thread calls `receive`. All other methods run on the reactor."""

    def __init__(
        self,
        topics: Topics,
        handlers: Handlers,
        post: Callable[[Callable[[], None]], None],
        later: Callable[[Callable[[], None], float], None],
        answer: Callable[[Result], None],
        clock: Callable[[], float],
    ) -> None:
        """Any thread may call *post* and *answer*."""
        self._topics, self._handlers = topics, handlers
        self._post, self._later, self._answer = post, later, answer
        self._clock = clock
        # Both threads use these deques, whose operations are atomic.
        self._commands: collections.deque[tuple[str, Command]] = collections.deque()
        self._pending: dict[str, Callable[[], None]] = {}
        self._rung = False
        self.silent = False  # true if another printer has the name: nothing is answered
        # Only the link's thread uses these.
        self._named: set[tuple[str, str]] = set()
        self._refused_at: float | None = None
        # Only the reactor uses these.
        self._is_working = False

    # The link's thread

    def receive(self, topic: str, payload: bytes, retained: bool) -> None:
        """Check a message, and give it to the reactor or refuse it."""
        topics, handlers = self._topics, self._handlers
        if topic == topics.birth:
            if payload == BIRTH and not retained:
                self._hand_over(topic, handlers.birth)
        elif topic == topics.availability:
            short = payload[:16]
            self._hand_over(topic, lambda: handlers.availability(short))
        elif topic == topics.info or topic in topics.others:
            self._info(topic, payload)
        else:
            self._command(topic, payload, retained)

    def _info(self, topic: str, payload: bytes) -> None:
        if len(payload) > LARGEST_INFO:
            self._complain(topic, f"{len(payload)} bytes are too many")
            return
        try:
            info = Info.decode(payload)
        except ContractError as error:
            if payload:
                self._complain(topic, str(error))
            return
        handlers = self._handlers
        if topic == self._topics.info:
            self._hand_over(topic, lambda: handlers.seen(info))
        else:
            self._hand_over(topic, lambda: handlers.taken(topic, info))

    def _command(self, topic: str, payload: bytes, retained: bool) -> None:
        if self.silent:
            return
        try:
            about = Topic.parse(self._topics.base, topic)
        except ContractError as error:
            self._complain(topic, str(error))
            return
        if about.task is None or about.kind != "command":
            return
        if retained:
            # A broker would send a retained command again at each connection.
            self._complain(topic, "a command must not be retained")
            return
        try:
            command = Command.decode(payload)
        except ContractError as error:
            self._complain(topic, str(error))
            if error.transaction is not None:
                self._refuse(about.task, error.transaction, BAD_ARGUMENT, str(error))
            return
        if len(self._commands) >= WAITING:
            self._too_much(about.task, command)
            return
        self._commands.append((about.task, command))
        self._ring()

    def _too_much(self, task: str, command: Command) -> None:
        now = self._clock()
        if self._refused_at is None or now - self._refused_at > QUIET_AFTER:
            logging.warning("maintain: too many commands arrive, so some are refused")
            text = tr(
                "Commands arrive over MQTT faster than they can be carried out. Most"
                " of them are refused; printing goes on."
            )
            self._post(lambda: self._handlers.say(text))
        self._refused_at = now
        if command.transaction is not None:
            self._refuse(task, command.transaction, NOT_READY, tr(TOO_MUCH))

    def _refuse(self, task: str, transaction: str, code: str, text: str) -> None:
        if not self.silent:
            self._answer(Result(transaction, task, code=code, text=text))

    def _complain(self, topic: str, why: str) -> None:
        if (topic, why) not in self._named and len(self._named) < COMPLAINTS:
            self._named.add((topic, why))
            logging.warning("maintain: refused a message to %s: %s", topic, why)

    def _hand_over(self, topic: str, call: Callable[[], None]) -> None:
        """Let *call* wait for the reactor, instead of an earlier one for this topic."""
        self._pending[topic] = call
        self._ring()

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._post(self._work)

    # The reactor

    def _work(self) -> None:
        # This is done first, so that messages from now on wake the reactor again.
        self._rung = False
        while self._pending:
            _, call = self._pending.popitem()
            call()
        if not self._is_working:
            self._some_commands()

    def _some_commands(self) -> None:
        for _ in range(A_TURN):
            if not self._commands or not self._handlers.may_work():
                break
            self._handlers.command(*self._commands.popleft())
        self._is_working = bool(self._commands)
        if self._is_working:
            self._later(self._some_commands, TURN_EVERY)
