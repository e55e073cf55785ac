"""`upkeep-bridge` runs the bridge, helps to set it up, and shows its printers."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from mqtt_bridge import settings

# Each command's module, which has `main(settings, options) -> int`, and its help.
COMMANDS = {
    "check": ("check", "try all settings, and say how to fix each failure"),
    "watch": ("watch", "show the fleet in the terminal; keys mark tasks done"),
    "export": ("export", "write tasks, meters or log as CSV or JSON"),
}

EXAMPLES = """\
The first steps:

    upkeep-bridge init bridge.toml
    upkeep-bridge -c bridge.toml check
    upkeep-bridge -c bridge.toml
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 for success, 1 for a failure, 2 for wrong settings."""
    options = parser().parse_args(arguments)
    logging.basicConfig(
        # A command writes its own output, so only warnings are logged beside it.
        level=logging.WARNING if options.command else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    if options.verbose:
        # Only our own modules log details. Other modules would log addresses with
        # tokens.
        for name in ("mqtt_bridge", "mktl_daemon"):
            logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        return _run(options)
    except settings.SettingsError as error:
        print(f"upkeep-bridge: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "init":
        from mqtt_bridge.cli.init import init  # noqa: PLC0415

        return init(options.file)
    flags = [*options.before, *options.behind]
    loaded = settings.load(options.config, flags=flags)
    if options.command is None:
        from mqtt_bridge.cli.serve import serve  # noqa: PLC0415

        return serve(loaded)
    module = importlib.import_module(f"mqtt_bridge.cli.{COMMANDS[options.command][0]}")
    code: int = module.main(loaded, options)
    return code


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="upkeep-bridge",
        description="Mirror the maintenance of printers to mKTL, and send messages.\n"
        "Without a command it runs until SIGTERM or SIGINT.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common(None, "before", verbose=False)],
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {metadata.version('klipper-upkeep')}",
        help="print the version and exit",
    )
    parser.set_defaults(before=[], behind=[])
    # The options can also come after the command. There they have no default, so that
    # they do not replace the options before it.
    unsaid = argparse.SUPPRESS
    behind = [_common(unsaid, "behind", verbose=unsaid)]
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    text = "write a commented settings file"
    init = commands.add_parser("init", help=text, description=_sentence(text))
    init.add_argument(
        "file",
        nargs="?",
        default="bridge.toml",
        help="the file to write (default: %(default)s)",
    )
    made: dict[str, argparse.ArgumentParser] = {
        name: commands.add_parser(
            name, help=text, description=_sentence(text), parents=behind
        )
        for name, (_, text) in COMMANDS.items()
    }
    made["watch"].add_argument(
        "--once",
        action="store_true",
        help="print the fleet once and exit, as without a terminal",
    )
    export = made["export"]
    export.add_argument("--format", choices=("csv", "json"), default="csv")
    what = export.add_mutually_exclusive_group()
    what.add_argument(
        "--meters",
        action="store_true",
        help="write the printers' meters instead of the tasks",
    )
    what.add_argument(
        "--log",
        action="store_true",
        help="write the log: what was done, when and by whom",
    )
    export.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write to this file instead of standard output",
    )
    return parser


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _common(config: Any, flags: str, *, verbose: Any) -> argparse.ArgumentParser:
    """Return the options of all commands. `--set` adds to the list *flags*."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        default=config,
        help="the file with the settings (TOML)",
    )
    common.add_argument(
        "--set",
        action="append",
        dest=flags,
        default=argparse.SUPPRESS,
        metavar="KEY=VALUE",
        help="replaces a setting of the file: broker.host=10.0.0.5",
    )
    common.add_argument(
        "-v", "--verbose", action="store_true", default=verbose, help="log more"
    )
    return common
