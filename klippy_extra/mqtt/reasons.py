"""Why a connection fails, in words that name the option to look at. Pure.

What a person reads is a complete sentence. "Unspecified error" never is.
"""

from __future__ import annotations

from ..broker import Broker

# MQTT 5, section 2.4: what CONNACK, SUBACK, PUBACK and DISCONNECT say.
RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED = 0x9A, 0x9B
TAKEN_OVER = 0x8E
REASONS = {
    0x81: "it calls our message malformed",
    0x82: "it calls our message a protocol error",
    0x84: "it does not speak this version of MQTT: look at 'mqtt_version'",
    0x85: "it does not take the client id: look at 'mqtt_client_id'",
    0x86: "it refuses the user or the password: look at 'credentials'",
    0x87: "it does not authorise us: look at 'credentials' and at the broker's rights",
    0x88: "it is not available at the moment",
    0x89: "it is busy",
    0x8A: "it has banned us: look at 'mqtt_client_id' and 'credentials'",
    0x8B: "it is shutting down",
    0x8C: "it wants another way to log in than user and password",
    0x8D: "it heard nothing from us in time: look at 'mqtt_keepalive'",
    TAKEN_OVER: (
        "another client with the same id has taken the connection over: a copied"
        " card, or 'mqtt_client_id'"
    ),
    0x8F: "it does not take the filter",
    0x90: "it does not take the topic: look at 'base_topic'",
    0x93: "it says that we sent too much at once",
    0x94: "it does not take the topic",
    0x95: "the message is larger than it allows",
    0x96: "it says that we send too often",
    0x97: "a quota is used up",
    0x98: "its administrator has ended the connection",
    0x99: "it does not take what the message contains",
    RETAIN_NOT_SUPPORTED: "it keeps no retained messages",
    QOS_NOT_SUPPORTED: "it takes messages of quality 0 only",
    0x9C: "it wants us to use another server: look at 'mqtt_host'",
    0x9D: "it has moved: look at 'mqtt_host'",
    0x9E: "it has no shared subscriptions",
    0x9F: "we connect too often",
    0xA1: "it has no subscription identifiers",
    0xA2: "it takes no wildcards in subscriptions",
}


def reason(code: int) -> str:
    """What a reason code says, as the end of a sentence."""
    return REASONS.get(code, "it does not say why")


def silent(broker: Broker) -> str:
    """The connection is open, and no answer of a broker came."""
    secured = "without 'mqtt_tls: False'" if broker.tls else "without 'mqtt_tls'"
    return (
        "what listens there does not answer as an MQTT broker: look at 'mqtt_port'"
        f" (a broker's port for TLS {secured}, a web server, a broker for websockets)"
    )


def explain(error: BaseException, broker: Broker) -> str:
    """Why connecting failed, as the end of a sentence that names the broker."""
    names = {each.__name__ for each in type(error).__mro__}
    text = str(getattr(error, "verify_message", "") or error)
    if "SSLCertVerificationError" in names:
        foreign = "ostname" in text or "IP address" in text
        option = "mqtt_server_name" if foreign else "mqtt_ca"
        return f"its certificate is not accepted ({text}): look at '{option}'"
    if "SSLError" in names:
        return _tls(text)
    return text if "NoTlsError" in names else _network(error, names, text, broker)


def _tls(text: str) -> str:
    lower = text.lower()
    if "wrong_version" in lower or "wrong version" in lower or "record" in lower:
        return "it speaks no TLS on that port: look at 'mqtt_tls' and 'mqtt_port'"
    if "certificate required" in lower or "handshake failure" in lower:
        return (
            f"it wants another certificate of ours ({text}): look at 'mqtt_certificate'"
        )
    return f"TLS fails ({text}): look at 'mqtt_tls', 'mqtt_ca' and 'mqtt_certificate'"


def _network(error: BaseException, names: set[str], text: str, broker: Broker) -> str:
    if names & {"ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError"}:
        return silent(broker)
    for name, words in _NETWORK.items():
        if name in names:
            return words.format(text)
    if getattr(error, "filename", None):
        return (
            f"a file cannot be read ({text}): look at 'mqtt_ca', 'mqtt_certificate'"
            " and 'mqtt_key'"
        )
    text = text or type(error).__name__
    return f"it cannot be reached ({text}): look at 'mqtt_host'"


_NETWORK = {
    "gaierror": "the name is not known ({}): look at 'mqtt_host'",
    "WebsocketConnectionError": (
        "it refuses the websocket ({}): look at 'mqtt_path' and 'mqtt_port'"
    ),
    "ConnectionRefusedError": (
        "nothing listens there: look at 'mqtt_host' and 'mqtt_port'"
    ),
    "TimeoutError": "it does not answer: look at 'mqtt_host' and 'mqtt_port'",
    "timeout": "it does not answer: look at 'mqtt_host' and 'mqtt_port'",
}
