"""A client whose daemon is killed while its answers wait to be read."""

from __future__ import annotations

import subprocess
import sys

import pytest

PEER = """
import sys
import zmq
router = zmq.Context().socket(zmq.ROUTER)
router.set_hwm(0)
print(router.bind_to_random_port("tcp://127.0.0.1"), flush=True)
sender, *_ = router.recv_multipart()
for number in range(2000):
    router.send_multipart([sender, b"a", b"%08x" % number, b"REP", b"", b"", b"{}"])
print("sent", flush=True)
sys.stdin.readline()
"""

CLIENT = """
import subprocess
import sys
import zmq
from mktl_daemon.core import wire
from mktl_daemon.core.errors import NoAckError
from mktl_daemon.net import dealer
from mktl_daemon.net.frames import receive_or_lose
from mktl_daemon.net.line import Line
from mktl_daemon.net.loop import shared
peer = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
client = dealer.Client("127.0.0.1", int(peer.stdout.readline()))
socket = client.connect()
monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)

def kill_the_peer():
    assert peer.stdout.readline() == b"sent\\n"
    assert socket.poll(10_000)
    peer.kill()
    peer.wait()
    assert monitor.poll(10_000)
"""

LOOP = """
socket.poll(10_000, zmq.POLLOUT)
socket.send(b"")
for number in range(3):
    assert socket.poll(10_000)
    assert len(receive_or_lose(socket)) == 6
kill_the_peer()
while receive_or_lose(socket) is not None:
    pass
print("alive")
"""

LINE = """
class Asker:
    def note_sent(self):
        kill_the_peer()

    def note_unheard(self):
        pass

request = wire.Request(b"another", wire.GET, "pie.number")
try:
    Line(socket).call(client, request, 1.0, Asker())
except NoAckError:
    print("alive")
"""

END = """
client.close()
monitor.close()
socket.close()
shared().close()
"""


@pytest.mark.parametrize("reader", [LOOP, LINE], ids=["loop", "line"])
def test_a_client_survives_a_daemon_that_is_killed_while_answers_wait(reader):
    """ZeroMQ aborts a process that is in the middle of a message at that moment.

    Both the loop and a thread that waits for its answers itself read them.
    """
    done = subprocess.run(
        [sys.executable, "-c", CLIENT + reader + END, PEER],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "alive\n", done.stderr
