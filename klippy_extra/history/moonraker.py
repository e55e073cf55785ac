"""Reads the totals of Moonraker's History API in a thread, for `source: moonraker`.

These totals change only when a job ends, they lack a job during which Klippy ended, and
people can reset them. So the extra's own counting is better, and is the default.
"""

from __future__ import annotations

import functools
import http.client
import json
import logging
import math
import socket
import threading
import time
from typing import Any, Callable, NamedTuple

from ..language import in_english, mark, tr
from ..web_address import parse_url

PATH = "/server/history/totals"
TIMEOUT = 5.0  # seconds for a whole answer
INTERVAL = 60.0  # seconds between two requests
MOST = 1 << 20  # the greatest size of an answer, in bytes
JOIN = 2.0  # seconds

LET_IN = mark("let this machine in with [authorization] trusted_clients")
FIXES = {
    401: LET_IN,
    403: LET_IN,
    404: mark("it needs [history] in moonraker.conf"),
}  # the fix, by the status of the answer
METERS = ("print_time", "filament")
HOUR, METRE = 3600.0, 1000.0


class Totals(NamedTuple):
    """What Moonraker has counted since its history began."""

    print_time: float  # h, without pauses and heating
    filament: float  # m
    job_time: float = 0.0  # h, with pauses and heating; the ancestor counted these

    @classmethod
    def decode(cls, payload: bytes) -> Totals:
        """Read an answer. ValueError if it does not have both totals."""
        try:
            totals = json.loads(payload)["result"]["job_totals"]
            return cls(
                _number(totals["total_print_time"]) / HOUR,
                _number(totals["total_filament_used"]) / METRE,
                _number(totals["total_time"]) / HOUR,
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            text = tr("it has no job totals ({error})", error=f"{error!r:.200}")
            raise ValueError(text) from None


def grown(last: Totals | None, totals: Totals) -> dict[str, float]:
    """Return how much the meters grew from *last* to *totals*.

    At first they do not grow, since earlier prints do not count. Totals that were reset
    start again from zero, and the meters continue from their readings.
    """
    if last is None:
        return {}
    growth = {
        f"moonraker_{name}": now if now < before else now - before
        for name, before, now in zip(METERS, last, totals)
    }
    return {meter: added for meter, added in growth.items() if added > 0.0}


class Moonraker:
    """Sends a request to Moonraker every minute and on `ask`, until it is closed.

    *on_totals* and *on_problem* are called on the reactor by *post*. *on_problem* gets
    the reason why there is no answer, and "" once there is one.
    """

    def __init__(
        self,
        url: str,
        post: Callable[[Callable[[], None]], None],
        on_totals: Callable[[Totals], None],
        on_problem: Callable[[str], None] = lambda problem: None,
        timeout: float = TIMEOUT,
        interval: float = INTERVAL,
    ) -> None:
        self._url = parse_url(url)
        self._post = post
        self._on_totals = on_totals
        self._on_problem = on_problem
        self._timeout = timeout
        self._interval = interval
        self._wanted = threading.Event()
        self._closing = False
        self._socket: socket.socket | None = None
        self._problem = ""
        self._thread = threading.Thread(
            target=self._run, name="maintain-moonraker", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """Send a request at once, since a job has ended. This never waits."""
        self._wanted.set()

    def close(self) -> None:
        """End the thread and wait for that. It ends at once, even if it is waiting."""
        self._closing = True
        self._wanted.set()
        _wake(self._socket)
        if self._thread.is_alive():
            self._thread.join(JOIN)

    # The thread runs these.

    def _run(self) -> None:
        while not self._closing:
            self._wanted.clear()
            try:
                totals = self._fetch()
            except (OSError, ValueError, http.client.HTTPException) as error:
                self._tell(_explained(error))
            except Exception:
                logging.exception("maintain: the request to Moonraker failed")
            else:
                self._tell("")
                if not self._closing:
                    self._post(functools.partial(self._on_totals, totals))
            if not self._closing:
                self._wanted.wait(self._interval)

    def _fetch(self) -> Totals:
        connection = self._url.connect(self._timeout)
        try:
            connection.connect()
            self._socket = connection.sock
            if self._closing:
                raise OSError("closing")
            return Totals.decode(self._answer(connection))
        finally:
            self._socket = None
            connection.close()

    def _answer(self, connection: http.client.HTTPConnection) -> bytes:
        # The socket's time-out is for each byte. A slow server could need for ever.
        deadline = time.monotonic() + self._timeout
        timer = threading.Timer(self._timeout, _wake, [connection.sock])
        timer.daemon = True
        timer.start()
        try:
            connection.request("GET", self._url.path + PATH)
            response = connection.getresponse()
            body = response.read(MOST)
        except (OSError, ValueError, http.client.HTTPException):
            if time.monotonic() >= deadline:
                raise OSError(
                    tr("no answer within {seconds} s", seconds=self._timeout)
                ) from None
            raise
        finally:
            timer.cancel()
            timer.join()
        if response.status != http.client.OK:
            status = response.status
            fix = tr(FIXES[status]) if status in FIXES else ""
            text = tr(
                "it answers {status} {reason}",
                status=str(status),
                reason=f"{response.reason:.60}",
            )
            raise ValueError(f"{text}; {fix}" if fix else text)
        return body

    def _tell(self, problem: str) -> None:
        """Log a fault once, and log its end once."""
        if problem == self._problem or self._closing:
            return
        self._problem = problem
        self._post(functools.partial(self._on_problem, problem))
        if problem:
            logging.warning(
                "maintain: no totals from Moonraker: %s", in_english(problem)
            )
        else:
            logging.info("maintain: Moonraker's totals can be read")


def _explained(error: Exception) -> str:
    text = error.args[0] if len(error.args) == 1 else ""
    return text if text and isinstance(text, str) else str(error) or repr(error)


def _wake(sock: socket.socket | None) -> None:
    """Close *sock*, so that the thread that waits for it gets an error."""
    try:
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed already


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r:.60}")
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"{value!r}")
    return float(value)
