"""The part of Keck's `ktl` module that the reference's proxy uses, with one service."""

import itertools
import time
from types import SimpleNamespace

# Attributes as `ktl` gives them. The units are those of the text, nothing, the format
# (C's printf with the lengths of KTL's numbers), and those of the number.
KEYWORDS = {
    "GLASS": {
        "type": "KTL_DOUBLE",
        "units": ("mm", "", "%5.2lf", "m"),
        "help": "How thick the glass is.",
        "value": 1.25,
    },
    "COUNTS": {"type": "KTL_INT", "units": ("counts", "", "%ld"), "value": 7},
    "SHORT": {"type": "KTL_INT", "units": ("counts", "", "%hd"), "value": -3},
    "TOTAL": {"type": "KTL_INT64", "units": ("counts", "", "%lu"), "value": 8},
    "NAME": {"type": "KTL_STRING", "value": "blue"},
    "SHUTTER": {"type": "KTL_BOOLEAN", "keys": ["closed", "open"], "value": False},
    "MODE": {"type": "KTL_ENUM", "enumerators": ["idle", "", "expose"], "value": 2},
    "ALARMS": {"type": "KTL_MASK", "enumerators": ["none", "hot", "dry"], "value": 2},
    "LIMITS": {"type": "KTL_FLOAT_ARRAY", "value": [1.0, 2.5]},
    "FIXED": {"type": "KTL_INT", "value": 5, "writes": False},
}


class Keyword:
    def __init__(self, name, attributes):
        self.name = name
        self._attributes = {
            "broadcasts": True, "reads": True, "writes": True, **attributes
        }  # fmt: skip
        self._value = self._attributes.pop("value")
        units = self._attributes.get("units", ("",))
        self._attributes["units"] = units[0]
        self.ktlc = SimpleNamespace(units=lambda: units)
        self.history = []
        self._callbacks = []

    def __getitem__(self, attribute):
        return self._attributes[attribute]

    def callback(self, function):
        self._callbacks.append(function)

    def monitor(self, wait=True):
        self._tell()

    def read(self):
        self.history.append(SimpleNamespace(time=time.time(), binary=self._value))

    def write(self, value, binary=False):
        assert binary
        self._value = value
        self._tell()

    def _tell(self):
        self.read()
        for callback in self._callbacks:
            callback(self)


class Service(dict):
    def __iter__(self):
        return iter(sorted(self.values(), key=lambda keyword: keyword.name))


_services = {}


def cache(name):
    """Return a service, or a keyword given as ``service.KEYWORD``."""
    service, dot, key = name.partition(".")
    made = _services.setdefault(
        service,
        Service(itertools.starmap(_named, KEYWORDS.items())),
    )
    return made[key.upper()] if dot else made


def _named(name, attributes):
    return name, Keyword(name, attributes)
