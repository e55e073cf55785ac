"""The connection to the MQTT broker, from "ready" to the end of Klippy.

The reactor puts bytes into the outbox and wakes the link's thread. That thread gives
arriving messages to the intake.
"""

from __future__ import annotations

import logging
import random
import select
import threading
import time
from typing import Callable, NamedTuple

from ..broker import Broker
from ..language import in_english, tr
from . import reasons
from .outbox import Message, Outbox
from .pace import Pace
from .session import Knowledge, Listener, Session
from .subscriptions import Subscriptions

CLOSE_WITHIN = 2.0  # seconds
BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds, each +- 30 %
SHORT = 30.0  # seconds; the broker has cut a connection that ends sooner
SHORT_BACK_OFF = (15.0, 60.0, 120.0)  # seconds, so that two clients do not fight
SUSPICIOUS = 3  # short connections in a row without a reason from the broker
NOTICES = 50  # different reasons that are reported


class Handlers(NamedTuple):
    """Callbacks. The link's thread calls `receive`, the others run on the reactor."""

    connected: Callable[[], None]
    lost: Callable[[str], None]
    receive: Callable[[str, bytes, bool], None]
    trouble: Callable[[str], None]  # gets a sentence, or "" when it works again
    notice: Callable[[str], None]  # gets a sentence about a missing feature
    taken_over: Callable[[], None]  # another client seems to have our id


