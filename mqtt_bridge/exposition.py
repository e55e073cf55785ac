"""Writes the fleet and the bridge in Prometheus' text format. Pure.

A scrape of a farm has a hundred thousand samples. Each of them is one formatted line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mqtt_bridge import contract
from mqtt_bridge.contract import Meters
from mqtt_bridge.fleet.items import PrinterState, Shape, Value, Values

COUNTER, GAUGE = "counter", "gauge"

# The type and the help text of each metric. A counter's name ends in _total.
METRICS: dict[str, tuple[str, str]] = {
    "upkeep_task_used": (GAUGE, "Wear since the task was last done, in its unit."),
    "upkeep_task_remaining": (GAUGE, "Wear left until the task is due, in its unit."),
    "upkeep_task_threshold": (GAUGE, "Wear after which the task is due, in its unit."),
    "upkeep_task_ratio": (GAUGE, "Used wear, as a part of the threshold."),
    "upkeep_task_done_total": (COUNTER, "How often the task was done."),
    "upkeep_task_status": (GAUGE, "1 for the present status of the task."),
    "upkeep_task_problem": (
        GAUGE, "1 if the task, or one of its limits, is not counted.",
    ),
    "upkeep_task_last_seen_seconds": (
        GAUGE, "When the task's newest numbers were read (UNIX time).",
    ),
    "upkeep_task_info": (GAUGE, "Always 1; its label is the task's label."),
    "upkeep_printer_online": (GAUGE, "1 if the printer is online."),
    "upkeep_printer_last_seen_seconds": (
        GAUGE, "When the printer last sent something (UNIX time).",
    ),
    "upkeep_printer_silent_seconds": (
        GAUGE, "Seconds since the printer last sent something.",
    ),
    "upkeep_printer_problem": (
        GAUGE, "1 if the printer has a problem.",
    ),
    "upkeep_printer_info": (
        GAUGE, "Always 1; its labels are the printer's name and versions.",
    ),
    "upkeep_meter": (GAUGE, "A meter's reading, in its unit."),
    "upkeep_printers": (GAUGE, "Printers that the bridge mirrors."),
    "upkeep_printers_incomplete": (
        GAUGE, "Printers with retained messages that have not arrived.",
    ),
    "upkeep_topics_missing": (GAUGE, "Retained messages that have not arrived."),
    "upkeep_broker_connected": (GAUGE, "1 while the bridge has its broker."),
    "upkeep_subscriptions_refused": (
        GAUGE, "Subscriptions that the broker does not allow.",
    ),
    "upkeep_connects_total": (COUNTER, "Connections to the broker."),
    "upkeep_delay_seconds": (
        GAUGE, "Seconds that the newest messages waited in the bridge.",
    ),
    "upkeep_waiting_bytes": (GAUGE, "Bytes of messages that have not been read yet."),
    "upkeep_messages_total": (COUNTER, "Messages that arrived."),
    "upkeep_messages_superseded_total": (
        COUNTER, "States that a newer one replaced before they were read.",
    ),
    "upkeep_messages_refused_total": (
        COUNTER, "Messages that do not follow the contract.",
    ),
    "upkeep_messages_oversized_total": (COUNTER, "Messages that were too long."),
    "upkeep_events_dropped_total": (
        COUNTER, "Events that were dropped because a printer sent too many.",
    ),
    "upkeep_commands_total": (COUNTER, "Commands, by their result."),
    "upkeep_commands_open": (GAUGE, "Commands that wait for their result."),
    "upkeep_registry_accepted": (
        GAUGE, "1 while every registry of mKTL has accepted this bridge.",
    ),
    "upkeep_push_sent_total": (COUNTER, "Messages to people that were sent."),
    "upkeep_push_failed_total": (COUNTER, "Attempts to send that failed."),
    "upkeep_push_waiting": (GAUGE, "Messages to people that wait to be sent."),
    "upkeep_scrape_failures_total": (
        COUNTER, "Printers that were left out of a scrape because of an error.",
    ),
    "upkeep_bridge_info": (GAUGE, "Always 1; its label is the bridge's version."),
    "process_cpu_seconds_total": (COUNTER, "Processor time of the bridge."),
    "process_resident_memory_bytes": (GAUGE, "Memory of the bridge."),
    "process_start_time_seconds": (GAUGE, "When the bridge was started (UNIX time)."),
    "process_open_fds": (GAUGE, "Open files and sockets of the bridge."),
    "process_threads": (GAUGE, "Threads of the bridge."),
}  # fmt: skip

# The field of a task that each of these metrics shows.
_NUMBERS = (
    ("upkeep_task_used", "used"),
    ("upkeep_task_remaining", "remaining"),
    ("upkeep_task_threshold", "threshold"),
)
_INFO = ("name", "model", "version", "klipper_version")


class Task(NamedTuple):
    """A task's values, copied in the bridge's turn."""

    name: str
    time: float
    shape: Shape
    values: Values


class PrinterSnapshot(NamedTuple):
    """A printer's messages, copied in the bridge's turn."""

    slug: str
    state: PrinterState
    readings: Meters | None
    tasks: tuple[Task, ...]

    @property
    def heard(self) -> float:
        """When the printer last sent a message, also if it arrived later."""
        times = [task.time for task in self.tasks]
        times += [each.time for each in (self.readings, self.state.summary) if each]
        return max(times, default=0.0)


class Exposition:
    """Collects samples. `text` puts the samples of each metric together."""

    def __init__(self) -> None:
        self._samples: dict[str, list[str]] = {name: [] for name in METRICS}

    def add(self, name: str, value: float, labels: Mapping[str, str] = {}) -> None:
        inner = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
        around = f"{{{inner}}}" if inner else ""
        self._samples[name].append(f"{name}{around} {number(value)}")

    def extend(self, other: Exposition) -> None:
        for name, lines in other._samples.items():
            self._samples[name] += lines

    def printer(self, printer: PrinterSnapshot, now: float) -> None:
        """Add all samples of a printer. ValueError: a value cannot be shown."""
        info = printer.state.info
        for task in printer.tasks:
            self._task(printer.slug, task)
        if info is None:
            return
        labels = {"printer": printer.slug}
        heard, summary = printer.heard, printer.state.summary
        problem = bool(summary and summary.problem)
        self.add("upkeep_printer_online", printer.state.online, labels)
        self.add("upkeep_printer_last_seen_seconds", heard, labels)
        self.add("upkeep_printer_silent_seconds", max(0.0, now - heard), labels)
        self.add("upkeep_printer_problem", problem, labels)
        texts = {name: str(getattr(info, name)) for name in _INFO}
        self.add("upkeep_printer_info", 1, {**labels, **texts})
        for name, meter in info.meters.items():
            reading = printer.readings and printer.readings.meters.get(name)
            if reading is not None:
                more = {"meter": name, "unit": meter.unit}
                self.add("upkeep_meter", reading, {**labels, **more})

    def _task(self, slug: str, task: Task) -> None:
        samples = self._samples
        names = [field.name for field in task.shape.fields]
        values: dict[str, Value] = dict(zip(names, task.values, strict=True))
        used = task.shape.fields[names.index("used")]
        unit = escape(str(used.description.get("units", "")))
        # Slugs need no escaping.
        inner = f'printer="{slug}",task="{task.name}"'
        for name, field in _NUMBERS:
            text = number(values[field])
            samples[name].append(f'{name}{{{inner},unit="{unit}"}} {text}')
        ratio = float(values["percent"] or 0.0) / 100
        samples["upkeep_task_ratio"].append(
            f"upkeep_task_ratio{{{inner}}} {number(ratio)}"
        )
        samples["upkeep_task_done_total"].append(
            f"upkeep_task_done_total{{{inner}}} {number(values['done_count'])}"
        )
        status = values["status"]
        samples["upkeep_task_status"] += [
            f'upkeep_task_status{{{inner},status="{name}"}} {int(status == code)}'
            for code, name in enumerate(contract.STATUSES)
        ]
        samples["upkeep_task_problem"].append(
            f"upkeep_task_problem{{{inner}}} {int(bool(values['problem']))}"
        )
        samples["upkeep_task_last_seen_seconds"].append(
            f"upkeep_task_last_seen_seconds{{{inner}}} {number(task.time)}"
        )
        label = escape(str(values["label"]))
        samples["upkeep_task_info"].append(
            f'upkeep_task_info{{{inner},label="{label}"}} 1'
        )

    def text(self) -> bytes:
        lines: list[str] = []
        for name, samples in self._samples.items():
            if samples:
                kind, help_text = METRICS[name]
                lines += (f"# HELP {name} {help_text}", f"# TYPE {name} {kind}")
                lines += samples
        return "\n".join([*lines, ""]).encode()


def number(value: Value | bool) -> str:
    """Return a value as Prometheus reads it. None is 0. ValueError: it is no number."""
    if value is None:
        return "0"
    return repr(float(value))


def escape(text: str) -> str:
    if '"' in text or "\\" in text or "\n" in text:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return text


def process(
    fields: Sequence[str], tick: int, boot: float
) -> Iterable[tuple[str, float]]:
    """Return a process's metrics from the fields of /proc/self/stat after its name."""
    yield "process_cpu_seconds_total", (int(fields[11]) + int(fields[12])) / tick
    yield "process_threads", int(fields[17])
    yield "process_start_time_seconds", boot + int(fields[19]) / tick
