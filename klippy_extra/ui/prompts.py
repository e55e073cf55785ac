"""Dialogs that Mainsail, Fluidd and KlipperScreen show. Pure.

Each line is sent by itself, since screens do not understand a message of several lines.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

from .. import wording
from ..language import tr

LATER = 24  # hours
TITLE = 28  # how many letters of a title Mainsail shows
SCREEN = "screen"  # the name in the log if somebody pressed a button
END = "// action:prompt_end"


class Button(NamedTuple):
    label: str
    gcode: str
    style: str = "primary"


def _close() -> Button:
    return Button(tr("Close"), "MAINTENANCE_PROMPT CLOSE=1", "info")


def dialog(
    title: str,
    texts: Sequence[str],
    buttons: Sequence[Button],
    footer: Sequence[Button],
) -> list[str]:
    """Return the lines that show a dialog. KlipperScreen shows only one text."""
    if len(title) > TITLE:
        title = title[: TITLE - 1].rstrip() + "…"
    lines = [END, _line("begin", title), _line("text", paragraph(texts))]
    lines += [_button("button", each) for each in buttons]
    lines += [_button("footer_button", each) for each in footer]
    return [*lines, "// action:prompt_show"]


def paragraph(texts: Sequence[str]) -> str:
    """Return one text of sentences, with the addresses at its end for copying."""
    spoken = [each for each in texts if "://" not in each]
    addresses = [each for each in texts if "://" in each]
    ended = [each if each[-1:] in ".!?…" else f"{each}." for each in spoken]
    return " ".join([*ended, *addresses])


def reminder(
    task: str, title: str, texts: Sequence[str], learns: bool = False
) -> list[str]:
    """Return the dialog for a task, named by its slug: done, later, or close.

    If it *learns*, there are buttons for the condition of the part.
    """
    gcode = f"UPDATE_MAINTENANCE NAME={task} BY={SCREEN}"
    done = [Button(tr("Done"), gcode)]
    if learns:
        done += [
            Button(
                tr("Done: {condition}", condition=tr(word)), f"{gcode} CONDITION={key}"
            )
            for key, word in wording.CONDITIONS.items()
        ]
    later = Button(
        tr("Later"),
        f"SNOOZE_MAINTENANCE NAME={task} HOURS={LATER} BY={SCREEN}",
        "secondary",
    )
    return dialog(title, texts, [*done, later], [_close()])


def suggestion(task: str, title: str, text: str, amount: str) -> list[str]:
    """Return the dialog that offers another threshold, *amount*."""
    gcode = f"MAINTENANCE_LEARN NAME={task} SET=1 BY={SCREEN}"
    button = Button(tr("Set {amount}", amount=amount), gcode)
    return dialog(title, [text], [button], [_close()])


def question(title: str, texts: Sequence[str]) -> list[str]:
    """Return the dialog that asks whether to print although a task is due."""
    go = Button(tr("Print anyway"), "MAINTENANCE_CHECK ANSWER=print", "warning")
    stop = Button(tr("Do not print"), "MAINTENANCE_CHECK ANSWER=stop", "error")
    return dialog(title, texts, [], [go, stop])


def notice(title: str, texts: Sequence[str]) -> list[str]:
    """Return a dialog with a text and no question."""
    return dialog(title, texts, [], [_close()])


def _button(kind: str, button: Button) -> str:
    # Bars divide the line, so the label must not have one.
    label = button.label.replace("|", "/")
    return _line(kind, f"{label}|{button.gcode}|{button.style}")


def _line(kind: str, text: str) -> str:
    return f"// action:prompt_{kind} " + " ".join(text.split())
