"""The connection to the MQTT broker. Only this room and `cli.probe` know paho."""
