"""Six MQTT brokers for tests: five real ones, and one that follows a test's rules."""

from tests.brokers.real import BROKERS, Broker, start
from tests.brokers.scripted import Rules, ScriptedBroker

__all__ = ["BROKERS", "Broker", "Rules", "ScriptedBroker", "start"]
