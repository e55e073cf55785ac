"""Reads and checks the `[maintain]` section. Each error names the fix."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from typing import NamedTuple

from . import contract, language
from .broker import Broker, credentials
from .klipper_objects import Config
from .ledger import conditions
from .outlook import policy
from .outlook.policy import Policy
from .paths import path_of, shown
from .web_address import default_url, parse_url

# klippy.log shows the whole configuration, and people post it in public.
SECRETS = ("mqtt_password", "mqtt_username", "mqtt_user", "password", "username")
PORTS = {  # the default ports, by websocket and TLS
    (False, False): 1883,
    (False, True): 8883,
    (True, False): 80,
    (True, True): 443,
}
MQTT_OPTIONS = (
    "mqtt_port",
    "mqtt_tls",
    "mqtt_ca",
    "mqtt_certificate",
    "mqtt_key",
    "mqtt_version",
    "mqtt_client_id",
    "mqtt_keepalive",
    "mqtt_server_name",
    "mqtt_transport",
    "mqtt_path",
    "credentials",
    "base_topic",
    "discovery_prefix",
    "home_assistant",
    "area",
    "allow_commands",
)


class Settings(NamedTuple):
    """The options of `[maintain]`. Intervals are seconds."""

    name: str
    slug: str
    short_name: str  # "": the same as the name
    language: str
    model: str
    web_page: str
    page: str  # the address of Upkeep's page; "": it is unknown
    broker: Broker | None  # None: there is no MQTT
    base: str
    discovery: str  # the prefix of discovery's topics; "": there is no discovery
    area: str  # the area that is suggested to Home Assistant; "": none
    integration: bool  # whether the integration makes the entities, and not discovery
    allow_commands: bool
    publish_interval: float
    store: Path
    store_interval: float
    remind: bool
    remind_interval: float
    remind_while_printing: bool
    notify: str  # the name of Moonraker's notifier; "": there is none
    confirm_timeout: float
    moonraker: bool  # whether print_time and filament are Moonraker's totals
    moonraker_url: str
    import_history: bool
    export: Path  # the file to which the log is written as a table
    material_variable: str
    learn: bool  # whether to suggest by the log, and to forecast by the weekdays
    at_print_start: Policy  # for tasks that do not have this option


def read(config: Config) -> Settings:
    """Read the section. `config.error` names the section, the option and the fix."""
    start_args = config.get_printer().get_start_args()
    folder = path_of(start_args.get("config_file") or "printer.cfg")
    name = text(config, "printer_name", default_name(folder, socket.gethostname()))
    # This was the ancestor's time between checks. The extra counts all the time, but 0
    # or less still means that there are no reminders.
    interval = number(config, "interval", 60.0, least=-1e9)
    return Settings(
        name=name,
        slug=contract.slug(name),
        short_name=text(config, "short_name", ""),
        language=text(config, "language", language.ENGLISH),
        model=text(config, "model", ""),
        web_page=text(config, "web_page", ""),
        page=_page(config),
        broker=_broker(config),
        base=_topic(config, "base_topic", contract.BASE),
        discovery=_topic(
            config, "discovery_prefix", "homeassistant", may_be_empty=True
        ),
        area=text(config, "area", ""),
        integration=choice(config, "home_assistant", ("discovery", "integration"))
        == "integration",
        allow_commands=config.getboolean("allow_commands", True),
        publish_interval=number(config, "publish_interval", 30.0, least=1.0),
        store=path_of(text(config, "store", str(default_store(folder)))),
        store_interval=number(config, "store_interval", 10.0, least=1.0),
        remind=interval > 0.0,
        remind_interval=number(config, "remind_interval", 3600.0, least=60.0),
        remind_while_printing=config.getboolean("remind_while_printing", False),
        notify=text(config, "notify", ""),
        confirm_timeout=number(config, "confirm_timeout", 120.0, least=1.0),
        moonraker=choice(config, "source", ("klipper", "moonraker")) == "moonraker",
        moonraker_url=_moonraker(config, folder),
        import_history=config.getboolean("import_history", False),
        export=default_export(folder),
        material_variable=_variable(config),
        learn=config.getboolean("learn", False),
        at_print_start=at_print_start(
            config, text(config, "at_print_start", ""), Policy()
        ),
    )


def _page(config: Config) -> str:
    """Return the address of the page, without `#` and what follows."""
    page = text(config, "page", "").strip().partition("#")[0]
    if not page:
        return ""
    try:
        parse_url(page)
    except ValueError as error:
        raise refusal(config, "page", f"cannot be read: {error}") from None
    return page


def default_name(config_file: Path, host: str) -> str:
    """Return the host's name, with the instance if several printers share the host."""
    folder = _data_folder(config_file)
    instance = "" if folder is None else folder.name
    if instance.endswith("_data"):
        instance = instance[: -len("_data")]
    if not instance and config_file.stem != "printer":
        instance = config_file.stem
    return host if instance in ("", "printer") else f"{host} {instance}"


