"""The texts for wrong settings: the key, the value, its source, the allowed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import voluptuous as vol

from mqtt_bridge.settings.checks import PUSH, RULE, SECTIONS, SHARE
from mqtt_bridge.settings.model import SettingsError

SECRETS = frozenset({"broker.password"})


def describe(
    tree: Mapping[str, Any], where: Mapping[str, str], error: vol.Invalid
) -> str:
    path = [str(each) for each in error.path]
    name = ".".join(path)
    source = source_of(where, name)
    if error.msg == "extra keys not allowed":
        known = sorted(_known(path))
        return f"{source}there is no {name}; allowed: {', '.join(known)}"
    value: Any = tree
    for each in error.path:
        try:
            value = value[each.schema if isinstance(each, vol.Marker) else each]
        except (KeyError, IndexError, TypeError):
            break
    wanted = error.msg.replace("expected a dictionary", "a table of settings")
    wanted = wanted.replace("expected a list", "a list: it is written [[push.rule]]")
    return f"{source}{name} is {_shown(name, value)}, not {wanted}"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    # Addresses of push services have tokens, and may be anywhere below "push".
    in_push = name == "push" or name.startswith("push.")
    if name in SECRETS or (in_push and name.removeprefix("push.") not in PUSH):
        return "hidden"
    # [[broker]] makes such a list. Its values may be secret, so they are not shown.
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return "a list of tables"
    return f"{value!r:.80}"


def _known(path: list[str]) -> Iterable[str]:
    if len(path) == 1:
        return SECTIONS
    if path[:2] == ["push", "rule"]:
        return RULE
    if path[:2] == ["store", "share"]:
        return SHARE
    more = {"store": ["share"], "push": ["rule"]}.get(path[0], [])
    return [*SECTIONS.get(path[0], ()), *more]


def error_text(error: OSError | ValueError) -> str:
    """Return the text of an error, without the number and the path."""
    return getattr(error, "strerror", None) or str(error)


def refuse(where: Mapping[str, str], name: str, reason: str) -> NoReturn:
    raise SettingsError(f"{source_of(where, name)}{name} {reason}")


def source_of(where: Mapping[str, str], name: str) -> str:
    """Return where *name* or its section was set, as the beginning of an error."""
    while name and name not in where:
        name = name.rpartition(".")[0]
    return f"{where[name]}: " if name else ""
