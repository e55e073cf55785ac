"""The option ``--version`` of every program."""

from __future__ import annotations

import argparse
from importlib import metadata

DISTRIBUTION = "klipper-upkeep"


def add_version(parser: argparse.ArgumentParser) -> None:
    """Let *parser* print the program's name and the installed version, and end."""
    parser.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {version()}",
        help="print the version and end",
    )


def version() -> str:
    """The version that is installed; from a folder that is not, ``unknown``."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
