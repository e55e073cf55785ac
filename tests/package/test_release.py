"""A release of a copy of this project is made completely or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture
def project(tmp_path):
    """A checkout of main with the committed files, and one change for the changelog."""
    programs.require("git")
    folder = tmp_path / "project"
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    git = ["git", "-C", folder]
    for words in (
        ("checkout", "-q", "-B", "main"),
        ("config", "user.name", "Test"),
        ("config", "user.email", "test@example.com"),
    ):
        subprocess.run([*git, *words], check=True)
    # A release runs this test too, and has taken all changes out of the folder.
    changes = folder / "changelog.d"
    changes.mkdir(exist_ok=True)
    (changes / "something.added.md").write_text("Something.\n")
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "all"], check=True)
    return folder


def release(project, version, checks="true"):
    return subprocess.run(
        [project / ".ci" / "release", version],
        env={**os.environ, "PYTHON": sys.executable, "CHECKS": checks},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def git(project, *words):
    command = ["git", "-C", project, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_release_is_one_command(project):
    done = release(project, "7.8.9")

    assert done.returncode == 0, done.stderr
    assert 'VERSION = "7.8.9"' in (project / "klippy_extra" / "version.py").read_text()
    manifest = project / "custom_components" / "klipper_upkeep" / "manifest.json"
    assert json.loads(manifest.read_text())["version"] == "7.8.9"
    assert "## 7.8.9" in (project / "CHANGELOG.md").read_text()
    assert list((project / "changelog.d").glob("*.md")) == []
    assert git(project, "describe") == "v7.8.9\n"
    dist = {path.name for path in (project / "dist").iterdir()}
    assert dist == {
        "klipper_upkeep-7.8.9.tar.gz",
        "klipper_upkeep-7.8.9-py3-none-any.whl",
        "klipper_upkeep.zip",
    }
    names = zipfile.ZipFile(project / "dist" / "klipper_upkeep.zip").namelist()
    assert "custom_components/klipper_upkeep/manifest.json" in names


@pytest.mark.parametrize(
    ("version", "checks", "reason"),
    [
        ("1.0", "true", "is no version"),
        ("7.8.9", "false", ""),
        ("7.8.9", "true", "not committed"),
    ],
)
def test_a_release_whose_checks_fail_changes_nothing(project, version, checks, reason):
    if reason == "not committed":
        (project / "README.md").write_text("changed")
    before = git(project, "rev-parse", "HEAD"), git(project, "status", "--short")
    done = release(project, version, checks)

    assert done.returncode != 0
    assert reason in done.stderr
    assert before == (
        git(project, "rev-parse", "HEAD"),
        git(project, "status", "--short"),
    )
    assert git(project, "tag") == git(ROOT, "tag")
