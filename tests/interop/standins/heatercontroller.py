"""A heater that exists only in memory, for the reference's example of a daemon."""

import threading


class Controller:
    """Answers TEMP?, OUT? and SETP? of a channel, and accepts SETP with a number."""

    def __init__(self, config):
        self._lock = threading.Lock()
        self._setpoints = {}
        self._firmware = config.get("main", "firmware", fallback="1.0")

    def command(self, text):
        word, *rest = text.split()
        with self._lock:
            if word == "SETP":
                channel, value = rest
                self._setpoints[channel] = float(value)
                return "OK"
            if word == "VERSION?":
                return self._firmware
            (channel,) = rest
            setpoint = self._setpoints.get(channel, 20.0)
            return {"TEMP?": 20.5, "OUT?": setpoint / 10, "SETP?": setpoint}[word]
