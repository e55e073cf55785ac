"""What a daemon does with the replies of registries.

There is no clock and no network.
"""

from __future__ import annotations

import pytest

from mktl_daemon import RefusedError
from mktl_daemon.server.announcer import DaemonAddress
from mktl_daemon.server.announcing import AGAIN, Outcome, Standing

REFUSAL = RefusedError("the keys are another's")
SILENCE = TimeoutError("nobody took it")


def test_the_announcement_ends_when_all_registries_accept():
    assert Standing().settle([]) == Outcome()


def test_a_registry_that_does_not_reply_is_asked_less_and_less_often():
    """This is reported once."""
    standing = Standing()
    outcomes = [standing.settle([SILENCE]) for _ in range(6)]
    assert [each.pause for each in outcomes] == [*AGAIN, AGAIN[-1], AGAIN[-1]]
    assert [bool(each.warning) for each in outcomes] == [True] + 5 * [False]
    assert standing.settle([]) == Outcome()
    assert standing.settle([SILENCE]).pause == AGAIN[0]


def test_a_refusal_is_reported_when_it_begins_and_when_it_ends():
    standing = Standing()
    assert standing.settle([SILENCE]).refused is None
    begun = standing.settle([SILENCE, REFUSAL])
    assert begun.refused == "the keys are another's"
    assert begun.warning.startswith("the keys are another's")
    assert standing.settle([REFUSAL]).refused is None
    # If the registry that refused does not reply, the refusal has not ended.
    assert not standing.settle([SILENCE]).accepted
    assert standing.settle([]).accepted
    assert not standing.settle([]).accepted


@pytest.mark.parametrize(
    ("bound", "host", "port", "is_here"),
    [
        ("127.0.0.1", "127.0.0.1", 10079, True),
        ("127.0.0.1", "127.0.0.1", 10080, False),
        ("127.0.0.2", "127.0.0.1", 10079, False),
        ("0.0.0.0", "127.0.0.1", 10079, True),
        ("0.0.0.0", "192.0.2.7", 10079, False),
    ],
)
def test_a_daemon_knows_its_own_address(bound, host, port, is_here):
    """Another daemon on this machine may have the same port at another address."""
    address = DaemonAddress("127.0.0.1", 10079, 10139, True, bound)
    assert address.is_here(host, port) is is_here
