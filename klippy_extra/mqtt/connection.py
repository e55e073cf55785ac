"""Makes the publisher and the link of a printer that becomes ready."""

from __future__ import annotations

import sys
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Sequence,
)

from ..contract import Info, State
from ..settings import Settings, refusal
from . import discovery
from .components import Names
from .intake import Intake
from .publisher import PrinterView, Published, Publisher

if TYPE_CHECKING:
    from ..klipper_objects import Config
    from ..task import Task
    from .link import Link

CLIENT_ID = "upkeep-{}"  # with 16 of the uuid: 23 letters, all that 3.1.1 promises


class Entries(NamedTuple):
    """Calls on the reactor, for the link's thread and for calls that it starts."""

    post: Callable[[Callable[[], None]], None]  # safe from any thread
    later: Callable[[Callable[[], None], float], None]  # in so many seconds
    trouble: Callable[[str], None]  # what is wrong with the broker; "": nothing
    taken_over: Callable[[], None]  # another client seems to have our identity


class Connection(NamedTuple):
    """A publisher with its link, and what the store must know of it from now on."""

    publisher: Publisher
    link: Link
    documents: dict[str, Any]


def require_paho(config: Config, settings: Settings) -> None:
    """Refuse a broker where paho is missing; without a broker nobody needs it."""
    if settings.broker is None:
        return
    try:
        from . import client  # noqa: F401, PLC0415
    except ImportError as error:
        raise refusal(
            config,
            "mqtt_host",
            f"needs paho-mqtt in the Python that runs Klippy ({error}). Run:"
            f" {sys.executable} -m pip install 'paho-mqtt>=2.1,<3' typing_extensions",
        ) from None


def connect(
    settings: Settings,
    view: PrinterView,
    info: Info,
    states: Sequence[State],
    documents: Mapping[str, Any],
    entries: Entries,
    tasks: Mapping[str, Task],
) -> Connection | None:
    """Make the connection that `[maintain]` asks for; it is not started yet."""
    if settings.broker is None:
        return None
    # This module imports paho, which a printer without a broker does not need.
    from .link import Handlers, Link  # noqa: PLC0415

    before = Published.of(documents.get("published"))
    made = _announcement(settings, info, states, before, _names(settings, tasks))
    now = Published(
        base=settings.base,
        printer=settings.slug,
        tasks=tuple(view.tasks),
        announced=tuple(each.topic for each in made.messages if each.payload),
        components=discovery.remembered(before.components, made.components),
        integration=settings.integration,
    )
    clear = before.topics() | set(documents.get("unpublish") or ())
    clear -= now.topics()
    publisher = Publisher(
        base=settings.base,
        printer=settings.slug,
        uuid=info.uuid,
        view=view,
        interval=settings.publish_interval,
        clear=clear,
        discovery=made.messages,
        replaces={
            discovery.old_topic(info.uuid, settings.discovery),
            *_left(info.uuid, clear if settings.integration else ()),
        },
        waits=before.integration and not settings.integration,
        birth_topic=f"{settings.discovery}/status" if settings.discovery else "",
    )
    client_id = settings.broker.client_id or CLIENT_ID.format(info.uuid[:16])
    inbox = Intake(
        publisher.topics.inbound(publisher.clear),
        publisher.handlers,
        entries.post,
        entries.later,
        publisher.result,
        view.clock,
    )
    link = Link(
        settings.broker._replace(client_id=client_id),
        publisher.topics.of("availability"),
        publisher.topics.subscriptions(publisher.clear),
        entries.post,
        Handlers(
            connected=publisher.connected,
            lost=publisher.lost,
            receive=inbox.receive,
            trouble=entries.trouble,
            notice=view.say,
            taken_over=entries.taken_over,
        ),
    )
    publisher.attach(link, inbox)
    # On disk before anything is sent: else a crash leaves topics that nobody knows.
    memory = {"published": now._asdict(), "unpublish": sorted(clear)}
    return Connection(publisher, link, memory)


def _left(uuid: str, topics: Iterable[str]) -> Iterator[str]:
    """Those of *topics* by which Home Assistant knew the printer until now.

    They are handed over and not just cleared: its entities stay, for the integration.
    """
    return (each for each in topics if f"/device/klipper_upkeep_{uuid}/" in each)


def _names(settings: Settings, tasks: Mapping[str, Task]) -> Names:
    return Names(
        printer=settings.short_name,
        labels={slug: task.short_label for slug, task in tasks.items()},
        sections={slug: task.name for slug, task in tasks.items()},
        learns=settings.learn,
    )


def _announcement(
    settings: Settings,
    info: Info,
    states: Sequence[State],
    before: Published,
    names: Names,
) -> discovery.Announcement:
    """Return the discovery messages, which are made once because they are long."""
    if not settings.discovery or settings.integration:
        return discovery.Announcement((), {})
    return discovery.announce(
        info,
        states,
        settings.slug,
        base=settings.base,
        prefix=settings.discovery,
        before=before.components,
        names=names,
    )
