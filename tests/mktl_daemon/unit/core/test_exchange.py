"""Requests that wait for their replies: each ends once, at the latest in time."""

import pytest

from mktl_daemon.core.exchange import Exchange, Late
from mktl_daemon.core.wire import ACK, REP, Answer


@pytest.fixture
def exchange():
    made = Exchange(ack_timeout=1.0)
    made.sent(b"1", "thing", now=0.0, timeout=5.0)
    return made


def test_a_reply_settles_its_request_once(exchange):
    """A second reply belongs to no request."""
    assert exchange.find(b"1") == "thing"
    assert exchange.received(Answer(b"1", REP)) == "thing"
    assert exchange.received(Answer(b"1", REP)) is None
    assert exchange.find(b"1") is None
    assert len(exchange) == 0


def test_an_ack_extends_the_time(exchange):
    """After it only the deadline of the reply counts."""
    assert exchange.received(Answer(b"1", ACK)) is None
    assert exchange.expired(now=4.9) == []
    assert exchange.expired(now=5.0) == [Late("thing", acked=True)]


def test_without_an_ack_a_request_is_late_soon(exchange):
    assert exchange.expired(now=0.9) == []
    assert exchange.expired(now=1.0) == [Late("thing", acked=False)]
    assert exchange.received(Answer(b"1", REP)) is None


def test_a_short_timeout_also_limits_the_wait_for_the_ack():
    exchange = Exchange(ack_timeout=1.0)
    exchange.sent(b"1", "thing", now=0.0, timeout=0.5)
    assert exchange.expired(now=0.5) == [Late("thing", acked=False)]


def test_replies_may_come_in_any_order(exchange):
    exchange.sent(b"2", "other", now=0.0, timeout=5.0)
    assert exchange.received(Answer(b"2", REP)) == "other"
    assert exchange.received(Answer(b"1", REP)) == "thing"


def test_a_lost_connection_ends_all_requests(exchange):
    exchange.received(Answer(b"1", ACK))
    assert exchange.lost() == [Late("thing", acked=True)]
    assert len(exchange) == 0
