"""mkregistryd: the daemon that tells clients where stores are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .common import add_common_options, begin_log, end_at_signal, is_refusal, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a registry until it is told to end; return the exit code."""
    options = parser().parse_args(arguments)
    begin_log(options)
    end_at_signal()
    try:
        from mktl_daemon.server import registry  # noqa: PLC0415

        daemon = registry.Registry(options)
    except Exception as error:
        if not is_refusal(error) and not isinstance(error, OSError | ValueError):
            raise
        print(f"mkregistryd: {error}", file=sys.stderr)
        return 1
    return run(daemon, "registry")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkregistryd",
        description="Remember the catalogs of the daemons that announce themselves, "
        "and hand them to clients that ask.",
    )
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
