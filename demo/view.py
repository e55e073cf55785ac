"""The table of tasks: the values of MQTT, and beside them those of mKTL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

from rich.box import SIMPLE_HEAD
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.mirror import Mirror, Name
from mqtt_bridge import contract
from mqtt_bridge.contract import State

WIDE = 110  # characters in a line from which on a terminal is wide
NOTHING = "-"
COLOURS = {
    contract.OK: "green",
    contract.SOON: "yellow",
    contract.DUE: "red",
    contract.SNOOZED: "blue",
    contract.DISABLED: "bright_black",
}
# The columns, and whether only a wide terminal shows them.
COLUMNS = {
    "task": False, "": False, "used": False, "left": True, "status": False,
    "due in": False, "mKTL used": False, "mKTL left": True, "mKTL status": True,
}  # fmt: skip
TO_THE_LEFT = ("task", "", "status")


def cells(name: Name, state: State, mirror: Mirror) -> Iterator[RenderableType]:
    """Yield the content of each column."""
    unit, colour = state.deciding.unit, COLOURS[state.status]
    yield Text(state.label, overflow="fold")
    percent = min(max(state.deciding.percent, 0.0), 100.0)
    yield ProgressBar(100, percent, 6, complete_style=colour, finished_style=colour)
    yield used(state)
    yield amount(state.deciding.remaining, unit)
    yield Text(state.status, colour)
    yield forecast(state.due_at, state.time)
    yield amount(mirror.value(name, "used"), unit)
    yield amount(mirror.value(name, "remaining"), unit)
    yield mirror.value(name, "status") or NOTHING


def screen(
    title: str,
    states: Mapping[Name, State],
    mirror: Mirror,
    news: Sequence[str],
    commands: Sequence[str],
    size: ConsoleDimensions,
) -> RenderableType:
    """Return the screen for rich's `Live`. The news get the rest of the height."""
    table = Table(title=title, title_justify="left", expand=True, box=SIMPLE_HEAD)
    table.padding, table.show_edge = (0, 1, 0, 0), False
    is_shown = [size.width >= WIDE or not is_wide for is_wide in COLUMNS.values()]
    for header in compress(COLUMNS, is_shown):
        table.add_column(
            header,
            justify="left" if header in TO_THE_LEFT else "right",
            style="cyan" if header.startswith("mKTL") else "",
            no_wrap=header != "task",
            ratio=1 if header == "task" else None,
        )
    for name, state in sorted(states.items()):
        table.add_row(*compress(cells(name, state, mirror), is_shown))
    used = len(states) + 3 + len(commands) + 2 + 2  # lines beside the news, with frames
    last = list(news)[-max(size.height - used - 1, 1) :]
    happened = Text("\n".join(last) or "…", no_wrap=True, overflow="ellipsis")
    typed = Text("\n".join(commands), no_wrap=True, overflow="ellipsis")
    return Group(
        table,
        Panel(happened, title="what happened"),
        Panel(typed, title="in a second terminal"),
    )


def line(name: Name, state: State, mirror: Mirror) -> str:
    """Return one task's values as a line, for an output that is no terminal."""
    mktl = amount(mirror.value(name, "used"), state.deciding.unit)
    return (
        f"{'.'.join(name)}: used {used(state)}, {state.status};"
        f" mKTL: used {mktl}, {mirror.value(name, 'status')}"
    )


def used(state: State) -> str:
    limit = state.deciding
    done = f"{limit.used:.2f}" if limit.unit else f"{limit.used:.0f}"
    return f"{done} of {limit.threshold:g} {limit.unit}".rstrip()


def amount(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    return f"{value:.2f} {unit}" if unit else f"{value:.0f}"


def forecast(due_at: float | None, now: float) -> str:
    """Return how long it takes from *now* until *due_at* (both are UNIX seconds)."""
    if due_at is None:
        return NOTHING
    seconds = due_at - now
    if seconds <= 0:
        return "overdue"
    for size, word in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"
