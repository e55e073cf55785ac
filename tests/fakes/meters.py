"""The meters of a virtual printer, polled in the same way as by the extra."""

from __future__ import annotations

from klippy_extra.meters import Options, Sources


class Counted:
    """The readings of all meters since the start.

    They are polled every *period* seconds.
    """

    def __init__(self, printer, period=1.0, **options):
        self._printer = printer
        self._period = period
        options.setdefault("wall", lambda: 1_795_000_000.0 + self.now)
        options.setdefault("synchronized", lambda: True)
        self.sources = Sources(printer.printer, Options(**options))
        self.readings = dict.fromkeys(self.sources.meters, 0.0)
        self.polling = True
        printer.reactor.register_timer(self._poll, self.now)
        printer.printer.register_event_handler("klippy:shutdown", self._stop)

    def __getitem__(self, meter):
        return self.readings[meter]

    @property
    def now(self):
        return self._printer.reactor.monotonic()

    def flush(self):
        self._add(self.sources.flush(self.now))
        return self

    def _poll(self, eventtime):
        self._add(self.sources.poll(eventtime))
        return eventtime + self._period

    def _stop(self):
        self._add(self.sources.stop(self.now))

    def _add(self, increments):
        for name, added in increments.items():
            assert added > 0.0, f"{name} by {added}"
            self.readings[name] = self.readings.get(name, 0.0) + added
