"""A client gets the text of an error, without a path and without a traceback."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from mktl_daemon.core import wire
from mktl_daemon.net.router import Ticket, error_payload


class Server:
    def __init__(self):
        self.payloads = []

    def deliver(self, ticket, payload, bulk):
        self.payloads.append(json.loads(payload))


@pytest.fixture
def fail():
    def fail(error):
        server = Server()
        Ticket(server, b"", wire.Request(b"1", wire.SET, "s.k")).fail(error)
        return server.payloads[0]["error"]

    return fail


def caught():
    try:
        Path("/home/anna/secret").read_text()
    except OSError as error:
        return error


def test_a_refusal_has_no_traceback_and_no_path(fail):
    assert "/" not in json.dumps(fail(caught()))
    assert fail(ValueError("no such hour"))["text"] == "no such hour"


def test_with_debugging_the_traceback_is_sent_too(fail, caplog):
    caplog.set_level(logging.DEBUG, "mktl_daemon")
    assert "Traceback" in fail(caught())["debug"]


def test_a_key_error_has_its_text_without_quotes():
    assert json.loads(error_payload(KeyError("no x")))["error"]["text"] == "no x"
