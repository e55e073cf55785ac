"""One client's flood of SETs: how soon another client's SET on another printer ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import zmq

from benchmarks.bridge_rig import Rig, printer
from benchmarks.table import Row

_FLOOD = 60_000  # SETs that wait at once
_TIMES = 20

# A printer that carries every command out at once.
_PRINTER = """
import json, sys
import paho.mqtt.client as paho
from mqtt_bridge import contract
from mqtt_bridge.contract import Command, Result
from benchmarks.bridge_rig import state
base, seq = contract.BASE + '/answers', 1
def received(client, data, message):
    global seq
    seq += 1
    command = Command.decode(message.payload)
    client.publish(base + '/tasks/t', state('t', seq, float(seq)).encode(), 1, True)
    client.publish(base + '/results', Result(command.transaction, 't', seq).encode(), 1)
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client.on_message = received
client.on_connect = lambda *_: client.subscribe(base + '/tasks/+/command', 1)
client.on_subscribe = lambda *_: print('ready', flush=True)
client.connect('127.0.0.1', int(sys.argv[1]))
client.loop_forever()
"""


def run() -> Iterator[Row]:
    with Rig() as rig, zmq.Context() as context:
        for slug in ("answers", "flooded"):
            for topic, payload in printer(slug, 1):
                rig.publisher.send([rig.publisher.packet(topic, payload, retain=True)])
        rig.publisher.settle()
        process = rig.program("printer", _PRINTER, str(rig.port))
        rig.until_logged("printer", b"ready", process)
        rig.bridge()
        alone = _slowest(rig, context)
        over = threading.Event()
        flood = threading.Thread(target=_flood, args=(rig, context, over))
        flood.start()
        try:
            beside = _slowest(rig, context)
        finally:
            over.set()
            flood.join()
        yield Row(
            f"the slowest SET of {_TIMES} while another client has {_FLOOD} on their "
            "way, beside the slowest one alone",
            f"{1000 * beside:.0f} ms of {1000 * alone:.0f} ms",
            beside / alone,
            "< 1 s",
            beside < 1.0,
        )


def _slowest(rig: Rig, context: zmq.Context[zmq.Socket[bytes]]) -> float:
    """The longest time in which a SET ends, in seconds."""
    times = []
    with _client(rig, context) as client:
        for number in range(_TIMES):
            begin = time.monotonic()
            _send(client, number, b"upkeep.answers.t.threshold", 100.0 + number)
            while (frames := client.recv_multipart())[2] != b"REP":
                pass
            times.append(time.monotonic() - begin)
            assert not json.loads(frames[5]).get("error"), frames[5]
    return max(times)


def _flood(
    rig: Rig, context: zmq.Context[zmq.Socket[bytes]], over: threading.Event
) -> None:
    """Keep `_FLOOD` SETs on their way, which are refused at once, until *over*."""
    sent = answered = 0
    with _client(rig, context) as client:
        while not over.is_set():
            while sent - answered < _FLOOD:
                sent += 1
                _send(client, sent, b"upkeep.flooded.t.threshold", -1.0)
            answered += client.recv_multipart()[2] == b"REP"


def _client(rig: Rig, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    [file] = (rig.folder / "mktl" / "daemon" / "port" / "upkeep").glob("*.req")
    client = context.socket(zmq.DEALER)
    client.set(zmq.SNDHWM, 0)
    client.set(zmq.RCVHWM, 0)
    client.set(zmq.RCVTIMEO, 60_000)
    client.set(zmq.LINGER, 0)
    client.connect(f"tcp://127.0.0.1:{int(file.read_text())}")
    return client


def _send(client: zmq.Socket[bytes], number: int, target: bytes, value: float) -> None:
    payload = b'{"value": %a, "_user": "bench"}' % value
    client.send_multipart([b"a", b"%d" % number, b"SET", target, b"", payload])
