"""mkd: run a store's daemon, from an item file alone or with a class of your own."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import add_common_options, begin_log, end_at_signal, is_refusal, run

if TYPE_CHECKING:
    from mktl_daemon import Daemon

_logger = logging.getLogger(__name__)

EXAMPLES = """\
With the items of the store pie described in

    $MKTL_HOME/daemon/store/pie/fruit.json    (~/.mKTL without MKTL_HOME)

"mkd pie fruit" is a running store whose items keep what they are set to.
What they do beyond that is a class of yours, here Baker in oven.py:

    mkd pie fruit --module oven --subclass Baker
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a daemon until it is told to end; return the exit code."""
    options = parser().parse_args(arguments)
    begin_log(options)
    end_at_signal()
    try:
        daemon = _started(options)
    except Exception as error:
        if isinstance(error, _CommandError) or is_refusal(error):
            print(f"mkd: {error}", file=sys.stderr)
            return 1
        # The fault is in the user's class, so print the traceback.
        _logger.exception("%s did not start", options.subclass)
        print(f"mkd: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    count = len(daemon.store.catalog.keys(authoritative=True))
    items = "1 item" if count == 1 else f"{count} items"
    return run(daemon, f"{daemon.store.name}.{daemon.alias}: {items}")


class _CommandError(Exception):
    """A command line that makes no sense."""


def _started(options: argparse.Namespace) -> Daemon:
    from mktl_daemon import config  # noqa: PLC0415
    from mktl_daemon.net import access  # noqa: PLC0415

    try:
        if options.catalog:
            items = _items(Path(options.catalog))
            config.authoritative(options.store, options.alias, items)
        else:
            config.get(options.store, options.alias)
        access.networks(options.allow or ())
    except (OSError, ValueError) as error:
        raise _CommandError(error) from error
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
    # As with "python -m", modules of the current folder can be imported.
    sys.path.insert(0, str(Path.cwd()))
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise  # a module that the user's module imports
        raise _CommandError(f"there is no module {module!r}") from error
    try:
        return getattr(loaded, name)
    except AttributeError:
        raise _CommandError(f"module {module!r} has no class {name!r}") from None


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkd",
        description="Run the daemon of a store, or of a part of one.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
        help="the file with the items (JSON), in place of the one below MKTL_HOME",
    )
    option(
        "-a", "--appconfig", metavar="FILE", help="this file is passed to your class"
    )
    option(
        "-o",
        "--override",
        action="store_true",
        help="replace a daemon that is gone and that registries still remember",
    )
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
