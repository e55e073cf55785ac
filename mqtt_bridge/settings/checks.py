"""Checks each setting, and returns its value for the model. Pure.

A checker raises `vol.Invalid` with a text that names the allowed values.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any
from urllib.parse import urlsplit

import voluptuous as vol

from mqtt_bridge import contract
from mqtt_bridge.settings.model import MAIN, ONLY, STANDBY


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise vol.Invalid("a text")
    return value


def _filled(value: Any) -> str:
    if not _text(value).strip():
        raise vol.Invalid("a text that is not empty")
    return str(value)


def _number(low: float, high: float, kind: type = int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        allowed = f"a number from {low:g} to {high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise vol.Invalid(allowed)
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise vol.Invalid(f"a whole number from {low:g} to {high:g}")
        try:
            number = kind(value)
        except (ValueError, OverflowError):
            raise vol.Invalid(allowed) from None
        if not low <= number <= high:
            raise vol.Invalid(allowed)
        return number

    return check


def _switch(value: Any) -> bool:
    switches = {"true": True, "yes": True, "1": True, "on": True}
    switches |= {"false": False, "no": False, "0": False, "off": False}
    if str(value).lower() not in switches:
        raise vol.Invalid("true or false")
    return switches[str(value).lower()]


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if str(value) not in allowed:
            raise vol.Invalid("one of " + ", ".join(allowed))
        return str(value)

    return check


def _texts(check: Callable[[Any], str] = _filled) -> Callable[[Any], tuple[str, ...]]:
    def checked(value: Any) -> tuple[str, ...]:
        # The environment and flags have no lists, so a text with commas is a list
        # there.
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list):
            raise vol.Invalid("a list of texts")
        return tuple(check(each.strip() if isinstance(each, str) else each)
                     for each in parts)  # fmt: skip

    return checked


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not contract.is_slug(value):
        raise vol.Invalid("a printer's slug (a-z, 0-9, _ and -)")
    return value


def _base(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^/+#\0]+(/[^/+#\0]+)*", value):
        raise vol.Invalid(
            "a topic without +, without #, and without a slash at its ends"
        )
    return value


def _bases(value: Any) -> tuple[str, ...]:
    bases = _texts(_base)(value)
    below = [f"{base}/" for base in bases]
    if not bases or any(
        one.startswith(other) for one in below for other in below if one is not other
    ):
        raise vol.Invalid(
            "a topic, or a list of topics where no topic is below another"
        )
    return bases


def _path(value: Any) -> str:
    if not _text(value).startswith("/") or not value.isprintable() or " " in value:
        raise vol.Invalid("a path that begins with a slash, such as /mqtt")
    return str(value)


def _host(value: Any) -> str:
    host = _filled(value).strip()
    # An IPv6 address may have brackets, as in a URL.
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", value):
        raise vol.Invalid("a name of letters, digits, _ and -")
    return value.lower()


def _network(value: Any) -> str:
    try:
        return str(ipaddress.ip_network(_text(value), strict=False))
    except ValueError:
        raise vol.Invalid("an address, or a network such as 192.168.1.0/24") from None


def _interface(value: Any) -> str:
    address = _host(value)
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return address  # this is a name, which is looked up later
    if version == 6:
        raise vol.Invalid(
            "an IPv4 address (mKTL's discovery uses IPv4 broadcasts, so clients would "
            "not find a daemon at any other address)"
        )
    return address


def _listen(value: Any) -> tuple[str, int]:
    if isinstance(value, str | int):
        host, _, port = str(value).rpartition(":")
        if port.isdecimal() and int(port) < 65536:
            return host.strip("[]") or "127.0.0.1", int(port)
    raise vol.Invalid("HOST:PORT, or a port (on loopback)")


def _url(value: Any) -> str:
    if urlsplit(_text(value)).scheme not in ("http", "https"):
        raise vol.Invalid("an address that begins with http:// or https://")
    return str(value).rstrip("/")


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", value):
        raise vol.Invalid("a path such as /upkeep")
    return value.rstrip("/")


def _minutes(value: Any) -> int:
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(value))
    if match is None:
        raise vol.Invalid("a time of the day such as 08:00")
    return int(match[1]) * 60 + int(match[2])


def _span(value: Any) -> tuple[int, int]:
    parts = str(value).split("-")
    if len(parts) != 2:
        raise vol.Invalid("two times of the day such as 22:00-07:00")
    return _minutes(parts[0].strip()), _minutes(parts[1].strip())


def _template(value: Any) -> str:
    allowed = ", ".join(f"{{{name}}}" for name in TEMPLATE)
    wrong = vol.Invalid(f"a text in which only {allowed} are in braces")
    try:
        names = [name for _, name, _, _ in Formatter().parse(_text(value))]
        _text(value).format(**dict.fromkeys(TEMPLATE, ""))
    except (LookupError, TypeError, AttributeError, ValueError):
        raise wrong from None
    if not set(names) <= {None, *TEMPLATE}:
        raise wrong
    return str(value)


TEMPLATE = (
    "printer", "slug", "task", "label", "event", "what", "message", "guide", "by",
    "note", "url",
)  # fmt: skip
BROKER = {
    "host": _host,
    "port": _number(1, 65535),
    "version": _one_of("3.1.1", "5"),
    "base": _bases,
    "client_id": _text,
    "keepalive": _number(5, 3600),
    "username": _text,
    "password": _text,
    "credentials": _filled,
    "tls": _switch,
    "ca": _filled,
    "certificate": _filled,
    "key": _filled,
    "server_name": _filled,
    "transport": _one_of("tcp", "websockets"),
    "path": _path,
}
SHARE = {"of": _number(1, 1000), "index": _number(0, 999)}
STORE = {
    "name": _name,
    "alias": _name,
    "printers": _texts(_slug),
    "read_only": _switch,
    "interface": _interface,
    "allow": _texts(_network),
    "override": _switch,
    "registry": _switch,
    "role": _one_of(ONLY, MAIN, STANDBY),
}
RULE = {
    "to": _texts(),
    "printers": _texts(),
    "tasks": _texts(),
    "events": _texts(_one_of(*contract.EVENTS)),
    "title": _template,
    "text": _template,
    "buttons": _switch,
}
PUSH = {"quiet": _span, "digest": _minutes, "state": _filled}
HTTP = {"listen": _listen, "url": _url, "expire": _number(0.1, 8760, float)}
METRICS = {"listen": _listen}
WEB = {
    "listen": _listen,
    "token_file": _filled,
    "open": _switch,
    "hosts": _texts(),
    "prefix": _prefix,
    "read_only": _switch,
    "certificate": _filled,
    "key": _filled,
}


def _optional(fields: Mapping[str, Any]) -> dict[Any, Any]:
    return {vol.Optional(name): check for name, check in fields.items()}


SCHEMA = vol.Schema(
    {
        vol.Optional("language"): _filled,
        vol.Optional("broker"): _optional(BROKER),
        vol.Optional("store"): {
            **_optional(STORE),
            vol.Optional("share"): _optional(SHARE),
        },
        vol.Optional("push"): {
            **_optional(PUSH),
            vol.Optional("rule"): [_optional(RULE)],
        },
        vol.Optional("http"): _optional(HTTP),
        vol.Optional("web"): _optional(WEB),
        vol.Optional("metrics"): _optional(METRICS),
    }
)
SECTIONS: dict[str, Mapping[str, Any]] = {
    "broker": BROKER,
    "store": STORE,
    "push": PUSH,
    "http": HTTP,
    "web": WEB,
    "metrics": METRICS,
}
NAMES = [
    "language",
    *(f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys),
    *(f"store.share.{key}" for key in SHARE),
]
