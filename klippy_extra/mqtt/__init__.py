"""The connection to the MQTT broker, and its messages."""
