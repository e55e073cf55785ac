"""The connection to the MQTT broker, and the messages on it."""
