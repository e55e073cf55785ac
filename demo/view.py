"""The table of tasks: the printer's values, and beside them those that mKTL reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.mirror import Mirror, Name
from mqtt_bridge import contract
from mqtt_bridge.contract import State

WIDE = 110  # characters
NOTHING = "-"
MKTL = "cyan"
COLOURS = {
    contract.OK: "green",
    contract.SOON: "yellow",
    contract.DUE: "red",
    contract.SNOOZED: "blue",
    contract.DISABLED: "bright_black",
}


class Column(NamedTuple):
    """A column: its header, what stands in it, and whether it needs a wide terminal."""

    header: str
    cell: Callable[[Name, State, Mirror, float], RenderableType]  # at a time
    justify: Literal["left", "right"] = "right"
    wide: bool = False
    style: str = ""


COLUMNS = (
    Column("task", lambda n, s, m, t: Text(s.label, overflow="fold"), "left"),
    Column("", lambda n, s, m, t: bar(s), "left"),
    Column("used", lambda n, s, m, t: used(s)),
    Column("left", lambda n, s, m, t: in_unit(s, s.deciding.remaining), wide=True),
    Column("status", lambda n, s, m, t: Text(s.status, COLOURS[s.status]), "left"),
    Column("due in", lambda n, s, m, t: forecast(s.due_at, t)),
    Column(
        "mKTL used", lambda n, s, m, t: in_unit(s, m.value(n, "used")), style=MKTL
    ),
    Column(
        "mKTL left", lambda n, s, m, t: in_unit(s, m.value(n, "remaining")), "right",
        True, MKTL,
    ),
    Column(
        "mKTL status", lambda n, s, m, t: m.value(n, "status") or NOTHING, "right",
        True, MKTL,
    ),
)  # fmt: skip


def screen(
    title: str,
    states: dict[Name, State],
    mirror: Mirror,
    news: Sequence[str],
    commands: Sequence[str],
    size: ConsoleDimensions,
    now: float,
) -> RenderableType:
    """The whole of it, for rich's `Live`; the news have what height is left."""
    columns = [each for each in COLUMNS if size.width >= WIDE or not each.wide]
    table = Table(
        title=title,
        title_justify="left",
        expand=True,
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for each in columns:
        table.add_column(
            each.header,
            justify=each.justify,
            style=each.style,
            no_wrap=each.header != "task",
            ratio=1 if each.header == "task" else None,
        )
    for name, state in sorted(states.items()):
        table.add_row(*(each.cell(name, state, mirror, now) for each in columns))
    used = len(states) + 3 + len(commands) + 2 + 2  # the rest, and both frames
    last = list(news)[-max(size.height - used - 1, 1) :]
    happened = Text("\n".join(last) or "…", no_wrap=True, overflow="ellipsis")
    typed = Text("\n".join(commands), no_wrap=True, overflow="ellipsis")
    return Group(
        table,
        Panel(happened, title="what happened"),
        Panel(typed, title="in a second terminal"),
    )


def bar(state: State) -> ProgressBar:
    colour = COLOURS[state.status]
    percent = min(max(state.deciding.percent, 0.0), 100.0)
    return ProgressBar(
        100.0, percent, width=6, complete_style=colour, finished_style=colour
    )


def used(state: State) -> str:
    limit = state.deciding
    done = f"{limit.used:.2f}" if limit.unit else f"{limit.used:.0f}"
    return f"{done} of {limit.threshold:g} {limit.unit}".rstrip()


def in_unit(state: State, value: float | None) -> str:
    return amount(value, state.deciding.unit)


def line(name: Name, state: State, mirror: Mirror) -> str:
    """The same of one task, where there is no terminal."""
    limit = state.deciding
    return (
        f"{name[0]}.{name[1]}: used {used(state)}, {state.status};"
        f" mKTL: used {amount(mirror.value(name, 'used'), limit.unit)},"
        f" {mirror.value(name, 'status')}"
    )


def amount(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    return f"{value:.2f} {unit}" if unit else f"{value:.0f}"


def forecast(due_at: float | None, now: float) -> str:
    """How long from *now* until *due_at* (both UNIX seconds)."""
    if due_at is None:
        return NOTHING
    seconds = due_at - now
    if seconds <= 0:
        return "overdue"
    for size, word in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"