def default_store(config_file: Path) -> Path:
    """Return a file beside the configuration folder, which updates do not touch."""
    folder = _data_folder(config_file)
    if folder is not None:
        name = "upkeep" if config_file.stem == "printer" else config_file.stem
        return folder / "upkeep" / f"{name}.sqlite"
    return config_file.parent / ".upkeep" / f"{config_file.stem}.sqlite"


def default_export(config_file: Path) -> Path:
    """Return a file in a folder from which people can download, if there is one."""
    folder = _data_folder(config_file)
    if folder is not None and (folder / "logs").is_dir():
        return folder / "logs" / "maintenance-log.csv"
    return config_file.absolute().parent / "maintenance-log.csv"


def _data_folder(config_file: Path) -> Path | None:
    """Return `~/printer_data` for `~/printer_data/config/printer.cfg`."""
    folder = config_file.absolute().parent
    return folder.parent if folder.name == "config" else None


def _broker(config: Config) -> Broker | None:
    for option in SECRETS:
        if config.get(option, None) is not None:
            raise refusal(
                config,
                option,
                "does not belong into the configuration: klippy.log shows all of it,"
                " and is often posted in public. Write 'username: NAME' and"
                " 'password: WORD' into a file of its own and name that file with"
                " 'credentials: ~/printer_data/config/upkeep.secrets'",
            )
    host = text(config, "mqtt_host", "")
    if not host:
        given = [each for each in MQTT_OPTIONS if config.get(each, None) is not None]
        if given or config.get("mqtt_host", None) is not None:
            raise refusal(
                config,
                "mqtt_host",
                "is missing: name the MQTT broker, for example 'mqtt_host:"
                " homeassistant.local'"
                + (f", or remove '{given[0]}'" if given else ", or remove the option"),
            )
        return None
    if "@" in host or "/" in host:
        raise refusal(
            config,
            "mqtt_host",
            "is a host name or an address and nothing else: the port has its option"
            " 'mqtt_port', and user and password stand in the file that"
            " 'credentials' names",
        )
    ca, certificate, key = (
        _file(config, option) for option in ("mqtt_ca", "mqtt_certificate", "mqtt_key")
    )
    if (certificate is None) != (key is None):
        raise refusal(
            config,
            "mqtt_certificate" if certificate is None else "mqtt_key",
            "is missing: a client certificate and its key belong together",
        )
    secured = ca is not None or certificate is not None
    tls = config.getboolean("mqtt_tls", secured)
    server_name = text(config, "mqtt_server_name", "") or None
    if server_name is not None and not tls:
        raise refusal(
            config,
            "mqtt_server_name",
            "is the name in a certificate: it needs mqtt_tls",
        )
    path = _path(config)
    username, password = _credentials(config)
    port = PORTS[path is not None, tls]
    return Broker(
        host=host.strip("[]"),
        client_id=_client_id(config),
        port=int(number(config, "mqtt_port", port, least=1, most=65535)),
        username=username,
        password=password,
        tls=tls,
        ca=ca,
        certificate=certificate,
        key=key,
        version=choice(config, "mqtt_version", ("3.1.1", "5")),
        keepalive=int(number(config, "mqtt_keepalive", 30.0, least=5, most=65535)),
        server_name=server_name,
        path=path,
    )


