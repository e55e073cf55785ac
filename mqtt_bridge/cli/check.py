"""`upkeep-bridge check` tries the settings, and tells how to fix each failure."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import tempfile
import uuid
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mktl_daemon
from mqtt_bridge import http_server, language
from mqtt_bridge.broker.subscriptions import STATES
from mqtt_bridge.cli.probe import Probe
from mqtt_bridge.contract import ContractError, Info, Topic
from mqtt_bridge.http_server import family
from mqtt_bridge.settings import Broker, Settings, SettingsError

WITHIN = 5.0  # seconds for each answer
HEALTH = (b"starting\n", b"no broker\n", b"ok\n")  # a bridge's answers to /health


class CheckResult(NamedTuple):
    """The result of one attempt; *fix* is "" if nothing is wrong."""

    what: str
    text: str
    fix: str = ""


def main(settings: Settings, _options: Namespace) -> int:
    """Print one line for each result. Return 1 if something has to be fixed."""
    wrong = 0
    for result in results(settings):
        mark = "FAIL" if result.fix else "ok  "
        print(f"{mark} {result.what}: {result.text}", flush=True)
        if result.fix:
            wrong += 1
            print(f"     {result.fix}", flush=True)
    if wrong == 0:
        print("Everything works.")
    else:
        print(f"{wrong} {'problem' if wrong == 1 else 'problems'} to fix.")
    return 1 if wrong else 0


def results(settings: Settings) -> Iterator[CheckResult]:
    yield from _broker(settings)
    yield _language(settings)
    yield _home()
    for name, address in (
        ("http", settings.http.listen),
        ("metrics", settings.metrics),
    ):
        if address is not None:
            yield _port(name, address)
    if settings.web.listen is not None:
        yield _port("web", settings.web.listen, tls=bool(settings.web.certificate))
    yield _interface(settings)
    yield _discovery(settings)
    yield from _push(settings)


# The broker


def _broker(settings: Settings) -> Iterator[CheckResult]:
    broker = settings.broker
    try:
        known = socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield CheckResult(
            "name", f"{broker.host} was not found: {_words(error)}",
            "Set broker.host to a name or an address that this machine can find.",
        )  # fmt: skip
        return
    yield CheckResult("name", f"{broker.host} is {known[0][4][0]}")
    try:
        plain = socket.create_connection((broker.host, broker.port), WITHIN)
    except OSError as error:
        yield CheckResult(
            "port", f"{broker.address} does not answer: {_words(error)}",
            "Is the broker running? Is broker.port right? Does a firewall block it?",
        )  # fmt: skip
        return
    with plain:
        yield CheckResult("port", f"{broker.address} answers")
        if broker.tls is not None:
            tls = _tls(settings, plain)
            yield tls
            if tls.fix:
                return
    yield from _connection(settings)


def _tls(settings: Settings, plain: socket.socket) -> CheckResult:
    broker = settings.broker
    assert broker.tls is not None  # noqa: S101 - the caller has checked
    try:
        with broker.tls.context().wrap_socket(
            plain, server_hostname=broker.server_name or broker.host
        ) as secure:
            certificate: Any = secure.getpeercert() or {}
            until = certificate.get("notAfter", "?")
            return CheckResult("TLS", f"{secure.version()}, certificate until {until}")
    except ssl.SSLCertVerificationError as error:
        return CheckResult(
            "TLS", f"the broker's certificate is not accepted: {error.verify_message}",
            "Renew the certificate, name its authority in broker.ca, or use the name "
            "in the certificate for broker.host or for broker.server_name.",
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return CheckResult(
            "TLS", f"there is no TLS connection: {error}",
            "Is broker.port the broker's TLS port? If not, set broker.tls = false.",
        )  # fmt: skip


def _connection(settings: Settings) -> Iterator[CheckResult]:
    broker = settings.broker
    with Probe(broker, WITHIN) as probe:
        if probe.refused:
            yield _refusal(broker, probe.refused)
            return
        who = f"as {broker.username}" if broker.username else "without a username"
        yield CheckResult(
            "credentials", f"the broker accepts us {who}, with MQTT {broker.version}"
        )
        yield from _reading(settings, probe)
        # No printer has such a name, since no slug begins with an underscore.
        base = broker.base
        rights = {f"{base}/_bridge/#": f"{base}/_bridge/{uuid.uuid4().hex}"}
        if not settings.store.read_only:
            rights[f"{base}/+/tasks/+/command"] = f"{base}/_check/tasks/none/command"
        for right, topic in rights.items():
            if probe.echo(topic):
                yield CheckResult("writing", f"this user may write {right}")
            else:
                yield CheckResult(
                    "writing", f"a message to {topic} did not come back",
                    f"Give this user the right to write {right}.",
                )  # fmt: skip


def _refusal(broker: Broker, reason: str) -> CheckResult:
    """Return the fix for the broker's reason, which has the words of MQTT 5."""
    text = f"{broker.address}: {reason}"
    if reason in ("Bad user name or password", "Not authorized", "Banned"):
        if not broker.username:
            text += ", and broker.credentials gives no username"
        return CheckResult(
            "credentials", text,
            "Put the right username and password into the file that "
            "broker.credentials names.",
        )  # fmt: skip
    if reason == "Unsupported protocol version":
        other = "5" if broker.version == "3.1.1" else "3.1.1"
        return CheckResult("MQTT", text, f'Set broker.version = "{other}".')
    if reason == "Client identifier not valid":
        return CheckResult(
            "MQTT", text, "Set a broker.client_id that the broker accepts."
        )
    return CheckResult(
        "MQTT", text,
        "Is broker.port its port for MQTT, and not for TLS, a web page or websockets? "
        "The broker's log may say more.",
    )  # fmt: skip


