"""Subscribes to and requests from many daemons, each with its own address: ``COUNT``.

One ROUTER and one PUB stand for all daemons.
"""

import sys
import threading

import zmq

from mktl_daemon import config
from mktl_daemon.net import loop
from mktl_daemon.store import Store

count = int(sys.argv[1])
context = zmq.Context()
router, pub = context.socket(zmq.ROUTER), context.socket(zmq.PUB)
rep, values = (each.bind_to_random_port("tcp://0.0.0.0") for each in (router, pub))


def answer():
    while True:
        routing, _, ident, _, target, *_ = router.recv_multipart()
        payload = b'{"value":1,"time":1.0}'
        router.send_multipart([routing, b"a", ident, b"REP", target, b"", payload])


def block(number):
    host = f"127.1.{number // 250}.{number % 250 + 1}"
    place = {"stratum": 0, "hostname": host, "rep": rep, "pub": values}
    return {
        "store": "farm",
        "alias": f"farmer{number}",
        "uuid": f"u-{number}",
        "hash": number,
        "time": 1.0,
        "provenance": [place],
        "items": {f"item{number}": {}},
    }


threading.Thread(target=answer, daemon=True).start()
for number in range(count):
    config.known("farm").update(block(number), save=False)
store = Store("farm")
silent = set(store.keys())
all_heard = threading.Event()


def count_value(item, value, _time):
    if value > 1:
        silent.discard(item.key)
    if not silent:
        all_heard.set()


for item in store:
    item.register(count_value)
assert all(item.get(refresh=True) == 1 for item in store)
value = 1
# ZeroMQ does not report that a subscription has arrived.
while not all_heard.wait(0.1):
    value += 1
    for number in range(count):
        payload = b'{"value":%d,"time":%d}' % (value, value)
        pub.send_multipart([b"farm.item%d." % number, b"a", payload])
print("all are heard", flush=True)  # noqa: T201
loop.close()
