"""The connection to the MQTT broker, and what crosses it."""
