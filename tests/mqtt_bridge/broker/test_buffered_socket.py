"""The stand-in for paho's socket sends and receives in bursts."""

from __future__ import annotations

import pytest

from mqtt_bridge.broker import buffered_socket
from mqtt_bridge.broker.buffered_socket import (
    BufferedSocket,
    UntriedPahoError,
    check_paho,
)
from tests.mqtt_bridge.broker.test_packets import Cable


def test_bytes_that_the_system_does_not_accept_wait():
    """When too many bytes wait, no packet is read, because it may need an answer."""
    cable = Cable(room=3)
    connection = BufferedSocket(cable, five=False)
    assert connection.send(b"12345") == 5
    connection.flush()
    assert (cable.sent, connection.has_unsent, connection.clogged) == (
        b"123", True, False,
    )  # fmt: skip
    connection.send(bytes(buffered_socket.CLOGGED))
    assert connection.clogged
    cable.room = 10**9
    connection.flush()
    assert cable.sent[:5] == b"12345"
    assert not connection.has_unsent


def test_a_disconnect_is_sent_before_the_end():
    cable = Cable()
    connection = BufferedSocket(cable, five=False)
    connection.send(b"\xe0\x00")
    connection.close()
    assert (cable.sent, cable.closed) == (b"\xe0\x00", True)


@pytest.mark.parametrize("version", ["2.1.0", "2.2.0", "2.2.1"])
def test_the_versions_of_paho_that_were_tried_are_accepted(version):
    check_paho(version)


@pytest.mark.parametrize("version", ["1.6.1", "2.0.0", "2.3.0", "3.0", "what"])
def test_another_version_of_paho_is_refused_by_name(version):
    with pytest.raises(UntriedPahoError, match=f"paho-mqtt {version} .* 2.1 and 2.2"):
        check_paho(version)