class Link:
    """Keeps a connection to the broker, and makes it again whenever it is lost.

    The retained messages for the first subscriptions are received before ``connected``
    is called. *post* runs a call on the reactor. Any thread must be able to use it, and
    it must not raise.
    """

    def __init__(
        self,
        broker: Broker,
        will_topic: str,
        subscriptions: Subscriptions,
        post: Callable[[Callable[[], None]], None],
        handlers: Handlers,
    ) -> None:
        self._broker = broker
        self._will_topic = will_topic
        self._subscriptions = subscriptions
        self._post, self._handlers = post, handlers
        self._outbox = Outbox()
        self._closing = threading.Event()
        self._say_offline = True
        self._is_left = False  # true if the thread cleans up by itself
        self._thread = threading.Thread(
            target=self._run, name="maintain-link", daemon=True
        )
        # Only the reactor uses these.
        self.connected = False
        self._connection = 0
        # Only the link's thread uses these.
        self._turn = 0
        self._pace = Pace(time.monotonic)
        self._knowledge = Knowledge()
        self._missing = False  # whether the loss of the connection is logged
        self._troubles: set[str] = set()  # the reasons since the broker last worked
        self._noticed: set[str] = set()
        self._failures = self._shorts = 0

    # The reactor calls these. None of them waits.

    def start(self) -> None:
        self._thread.start()

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, keep: bool = False
    ) -> None:
        """Send at QoS 1. Without a connection, only messages to *keep* stay.

        These are events and results, which cannot be made again. They are sent on later
        connections, after `release`, until the broker has them. Any thread may call
        this.
        """
        if self.connected or keep:
            message = Message(topic, payload, retain, keep, self._connection)
            self._outbox.put(message)

    def release(self) -> None:
        """Let the kept messages follow, since the snapshot has been sent."""
        self._outbox.release(self._connection)

    def close(self, say_offline: bool = True) -> None:
        """Publish ``offline`` (if the name is ours), disconnect, and end the thread.

        It waits for at most 2 s. A thread that hangs in a name look-up ends by itself.
        """
        self._say_offline = say_offline
        self._closing.set()
        self._outbox.ring()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WITHIN)
        self.connected = False
        if not self._thread.is_alive():
            self._outbox.close()

    def leave(self) -> None:
        """End without a message and without a wait, since another link follows."""
        self._say_offline, self._is_left = False, True
        self._closing.set()
        self._outbox.ring()
        self.connected = False

    # The thread. An exception would end it, and the link with it, for ever. So each
    # attempt is guarded.

    def _run(self) -> None:
        while not self._closing.is_set():
            self._turn += 1
            session = self._session()
            try:
                session.run(
                    self._closing.is_set,
                    lambda: self._say_offline,
                    lambda session=session: self._tend(session),  # type: ignore[misc]
                )
            except (OSError, ValueError) as error:
                session.reason = session.reason or session.explain(error)
            except Exception as error:
                logging.exception("maintain: the MQTT link failed")
                session.reason = repr(error)
            if not self._closing.is_set():
                self._pause(self._ended(session))
        if self._is_left:
            self._outbox.close()

    def _session(self) -> Session:
        turn, post = self._turn, self._post

        def welcome() -> None:
            if self._missing:
                self._missing = False
                logging.info("maintain: connected to %s again", self._name)
            if not self._shorts:
                self._works()
            post(lambda: self._arrived(turn))

        return Session(
            turn,
            self._broker,
            self._will_topic,
            self._subscriptions,
            self._outbox,
            self._pace,
            self._knowledge,
            Listener(welcome, self._handlers.receive, self._notice),
        )

    @property
    def _name(self) -> str:
        return f"the MQTT broker {self._broker.host}:{self._broker.port}"

    def _arrived(self, turn: int) -> None:
        if self._is_left:
            return
        self.connected = True
        self._connection = turn
        self._handlers.connected()

    def _tend(self, session: Session) -> None:
        """Treat a connection that has lasted for a while as good."""
        if session.ready_at is None or session.lived < SHORT:
            return
        session.hold()
        if self._shorts:
            self._shorts = 0
            self._works()

    def _ended(self, session: Session) -> float:
        """Report a session's end; return the seconds until the next one."""
        reason = session.reason or tr(reasons.ENDED)
        if not self._missing:
            self._missing = True
            logging.warning(
                "maintain: no connection to %s: %s; trying again",
                self._name,
                in_english(reason),
            )
            self._post(lambda: self._lost(reason))
        cut_short = session.was_taken_over or 0.0 < session.lived < SHORT
        if session.ready_at is None and not cut_short:
            self._failures += 1
            self._trouble(reason)
            left_out = session.cut() if session.is_greeted else ""
            pause = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
        elif cut_short:
            self._failures, self._shorts = 0, self._shorts + 1
            left_out = session.cut()
            pause = SHORT_BACK_OFF[min(self._shorts, len(SHORT_BACK_OFF)) - 1]
            if self._shorts > 1 or session.was_taken_over:
                self._trouble(self._short(reason, session.was_taken_over))
            if session.was_taken_over or self._shorts == SUSPICIOUS:
                self._post(self._handlers.taken_over)
        else:
            self._failures, left_out, pause = 0, "", BACK_OFF[0]
        if left_out:
            self._notice(
                tr(
                    "The MQTT broker ends the connection at {topic} each time. It is"
                    " left out from now on.",
                    topic=left_out,
                )
            )
        return pause

    def _short(self, reason: str, was_taken_over: bool) -> str:
        if was_taken_over:
            return reason
        return tr(
            "connections end after a few seconds ({why}). Another client may have the"
            " same id '{id}': a copied card, or 'mqtt_client_id'",
            why=reason,
            id=self._broker.client_id,
        )

    def _trouble(self, reason: str) -> None:
        """Report a reason only once until the broker works again."""
        if reason not in self._troubles and len(self._troubles) < len(BACK_OFF):
            self._troubles.add(reason)
            text = tr(
                "The MQTT broker {address} cannot be used: {why}.",
                address=f"{self._broker.host}:{self._broker.port}",
                why=reason,
            )
            self._post(lambda: self._handlers.trouble(text))

    def _works(self) -> None:
        if self._troubles:
            self._troubles.clear()
            self._post(lambda: self._handlers.trouble(""))

    def _notice(self, text: str) -> None:
        if text not in self._noticed and len(self._noticed) < NOTICES:
            self._noticed.add(text)
            logging.warning("maintain: %s", in_english(text))
            self._post(lambda: self._handlers.notice(text))

    def _lost(self, reason: str) -> None:
        self.connected = False
        self._handlers.lost(reason)

    def _pause(self, pause: float) -> None:
        # The printers of a farm must not all connect at the moment their broker is
        # back.
        until = time.monotonic() + pause * random.uniform(0.7, 1.3)  # noqa: S311
        while not self._closing.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return
            if select.select([self._outbox.door], [], [], left)[0]:
                self._outbox.answer_bell()
