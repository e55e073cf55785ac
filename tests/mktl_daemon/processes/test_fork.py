"""A forked process starts again as a client, and the parent notices nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

DEADLINE = 20.0

BEGIN = """
import os, signal, sys, time
import mktl_daemon as mktl

def child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(15)
        work()
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
"""

CLIENT = """
values = []

def heard(value):
    # A SET waits for its callbacks, but on a busy machine not until they have run.
    end = time.monotonic() + 10
    while values[-1:] != [value]:
        assert time.monotonic() < end, values
        time.sleep(0.01)

number = mktl.get("pie.number")
number.register(lambda item, value, when: values.append(value))
assert number.value == 1

def work():
    assert number.get(refresh=True) == 1
    number.set(4)
    assert number.value == 4
    assert mktl.get("pie.number") is number
    number.set(5, wait=False).wait(10)
    assert mktl.get("pie.text").value == "apple"
    assert values == [], values
    number.register(lambda item, value, when: values.append(-value))
    number.set(6)
    heard(-6)

child(work)
number.set(8)
assert number.value == 8
heard(8)
"""

DAEMON = """
class Daemon(mktl.Daemon):
    def describe_items(self):
        return {"x": {"type": "numeric", "initial": 3}}

    def cleanup(self):
        print("cleanup", os.getpid() == parent)

parent = os.getpid()
daemon = Daemon("cake", "layer")
mine = daemon.store["x"]
mine.poll(0.01)

def work():
    try:
        mine.publish(9)
    except RuntimeError as error:
        assert "only the daemon" in str(error)
    else:
        raise AssertionError("a child has published")
    theirs = mktl.get("cake.x")
    assert theirs.get(refresh=True) == 3
    theirs.set(4)
    daemon.cleanup()

child(work)
assert mine.value == 4
"""

HEIR = """
daemon = mktl.Daemon("cake", "layer")
ear, mouth = os.pipe()
begun, begin = os.pipe()
if os.fork() == 0:
    os.close(mouth)
    os.write(begin, b".")
    os.read(ear, 1)  # until the parent lets go
    os._exit(0)
os.read(begun, 1)
daemon.cleanup()
daemon = mktl.Daemon("cake", "layer")
print("again")
os.close(mouth)
os.wait()
"""


@pytest.fixture
def run(own_kitchen):
    def run(program, home):
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + program],
            env=own_kitchen.environment(home),
            input="",
            capture_output=True,
            text=True,
            timeout=3 * DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_forked_client_makes_its_own_requests_and_subscriptions(own_kitchen, run):
    """It inherits the parent's connections and does not touch them."""
    own_kitchen.registry()
    own_kitchen.daemon()
    run(CLIENT, "client")


def test_the_child_of_a_daemon_is_its_client_and_ends_without_its_cleanup(
    own_kitchen, run
):
    """The daemon's cleanup belongs to the parent."""
    own_kitchen.registry()
    assert run(DAEMON, "daemon") == "cleanup True\n"


def test_the_child_of_a_daemon_does_not_hold_its_lock(own_kitchen, run):
    """Otherwise no other daemon could start while the child lives."""
    assert run(HEIR, "daemon") == "again\n"
