"""The extension for KIAUH, with KIAUH's own menu if KIAUH=<checkout> names one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import programs
from tests.install.test_install import PATH, ROOT, Home

EXTENSION = ROOT / "deploy" / "kiauh" / "klipper_upkeep"
KIAUH = os.environ.get("KIAUH", "")

# The parts of KIAUH that the extension uses, in KIAUH's layout.
LOGGER = """
class Logger:
    @staticmethod
    def print_ok(text): print("OK", text)
    @staticmethod
    def print_error(text): print("ERROR", text)
"""
BASE = """
class BaseExtension:
    def __init__(self, metadata): self.metadata = metadata
"""
MENU = """
import importlib, json, pathlib
folder = pathlib.Path(__file__).parent / "klipper_upkeep"
metadata = json.loads((folder / "metadata.json").read_text())["metadata"]
name = "kiauh.extensions.klipper_upkeep." + metadata["module"]
module = importlib.import_module(name)
class ExtensionsMenu:
    extensions = {"15": module.KlipperUpkeepExtension(metadata)}
"""
CALL = """
import sys
from extensions.extensions_menu import ExtensionsMenu
getattr(ExtensionsMenu().extensions["15"], sys.argv[1])()
"""


@pytest.fixture(params=["double", *(["checkout"] if KIAUH else [])])
def menu(request, tmp_path):
    """A folder with KIAUH and our extension among its extensions."""
    folder = tmp_path / "kiauh"
    if request.param == "checkout":
        shutil.copytree(KIAUH, folder, ignore=shutil.ignore_patterns(".git"))
    else:
        for name, text in (
            ("core/logger.py", LOGGER),
            ("extensions/base_extension.py", BASE),
            ("extensions/extensions_menu.py", MENU),
        ):
            path = folder / "kiauh" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    shutil.copytree(EXTENSION, folder / "kiauh" / "extensions" / "klipper_upkeep")
    return folder


@pytest.fixture
def call(menu, tmp_path):
    """Return a function that chooses an entry of the menu, in a home with a Klipper."""
    programs.require("git")
    home = Home(tmp_path)
    home.klipper()
    home.env()
    home.data()
    origin = tmp_path / "origin"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    shutil.copytree(
        ROOT, origin, ignore=lambda folder, names: set(names) - wanted(folder, names)
    )
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=origin, check=True)
    subprocess.run([*git, "add", "-A"], cwd=origin, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "all"], cwd=origin, check=True)
    shutil.rmtree(home.project)

    def choose(entry):
        repository = "https://github.com/klipper-upkeep/klipper-upkeep"
        done = subprocess.run(
            [sys.executable, "-c", CALL, entry],
            cwd=menu,
            env={
                "PATH": PATH,
                "HOME": str(home.path),
                "PYTHONPATH": f"{menu}:{menu / 'kiauh'}",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf",
                "GIT_CONFIG_VALUE_0": repository,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    choose.home = home
    return choose


def wanted(folder, names):
    """Return the files of a checkout that the installation needs."""
    if Path(folder) == ROOT:
        return {"install.sh", "klippy_extra", "deploy"}
    return {name for name in names if name != "__pycache__"}


def test_the_menu_installs_updates_and_removes_it(call):
    home = call.home
    place = home.path / "klipper" / "klippy" / "extras" / "maintain"
    conf = home.path / "printer_data" / "config" / "moonraker.conf"
    before = conf.read_text()

    assert "Klipper Upkeep is installed." in call("install_extension")
    assert place.resolve() == home.project / "klippy_extra"
    assert "[update_manager klipper_upkeep]" in conf.read_text()

    assert "Klipper Upkeep is up to date." in call("update_extension")

    assert "Klipper Upkeep is uninstalled." in call("remove_extension")
    assert not place.is_symlink()
    assert conf.read_text() == before


def test_a_failure_is_reported(call):
    shutil.rmtree(call.home.path / "klipper")

    text = call("install_extension")
    assert "no Klipper was found" in text
    assert "this failed. The lines above say why." in text