def _path(config: Config) -> str | None:
    """Return the path of a websocket, or None."""
    transport = choice(config, "mqtt_transport", ("tcp", "websockets"))
    path = config.get("mqtt_path", None)
    if transport == "websockets":
        return "/" + text(config, "mqtt_path", "/mqtt").lstrip("/")
    if path is not None:
        raise refusal(
            config, "mqtt_path", "needs 'mqtt_transport: websockets' beside it"
        )
    return None


def _client_id(config: Config) -> str:
    """Return the client id, or "" if it is made of the uuid in the store."""
    client_id = text(config, "mqtt_client_id", "")
    if len(client_id) > 128 or not client_id.isprintable():
        raise refusal(
            config, "mqtt_client_id", "has more than 128 letters, or unprintable ones"
        )
    return client_id


def _credentials(config: Config) -> tuple[str | None, str | None]:
    path = config.get("credentials", None)
    if path is None:
        return None, None
    try:
        username, password = credentials(path)
    except ValueError as error:
        raise refusal(config, "credentials", f"names a file: {error}") from None
    return username, password


def _file(config: Config, option: str) -> str | None:
    path = config.get(option, None)
    if path is None:
        return None
    where = path_of(path)
    if not where.is_file():
        raise refusal(config, option, f"names {shown(where)}, which is no file")
    return str(where)


def _moonraker(config: Config, config_file: Path) -> str:
    url = text(config, "moonraker_url", default_url(config_file))
    try:
        parse_url(url)
    except ValueError as error:
        raise refusal(config, "moonraker_url", f"is wrong: {error}") from None
    return url


def _variable(config: Config) -> str:
    variable = text(config, "material_variable", "")
    try:
        conditions.parse_variable(variable)
    except ValueError as error:
        raise refusal(config, "material_variable", f"is wrong: {error}") from None
    return variable


def _topic(
    config: Config, option: str, default: str, may_be_empty: bool = False
) -> str:
    topic = text(config, option, default).strip("/")
    if any(c in topic for c in "+#") or not (topic or may_be_empty):
        raise refusal(
            config,
            option,
            f"is {topic!r}: a topic without '+' and '#', like {default!r}",
        )
    return topic


def refusal(config: Config, option: str, why: str) -> Exception:
    """Return Klipper's own exception for a wrong option."""
    error: Exception = config.error(
        f"Option '{option}' in section '{config.get_name()}' {why}."
    )
    return error


def text(config: Config, option: str, default: str) -> str:
    value = config.get(option, None)
    return default if value is None else str(value).strip()


def choice(
    config: Config, option: str, choices: tuple[str, ...], default: str = ""
) -> str:
    value = text(config, option, default or choices[0]).lower()
    if value not in choices:
        raise refusal(
            config, option, f"is {value!r}: choose one of " + ", ".join(choices)
        )
    return value


def at_print_start(config: Config, value: str, default: Policy) -> Policy:
    try:
        return policy.parse(value, default)
    except ValueError as error:
        raise refusal(config, "at_print_start", str(error)) from None


def number(
    config: Config, option: str, default: float, least: float = 0.0, most: float = 1e9
) -> float:
    """Read a number. Klipper's own `getfloat` accepts NaN and infinity."""
    value = config.get(option, None)
    if value is None:
        return default
    return amount(config, option, value, least, most)


def amount(
    config: Config, option: str, value: str, least: float, most: float = 1e9
) -> float:
    try:
        parsed = float(value)
    except ValueError:
        parsed = math.nan
    if not least <= parsed <= most:
        raise refusal(
            config, option, f"is {value!r}: give a number from {least:g} to {most:g}"
        )
    return parsed
