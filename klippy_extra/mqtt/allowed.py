"""A broker's limits, from its CONNACK (MQTT 5, section 3.2.2.3). Pure."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ..language import tr

IN_FLIGHT = 20  # messages that may wait for the broker's acknowledgement
AT_ONCE = 8  # filters in one SUBSCRIBE; some brokers in clouds accept no more
HEAD = 16  # the most bytes of a PUBLISH beside the topic and the payload


class Allowed(NamedTuple):
    """The limits of a broker. None and True stand for no limit."""

    packet: int | None = None  # the largest packet, in bytes
    in_flight: int = IN_FLIGHT
    retain: bool = True
    qos: int = 1
    wildcards: bool = True

    @classmethod
    def of(cls, properties: Any, known: Allowed) -> Allowed:
        """Read the properties. *known* are limits from refused connections."""

        def read(name: str, default: Any) -> Any:
            return getattr(properties, name, default)

        return cls(
            packet=read("MaximumPacketSize", None),
            in_flight=max(1, min(IN_FLIGHT, read("ReceiveMaximum", IN_FLIGHT))),
            retain=known.retain and bool(read("RetainAvailable", 1)),
            qos=min(known.qos, read("MaximumQoS", 1)),
            wildcards=bool(read("WildcardSubscriptionAvailable", 1)),
        )

    def too_large(self, topic: str, payload: bytes) -> str:
        """Return why this message is too large to be sent, or ""."""
        size = len(topic.encode()) + len(payload) + HEAD
        if self.packet is None or size <= self.packet:
            return ""
        return tr(
            "The MQTT broker takes messages of up to {most} bytes. The one to {topic}"
            " would have {size} and is left out.",
            most=self.packet,
            topic=topic,
            size=size,
        )

    def lacks(self) -> Iterator[str]:
        """Return a sentence for each feature that does not work with this broker."""
        if not self.retain:
            yield tr(
                "The MQTT broker keeps no retained messages: a client that connects"
                " later sees a task only when it changes."
            )
        if self.qos < 1:
            yield tr(
                "The MQTT broker accepts only QoS 0: a message that is lost on "
                "its way is not sent again."
            )


def batches(
    filters: Sequence[str],
    instead: Mapping[str, Sequence[str]],
    allowed: Allowed,
    one_by_one: bool,
) -> list[tuple[str, ...]]:
    """Divide *filters* among SUBSCRIBEs. *instead* has topics for a wildcard."""
    exact: list[str] = []
    for each in filters:
        exact += [each] if allowed.wildcards else instead.get(each, [each])
    size = 1 if one_by_one else AT_ONCE
    return [tuple(exact[at : at + size]) for at in range(0, len(exact), size)]
