"""A virtual printer for a test, and extras that a test writes."""

import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from tests.fakes import VirtualPrinter


@pytest.fixture
def start(tmp_path):
    """Return a function that starts virtual printers. They end with the test."""
    printers = []

    def start(config="", source=None, **options):
        extras = {}
        if source is not None:
            folder = tmp_path / "subject"
            folder.mkdir()
            (folder / "__init__.py").write_text(textwrap.dedent(source))
            extras["subject"] = folder
        printer = VirtualPrinter(config, tmp_path, extras=extras, **options)
        printers.append(printer)
        return printer

    yield start
    for printer in printers:
        printer.close()
    sys.modules.pop("extras.subject", None)


@pytest.fixture
def tmp_path():
    """A folder with a short path: the path of a Unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="upkeep-") as folder:
        yield Path(folder)
