"""Serves the links behind buttons over HTTP. Their signature is the only key."""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from mqtt_bridge.contract import Command, Result
from mqtt_bridge.fleet.records import Record
from mqtt_bridge.http_server import HttpReply, Routes
from mqtt_bridge.language import mark, tr
from mqtt_bridge.push import signed_links
from mqtt_bridge.push.signed_links import ButtonPress, LinkError

logger = logging.getLogger(__name__)

HTML = "text/html; charset=utf-8"
PATH = "/do/"
BY = "push"
DONE_ALREADY = mark("This was done already.")
WITHIN = 7.0  # seconds; the bridge itself gives up after 5 seconds


class Bridge(Protocol):
    """The bridge, as the links use it."""

    def ask(
        self, printer: str, task: str, make: Callable[[Record, str], Command]
    ) -> Future[Result | None]: ...


class Links(Protocol):
    """The sender, which makes the links."""

    secret: bytes

    def use(self, press: ButtonPress) -> bool: ...

    def free(self, press: ButtonPress) -> None: ...


class DoneBeforeError(Exception):
    """The task has been done since the link was made."""


class LinkServer:
    """Answers ``/do/<signed>``. A GET asks the user, and a POST does it, only once."""

    def __init__(self, bridge: Bridge, links: Links) -> None:
        self._bridge = bridge
        self._links = links

    def get(self, path: str) -> HttpReply:
        # Mail programs and messengers read links to show a preview, so a GET must not
        # change anything.
        return self._answer(path, _question)

    def post(self, path: str) -> HttpReply:
        return self._answer(path, self._press)

    @property
    def routes(self) -> Routes:
        return Routes(self.get, self.post)

    def _answer(self, path: str, act: Callable[[ButtonPress], HttpReply]) -> HttpReply:
        if not path.startswith(PATH):
            return _page(404, tr("There is nothing here."))
        try:
            text = path.removeprefix(PATH)
            press = signed_links.verify(text, self._links.secret, time.time())
        except LinkError as error:
            return _page(403, html.escape(str(error)))
        return act(press)

    def _press(self, press: ButtonPress) -> HttpReply:
        if not self._links.use(press):
            return _page(409, tr(DONE_ALREADY))
        try:
            self._do(press)
        except DoneBeforeError as error:
            return _page(409, html.escape(str(error)))
        except TimeoutError as error:
            # The link stays used, since with a second press it might be done twice.
            logger.info("a button was not answered: %s", error)
            text = tr("It is not known whether it was done: {error}", error=str(error))
            return _page(504, html.escape(text))
        except Exception as error:  # noqa: BLE001 - the user sees it
            self._links.free(press)
            logger.info("a button had no effect: %s", error)
            text = tr("It was not done: {error}", error=str(error))
            return _page(502, html.escape(text))
        done = press.action == "done"
        return _page(
            200,
            tr("It is marked done.")
            if done
            else tr("You are reminded again in a day."),
        )

    def _do(self, press: ButtonPress) -> None:
        def make(record: Record, transaction: str) -> Command:
            values = record.named()
            if 0 <= press.done_count < int(values["done_count"] or 0):
                by = values["last_by"]
                text = mark("This was done already by {by}.") if by else DONE_ALREADY
                raise DoneBeforeError(tr(text, by=str(by)))
            if press.action == "later":
                return Command("snooze", transaction, BY, hours=signed_links.LATER)
            return Command("done", transaction, BY)

        self._bridge.ask(press.printer, press.task, make).result(WITHIN)


def _question(press: ButtonPress) -> HttpReply:
    name = html.escape(f"{press.printer}: {press.task}")
    label = html.escape(tr(signed_links.ACTIONS[press.action]))
    form = f'<form method="post"><button>{label}</button></form>'
    return _page(200, f"<h1>{name}</h1>{form}")


def _page(status: int, body: str) -> HttpReply:
    page = f"<!doctype html><title>Klipper Upkeep</title>{body}\n"
    return status, HTML, page.encode()
