"""The command line of mk."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from mktl_daemon.cli.version import add_version

EPILOG = """\
verbs:
  get         print values: of keys, of all keys that match a pattern, of stores
  set         set items, and wait until they are set
  watch       print the value, and each new value, until Ctrl-C
  describe    print descriptions as JSON
  discover    ask registries for all that they know
  list        list the stores, or the items of stores with type and r, w

The exit code is 0 if everything worked, 1 if something failed, and 2 if an option
was wrong.

examples:

    mk get pie.temperature pie.baker
    mk get pie 'tart.oven.*'
    mk -s pie get temperature baker
    mk set pie.temperature=180 pie.baker=Ada
    mk watch pie.temperature
    mk list pie
    mk describe pie.temperature
    mk discover 192.0.2.7
"""


class UsageError(Exception):
    """A command line that makes no sense."""


def parse(arguments: Sequence[str] | None, verbs: Iterable[str]) -> argparse.Namespace:
    # Options may stand before and after the verb ("intermixed").
    options = parser(verbs).parse_intermixed_args(arguments)
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
        raise UsageError("'mk set' takes either --formatted or --unformatted")
    options.formatted = options.formatted or not options.unformatted
    if options.units and not options.formatted:
        raise UsageError("--units needs formatted values")
    watching = options.type == "watch" and not options.no_timestamp
    options.timestamp = (options.timestamp or watching) and not options.terse


def _whole(options: argparse.Namespace) -> list[str]:
    return [options.store] if options.type != "set" else []


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is not of the form key=value")
    return name, value


def parser(verbs: Iterable[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mk",
        description="Read, set and watch the items of mKTL stores.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    option = parser.add_argument
    option("-s", "--store", help="use this store for all keys that follow")
    option(
        "--serial",
        action="store_true",
        help="set one item after the other and stop at the first that fails",
    )
    option("--no-wait", action="store_true", help="do not wait until the items are set")
    option(
        "--formatted",
        action="store_true",
        help="show values as text (the default); with --unformatted: both",
    )
    option("--unformatted", action="store_true", help="show values as they are sent")
    option("--terse", action="store_true", help="show only the values")
    option(
        "--timestamp",
        action="store_true",
        help="show the time of each value (the default of watch)",
    )
    option(
        "--no-timestamp", action="store_true", help="do not show the time of each value"
    )
    option("-u", "--units", help="show or give all values in these units")
    option(
        "type",
        choices=list(verbs),
        type=str.lower,
        metavar="verb",
        help=" | ".join(verbs),
    )
    option(
        "requests",
        nargs="*",
        help="keys (store.key, a pattern of keys, or a store); key=value to set; "
        "stores to list; registries' addresses to discover",
    )
    return parser
