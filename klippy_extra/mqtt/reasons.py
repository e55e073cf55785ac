"""Explains why a connection fails, and names the option to check. Pure.

People get complete sentences, never "Unspecified error".
"""

from __future__ import annotations

from ..broker import Broker
from ..language import mark, tr

OFF = "mqtt_tls: False"

# MQTT 5, section 2.4: the reason codes of CONNACK, SUBACK, PUBACK and DISCONNECT.
RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED = 0x9A, 0x9B
TAKEN_OVER = 0x8E
REASONS = {
    0x81: mark("it reports that our message is malformed"),
    0x82: mark("it reports a protocol error in our message"),
    0x84: mark("it does not speak this version of MQTT: look at 'mqtt_version'"),
    0x85: mark("it does not take the client id: look at 'mqtt_client_id'"),
    0x86: mark("it refuses the user or the password: look at 'credentials'"),
    0x87: mark(
        "it does not authorise us: look at 'credentials' and at the broker's rights"
    ),
    0x88: mark("it is not available at the moment"),
    0x89: mark("it is busy"),
    0x8A: mark("it has banned us: look at 'mqtt_client_id' and 'credentials'"),
    0x8B: mark("it is shutting down"),
    0x8C: mark("it wants another way to log in than user and password"),
    0x8D: mark("it heard nothing from us in time: look at 'mqtt_keepalive'"),
    TAKEN_OVER: mark(
        "another client with the same id has taken the connection over: a copied"
        " card, or 'mqtt_client_id'"
    ),
    0x8F: mark("it does not take the filter"),
    0x90: mark("it does not take the topic: look at 'base_topic'"),
    0x93: mark("it says that we sent too much at once"),
    0x94: mark("it does not take the topic"),
    0x95: mark("the message is larger than it allows"),
    0x96: mark("it says that we send too often"),
    0x97: mark("a quota is used up"),
    0x98: mark("its administrator has ended the connection"),
    0x99: mark("it does not take what the message contains"),
    RETAIN_NOT_SUPPORTED: mark("it keeps no retained messages"),
    QOS_NOT_SUPPORTED: mark("it accepts only QoS 0"),
    0x9C: mark("it wants us to use another server: look at 'mqtt_host'"),
    0x9D: mark("it has moved: look at 'mqtt_host'"),
    0x9E: mark("it has no shared subscriptions"),
    0x9F: mark("we connect too often"),
    0xA1: mark("it has no subscription identifiers"),
    0xA2: mark("it takes no wildcards in subscriptions"),
}


ENDED = mark("the connection ended")
UNKNOWN = mark("it does not say why")


def reason(code: int) -> str:
    """Return the meaning of a reason code, as the end of a sentence."""
    return tr(REASONS.get(code, UNKNOWN))


def silent(broker: Broker) -> str:
    """Return the reason for an open connection on which no answer arrives."""
    return tr(
        "what listens there does not answer as an MQTT broker: look at 'mqtt_port'"
        " (a broker's port for TLS {without}, a web server, a broker for websockets)",
        without=tr("without '{option}'", option=OFF if broker.tls else "mqtt_tls"),
    )


def explain(error: BaseException, broker: Broker) -> str:
    """Return why a connection failed, as the end of a sentence about the broker."""
    names = {each.__name__ for each in type(error).__mro__}
    text = str(getattr(error, "verify_message", "") or error)
    if "SSLCertVerificationError" in names:
        foreign = "ostname" in text or "IP address" in text
        option = "mqtt_server_name" if foreign else "mqtt_ca"
        return tr(
            "its certificate is not accepted ({error}): look at '{option}'",
            error=text,
            option=option,
        )
    if "SSLError" in names:
        return _tls(text)
    return text if "NoTlsError" in names else _network(error, names, text, broker)


def _tls(text: str) -> str:
    lower = text.lower()
    if "wrong_version" in lower or "wrong version" in lower or "record" in lower:
        return tr("it speaks no TLS on that port: look at 'mqtt_tls' and 'mqtt_port'")
    if "certificate required" in lower or "handshake failure" in lower:
        return tr(
            "it wants another certificate of ours ({error}): look at"
            " 'mqtt_certificate'",
            error=text,
        )
    return tr(
        "TLS fails ({error}): look at 'mqtt_tls', 'mqtt_ca' and 'mqtt_certificate'",
        error=text,
    )


def _network(error: BaseException, names: set[str], text: str, broker: Broker) -> str:
    if names & {"ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError"}:
        return silent(broker)
    for name, words in _NETWORK.items():
        if name in names:
            return tr(words, error=text)
    if getattr(error, "filename", None):
        return tr(
            "a file cannot be read ({error}): look at 'mqtt_ca', 'mqtt_certificate'"
            " and 'mqtt_key'",
            error=text,
        )
    text = text or type(error).__name__
    return tr("it cannot be reached ({error}): look at 'mqtt_host'", error=text)


NO_ANSWER = mark("it does not answer: look at 'mqtt_host' and 'mqtt_port'")
_NETWORK = {
    "gaierror": mark("the name is not known ({error}): look at 'mqtt_host'"),
    "WebsocketConnectionError": mark(
        "it refuses the websocket ({error}): look at 'mqtt_path' and 'mqtt_port'"
    ),
    "ConnectionRefusedError": mark(
        "nothing listens there: look at 'mqtt_host' and 'mqtt_port'"
    ),
    "TimeoutError": NO_ANSWER,
    "timeout": NO_ANSWER,
}
