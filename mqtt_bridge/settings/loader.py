"""Loads the bridge's settings from a TOML file, the environment and flags.

The environment replaces the file's settings, and flags replace both. All settings are
checked here, once. A wrong setting raises a SettingsError that names the key, its
value, the allowed values and where it was set.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import voluptuous as vol

from mqtt_bridge import language
from mqtt_bridge.settings.checks import NAMES, SCHEMA
from mqtt_bridge.settings.errors import SECRETS, describe, error_text, refuse, source_of
from mqtt_bridge.settings.model import (
    ONLY,
    STANDBY,
    Broker,
    Http,
    Push,
    Rule,
    Settings,
    SettingsError,
    Share,
    Store,
    Tls,
    Web,
)

ENVIRONMENT = "UPKEEP_"  # UPKEEP_BROKER_HOST is broker.host
# The default ports, by the transport and by whether there is TLS.
_PORTS = {
    ("tcp", False): 1883,
    ("tcp", True): 8883,
    ("websockets", False): 80,
    ("websockets", True): 443,
}
_VARIABLES = {ENVIRONMENT + name.replace(".", "_").upper(): name for name in NAMES}


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
            f"{path}: broker.password must not be in the settings, because people show "
            "them to others. Put it into a file of its own and name that file in "
            "broker.credentials, or set UPKEEP_BROKER_PASSWORD in the environment"
        )
    for variable in sorted(environ):
        if variable.startswith(ENVIRONMENT):
            name = _VARIABLES.get(variable) or _unknown(variable, _VARIABLES)
            _put(tree, name, environ[variable])
            where[name] = f"the environment's {variable}"
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals or name in SECRETS:
            hint = "a flag must not have a password" if equals else "write KEY=VALUE"
            raise SettingsError(f"--set {name}: {hint}")
        if name not in NAMES:
            _unknown(f"--set {name}", [f"--set {each}" for each in NAMES])
        _put(tree, name, value)
        where[name] = f"--set {name}"
    return _build(tree, where, environ)


def credentials(path: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Read the ``username:`` and ``password:`` lines. A SettingsError names the fix."""
    file = Path(_expand(path, environ))
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"broker.credentials: {file} cannot be read ({error_text(error)}); "
            "it should hold two lines, 'username: NAME' and 'password: WORD'"
        ) from None
    words = {
        name.strip().lower(): word.strip()
        for name, colon, word in (line.partition(":") for line in lines)
        if colon and not name.lstrip().startswith("#")
    }
    if not words.get("username"):
        raise SettingsError(
            f"broker.credentials: {file} has no line 'username: NAME' "
            "(and none 'password: WORD')"
        )
    return words["username"], words.get("password", "")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist; 'upkeep-bridge init {path}' writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error_text(error)}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None


def _unknown(name: str, known: Iterable[str]) -> NoReturn:
    near = difflib.get_close_matches(name, known, 1, 0.0)
    hint = f"did you mean {near[0].removeprefix('--set ')}?"
    if "push.rule" in name:
        hint = "rules can only be set in the file"
    raise SettingsError(f"{name}: there is no such setting; {hint}")


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
        checked = SCHEMA(tree)
    except vol.MultipleInvalid as errors:
        raise SettingsError(describe(tree, where, errors.errors[0])) from None
    fields = checked.get("store", {})
    part = Share(**fields.pop("share", {}))
    if part.index >= part.of:
        refuse(
            where, "store.share.index",
            f"is {part.index}: with {part.of} bridges it is a number from 0 to "
            f"{part.of - 1}",
        )  # fmt: skip
    # With this override, registries accept one of the two when the other one has ended.
    if fields.get("role", ONLY) != ONLY:
        fields["override"] = True
    store = Store(share=part, **fields)
    http = Http(**checked.get("http", {}))
    push = checked.get("push", {})
    serves = bool(http.listen or checked.get("web", {}).get("listen"))
    rules = tuple(_rules(push.pop("rule", ()), bool(http.url) and serves, where))
    push.setdefault("state", _state(store, environ))
    if store.read_only and any(rule.buttons for rule in rules):
        refuse(
            where, "store.read_only",
            "is true, but a push.rule has buttons, which send commands: remove one of "
            "them",
        )  # fmt: skip
    return Settings(
        broker=_named(_broker(checked.get("broker", {}), where, environ), store),
        store=store,
        push=Push(rules=rules, **push),
        http=http,
        web=_web(checked.get("web", {}), store, where, environ),
        metrics=checked.get("metrics", {}).get("listen"),
        language=checked.get("language", language.ENGLISH),
    )


