"""The files of a release, built once, and installed in a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
CACHE = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))


def run(*command, folder, check=True, **environment):
    """Run a program in *folder*, without the checkout on Python's path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={
            **kept,
            "HOME": str(folder),
            "MKTL_HOME": str(folder),
            "UV_CACHE_DIR": CACHE,
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=check,
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder with the sdist and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--installer", "uv")
    run(*build, "--outdir", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="session")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel):
    """The programs of a clean environment that has the wheel and all its extras.

    Every user may enter its folder, which is not so for pytest's folders.
    """
    with tempfile.TemporaryDirectory(prefix="upkeep-clean-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        run(UV, "venv", "--python", sys.executable, folder / "venv", folder=folder)
        python = folder / "venv" / "bin" / "python"
        what = f"{wheel}[arrays,metrics,push,watch,web]"
        run(UV, "pip", "install", "--python", python, what, folder=folder)
        yield python.parent
