"""Six MQTT brokers for tests: five real ones, and one that does what it is told."""

from tests.brokers.real import BROKERS, Broker, start
from tests.brokers.scripted import Rules, ScriptedBroker

__all__ = ["BROKERS", "Broker", "Rules", "ScriptedBroker", "start"]
