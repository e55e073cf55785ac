"""The page, the sidebar and the screen: links and entries are added and removed."""

from __future__ import annotations

import importlib.util
import json
import subprocess

import pytest

from tests.install.test_install import MOONRAKER, ROOT, Home, asked_pip

NAVI = '[{"title": "Camera", "href": "http://cam", "icon": "M0 0"}]'
SCREEN = "[main]\nlang: de\n\n#~# --- Do not edit below this line. ---\n#~# [main]\n"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.klipper()
    home.env()
    home.config = home.data()
    home.git()
    home.moonraker = home.path / "moonraker"
    (home.moonraker / "moonraker" / "components").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(home.moonraker)], check=True)
    return home


def with_screens(home):
    (home.path / "mainsail").mkdir()
    (home.path / "KlipperScreen" / "panels").mkdir(parents=True)
    (home.config / ".theme").mkdir()
    (home.config / ".theme" / "navi.json").write_text(NAVI)
    (home.config / "KlipperScreen.conf").write_text(SCREEN)


def test_the_page_is_linked_into_moonraker_which_sees_no_local_change(home):
    home.install("--page")

    link = home.moonraker / "moonraker" / "components" / "upkeep.py"
    assert link.resolve() == ROOT / "deploy" / "moonraker" / "upkeep.py"
    assert "\n[upkeep]\n" in (home.config / "moonraker.conf").read_text()
    status = ["git", "-C", str(home.moonraker), "status", "--porcelain", "-uall"]
    done = subprocess.run(status, capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_the_library_for_qr_codes_is_installed_in_moonrakers_environment(home):
    env = home.env("moonraker-env")
    home.install("--page")
    assert "segno" in asked_pip(env)
    assert "segno in" in home.install("--page").stdout
    assert asked_pip(env).count("segno") == 1


def test_if_pip_fails_the_page_is_installed_without_qr_codes(home):
    env = home.env("moonraker-env")
    (env / "bin" / "python.pip").write_text("1")
    assert "no QR codes" in home.install("--page").stdout
    assert "[upkeep]" in (home.config / "moonraker.conf").read_text()


def test_a_second_run_changes_nothing(home):
    with_screens(home)
    home.install("--page")
    before = home.snapshot()
    output = home.install("--page").stdout
    assert home.snapshot() == before
    assert "Everything was installed already." in output


def test_without_the_option_and_a_terminal_there_is_no_page(home):
    home.install()
    assert not (home.moonraker / "moonraker" / "components" / "upkeep.py").exists()
    assert "[upkeep]" not in (home.config / "moonraker.conf").read_text()


def test_the_entries_are_added_beside_the_users_own_and_only_they_are_removed(home):
    with_screens(home)
    home.install("--page")

    entries = json.loads((home.config / ".theme" / "navi.json").read_text())
    assert [each["title"] for each in entries] == ["Camera", "Maintenance"]
    screen = (home.config / "KlipperScreen.conf").read_text()
    assert screen.index("[menu __main maintenance]") < screen.index("#~# ---")

    home.install("--uninstall")
    assert json.loads((home.config / ".theme" / "navi.json").read_text()) == [
        json.loads(NAVI)[0]
    ]
    assert (home.config / "KlipperScreen.conf").read_text() == SCREEN
    assert (home.config / "moonraker.conf").read_text() == MOONRAKER
    assert not (home.path / "KlipperScreen" / "panels" / "maintenance.py").exists()
    assert not (home.moonraker / "moonraker" / "components" / "upkeep.py").exists()


def test_an_invalid_sidebar_file_is_not_changed_and_is_reported(home):
    with_screens(home)
    (home.config / ".theme" / "navi.json").write_text("{broken")
    output = home.install("--page").stdout
    assert (home.config / ".theme" / "navi.json").read_text() == "{broken"
    assert "navi.json is not changed" in output


@pytest.fixture(scope="module")
def page():
    file = ROOT / "deploy" / "install" / "page.py"
    spec = importlib.util.spec_from_file_location("install_page", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    ["", "[server]\nport: 7125\n", "[server]\nport: 7125", "[a]\nb: 1\n\n[c]\nd: 2\n"],
)
def test_an_added_section_can_be_removed(page, text):
    added = page.add_section(text)
    assert page.add_section(added) == added
    assert page.remove_section(added).rstrip("\n") == text.rstrip("\n")


def test_a_section_between_others_is_removed_as_a_whole(page):
    text = "[a]\nb: 1\n\n[upkeep]\nname: Voron\nannouncements: False\n\n[c]\nd: 2\n"
    assert page.remove_section(text) == "[a]\nb: 1\n[c]\nd: 2\n"
