"""mk: read, set and watch the items of mKTL stores from a shell."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mktl_daemon import Item

EXAMPLES = """\
examples:

    mk get pie.temperature pie.baker
    mk -s pie get temperature baker
    mk set pie.temperature=180 pie.baker=Ada
    mk watch pie.temperature
    mk list pie
    mk describe pie.temperature
    mk discover 192.0.2.7
"""


# What a peer, the network or a description may do to a request.
TROUBLE = (LookupError, OSError, RuntimeError, TypeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit code."""
    try:
        options = _parse(arguments)
        return 0 if VERBS[options.type](options) else 1
    except UsageError as error:
        print(f"mk: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe has enough. Python flushes once more at its end, into
        # a pipe that is not there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class UsageError(Exception):
    """A command line that asks for what cannot be."""


# Verbs. Each returns whether all went well, and has said what did not.


def _get(options: argparse.Namespace) -> bool:
    well = True
    for name in options.requests:
        try:
            for item in _items(name, wanted="gettable"):
                well &= _show_value(options, item)
        except TROUBLE as error:
            well = _failed(name, error)
    return well


def _show_value(options: argparse.Namespace, item: Item) -> bool:
    try:
        value = item.value
        print(_line(options, item, value, item.timestamp))
    except TROUBLE as error:
        return _failed(item.full_key, error)
    return True


class _Set(NamedTuple):
    name: str
    item: Item
    value: Any
    request: Any = None


def _set(options: argparse.Namespace) -> bool:
    well = True
    sent: list[_Set] = []
    for name, text in options.assignments:
        try:
            item = _item(name)
            value = _value(options, item, text)
            request = item.set(value, wait=options.serial)
        except TROUBLE as error:
            well = _failed(name, error)
            if options.serial:
                break
            continue
        if options.serial:
            _show_set(options, _Set(name, item, value))
        else:
            sent.append(_Set(name, item, value, request))
    for each in sent if options.wait else ():
        well &= _wait(options, each)
    return well


def _wait(options: argparse.Namespace, sent: _Set) -> bool:
    try:
        response = sent.request.wait(sent.item.timeout)
        error = getattr(response.payload, "error", None) if response else None
    except TROUBLE as trouble:
        return _failed(sent.name, trouble)
    if response is None:
        return _failed(sent.name, TimeoutError("no reply in time"))
    if error:
        told = f"{error.get('type')}: {error.get('text')}"
        return _failed(sent.name, RuntimeError(told))
    _show_set(options, sent)
    return True


def _show_set(options: argparse.Namespace, sent: _Set) -> None:
    show = _formatted if options.formatted else _unformatted
    shown = show(options, sent.item, sent.value)
    print(shown if options.terse else f"Set {sent.name} to {shown}", flush=True)


def _watch(options: argparse.Namespace) -> bool:
    ended = threading.Event()

    def show(item: Item, value: Any, time: float) -> None:
        # One write for each line: several threads may have one.
        try:
            sys.stdout.write(_line(options, item, value, time) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            ended.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    well = True
    watched: list[Item] = []
    for name in options.requests:
        try:
            for item in _items(name, wanted="gettable"):
                item.register(show, prime=True)
                watched.append(item)
        except TROUBLE as error:
            well = _failed(name, error)
    if watched:
        ended.wait()
    return well


def _describe(options: argparse.Namespace) -> bool:
    well = True
    descriptions: dict[str, Any] = {}
    for name in options.requests:
        try:
            store, keys = _keys(name)
            for key in keys:
                whole = "." not in name
                descriptions[key if whole else f"{store}.{key}"] = _entry(store, key)
        except TROUBLE as error:
            well = _failed(name, error)
    if descriptions:
        print(json.dumps(descriptions, indent=4))
    return well


def _list(options: argparse.Namespace) -> bool:
    if not options.requests:
        return _list_stores()
    well = True
    for name in options.requests:
        try:
            store, keys = _keys(name)
        except TROUBLE as error:
            well = _failed(name, error)
            continue
        width = max((len(f"{store}.{key}") for key in keys), default=0) + 2
        for key in keys:
            entry = _entry(store, key)
            columns = [f"{store}.{key}".ljust(width)]
            if entry.get("type"):
                columns.append(entry["type"].ljust(11))
            columns.append(_permissions(entry))
            print(" ".join(columns).rstrip())
    return well


def _list_stores() -> bool:
    try:
        for store in _discovered():
            print(store)
    except TROUBLE as error:
        return _failed("list", error)
    return True


def _discover(options: argparse.Namespace) -> bool:
    try:
        stores = _discovered(*options.requests)
    except TROUBLE as error:
        return _failed("discover", error)
    count = "1 store" if len(stores) == 1 else f"{len(stores)} stores"
    print(f"{count} discovered: {', '.join(stores)}")
    return True


VERBS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "get": _get,
    "set": _set,
    "watch": _watch,
    "describe": _describe,
    "discover": _discover,
    "list": _list,
}


# Names


def _items(name: str, wanted: str | None = None) -> Iterator[Item]:
    """Yield the items of a name: of one key, of a pattern, or of a whole store.

    Of patterns and stores only those that are *wanted* (gettable).
    """
    from mktl_daemon import get  # noqa: PLC0415

    store, keys = _keys(name)
    several = name.lower() != f"{store}.{keys[0]}" if keys else True
    for key in keys:
        if several and wanted and _entry(store, key).get(wanted, True) is False:
            continue
        yield get(store, key)


def _item(name: str) -> Item:
    from mktl_daemon import get  # noqa: PLC0415

    store, _, key = name.lower().partition(".")
    if not key:
        raise ValueError("a set names a key, as in store.key=value")
    item: Item = get(store, key)
    return item


def _keys(name: str) -> tuple[str, list[str]]:
    """Return the store and the sorted keys that *name* means, be it a pattern."""
    from mktl_daemon import get  # noqa: PLC0415

    store, _, pattern = name.lower().partition(".")
    known = get(store).keys()
    if not pattern:
        return store, sorted(known)
    if pattern in known:
        return store, [pattern]
    keys = sorted(fnmatch.filter(known, pattern))
    if not keys:
        raise KeyError(f"store {store!r} has no {pattern!r}")
    return store, keys


def _entry(store: str, key: str) -> dict[str, Any]:
    from mktl_daemon import config  # noqa: PLC0415

    return config.get(store)[key]


def _discovered(*addresses: str) -> list[str]:
    from mktl_daemon import config, discover  # noqa: PLC0415

    discover(*addresses)
    return sorted(config.get_hashes())


def _permissions(entry: dict[str, Any]) -> str:
    read = "r" if entry.get("gettable", True) is not False else " "
    write = "w" if entry.get("settable", True) is not False else " "
    return read + write


# Values


def _value(options: argparse.Namespace, item: Item, text: str) -> Any:
    """Return what *text* from the command line sets."""
    if options.units:
        quantity = _convert(item, float(text), options.units)
        return item.from_quantity(quantity)
    kind = item.description.get("type")
    if kind == "string":
        return text
    if options.formatted and kind and kind != "bulk":
        return item.from_format(text)
    return _guess(text)


def _guess(text: str) -> Any:
    """Return the number, list or truth that *text* is in JSON, or else the text."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _convert(item: Item, value: float, units: str) -> Any:
    from mktl_daemon import config  # noqa: PLC0415

    return config.get(item.store.name).convert_units(value, units, None)


def _line(options: argparse.Namespace, item: Item, value: Any, time: float) -> str:
    parts = []
    if options.unformatted:
        parts.append(_unformatted(options, item, value))
    if options.formatted:
        parts.append(_formatted(options, item, value))
    head = "" if options.terse else f"{item.key}: "
    if options.timestamp:
        head = f"{_clock(time)} {head}"
    return head + " => ".join(parts)


def _formatted(options: argparse.Namespace, item: Item, value: Any) -> str:
    if options.units:
        shown = str(item.to_quantity(value, options.units).magnitude)
        unit = options.units
    else:
        shown, unit = _text(item, value), _units(item, "formatted")
    return shown if options.terse else _with_units(shown, unit, value)


def _unformatted(options: argparse.Namespace, item: Item, value: Any) -> str:
    return _with_units(str(value), "" if options.terse else _units(item, ""), value)


def _text(item: Item, value: Any) -> str:
    try:
        return item.to_format(value)
    except ValueError:
        # The daemon has a value that its own description does not foresee.
        return str(value)


def _units(item: Item, kind: str) -> str:
    units = item.description.get("units") or ""
    if isinstance(units, dict):
        return str(units.get(kind) or units.get("") or "")
    return str(units)


def _with_units(text: str, units: str, value: Any) -> str:
    return f"{text} {units}" if units and value is not None else text


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time).astimezone().time().isoformat("milliseconds")


def _failed(name: str, error: BaseException) -> bool:
    told = error.args[0] if isinstance(error, KeyError) and error.args else error
    print(f"{name} failed: {told}", file=sys.stderr, flush=True)
    return False


# Arguments


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    # Intermixed: options may stand before and after the verb.
    options = _parser().parse_intermixed_args(arguments)
    _check(options)
    if options.store:
        if options.type == "list":
            options.requests.insert(0, options.store)
        elif options.type != "discover":
            names = [f"{options.store}.{name}" for name in options.requests]
            options.requests = names or _whole(options)
    if not options.requests and options.type not in {"list", "discover"}:
        raise UsageError("no requests specified")
    if options.type == "set":
        options.assignments = [_assignment(text) for text in options.requests]
    return options


def _check(options: argparse.Namespace) -> None:
    if options.timestamp and options.no_timestamp:
        raise UsageError("--timestamp and --no-timestamp exclude each other")
    if options.serial and options.no_wait:
        raise UsageError("--serial and --no-wait exclude each other")
    options.wait = not options.no_wait
    if options.type == "set" and options.formatted and options.unformatted:
        raise UsageError("a set is either formatted or unformatted")
    options.formatted = options.formatted or not options.unformatted
    if options.units and not options.formatted:
        raise UsageError("units are for formatted values only")
    watching = options.type == "watch" and not options.no_timestamp
    options.timestamp = (options.timestamp or watching) and not options.terse


def _whole(options: argparse.Namespace) -> list[str]:
    return [options.store] if options.type != "set" else []


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is not of the form key=value")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mk",
        description="Read, set and watch the items of mKTL stores.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("-s", "--store", help="the store of all keys that follow")
    option(
        "--serial",
        action="store_true",
        help="set one item after the other and stop at the first that fails",
    )
    option(
        "--no-wait", action="store_true", help="do not wait until what is set is set"
    )
    option(
        "--formatted",
        action="store_true",
        help="values as people read them (default); with --unformatted: both",
    )
    option("--unformatted", action="store_true", help="values as they travel")
    option("--terse", action="store_true", help="the values and nothing else")
    option("--timestamp", action="store_true", help="tell when (watch does)")
    option("--no-timestamp", action="store_true", help="do not tell when")
    option("-u", "--units", help="show or give all values in these units")
    option(
        "type", choices=VERBS, type=str.lower, metavar="verb", help=" | ".join(VERBS)
    )
    option(
        "requests",
        nargs="*",
        help="keys (store.key, a pattern of keys, or a store); key=value to set; "
        "stores to list; registries' addresses to discover",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
