"""The connection to the MQTT broker. Only this package and `cli.probe` use paho."""
