"""mkregistryd: the daemon that tells clients where stores are."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from mktl_daemon.cli.mkd import add_network_options, end_when_told, run
from mktl_daemon.cli.version import add_version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a registry until it is told to end; return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    end_when_told()
    try:
        from mktl_daemon.server import registry  # noqa: PLC0415

        daemon = registry.Registry(options)
    except (OSError, LookupError, RuntimeError, ValueError) as error:
        print(f"mkregistryd: {error}", file=sys.stderr)
        return 1
    return run(daemon, "registry")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkregistryd",
        description="Remember the catalogs of the daemons that announce themselves, "
        "and hand them to clients that ask.",
    )
    add_version(parser)
    add_network_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
