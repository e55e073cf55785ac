"""An MQTT broker for the demo: amqtt on a loopback port, open to this machine alone.

python -m demo.broker PORT
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys

from amqtt.broker import Broker  # type: ignore[import-untyped]


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def serve(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            # Named, so that amqtt does not load all that it knows, and warn of it.
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {
                    "allow_anonymous": True
                }
            },
        }
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await broker.start()
    await ended.wait()
    await broker.shutdown()


if __name__ == "__main__":
    # It warns of what it does twice itself: a message that is retained and new.
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(int(sys.argv[1])))
