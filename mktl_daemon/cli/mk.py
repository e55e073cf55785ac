"""mk: read, set and watch the items of mKTL stores from a shell."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import values
from .arguments import UsageError, parse
from .common import in_a_thread, wait_for
from .names import (
    entries_of,
    item_of,
    items_of,
    keys_of,
    permissions_of,
    stores_of_home,
    stores_of_registries,
)
from .reading import Reading, reading_all

if TYPE_CHECKING:
    from mktl_daemon import Item

# The errors that a peer, the network or a description may cause.
TROUBLE = (LookupError, OSError, RuntimeError, TypeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit code."""
    try:
        options = parse(arguments, VERBS)
        return 0 if VERBS[options.type](options) else 1
    except UsageError as error:
        print(f"mk: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _let_the_reader_go()
        return 0


def _let_the_reader_go() -> None:
    """Discard the output from here on: the reader of the pipe has ended.

    Python flushes once more at its end, and would end with status 120.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Verbs. Each one prints its errors, and returns whether there was none.


def _get(options: argparse.Namespace) -> bool:
    well = True
    reported: set[str] = set()  # absent daemons that have been reported
    for reading in reading_all(options.requests, TROUBLE):
        if reading.error is None:
            well &= _show_value(options, reading)
        elif reading.away not in reported:
            well = _failed(reading.name, reading.error)
        if reading.away:
            well = False
            reported.add(reading.away)
    return well


def _show_value(options: argparse.Namespace, reading: Reading) -> bool:
    try:
        print(values.line(options, reading.item, reading.value, reading.time))
    except TROUBLE as error:
        return _failed(reading.name, error)
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
            item = item_of(name)
            value = values.parse(options, item, text)
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
        text = f"{error.get('type')}: {error.get('text')}"
        return _failed(sent.name, RuntimeError(text))
    _show_set(options, sent)
    return True


def _show_set(options: argparse.Namespace, sent: _Set) -> None:
    show = values.formatted if options.formatted else values.unformatted
    shown = show(options, sent.item, sent.value)
    print(shown if options.terse else f"Set {sent.name} to {shown}", flush=True)


def _watch(options: argparse.Namespace) -> bool:
    ended = threading.Event()

    def show(item: Item, value: Any, time: float) -> None:
        # One call of write for each line: several threads may print.
        try:
            sys.stdout.write(values.line(options, item, value, time) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            _let_the_reader_go()
            ended.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: in_a_thread(ended.set))
    well = True
    watched: list[Item] = []
    for name in options.requests:
        try:
            for item in items_of(name, wanted="gettable"):
                item.register(show, prime=True)
                watched.append(item)
        except TROUBLE as error:
            well = _failed(name, error)
    if watched:
        wait_for(ended)
    return well


def _describe(options: argparse.Namespace) -> bool:
    well = True
    descriptions: dict[str, Any] = {}
    for name in options.requests:
        try:
            store, keys = keys_of(name)
            entries = entries_of(store)
            for key in keys:
                whole = "." not in name
                descriptions[key if whole else f"{store}.{key}"] = entries[key]
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
            store, keys = keys_of(name)
        except TROUBLE as error:
            well = _failed(name, error)
            continue
        entries = entries_of(store)
        width = max((len(f"{store}.{key}") for key in keys), default=0) + 2
        for key in keys:
            entry = entries[key]
            columns = [f"{store}.{key}".ljust(width)]
            if entry.get("type"):
                columns.append(entry["type"].ljust(11))
            columns.append(permissions_of(entry))
            print(" ".join(columns).rstrip())
    return well


def _list_stores() -> bool:
    try:
        stores = stores_of_registries()
    except TROUBLE as error:
        stores = stores_of_home()
        if not stores:
            return _failed("list", error)
    for store in stores:
        print(store)
    return True


def _discover(options: argparse.Namespace) -> bool:
    try:
        stores = stores_of_registries(*options.requests)
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


def _failed(name: str, error: BaseException) -> bool:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    print(f"{name} failed: {text}", file=sys.stderr, flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
