"""Writes the messages to people by the templates of their rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.language import mark, tr
from mqtt_bridge.settings import Rule

MOST_TITLE, MOST_TEXT = 250, 3500  # characters; longer texts are cut
MOST_LINES = 10  # messages that become lines of a common message

WHAT = {
    "soon": mark("It is due soon"),
    "due": mark("It is due"),
    "done": mark("It was done"),
    "skipped": mark("It was skipped"),
    "snoozed": mark("You are reminded of it later"),
    "unsnoozed": mark("You are reminded of it again"),
    "enabled": mark("It is counted again"),
    "disabled": mark("It is not counted any more"),
    "changed": mark("It was changed"),
}
ASKS = ("soon", "due")  # events after which people have to act: these have buttons


class PushMessage(NamedTuple):
    """A message for one address of a rule. Both are numbers in the settings."""

    rule: int
    address: int
    title: str
    text: str
    guide: str = ""
    url: str = ""
    printer: str = ""  # the printer and the task are given only with buttons
    task: str = ""
    done_count: int = 0  # how often the task had been done at that time


def compose(
    number: int, address: int, rule: Rule, event_of_printer: PrinterEvent
) -> PushMessage:
    """Return the message about an event for one address of a rule."""
    event = event_of_printer.event
    words = {
        "printer": event_of_printer.name,
        "slug": event_of_printer.printer,
        "task": event.task,
        "label": event.label or event.task,
        "event": event.event,
        "what": tr(WHAT[event.event]),
        "message": event.message,
        "guide": event.guide,
        "by": event.by,
        "note": event.note,
        "url": event_of_printer.url,
    }
    asks = event.event in ASKS
    return PushMessage(
        rule=number,
        address=address,
        title=cut(rule.title.format(**words).strip(), MOST_TITLE),
        text=cut(rule.text.format(**words).strip(), MOST_TEXT),
        guide=address_of(event.guide),
        url=address_of(event_of_printer.url),
        printer=event_of_printer.printer if asks else "",
        task=event.task if asks else "",
        done_count=event_of_printer.done_count,
    )


def together(messages: Sequence[PushMessage], more: int = 0) -> PushMessage:
    """Return one message instead of several, and of *more* that were only counted."""
    first, count = messages[0], len(messages) + more
    if count == 1:
        return first
    lines = [f"{each.title}: {each.text}" for each in messages[:MOST_LINES]]
    left = count - len(lines)
    text = cut("\n".join(lines), MOST_TEXT)
    return PushMessage(
        first.rule,
        first.address,
        tr("Maintenance: {count} messages", count=count),
        f"{text}\n{tr('{count} more', count=left)}" if left else text,
    )


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def address_of(text: str) -> str:
    """Return *text* if it is a web address, and "" otherwise."""
    return text if text.startswith(("http://", "https://")) else ""