def _reading(settings: Settings, probe: Probe) -> Iterator[CheckResult]:
    """Read the retained messages of a printer: a granted subscription proves little."""
    base = settings.broker.base
    fix = f"Give this user the right to read {base}/#."
    refused = probe.subscribe(
        [
            f"{base}/{printer}/{kind}"
            for printer in settings.store.printers or ("+",)
            for kind in ("info", "events", "results")
        ]
    )
    infos = _infos(base, probe.listen())
    if not infos and settings.store.printers:
        pass  # topics without wildcards
    elif not infos and not refused and not _retains_for_wildcards(base, probe):
        yield _NO_WILDCARDS
        return  # the bridge cannot know whether there are printers
    if not infos and not refused:
        yield CheckResult(
            "printers", "no printer was found",
            f"Has a printer ever connected, with the same base topic ({base})? "
            f"If so, {fix[0].lower()}{fix[1:]}",
        )  # fmt: skip
        return
    if infos:
        yield CheckResult("printers", f"{len(infos)} found at the broker")
        slug, info = max(infos.items(), key=lambda each: len(each[1].tasks))
        refused += probe.subscribe([f"{base}/{slug}/{kind}" for kind in STATES])
        probe.listen()
        compared = list(_compare(f"{base}/{slug}/tasks", info.tasks, probe))
        missing = _missing(info, f"{base}/{slug}/", probe.messages)
        if missing and not refused:
            text = f"the info of {slug} arrived, but no {', '.join(missing)}"
            yield CheckResult("reading", text, fix)
            return
        yield from compared
    if refused:
        yield CheckResult(
            "reading", f"this user may not read {', '.join(refused)}", fix
        )
        return
    yield CheckResult(
        "reading",
        f"all retained messages of {slug} arrived (events and results are not "
        "retained, so this cannot show whether this user may read them)",
    )


_NO_WILDCARDS = CheckResult(
    "wildcards",
    "the broker sends retained messages for exact topics only, as RabbitMQ does",
    "Name the printers in store.printers: the bridge then requests each of their "
    "topics. It sees any other printer only after that printer sends something.",
)


def _retains_for_wildcards(base: str, probe: Probe) -> bool:
    """Return whether the broker sends retained messages for "+". RabbitMQ does not."""
    return probe.retains(f"{base}/_bridge/{uuid.uuid4().hex}", f"{base}/_bridge/+")


def _compare(prefix: str, tasks: Sequence[str], probe: Probe) -> Iterator[CheckResult]:
    """Compare the messages that arrive for `tasks/+` with those for each task."""
    topics = [f"{prefix}/{task}" for task in tasks]
    late = [topic for topic in topics if topic not in probe.messages]
    if not late:
        return
    probe.subscribe(late)
    lost = [topic for topic in late if topic not in probe.listen()]
    if lost:
        yield CheckResult(
            "tasks",
            f"{len(lost)} of {len(topics)} did not arrive: {', '.join(lost[:5])}",
            "If they are not retained, restart Klipper on that printer, which then "
            "sends everything again. If that does not help, the broker drops some "
            "retained messages, or it refuses long messages.",
        )  # fmt: skip
    else:
        why = "drops some of many retained messages"
        if len(late) == len(topics):
            why = "sends no retained messages for wildcards, as RabbitMQ"
        yield CheckResult(
            "tasks",
            f"{len(late)} of {len(topics)} arrived only for their exact topics: the "
            f"broker {why}, and the bridge requests them by exact topics",
        )


