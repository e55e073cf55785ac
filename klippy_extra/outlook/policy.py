"""The option `at_print_start`: what to do for due tasks, and for tasks ahead. Pure."""

from __future__ import annotations

from typing import NamedTuple

ACTIONS = ("warn", "off", "confirm", "block")
_AHEAD = "ahead"


class Policy(NamedTuple):
    """The option `at_print_start`: `confirm, ahead=warn`."""

    now: str = "warn"  # the action if the task is due
    ahead: str = "off"  # the action if the print will make it due


def parse(text: str, default: Policy) -> Policy:
    """Read the option. Parts that it leaves out are taken from *default*.

    ValueError names the fault and the fix.
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
