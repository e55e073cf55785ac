"""Messages that are too long are dropped, and named only a limited number of times."""

from __future__ import annotations

from mqtt_bridge.broker import receiver
from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.broker.marks import Marks
from mqtt_bridge.broker.packets import MAX_PAYLOAD, Publication
from mqtt_bridge.broker.receiver import Receiver
from mqtt_bridge.settings import Broker


def made():
    box = Inbox()
    return box, Receiver(Broker(), box, lambda _: True, Marks(), "mark")


def test_a_message_that_is_too_long_is_dropped_and_its_topic_named_once(caplog):
    box, reader = made()
    topic = "klipper_upkeep/voron/info"
    for _ in range(3):
        reader.receive(Publication(topic, b"x" * (MAX_PAYLOAD + 1), False))
    reader.receive(Publication(topic, b"{}", False))
    reader.receive(Publication(topic, b"x" * (MAX_PAYLOAD + 1), False))
    assert box.take().states == {topic: b"{}"}
    assert reader.dropped == 4
    assert caplog.text.count("is dropped") == 1


def test_the_log_names_no_more_topics_than_the_limit(monkeypatch, caplog):
    monkeypatch.setattr(receiver, "MOST_NAMED", 2)
    _, reader = made()
    for number in range(5):
        reader.drop(f"klipper_upkeep/p{number}/info", 2 << 20)
    assert reader.dropped == 5
    assert caplog.text.count("is dropped") == 2


def test_a_topic_cannot_forge_a_line_of_the_log(caplog):
    _, reader = made()
    reader.drop("klipper_upkeep/a\nWARNING forged\x1b[2J/info", 2 << 20)
    assert not [text for text in caplog.messages if "\n" in text or "\x1b" in text]


def test_a_topic_without_a_subscription_is_ignored_without_a_warning(caplog):
    """Amqtt sends a new client the retained messages of all clients' subscriptions."""
    box, reader = made()
    reader.receive(Publication("homeassistant/device/x/config", b"{}", True))
    reader.receive(Publication("klipper_upkeep_2/voron/info", b"{}", True))
    assert box.take().states == {}
    assert caplog.text == ""
