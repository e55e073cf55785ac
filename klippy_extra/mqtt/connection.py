"""Makes the publisher and the link when a printer becomes ready."""

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

CLIENT_ID = "upkeep-{}"  # with 16 letters of the uuid; MQTT 3.1.1 promises 23 letters


class Entries(NamedTuple):
    """Functions that call on the reactor, for the link and the publisher."""

    post: Callable[[Callable[[], None]], None]  # any thread may use it
    later: Callable[[Callable[[], None], float], None]  # after some seconds
    trouble: Callable[[str], None]  # the problem with the broker, or ""
    taken_over: Callable[[], None]  # another client seems to have our identity


class Connection(NamedTuple):
    """A publisher with its link, and the topics that the store must remember."""

    publisher: Publisher
    link: Link
    documents: dict[str, Any]


def require_paho(config: Config, settings: Settings) -> None:
    """Refuse a broker if paho is missing. Without a broker, paho is not needed."""
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
    """Make the connection by the options of `[maintain]`. It is not started yet."""
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
    # This is on disk before anything is sent. After a crash, topics would otherwise
    # stay that nobody remembers.
    memory = {"published": now._asdict(), "unpublish": sorted(clear)}
    return Connection(publisher, link, memory)


def _left(uuid: str, topics: Iterable[str]) -> Iterator[str]:
    """Yield those of *topics* that have the printer's discovery messages.

    They are handed over and not only cleared, so that the integration gets the
    entities.
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
    """Return the discovery messages. They are long, so they are made only once."""
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
