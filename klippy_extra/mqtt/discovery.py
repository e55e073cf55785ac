"""The messages for Home Assistant's MQTT discovery: one for each task. Pure.

Each is retained and shorter than 16 kB, and all are about one device. Both supported
versions (2025.4 and 2026.11) accept all keys here and in the tables, without a line in
their logs. The identity is the printer's uuid and the task's slug, never a name that
people may change.
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
MOST = 16_000  # bytes of a message; the brokers with the lowest limit allow 16 KiB

REMEMBERED = 2000  # removed components that are remembered
METER_GROUPS = 4  # messages for the meters that not all printers have
MIGRATE = b'{"migrate_discovery": true}'


class Message(NamedTuple):
    """A retained message. An empty payload clears its topic.

    If a component is only left out, its entity stays in Home Assistant. So a removed
    component is named with only its platform, and a running Home Assistant then removes
    the entity. A Home Assistant that was off keeps such entities without an owner. So
    after its birth message, ``revival`` is sent, which makes them again, and then
    ``removal``, which names them with only their platforms. (An empty payload instead
    would arrive too early, while Home Assistant still makes the entities.)
    """

    topic: str
    payload: bytes
    revival: bytes = b""
    removal: bytes = b""


class Announcement(NamedTuple):
    """All messages of a printer, and their components: the platforms by their keys."""

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
    """Return *printer*'s messages. *before* is the last value of ``remembered``."""
    names = names or Names()
    root = {
        "dev": _device(info, names),
        "o": _known({"name": info.software, "sw": info.version}),
    }
    groups: dict[str, tuple[dict[str, Config], dict[str, str]]] = {}
    for key, config in components(info, states, printer, base, names):
        groups.setdefault(_group(key), ({}, {}))[0][key] = config
    # The latest come first, since Home Assistant most probably still has them.
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
    """Return the topic of a message about the printer with this uuid."""
    return f"{prefix}/device/klipper_upkeep_{uuid}/{group}/config"


def old_topic(uuid: str, prefix: str = PREFIX) -> str:
    """Return the topic of older versions, which had only one message."""
    return f"{prefix}/device/klipper_upkeep_{uuid}/config"


def remembered(
    before: Mapping[str, str], components: Mapping[str, str]
) -> dict[str, str]:
    """Return the components for the next message: removed ones, then present ones.

    A Home Assistant that is off may get the message much later. So all removed
    components stay in the messages; only the oldest are dropped if there are too many.
    """
    gone = [each for each in before.items() if each[0] not in components]
    return dict(gone[-REMEMBERED:], **components)


def _group(key: str) -> str:
    """Return the name of a component's message, which is always the same.

    In another message, the component would lose the changes that the user has made.
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
    """Return the first of *components* that fit, and the number of bytes left."""
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
    """Return the message about the *fitting* components, and the first of *more*."""
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
    """Return whether *url* is a web page. Home Assistant refuses any other address."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _least(uuid: str, key: str, platform: str) -> Config:
    """Return the shortest configuration of a component, so that it can be removed."""
    least = LEAST.get(platform)
    made = {} if least is None else dict(least, uniq_id=f"{uuid}_{key}")
    return dict(made, p=platform)
