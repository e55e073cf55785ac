"""The option ``--version`` of every program."""

from __future__ import annotations

import argparse
from typing import Any

DISTRIBUTION = "klipper-upkeep"


class _Version(argparse.Action):
    """Prints the version and ends. Only then is it looked up, which is slow."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"{parser.prog} {version()}")
        parser.exit()


def add_version(parser: argparse.ArgumentParser) -> None:
    """Let *parser* print the program's name and the installed version, and end."""
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version and exit"
    )


def version() -> str:
    """The version that is installed; from a folder that is not, ``unknown``."""
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