def _named(broker: Broker, store: Store) -> Broker:
    """Give a standby its own client id. The same id would end the main connection."""
    if store.role != STANDBY or not broker.client_id:
        return broker
    return dataclasses.replace(broker, client_id=f"{broker.client_id}-standby")


def _web(
    fields: dict[str, Any],
    store: Store,
    where: Mapping[str, str],
    environ: Mapping[str, str],
) -> Web:
    """Return the page's settings. It needs a readable token, unless it is open."""
    file, is_open = fields.pop("token_file", None), fields.pop("open", False)
    for name in ("certificate", "key"):
        if name in fields:
            fields[name] = _expand(fields[name], environ)
    fields["read_only"] = fields.get("read_only", False) or store.read_only
    if file is not None:
        fields["token"] = _token(_expand(file, environ), where)
    elif fields.get("listen") and not is_open:
        refuse(
            where, "web.token_file",
            "is missing: name the file with the token that people enter. Or set "
            "web.open = true, so that everybody who reaches web.listen may use the "
            "page",
        )  # fmt: skip
    web = Web(**fields)
    try:
        web.tls()
    except OSError as error:
        refuse(where, "web.certificate", f"cannot be used: {web.certificate}: {error}")
    return web


def _token(path: str, where: Mapping[str, str]) -> str:
    remedy = f"this command writes one: head -c 18 /dev/urandom | base64 > {path}"
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        refuse(
            where, "web.token_file",
            f"cannot be read: {path}: {error_text(error)}; {remedy}",
        )  # fmt: skip
    if len(token) < 8:
        refuse(
            where, "web.token_file",
            f"has no token of 8 characters or more: {path}; {remedy}",
        )  # fmt: skip
    return token


def _rules(
    rules: Iterable[dict[str, Any]], has_links: bool, where: Mapping[str, str]
) -> Iterable[Rule]:
    for number, rule in enumerate(rules):
        name = f"push.rule.{number}"
        if not rule.get("to"):
            refuse(
                where, f"{name}.to", "is missing: it is the list of Apprise addresses"
            )
        if rule.get("buttons") and not has_links:
            refuse(
                where, f"{name}.buttons",
                "is true: buttons need http.listen (the HOST:PORT that the bridge "
                "serves) or web.listen, and http.url (the address that a phone uses "
                "for it)",
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
                f"{source_of(where, 'broker.credentials')}{error}"
            ) from None
        fields = {"username": username, "password": password, **fields}
    transport = fields.setdefault("transport", "tcp")
    if "path" in fields and transport != "websockets":
        refuse(where, "broker.path", 'is set without broker.transport = "websockets"')
    if "server_name" in fields and not wanted:
        refuse(where, "broker.server_name", "is set without broker.tls")
    fields.setdefault("port", _PORTS[transport, bool(wanted)])
    if "base" in fields:
        fields["bases"] = fields.pop("base")
    return Broker(tls=tls, **fields)


def _tls(paths: Mapping[str, str | None], where: Mapping[str, str]) -> Tls:
    """Read the files once, since a later error would not name the wrong file."""
    ca, certificate, key = paths["ca"], paths["certificate"], paths["key"]
    if key and not certificate:
        refuse(where, "broker.key", "is set without broker.certificate")
    for name, path in paths.items():
        try:
            if path:
                Path(path).open("rb").close()
        except OSError as error:
            refuse(
                where, f"broker.{name}", f"cannot be read: {path}: {error_text(error)}"
            )
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
            refuse(where, f"broker.{name}", f"cannot be used: {files}: {error}")
    return Tls(ca=ca, certificate=certificate, key=key)


def _state(store: Store, environ: Mapping[str, str]) -> str:
    """Return the default of push.state, or "" if there is no folder for it."""
    folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd sets it
    if not folder:
        home = environ.get("HOME")
        above = environ.get("XDG_STATE_HOME") or (home and f"{home}/.local/state")
        folder = f"{above}/upkeep-bridge" if above else ""
    return f"{folder}/push-{store.name}-{store.alias}.db" if folder else ""


def _expand(path: str, environ: Mapping[str, str]) -> str:
    """Replace variables in a path. One of systemd's has the folder of credentials."""
    filled = re.sub(r"\$(\w+)", lambda m: environ.get(m[1], m[0]), path)
    return str(Path(filled).expanduser())
