"""The bridge's settings: a TOML file, the environment over it, flags over both.

Checked once, here; a wrong one is a SettingsError that names the key, its
value, what is allowed and where it was set.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import voluptuous as vol

from mqtt_bridge import contract, share

ENVIRONMENT = "UPKEEP_"  # UPKEEP_BROKER_HOST is broker.host
SECRETS = frozenset({"broker.password"})


class SettingsError(ValueError):
    """A setting that cannot be used, in words for whoever wrote it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tls:
    """Paths; without *ca* the system's authorities are trusted."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broker:
    """Where the broker is and how we present ourselves."""

    host: str = "localhost"
    port: int = 1883
    version: str = "3.1.1"
    base: str = contract.BASE
    client_id: str = ""
    keepalive: int = 30  # seconds
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    tls: Tls | None = None

    @property
    def address(self) -> str:
        return f"mqtt{'s' if self.tls else ''}://{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """This bridge is number *index*, from 0 up, *of* several."""

    of: int = 1
    index: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Store:
    """The mKTL side: which items, and who may reach them."""

    name: str = "upkeep"
    alias: str = "mqtt"
    share: Share = dataclasses.field(default_factory=Share)
    printers: tuple[str, ...] = ()
    read_only: bool = False
    interface: str = "127.0.0.1"
    allow: tuple[str, ...] = ()
    override: bool = False

    def owns(self, printer: str) -> bool:
        """Tell whether this bridge mirrors *printer*."""
        if self.printers:
            return printer in self.printers
        return share.index(printer, self.share.of) == self.share.index


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Which events go to which addresses, and in which words."""

    to: tuple[str, ...] = dataclasses.field(repr=False)
    printers: tuple[str, ...] = ("*",)  # patterns, as the tasks
    tasks: tuple[str, ...] = ("*",)
    events: tuple[str, ...] = ("due",)
    title: str = "{printer}: {label}"
    text: str = "{what}. {message}"
    buttons: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Push:
    """*quiet* and *digest* are local times, minutes since midnight."""

    rules: tuple[Rule, ...] = ()
    quiet: tuple[int, int] | None = None
    digest: int | None = None
    state: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Http:
    """The links behind buttons; off without *listen*."""

    listen: tuple[str, int] | None = None
    url: str = ""  # what phones reach it by
    expire: float = 48.0  # hours


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    broker: Broker = dataclasses.field(default_factory=Broker)
    store: Store = dataclasses.field(default_factory=Store)
    push: Push = dataclasses.field(default_factory=Push)
    http: Http = dataclasses.field(default_factory=Http)
    metrics: tuple[str, int] | None = None


def load(
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str] = os.environ,
    flags: Iterable[str] = (),
) -> Settings:
    """Return the settings of the file *path*, *environ* and *flags* (``KEY=VALUE``)."""
    tree = _read(Path(path)) if path is not None else {}
    where = dict.fromkeys(_names(tree), f"{path}")
    if "broker.password" in where:
        raise SettingsError(
            f"{path}: broker.password stands in the settings, which are shown around; "
            "put it into a file of its own and name that in broker.credentials, or "
            "into the environment as UPKEEP_BROKER_PASSWORD"
        )
    for variable, name in _VARIABLES.items():
        if variable in environ:
            _put(tree, name, environ[variable])
            where[name] = f"the environment's {variable}"
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals or name in SECRETS:
            told = "passwords do not belong there" if equals else "it is no KEY=VALUE"
            raise SettingsError(f"--set {name}: {told}")
        _put(tree, name, value)
        where[name] = f"--set {name}"
    return _build(tree, where, environ)


