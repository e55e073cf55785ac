"""Reads the totals of Moonraker's History API in a thread. For `source: moonraker`.

They move only when a job ends, miss a job that Klippy did not survive, and can be set
back to zero: Klipper's own counting is the better one, and the default.
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
INTERVAL = 60.0  # seconds between two answers
MOST = 1 << 20  # bytes of an answer
JOIN = 2.0  # seconds

LET_IN = mark("let this machine in with [authorization] trusted_clients")
FIXES = {
    401: LET_IN,
    403: LET_IN,
    404: mark("it needs [history] in moonraker.conf"),
}  # by the status of an answer
METERS = ("print_time", "filament")
HOUR, METRE = 3600.0, 1000.0


class Totals(NamedTuple):
    """What Moonraker has counted since its history began."""

    print_time: float  # h, without pauses and heating
    filament: float  # m
    job_time: float = 0.0  # h, with pauses and heating: what the ancestor counted by

    @classmethod
    def decode(cls, payload: bytes) -> Totals:
        """ValueError for anything but an answer with both totals."""
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

    Nothing at first: whatever was printed before is not used since. Totals that were
    reset start again from zero, and the meters go on from where they were.
    """
    if last is None:
        return {}
    growth = {
        f"moonraker_{name}": now if now < before else now - before
        for name, before, now in zip(METERS, last, totals)
    }
    return {meter: added for meter, added in growth.items() if added > 0.0}


class Moonraker:
    """Asks Moonraker every minute, and when told to, until closed.

    *on_totals* runs on the reactor: *post* brings it there. So does *on_problem*, with
    why there is no answer, and with "" once there is one.
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
        """Ask at once: a job has ended. Never waits."""
        self._wanted.set()

    def close(self) -> None:
        """Return when the thread has ended: at once, even while it is waiting."""
        self._closing = True
        self._wanted.set()
        _wake(self._socket)
        if self._thread.is_alive():
            self._thread.join(JOIN)

    # The thread

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
        # A time-out of the socket's is for each byte; a server may drip for ever.
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
        """Log a fault once, and once that it is over."""
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
