"""The option `at_print_start`: the action for due tasks, and for those ahead. Pure."""

from __future__ import annotations

from typing import NamedTuple

ACTIONS = ("warn", "off", "confirm", "block")
_AHEAD = "ahead"


class Policy(NamedTuple):
    """The option `at_print_start`: `confirm, ahead=warn`."""

    now: str = "warn"  # while the task is due
    ahead: str = "off"  # when the print will make it due


def parse(text: str, default: Policy) -> Policy:
    """Read the option; parts that it leaves out are as in *default*.

    Raises ValueError with what is wrong, and with the fix.
    """
    policy = default
    for part in filter(None, (each.strip().lower() for each in text.split(","))):
        name, sign, behind = (each.strip() for each in part.partition("="))
        if not sign:
            policy = policy._replace(now=_action(part, part))
        elif name == _AHEAD:
            policy = policy._replace(ahead=_action(part, behind))
        else:
            raise ValueError(
                f"is {part!r}: only 'ahead=' stands there, as in {EXAMPLE}"
            )
    return policy


EXAMPLE = "'confirm, ahead=warn'"


def _action(part: str, action: str) -> str:
    if action not in ACTIONS:
        raise ValueError(f"is {part!r}: choose one of " + ", ".join(ACTIONS))
    return action