def credentials(path: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Read ``username:`` and ``password:`` lines; SettingsError tells the fix."""
    file = Path(_expand(path, environ))
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"broker.credentials: {file} cannot be read ({error}); "
            "it should hold two lines, 'username: NAME' and 'password: WORD'"
        ) from None
    found = {
        name.strip().lower(): word.strip()
        for name, colon, word in (line.partition(":") for line in lines)
        if colon and not name.lstrip().startswith("#")
    }
    if not found.get("username"):
        raise SettingsError(
            f"broker.credentials: {file} has no line 'username: NAME' "
            "(and none 'password: WORD')"
        )
    return found["username"], found.get("password", "")


# What is allowed. A checker returns the value as the dataclass has it.


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
        try:
            number = kind(value)
        except ValueError:
            raise vol.Invalid(allowed) from None
        if not low <= number <= high:
            raise vol.Invalid(allowed)
        return number

    return check


def _switch(value: Any) -> bool:
    told = {"true": True, "yes": True, "1": True, "on": True}
    told |= {"false": False, "no": False, "0": False, "off": False}
    if str(value).lower() not in told:
        raise vol.Invalid("true or false")
    return told[str(value).lower()]


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if str(value) not in allowed:
            raise vol.Invalid("one of " + ", ".join(allowed))
        return str(value)

    return check


def _texts(check: Callable[[Any], str] = _filled) -> Callable[[Any], tuple[str, ...]]:
    def checked(value: Any) -> tuple[str, ...]:
        # The environment and flags have no lists: commas do.
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
        raise vol.Invalid("a topic without +, # and outer slashes")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", value):
        raise vol.Invalid("a name of letters, digits, _ and -")
    return value.lower()


def _network(value: Any) -> str:
    try:
        return str(ipaddress.ip_network(_text(value), strict=False))
    except ValueError:
        raise vol.Invalid("an address, or a network as 192.168.1.0/24") from None


def _listen(value: Any) -> tuple[str, int]:
    if isinstance(value, str | int):
        host, _, port = str(value).rpartition(":")
        if port.isdecimal() and int(port) < 65536:
            return host.strip("[]") or "127.0.0.1", int(port)
    raise vol.Invalid("HOST:PORT, or a port on loopback")


def _url(value: Any) -> str:
    if urlsplit(_text(value)).scheme not in ("http", "https"):
        raise vol.Invalid("an address that begins with http:// or https://")
    return str(value).rstrip("/")


def _minutes(value: Any) -> int:
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(value))
    if match is None:
        raise vol.Invalid("a time of the day as 08:00")
    return int(match[1]) * 60 + int(match[2])


def _span(value: Any) -> tuple[int, int]:
    parts = str(value).split("-")
    if len(parts) != 2:
        raise vol.Invalid("two times of the day as 22:00-07:00")
    return _minutes(parts[0].strip()), _minutes(parts[1].strip())


def _template(value: Any) -> str:
    known = dict.fromkeys(TEMPLATE, "")
    try:
        _text(value).format(**known)
    except (KeyError, IndexError, ValueError):
        allowed = ", ".join(f"{{{name}}}" for name in TEMPLATE)
        raise vol.Invalid(f"a text with none but {allowed} in braces") from None
    return str(value)


TEMPLATE = (
    "printer", "slug", "task", "label", "event", "what", "message", "guide", "by",
    "note", "url",
)  # fmt: skip
_BROKER = {
    "host": _filled,
    "port": _number(1, 65535),
    "version": _one_of("3.1.1", "5"),
    "base": _base,
    "client_id": _text,
    "keepalive": _number(5, 3600),
    "username": _text,
    "password": _text,
    "credentials": _filled,
    "tls": _switch,
    "ca": _filled,
    "certificate": _filled,
    "key": _filled,
}
_SHARE = {"of": _number(1, 1000), "index": _number(0, 999)}
_STORE = {
    "name": _name,
    "alias": _name,
    "printers": _texts(_slug),
    "read_only": _switch,
    "interface": _filled,
    "allow": _texts(_network),
    "override": _switch,
}
_RULE = {
    "to": _texts(),
    "printers": _texts(),
    "tasks": _texts(),
    "events": _texts(_one_of(*contract.EVENTS)),
    "title": _template,
    "text": _template,
    "buttons": _switch,
}
_PUSH = {"quiet": _span, "digest": _minutes, "state": _filled}
_HTTP = {"listen": _listen, "url": _url, "expire": _number(0.1, 8760, float)}
_METRICS = {"listen": _listen}


def _optional(fields: Mapping[str, Any]) -> dict[Any, Any]:
    return {vol.Optional(name): check for name, check in fields.items()}


_SCHEMA = vol.Schema(
    {
        vol.Optional("broker"): _optional(_BROKER),
        vol.Optional("store"): {
            **_optional(_STORE),
            vol.Optional("share"): _optional(_SHARE),
        },
        vol.Optional("push"): {
            **_optional(_PUSH),
            vol.Optional("rule"): [_optional(_RULE)],
        },
        vol.Optional("http"): _optional(_HTTP),
        vol.Optional("metrics"): _optional(_METRICS),
    }
)
_SECTIONS: dict[str, Mapping[str, Any]] = {
    "broker": _BROKER,
    "store": _STORE,
    "push": _PUSH,
    "http": _HTTP,
    "metrics": _METRICS,
}
_NAMES = [
    *(f"{section}.{key}" for section, keys in _SECTIONS.items() for key in keys),
    *(f"store.share.{key}" for key in _SHARE),
]
_VARIABLES = {ENVIRONMENT + name.replace(".", "_").upper(): name for name in _NAMES}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} cannot be read ({error}); 'upkeep-bridge init' writes one"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None


def _names(tree: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in tree.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")


def _put(tree: dict[str, Any], name: str, value: str) -> None:
    *sections, key = name.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            return
        tree = below
    tree[key] = value


def _build(
    tree: dict[str, Any], where: Mapping[str, str], environ: Mapping[str, str]
) -> Settings:
    try:
        checked = _SCHEMA(tree)
    except vol.MultipleInvalid as errors:
        raise SettingsError(_told(tree, where, errors.errors[0])) from None
    fields = checked.get("store", {})
    part = Share(**fields.pop("share", {}))
    if part.index >= part.of:
        raise SettingsError(
            f"store.share.index is {part.index}: of {part.of} bridges the first is 0 "
            f"and the last {part.of - 1}"
        )
    store = Store(share=part, **fields)
    push = checked.get("push", {})
    for number, rule in enumerate(push.get("rule", ())):
        if not rule.get("to"):
            raise SettingsError(f"push.rule.{number}.to is missing: Apprise addresses")
    rules = tuple(Rule(**rule) for rule in push.pop("rule", ()))
    push.setdefault("state", _state(store, environ))
    http = Http(**checked.get("http", {}))
    if any(rule.buttons for rule in rules) and not (http.listen and http.url):
        raise SettingsError(
            "push.rule.buttons is true: buttons need http.listen (HOST:PORT that the "
            "bridge serves) and http.url (what a phone reaches it by)"
        )
    return Settings(
        broker=_broker(checked.get("broker", {}), environ),
        store=store,
        push=Push(rules=rules, **push),
        http=http,
        metrics=checked.get("metrics", {}).get("listen"),
    )


def _broker(fields: dict[str, Any], environ: Mapping[str, str]) -> Broker:
    tls = {name: fields.pop(name, None) for name in ("ca", "certificate", "key")}
    paths = {name: path and _expand(path, environ) for name, path in tls.items()}
    wanted = fields.pop("tls", any(paths.values()))
    if paths["key"] and not paths["certificate"]:
        raise SettingsError("broker.key is set without broker.certificate")
    file = fields.pop("credentials", None)
    if file is not None:
        username, password = credentials(file, environ)
        fields = {"username": username, "password": password, **fields}
    fields.setdefault("port", 8883 if wanted else 1883)
    return Broker(tls=Tls(**paths) if wanted else None, **fields)


def _state(store: Store, environ: Mapping[str, str]) -> str:
    """Where a bridge keeps what it told, unless it is told otherwise; "" is nowhere."""
    folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd's
    if not folder:
        home = environ.get("HOME")
        above = environ.get("XDG_STATE_HOME") or (home and f"{home}/.local/state")
        folder = f"{above}/upkeep-bridge" if above else ""
    return f"{folder}/push-{store.name}-{store.alias}.json" if folder else ""


def _expand(path: str, environ: Mapping[str, str]) -> str:
    """Put variables in: systemd names the folder of credentials in one."""
    filled = re.sub(r"\$(\w+)", lambda m: environ.get(m[1], m[0]), path)
    return str(Path(filled).expanduser())


def _told(tree: Mapping[str, Any], where: Mapping[str, str], error: vol.Invalid) -> str:
    path = [str(each) for each in error.path]
    name = ".".join(path)
    source = where.get(name) or where.get(".".join(path[:2])) or where.get(path[0], "")
    source = f"{source}: " if source else ""
    if error.msg == "extra keys not allowed":
        known = sorted(_known(path))
        return f"{source}there is no {name}; allowed: {', '.join(known)}"
    value: Any = tree
    for each in error.path:
        try:
            value = value[each.schema if isinstance(each, vol.Marker) else each]
        except (KeyError, IndexError, TypeError):
            break
    shown = "hidden" if name in SECRETS or path[-1] == "to" else f"{value!r:.80}"
    wanted = error.msg.replace("expected a dictionary", "a table of settings")
    return f"{source}{name} is {shown}, not {wanted.removeprefix('expected ')}"


def _known(path: list[str]) -> Iterable[str]:
    if len(path) == 1:
        return _SECTIONS
    if path[:2] == ["push", "rule"]:
        return _RULE
    if path[:2] == ["store", "share"]:
        return _SHARE
    more = {"store": ["share"], "push": ["rule"]}.get(path[0], [])
    return [*_SECTIONS.get(path[0], ()), *more]
