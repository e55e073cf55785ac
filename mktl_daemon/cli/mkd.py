"""mkd: run a store's daemon, from an item file alone or with a class of your own."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mktl_daemon.cli.version import add_version

if TYPE_CHECKING:
    from mktl_daemon import Daemon

EXAMPLES = """\
With the items of the store pie described in

    $MKTL_HOME/daemon/store/pie/fruit.json    (~/.mKTL without MKTL_HOME)

"mkd pie fruit" is a running store whose items keep what they are set to.
What they do beyond that is a class of yours, here Baker in oven.py:

    mkd pie fruit --module oven --subclass Baker
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a daemon until it is told to end; return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    end_when_told()
    try:
        daemon = _started(options)
    except (ImportError, OSError, LookupError, RuntimeError, ValueError) as error:
        print(f"mkd: {error}", file=sys.stderr)
        return 1
    count = len(daemon.store.catalog.keys(authoritative=True))
    items = "1 item" if count == 1 else f"{count} items"
    return run(daemon, f"{daemon.store.name}.{daemon.alias}: {items}")


def end_when_told() -> None:
    """Let SIGINT and SIGTERM end a daemon that is being set up; it cleans up then."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: sys.exit())


def run(daemon: Daemon, what: str) -> int:
    """Say *what* runs and where, and wait for its end, which is ours too."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: daemon.stop())
    try:
        print(f"{what}, {_whereabouts(daemon)}", flush=True)
        daemon.shutdown.wait()
    finally:
        daemon.cleanup()
    return 0


def _started(options: argparse.Namespace) -> Daemon:
    from mktl_daemon import config  # noqa: PLC0415

    if options.catalog:
        items = _items(Path(options.catalog))
        config.authoritative(options.store, options.alias, items)
    made: Daemon = _class(options.module, options.subclass)(
        options.store, options.alias, options.override, options
    )
    return made


def _items(path: Path) -> dict[str, Any]:
    try:
        items = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(items, dict):
        raise ValueError(f"{path}: items are an object of keys and descriptions")  # noqa: TRY004
    return items


def _class(module: str, name: str) -> Any:
    # As with "python -m": what lies in the folder one stands in can be imported.
    sys.path.insert(0, str(Path.cwd()))
    loaded = importlib.import_module(module)
    try:
        return getattr(loaded, name)
    except AttributeError:
        raise ImportError(f"module {module!r} has no class {name!r}") from None


def _whereabouts(daemon: Daemon) -> str:
    requests = f"requests at {daemon.hostname}:{daemon.rep.port}"
    reach = f"bound to {daemon.rep.host}"
    if daemon.is_local:
        reach += ": this machine only, --interface 0.0.0.0 for all"
    return f"{requests}, values at {daemon.pub.port} ({reach})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkd",
        description="Run the daemon of a store, or of a part of one.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    option = parser.add_argument
    option("store", help="the store's name")
    option("alias", help="this daemon's own name within the store")
    option(
        "-m", "--module", default="mktl_daemon", help="the module that has the class"
    )
    option(
        "-s", "--subclass", default="Daemon", help="a subclass of mktl_daemon.Daemon"
    )
    option(
        "-c",
        "--config",
        "--catalog",
        dest="catalog",
        metavar="FILE",
        help="the items (JSON) in place of those under MKTL_HOME",
    )
    option("-a", "--appconfig", metavar="FILE", help="handed on to your class")
    option(
        "-o",
        "--override",
        action="store_true",
        help="take the place of a daemon that registries remember and that is gone",
    )
    add_network_options(parser)
    return parser


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add what daemons and registries let one say about the network."""
    parser.add_argument(
        "--interface", help="the address to bind to (MKTL_INTERFACE, or else loopback)"
    )
    parser.add_argument(
        "--allow",
        action="append",
        metavar="ADDRESS",
        help="an address or a network that may connect, once for each "
        "(MKTL_ALLOW, or else all)",
    )


if __name__ == "__main__":
    sys.exit(main())
