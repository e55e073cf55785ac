"""The bridge's settings: a TOML file, the environment over it, flags over both.

Checked once, here; a wrong one is a SettingsError that names the key, its
value, what is allowed and where it was set.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
import re
import ssl
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import Formatter
from typing import Any, NoReturn
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

    def context(self) -> ssl.SSLContext:
        """Read the files. OSError: one is not what it should be."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        return context


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
    for variable in sorted(environ):
        if variable.startswith(ENVIRONMENT):
            name = _VARIABLES.get(variable) or _unknown(variable, _VARIABLES)
            _put(tree, name, environ[variable])
            where[name] = f"the environment's {variable}"
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals or name in SECRETS:
            told = "passwords do not belong there" if equals else "it is no KEY=VALUE"
            raise SettingsError(f"--set {name}: {told}")
        if name not in _NAMES:
            _unknown(f"--set {name}", [f"--set {each}" for each in _NAMES])
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
            f"broker.credentials: {file} cannot be read ({_words(error)}); "
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
    allowed = ", ".join(f"{{{name}}}" for name in TEMPLATE)
    wrong = vol.Invalid(f"a text with none but {allowed} in braces")
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
    except FileNotFoundError:
        raise SettingsError(
            f"{path} is not there; 'upkeep-bridge init {path}' writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {_words(error)}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None


def _unknown(name: str, known: Iterable[str]) -> NoReturn:
    near = difflib.get_close_matches(name, known, 1, 0.0)
    told = f"did you mean {near[0].removeprefix('--set ')}?"
    if "push.rule" in name:
        told = "rules stand in the file alone"
    raise SettingsError(f"{name}: there is no such setting; {told}")


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
        _refuse(
            where, "store.share.index",
            f"is {part.index}: of {part.of} bridges the first is 0 and the last "
            f"{part.of - 1}",
        )  # fmt: skip
    store = Store(share=part, **fields)
    http = Http(**checked.get("http", {}))
    push = checked.get("push", {})
    rules = tuple(_rules(push.pop("rule", ()), http, where))
    push.setdefault("state", _state(store, environ))
    if store.read_only and any(rule.buttons for rule in rules):
        _refuse(
            where, "store.read_only",
            "is true and a push.rule has buttons, which set: leave one of them out",
        )  # fmt: skip
    return Settings(
        broker=_broker(checked.get("broker", {}), where, environ),
        store=store,
        push=Push(rules=rules, **push),
        http=http,
        metrics=checked.get("metrics", {}).get("listen"),
    )


def _rules(
    rules: Iterable[dict[str, Any]], http: Http, where: Mapping[str, str]
) -> Iterable[Rule]:
    for number, rule in enumerate(rules):
        name = f"push.rule.{number}"
        if not rule.get("to"):
            _refuse(where, f"{name}.to", "is missing: Apprise addresses")
        if rule.get("buttons") and not (http.listen and http.url):
            _refuse(
                where, f"{name}.buttons",
                "is true: buttons need http.listen (HOST:PORT that the bridge serves) "
                "and http.url (what a phone reaches it by)",
            )  # fmt: skip
        yield Rule(**rule)


def _broker(
    fields: dict[str, Any], where: Mapping[str, str], environ: Mapping[str, str]
) -> Broker:
    given = {name: fields.pop(name, None) for name in ("ca", "certificate", "key")}
    paths = {name: path and _expand(path, environ) for name, path in given.items()}
    wanted = fields.pop("tls", any(paths.values()))
    tls = _tls(paths, where) if wanted else None
    file = fields.pop("credentials", None)
    if file is not None:
        try:
            username, password = credentials(file, environ)
        except SettingsError as error:
            raise SettingsError(
                f"{_source(where, 'broker.credentials')}{error}"
            ) from None
        fields = {"username": username, "password": password, **fields}
    fields.setdefault("port", 8883 if wanted else 1883)
    return Broker(tls=tls, **fields)


def _tls(paths: Mapping[str, str | None], where: Mapping[str, str]) -> Tls:
    """Read them once: the link would fail for ever, and not name them."""
    ca, certificate, key = paths["ca"], paths["certificate"], paths["key"]
    if key and not certificate:
        _refuse(where, "broker.key", "is set without broker.certificate")
    for name, path in paths.items():
        try:
            if path:
                Path(path).open("rb").close()
        except OSError as error:
            _refuse(where, f"broker.{name}", f"cannot be read: {path}: {_words(error)}")
    for name, tls in (
        ("ca", Tls(ca=ca)),
        ("certificate", Tls(certificate=certificate, key=key)),
    ):
        try:
            tls.context()
        except OSError as error:
            files = " with ".join(
                path for path in (tls.ca, tls.certificate, tls.key) if path
            )
            _refuse(where, f"broker.{name}", f"is no good: {files}: {error}")
    return Tls(ca=ca, certificate=certificate, key=key)


def _words(error: OSError | ValueError) -> str:
    """What went wrong, without the number and the path."""
    return getattr(error, "strerror", None) or str(error)


def _refuse(where: Mapping[str, str], name: str, told: str) -> NoReturn:
    raise SettingsError(f"{_source(where, name)}{name} {told}")


def _source(where: Mapping[str, str], name: str) -> str:
    """Where *name* was set, or what is around it, to stand before an error."""
    while name and name not in where:
        name = name.rpartition(".")[0]
    return f"{where[name]}: " if name else ""


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
    source = _source(where, name)
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
    # Addresses of push services hold tokens, wherever below "push" they were put.
    in_push = name == "push" or name.startswith("push.")
    if name in SECRETS or (in_push and name.removeprefix("push.") not in _PUSH):
        return "hidden"
    # As [[broker]] makes it: what is inside may be secret.
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return "a list of tables"
    return f"{value!r:.80}"


def _known(path: list[str]) -> Iterable[str]:
    if len(path) == 1:
        return _SECTIONS
    if path[:2] == ["push", "rule"]:
        return _RULE
    if path[:2] == ["store", "share"]:
        return _SHARE
    more = {"store": ["share"], "push": ["rule"]}.get(path[0], [])
    return [*_SECTIONS.get(path[0], ()), *more]
