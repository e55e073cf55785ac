"""The files of a release, built and installed outside the checkout."""

from __future__ import annotations

import json
import re
import sys
import tarfile
import zipfile

import pytest

from tests.package.conftest import ROOT, run

PROGRAMS = ("mk", "mkd", "mkregistryd", "upkeep-bridge")
pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]


def version():
    text = (ROOT / "klippy_extra" / "version.py").read_text()
    return re.search(r'VERSION = "([^"]+)"', text)[1]


def test_an_index_accepts_both_files(built):
    run(
        *(sys.executable, "-m", "twine", "check", "--strict"),
        *built.glob("klipper_upkeep*"),
        folder=built,
    )


def test_the_sdist_has_what_is_built_and_installed_and_nothing_else(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = {name.partition("/")[0] for name in names}

    assert {"install.sh", "LICENSE", "README.md", "klippy_extra/presets.py"} <= names
    assert folders <= {
        *("mktl_daemon", "mqtt_bridge", "klippy_extra", "deploy", "docs"),
        *("install.sh", "README.md", "CHANGELOG.md", "LICENSE"),
        *("pyproject.toml", "PKG-INFO", ".gitignore", ""),
    }
    assert not [
        name for name in names if re.search(r"\.pyc$|node_modules|\.venv", name)
    ]


def test_the_wheel_has_units_dashboard_page_and_types(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {
        *("mktl_daemon/py.typed", "mqtt_bridge/py.typed"),
        "mqtt_bridge/deploy/upkeep-bridge.service",
        "mqtt_bridge/deploy/grafana.json",
        "mqtt_bridge/web/page/index.html",
    } <= names
    assert not [name for name in names if name.startswith(("tests", "klippy_extra"))]


def test_the_page_of_an_index_has_absolute_links(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
        text = archive.read(name).decode()

    assert "](https://raw.githubusercontent.com/" in text
    assert re.findall(r"\]\((?!https?://|#)[^)]*\)", text) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_runs_outside_the_checkout(installed, tmp_path, name):
    program = installed / name

    output = run(program, "--version", folder=tmp_path).stdout
    assert output == f"{name} {version()}\n"
    assert "usage: " in run(program, "--help", folder=tmp_path).stdout


def test_the_bridge_starts_as_the_readme_says(installed, tmp_path):
    """`init` writes settings. `check` reads them and reports what is missing."""
    bridge = installed / "upkeep-bridge"
    run(bridge, "init", folder=tmp_path)
    settings = tmp_path / "bridge.toml"
    assert settings.exists()
    done = run(bridge, "check", "-c", settings, folder=tmp_path, check=False)

    assert "Traceback" not in done.stdout + done.stderr
    assert "broker" in done.stdout


def test_the_optional_modules_are_installed_with_their_extras(installed, tmp_path):
    modules = "numpy, apprise, rich, aiohttp"
    run(installed / "python", "-c", f"import {modules}", folder=tmp_path)


def test_the_version_is_the_same_everywhere():
    manifest = ROOT / "custom_components" / "klipper_upkeep" / "manifest.json"

    assert json.loads(manifest.read_text())["version"] == version()
