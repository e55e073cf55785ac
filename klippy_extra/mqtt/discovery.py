"""The messages by which Home Assistant finds a printer: one for each task. Pure.

Each is retained below 16 kB, and all are about one device. Both supported versions
(2025.4 and 2026.11) take every key that is used here and in the tables without a
word in their logs. Identity is the printer's uuid and the task's slug, never a name
that people may change.
"""

from __future__ import annotations

import json
import zlib
from typing import Any, Mapping, NamedTuple, Sequence
from urllib.parse import urlsplit

from ..contract import BASE, Info, State
from ..language import tr
from .components import Names, components
from .entities import LEAST, WANTED_METERS, Config

PREFIX = "homeassistant"
MOST = 16_000  # bytes of a message: brokers that allow little allow 16 KiB

REMEMBERED = 2000  # components that are gone
METER_GROUPS = 4  # messages for the meters that are not everybody's
MIGRATE = b'{"migrate_discovery": true}'


class Message(NamedTuple):
    """A retained message; an empty payload clears its topic.

    A component that is left out stays in Home Assistant: it is named with its
    platform alone, which removes it in a Home Assistant that runs. One that was off
    keeps such entities as orphans: after its birth send ``revival``, which makes
    them again, and then ``removal``, which names them so. (An empty payload in its
    place comes too early for what is being made.)
    """

    topic: str
    payload: bytes
    revival: bytes = b""
    removal: bytes = b""


class Announcement(NamedTuple):
    """All messages of a printer, and the components in them: platforms by key."""

    messages: tuple[Message, ...]
    components: dict[str, str]


def announce(
    info: Info,
    states: Sequence[State],
    printer: str,
    *,
    base: str = BASE,
    prefix: str = PREFIX,
    before: Mapping[str, str] | None = None,
    names: Names | None = None,
) -> Announcement:
    """Return *printer*'s messages; *before* is what ``remembered`` told last time."""
    names = names or Names()
    root = {
        "dev": _device(info, names),
        "o": _known({"name": info.software, "sw": info.version}),
    }
    groups: dict[str, tuple[dict[str, Config], dict[str, str]]] = {}
    for key, config in components(info, states, printer, base, names):
        groups.setdefault(_group(key), ({}, {}))[0][key] = config
    # The latest first: they are the likeliest to be there still.
    for key in reversed(list(before or ())):
        groups.setdefault(_group(key), ({}, {}))[1][key] = (before or {})[key]
    messages = []
    kept: dict[str, str] = {}
    for group in sorted(groups, key=_rank):
        wanted, known = groups[group]
        fitting, room = _fitting(wanted, MOST - len(_dump(dict(root, cmps={}))))
        kept.update((key, each["p"]) for key, each in fitting.items())
        gone = {key: each for key, each in known.items() if key not in fitting}
        bare = {key: {"p": each} for key, each in gone.items()}
        least = {key: _least(info.uuid, key, each) for key, each in gone.items()}
        messages.append(
            Message(
                topic(info.uuid, group, prefix),
                _message(root, fitting, bare, room) if fitting else b"",
                _message(root, fitting, least, room) if gone else b"",
                _message(root, fitting, bare, room) if gone else b"",
            )
        )
    return Announcement(tuple(messages), kept)


def topic(uuid: str, group: str, prefix: str = PREFIX) -> str:
    """Return the topic of a message of the printer with that uuid."""
    return f"{prefix}/device/klipper_upkeep_{uuid}/{group}/config"


def old_topic(uuid: str, prefix: str = PREFIX) -> str:
    """Return the topic of older versions, which had one message for everything."""
    return f"{prefix}/device/klipper_upkeep_{uuid}/config"


def remembered(
    before: Mapping[str, str], components: Mapping[str, str]
) -> dict[str, str]:
    """Return what the next message is to know: what is gone, then what there is.

    A Home Assistant that is off may hear of it much later. So all stays, but for
    the oldest where there are too many: each message names them.
    """
    gone = [each for each in before.items() if each[0] not in components]
    return dict(gone[-REMEMBERED:], **components)


def _group(key: str) -> str:
    """The message that a component stands in: always the same one.

    A component that moved from one message to another would lose what its user has
    made of it.
    """
    kind, _, rest = key.partition(".")
    if kind == "task":
        return "task-" + rest.partition(".")[0]
    if kind == "meter" and rest not in WANTED_METERS:
        return f"meters-{zlib.crc32(rest.encode()) % METER_GROUPS}"
    return "printer"


def _rank(group: str) -> tuple[bool, bool, str]:
    return group != "printer", group.startswith("meters"), group


def _fitting(
    components: Mapping[str, Config], room: int
) -> tuple[dict[str, Config], int]:
    """The first of *components* that have room, and the bytes that are left."""
    fitting = {}
    for key, config in components.items():
        size = len(_dump({key: config}))
        if size > room:
            break
        fitting[key] = config
        room -= size
    return fitting, room


def _message(
    root: Config, fitting: Config, more: Mapping[str, Config], room: int
) -> bytes:
    """The message about *found*, and about as many of *more* as have room."""
    return _dump(dict(root, cmps=dict(fitting, **_fitting(more, room)[0])))


def _dump(message: Mapping[str, Any]) -> bytes:
    text = json.dumps(
        message, allow_nan=False, ensure_ascii=False, separators=(",", ":")
    )
    return text.encode()


def _device(info: Info, names: Names) -> Config:
    return _known(
        {
            "ids": [f"klipper_upkeep_{info.uuid}"],
            "name": names.printer or info.name,
            "mdl": info.model or tr("3D printer"),
            "sw": info.klipper_version and f"Klipper {info.klipper_version}",
            "cu": info.url if _is_web_page(info.url) else "",
            "sa": info.area,
        }
    )


def _known(fields: Config) -> Config:
    return {name: value for name, value in fields.items() if value}


def _is_web_page(url: str) -> bool:
    """Home Assistant refuses the whole message over any other link."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _least(uuid: str, key: str, platform: str) -> Config:
    """Return the least that makes a component again, so that it can be removed."""
    least = LEAST.get(platform)
    made = {} if least is None else dict(least, uniq_id=f"{uuid}_{key}")
    return dict(made, p=platform)