def _infos(base: str, messages: dict[str, bytes]) -> dict[str, Info]:
    known = {}
    for topic, payload in messages.items():
        with contextlib.suppress(ContractError):
            where = Topic.parse(base, topic)
            if where.kind == "info":
                known[where.printer] = Info.decode(payload)
    return known


def _missing(info: Info, prefix: str, messages: dict[str, bytes]) -> list[str]:
    """Return the kinds of a printer's topics below *prefix* that did not arrive."""
    expected = {"availability": True, "meters": info.meters, "summary": True,
                "tasks/+": info.tasks}  # fmt: skip
    return [
        kind
        for kind, wanted in expected.items()
        if wanted
        and not any(each.startswith(prefix + kind.rstrip("+")) for each in messages)
    ]


def _words(error: OSError) -> str:
    """Return the text of an error, without the number and the path."""
    return error.strerror or str(error)


# This machine


def _language(settings: Settings) -> CheckResult:
    unspoken = language.Language().use(settings.language)
    return CheckResult("language", settings.language, unspoken)


def _home() -> CheckResult:
    home = mktl_daemon.home()
    try:
        Path(home).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home):
            pass
    except OSError as error:
        return CheckResult(
            "MKTL_HOME", f"{home} cannot be written: {_words(error)}",
            "Set MKTL_HOME to a folder of this user.",
        )  # fmt: skip
    return CheckResult("MKTL_HOME", home)


def _port(name: str, address: tuple[str, int], *, tls: bool = False) -> CheckResult:
    where = f"{address[0]}:{address[1]}"
    try:
        socket.create_server(address, family=family(address[0])).close()
    except OSError as error:
        if _is_ours(address, tls=tls):
            return CheckResult(f"{name}.listen", f"a running bridge serves {where}")
        return CheckResult(
            f"{name}.listen", f"{where} cannot be used: {_words(error)}",
            "Set another port, or stop the program that uses it. Is a bridge running?",
        )  # fmt: skip
    return CheckResult(f"{name}.listen", f"{where} is free")


def _is_ours(address: tuple[str, int], *, tls: bool) -> bool:
    """Return whether a running bridge serves *address*."""
    connection = http.client.HTTPConnection(*address, timeout=2)
    if tls:
        # The request has no secrets, and the answer is only compared.
        trusting = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection(*address, timeout=2, context=trusting)
    try:
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            answer = connection.getresponse()
            server = answer.getheader("Server", "")
            return server.startswith(http_server.NAME) or answer.read() in HEALTH
    except (OSError, http.client.HTTPException):
        return False


def _interface(settings: Settings) -> CheckResult:
    interface = settings.store.interface
    try:
        socket.create_server((interface, 0), family=family(interface)).close()
    except OSError as error:
        return CheckResult(
            "store.interface",
            f"this machine does not have {interface}: {_words(error)}",
            "Set an address of this machine, or 0.0.0.0 for all of them.",
        )  # fmt: skip
    return CheckResult("store.interface", f"this machine has {interface}")


def _discovery(settings: Settings) -> CheckResult:
    if settings.store.registry:
        return CheckResult("registry", "the bridge runs one itself (store.registry)")
    try:
        mktl_daemon.discover()
    except RuntimeError as error:
        return CheckResult(
            "registry", f"{error}",
            "Set store.registry = true, start mkregistryd on this network, or name its "
            "host in "
            f"{mktl_daemon.home()}/client/registries.",
        )  # fmt: skip
    except OSError as error:
        return CheckResult(
            "registry", f"UDP discovery fails: {_words(error)}",
            "Allow UDP 10103 and 10111 in the firewall.",
        )  # fmt: skip
    return CheckResult("registry", "a registry answers")


def _push(settings: Settings) -> Iterator[CheckResult]:
    if not settings.push.rules:
        return
    from mqtt_bridge.push.sender import check_rules  # noqa: PLC0415

    try:
        check_rules(settings.push.rules)
    except SettingsError as error:
        yield CheckResult(
            "push", str(error), "Correct the rule; Apprise has a list of its services."
        )
        return
    count = len(settings.push.rules)
    yield CheckResult("push", f"{count} {'rule' if count == 1 else 'rules'}")
    # The file is not made here: its owner must be the user that the bridge runs as.
    file = Path(settings.push.state).expanduser().absolute()
    place = next(each for each in (file, *file.parents) if each.exists())
    fits = place.is_file() if place == file else place.is_dir()
    if settings.push.state and not (fits and os.access(place, os.W_OK)):
        yield CheckResult(
            "push.state", f"{place} cannot be written",
            "Name a file in a folder of this user.",
        )  # fmt: skip
