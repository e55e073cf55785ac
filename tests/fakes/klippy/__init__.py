"""A virtual printer: a small stand-in for the Klippy host that runs real extras.

It offers what this project's extra uses of Klippy, with the same names, signatures and
rules, and nothing else. Its clock runs faster than real time, or is a test's.
"""

from .clock import FastClock, TestClock
from .host import Host, Printer
from .reactor import Reactor

__all__ = ["FastClock", "Host", "Printer", "Reactor", "TestClock"]
