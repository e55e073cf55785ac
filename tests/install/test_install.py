"""The real installer, in a home of its own, with Klippers laid out as on real hosts."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pip
import pytest

from tests import programs

ROOT = Path(__file__).resolve().parents[2]
SECTION = "update_manager klipper_upkeep"
MOONRAKER = "[server]\nhost: 0.0.0.0\n\n[update_manager mainsail]\ntype: web\n"

# A `python3` on the path may be a script that searches for one. This is a program.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# A user who may mount can also write everywhere.
MAY_MOUNT = subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0

# A Python that answers as Klippy's does, and writes down what pip should install.
PYTHON = """\
#!/bin/sh
case "$*" in
    *"-m pip"*) echo "$@" >>"$0.asked"; exit "$(cat "$0.pip" 2>/dev/null || echo 0)" ;;
    *"import segno"*) [ -e "$0.asked" ]; exit ;;
    *paho*) [ -e "$0.asked" ] || [ -e "$0.has_paho" ] ; exit ;;
    *version_info*) [ ! -e "$0.old" ]; exit ;;
    *"import pip"*) [ ! -e "$0.no_pip" ]; exit ;;
esac
exec {python} "$@"
"""


class Home:
    """A user's home with a copy of the project."""

    def __init__(self, folder, shell="sh"):
        self.path = folder / "home"
        self.units = folder / "units"
        self.shell = [shutil.which(shell) or shell]
        if shell == "busybox":
            self.shell.append("sh")
        self.project = self.path / "klipper-upkeep"
        self.project.mkdir(parents=True)
        self.units.mkdir()
        shutil.copy(ROOT / "install.sh", self.project)
        for part in ("klippy_extra", "deploy"):
            (self.project / part).symlink_to(ROOT / part)
        self.extra = ROOT / "klippy_extra"

    @property
    def backups(self):
        files = (self.path / "klipper-upkeep-backup").glob("**/*")
        return sorted(p for p in files if p.is_file() or p.is_symlink())

    def klipper(self, name="klipper"):
        extras = self.path / name / "klippy" / "extras"
        extras.mkdir(parents=True)
        (self.path / name / "klippy" / "klippy.py").touch()
        return self.path / name

    def env(self, name="klippy-env"):
        python = self.path / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON.format(python=sys.executable))
        python.chmod(0o755)
        return self.path / name

    def data(self, name="printer_data", moonraker=MOONRAKER):
        config = self.path / name / "config"
        config.mkdir(parents=True)
        (config / "printer.cfg").write_text("[printer]\nkinematics: none\n")
        if moonraker is not None:
            (config / "moonraker.conf").write_text(moonraker)
        return config

    def git(self):
        """Make the project a checkout that was cloned from somewhere."""
        git = ["git", "-C", str(self.project)]
        subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
        url = "https://example.com/klipper-upkeep.git"
        subprocess.run([*git, "remote", "add", "origin", url], check=True)
        return url

    def kalico(self):
        """A Klipper with a folder for plugins."""
        klipper = self.klipper()
        (klipper / "klippy" / "plugins").mkdir()
        return klipper

    def install(self, *arguments, check=True, **environment):
        done = subprocess.run(
            [
                *self.shell,
                str(self.project / "install.sh"),
                *("--units", str(self.units), "--yes", *arguments),
            ],
            env={
                "PATH": PATH,
                "HOME": str(self.path),
                "GIT_CONFIG_GLOBAL": "/dev/null",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def snapshot(self):
        """Return all files of the home but the backups."""
        return {
            str(path.relative_to(self.path)): (
                str(path.readlink()) if path.is_symlink() else path.read_bytes()
            )
            for path in sorted(self.path.glob("**/*"))
            if "klipper-upkeep" not in path.relative_to(self.path).parts[0]
            and (path.is_symlink() or path.is_file())
            and not path.name.startswith("python.")
        }


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def usual(home):
    home.klipper()
    home.env()
    home.data()
    return home


def link(klipper):
    return klipper / "klippy" / "extras" / "maintain"


def linked(home, klipper="klipper"):
    return link(home.path / klipper).resolve() == home.extra


def asked_pip(env):
    path = env / "bin" / "python.asked"
    return path.read_text() if path.exists() else ""


def test_a_usual_host_gets_everything(usual):
    url = usual.git()
    output = usual.install("--preset", "voron").stdout
    config = usual.path / "printer_data" / "config"

    assert linked(usual)
    assert "klippy_extra/requirements.txt" in asked_pip(usual.path / "klippy-env")
    parser = configparser.ConfigParser()
    parser.read(config / "moonraker.conf")
    assert dict(parser[SECTION]) == {
        "type": "git_repo",
        "path": str(usual.project),
        "origin": url,
        "primary_branch": "main",
        "managed_services": "klipper",
        "virtualenv": str(usual.path / "klippy-env"),
        "requirements": "klippy_extra/requirements.txt",
    }
    assert parser["update_manager mainsail"]["type"] == "web"
    assert "preset: voron/ptfe" in (config / "maintain.cfg").read_text()
    assert "[include maintain.cfg]" in output
    assert "Restart Klipper as a service" in output


def test_every_file_is_copied_before_it_is_changed(usual):
    usual.git()
    before = usual.snapshot()
    usual.install("--preset", "voron")
    after = usual.snapshot()

    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"printer_data/config/moonraker.conf"}
    (copy,) = usual.backups
    assert str(copy).endswith("/printer_data/config/moonraker.conf")
    assert copy.read_text() == MOONRAKER


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_of_a_printer_can_run_it(tmp_path, shell):
    """Debian's shell, bash and BusyBox install and uninstall, with several printers."""
    programs.require(shell)
    home = Home(tmp_path, shell)
    home.klipper()
    home.env()
    home.data()
    home.data("printer_1_data")
    home.git()
    before = home.snapshot()
    home.install("--preset", "voron")
    for config in home.path.glob("*/config"):
        assert SECTION in (config / "moonraker.conf").read_text()
        (config / "maintain.cfg").unlink()
    assert linked(home)
    home.install("--uninstall")

    assert home.snapshot() == before


def test_a_second_run_changes_nothing_and_reports_it(usual):
    usual.git()
    usual.install("--preset", "voron")
    before = usual.snapshot(), usual.backups
    output = usual.install("--preset", "prusa").stdout

    assert (usual.snapshot(), usual.backups) == before
    assert "Everything was installed already." in output


def test_uninstalling_restores_the_former_files(usual):
    usual.git()
    before = usual.snapshot()
    usual.install()
    assert usual.snapshot() != before
    output = usual.install("--uninstall").stdout

    assert usual.snapshot() == before
    assert not link(usual.path / "klipper").exists()
    assert "the counts" in output


def test_uninstalling_where_nothing_was_installed_harms_nothing(usual):
    before = usual.snapshot()
    usual.install("--uninstall")

    assert usual.snapshot() == before


def test_uninstalling_keeps_the_users_own_maintain_cfg_and_warns(usual):
    usual.install("--preset", "voron")
    config = usual.path / "printer_data" / "config"
    (config / "printer.cfg").write_text("[include maintain.cfg]\n")
    output = usual.install("--uninstall").stdout

    assert (config / "maintain.cfg").exists()
    assert "will not start" in output


@pytest.mark.parametrize("how", ["copy", "hard link", "symbolic link"])
def test_the_file_of_klippermaintenance_is_replaced_and_comes_back(usual, how):
    old = usual.path / "KlipperMaintenance" / "maintain.py"
    old.parent.mkdir()
    old.write_text("# KlipperMaintenance\n")
    place = link(usual.path / "klipper").with_suffix(".py")
    if how == "copy":
        shutil.copy(old, place)
    elif how == "hard link":
        os.link(old, place)
    else:
        place.symlink_to(old)
    before = usual.snapshot()
    usual.install()

    assert not place.exists()
    assert linked(usual)
    assert old.read_text() == "# KlipperMaintenance\n"

    usual.install("--uninstall")
    assert usual.snapshot() == before


def test_a_foreign_link_is_kept_as_a_backup(usual):
    other = usual.path / "other"
    other.mkdir()
    link(usual.path / "klipper").symlink_to(other)
    usual.install()

    assert linked(usual)
    (saved,) = [path for path in usual.backups if path.is_symlink()]
    assert saved.readlink() == other


def test_a_folder_with_the_name_of_the_link_is_moved_and_comes_back(usual):
    place = link(usual.path / "klipper")
    place.mkdir()
    (place / "mine.py").write_text("mine\n")
    before = usual.snapshot()
    usual.install()

    assert linked(usual)
    assert [p.read_text() for p in usual.backups if p.name == "mine.py"] == ["mine\n"]
    usual.install("--uninstall")
    assert usual.snapshot() == before


# Kalico


def test_on_kalico_the_link_goes_into_plugins(home):
    klipper = home.kalico()
    home.env()
    home.install()

    assert (klipper / "klippy" / "plugins" / "maintain").resolve() == home.extra
    assert not link(klipper).exists()
    home.install("--uninstall")
    assert not (klipper / "klippy" / "plugins" / "maintain").is_symlink()


def test_a_link_in_kalicos_extras_moves_to_plugins(home):
    """Kalico does not start if a module is in both folders."""
    klipper = home.kalico()
    home.env()
    link(klipper).symlink_to(home.extra)
    home.install()

    assert not link(klipper).is_symlink()
    assert (klipper / "klippy" / "plugins" / "maintain").resolve() == home.extra


def test_klippermaintenance_in_plugins_is_replaced_and_comes_back(home):
    klipper = home.kalico()
    home.env()
    old = klipper / "klippy" / "plugins" / "maintain.py"
    old.write_text("# KlipperMaintenance\n")
    before = home.snapshot()
    home.install()

    assert not old.exists()
    home.install("--uninstall")
    assert home.snapshot() == before


# Other layouts


def test_several_printers_share_one_klipper(home):
    home.klipper()
    home.env()
    configs = [home.data(name) for name in ("printer_data", "printer_1_data")]
    home.git()
    output = home.install("--preset", "voron").stdout

    assert linked(home)
    for config in configs:
        assert SECTION in (config / "moonraker.conf").read_text()
        assert (config / "maintain.cfg").exists()
        assert str(config) in output


def unit(home, name, python, klipper, config, arguments_in_a_file=True):
    """Write a service file as KIAUH writes it, or as older installers did."""
    arguments = f"{klipper}/klippy/klippy.py {config}/printer.cfg -l /tmp/klippy.log"
    if arguments_in_a_file:
        env_file = config.parent / "systemd" / "klipper.env"
        env_file.parent.mkdir(exist_ok=True)
        env_file.write_text(f'KLIPPER_ARGS="{arguments}"\n')
        start = f"EnvironmentFile={env_file}\nExecStart={python} $KLIPPER_ARGS\n"
    else:
        start = f"ExecStart={python} {arguments}\n"
    (home.units / name).write_text(f"[Service]\nType=simple\n{start}Restart=always\n")


@pytest.mark.parametrize("arguments_in_a_file", [True, False])
def test_services_tell_where_environments_are(home, arguments_in_a_file):
    """There are two Klippers, whose environments and names cannot be guessed."""
    home.git()
    places = []
    for number in ("left", "right"):
        klipper, env = home.klipper(f"kl-{number}"), home.env(f"venvs/{number}")
        config = home.data(f"data/{number}")
        python = env / "bin" / "python"
        name = f"klipper-{number}.service"
        unit(home, name, python, klipper, config, arguments_in_a_file)
        places.append((klipper, env, config))
    home.install()

    for klipper, env, config in places:
        assert link(klipper).resolve() == home.extra
        assert "requirements.txt" in asked_pip(env)
        assert f"virtualenv: {env}" in (config / "moonraker.conf").read_text()


def test_the_service_of_the_linux_firmware_is_not_taken_for_klipper(usual):
    (usual.units / "klipper-mcu.service").write_text(
        "[Service]\nExecStart=/usr/local/bin/klipper_mcu -r\n"
    )
    usual.install()

    assert linked(usual)


def test_a_service_of_a_klipper_that_no_longer_exists_is_ignored(usual):
    gone = usual.path / "gone"
    unit(usual, "klipper-1.service", "/x/bin/python", gone, gone, False)
    usual.install()

    assert linked(usual)


def test_folders_can_be_given_as_options(home):
    klipper, env, config = home.klipper("a b"), home.env("e f"), home.data("c d")
    home.git()
    home.install(
        *("--klipper", str(klipper), "--env", str(env), "--config", str(config)),
        *("--preset", "voron"),
    )

    assert link(klipper).resolve() == home.extra
    assert "requirements.txt" in asked_pip(env)
    assert (config / "maintain.cfg").exists()
    assert SECTION in (config / "moonraker.conf").read_text()


def test_without_a_klipper_it_tells_how_to_name_one(home):
    done = home.install(check=False)

    assert done.returncode == 1
    assert "--klipper DIR" in done.stderr


def test_without_an_environment_nothing_is_changed_and_the_option_is_named(home):
    home.klipper()
    before = home.snapshot()
    done = home.install(check=False)

    assert home.snapshot() == before
    assert done.returncode == 1
    assert "--env DIR" in done.stderr
    assert "--no-pip" in done.stderr
    home.install("--no-pip")
    assert linked(home)


# Vendors' printers: BusyBox, root, no systemd, no git, special folders


@pytest.fixture
def tools(tmp_path):
    """A folder with only the programs of BusyBox."""
    busybox = programs.require("busybox")
    folder = tmp_path / "busybox"
    folder.mkdir()
    listed = subprocess.run(
        [busybox, "--list"], capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split():
        (folder / name).symlink_to(busybox)
    return folder


@pytest.mark.parametrize("data", ["usr/data", "userdata"])
def test_a_vendors_printer_gets_everything(tmp_path, tools, data):
    """Its init script is found, with nothing but BusyBox and Klipper's own Python."""
    home = Home(tmp_path, "busybox")
    system = home.path / "system"
    klipper = home.klipper("system/usr/share/klipper")
    env = home.env("system/usr/share/klippy-env")
    config = home.data(f"system/{data}/printer_data")
    script = system / "etc" / "init.d" / "S55klipper_service"
    script.parent.mkdir(parents=True)
    script.write_text(
        f"#!/bin/sh\nPROG={env}/bin/python\nPY_SCRIPT={klipper}/klippy/klippy.py\n"
        f'PRINTER_CONFIG="{config}/printer.cfg"\n'
    )
    before = home.snapshot()
    done = home.install(
        *("--system", str(system), "--preset", "voron"), PATH=str(tools)
    )

    assert linked(home, "system/usr/share/klipper")
    assert "requirements.txt" in asked_pip(env)
    assert (config / "maintain.cfg").exists()
    assert "systemctl" not in done.stdout
    (config / "maintain.cfg").unlink()
    home.install("--system", str(system), "--uninstall", PATH=str(tools))
    assert home.snapshot() == before


@pytest.mark.parametrize("data", ["usr/data", "userdata"])
def test_a_vendors_folders_are_found_without_any_service(tmp_path, data):
    home = Home(tmp_path)
    home.klipper(f"system/{data}/klipper")
    env = home.env(f"system/{data}/klippy-env")
    config = home.data(f"system/{data}/printer_data")
    home.git()
    home.install("--system", str(home.path / "system"))

    assert linked(home, f"system/{data}/klipper")
    assert f"virtualenv: {env}" in (config / "moonraker.conf").read_text()


def test_a_read_only_klipper_is_refused_before_anything_is_changed(usual):
    klipper = usual.path / "klipper"
    before = usual.snapshot()
    if MAY_MOUNT:
        bind = f"mount --bind {klipper} {klipper} && mount -o remount,ro,bind {klipper}"
        usual.shell = ["unshare", "--mount", "sh", "-c", f'{bind} && exec sh "$@"', "-"]
    else:
        (klipper / "klippy" / "extras").chmod(0o555)
    done = usual.install(check=False)

    assert done.returncode == 1
    assert "is read-only" in done.stderr
    assert "--klipper DIR" in done.stderr
    assert usual.snapshot() == before
    assert asked_pip(usual.path / "klippy-env") == ""


def test_without_pip_nothing_is_changed_and_the_option_is_named(usual):
    (usual.path / "klippy-env" / "bin" / "python.no_pip").touch()
    before = usual.snapshot()
    done = usual.install(check=False)

    assert (done.returncode, usual.snapshot()) == (1, before)
    assert "has no pip" in done.stderr
    assert "--no-pip" in done.stderr
    usual.install("--no-pip")
    assert linked(usual)


# What it does not change


def test_a_dry_run_changes_nothing(usual):
    usual.git()
    (link(usual.path / "klipper").with_suffix(".py")).write_text(
        "# KlipperMaintenance\n"
    )
    before = usual.snapshot()
    output = usual.install("--dry-run", "--preset", "voron").stdout

    assert usual.snapshot() == before
    assert usual.backups == []
    assert asked_pip(usual.path / "klippy-env") == ""
    assert "linked" in output
    assert "Nothing is changed" in output


def test_an_existing_maintain_cfg_is_not_changed(usual):
    mine = usual.path / "printer_data" / "config" / "maintain.cfg"
    mine.write_text("[maintain]\n")
    usual.install("--preset", "voron")

    assert mine.read_text() == "[maintain]\n"


def test_an_existing_update_section_is_not_changed(usual):
    usual.git()
    conf = usual.path / "printer_data" / "config" / "moonraker.conf"
    conf.write_text(f"[{SECTION}]\ntype: git_repo\npath: ~/mine\n")
    usual.install()

    assert "~/mine" in conf.read_text()
    assert conf.read_text().count(SECTION) == 1


def test_a_last_line_without_a_line_end_does_not_join_a_section(usual):
    usual.git()
    conf = usual.path / "printer_data" / "config" / "moonraker.conf"
    conf.write_text(MOONRAKER.rstrip())
    usual.install()

    parser = configparser.ConfigParser()
    parser.read(conf)
    assert parser["update_manager mainsail"]["type"] == "web"
    assert SECTION in parser
    usual.install("--uninstall")
    assert conf.read_text() == MOONRAKER.rstrip()


@pytest.mark.parametrize("text", [MOONRAKER, MOONRAKER + "\n\n", "[server]", "", "\n"])
def test_uninstalling_leaves_moonrakers_file_byte_for_byte(usual, text):
    usual.git()
    conf = usual.path / "printer_data" / "config" / "moonraker.conf"
    conf.write_text(text)
    usual.install()
    assert SECTION in conf.read_text()
    usual.install("--uninstall")

    assert conf.read_text() == text


def test_a_linked_moonraker_conf_stays_a_link(usual):
    """The target of the link gets the section, and its backup is a file."""
    usual.git()
    conf = usual.path / "printer_data" / "config" / "moonraker.conf"
    real = usual.path / "dotfiles" / "moonraker.conf"
    real.parent.mkdir()
    conf.rename(real)
    conf.symlink_to(real)
    usual.install()

    assert conf.readlink() == real
    assert SECTION in real.read_text()
    assert [p.read_text() for p in usual.backups] == [MOONRAKER]
    usual.install("--uninstall")
    assert (conf.readlink(), real.read_text()) == (real, MOONRAKER)


def test_the_systems_python_is_not_taken_for_moonrakers_environment(home):
    klipper, config = home.klipper(), home.data()
    home.git()
    unit(home, "klipper.service", "/usr/bin/python3", klipper, config)
    home.install("--no-pip")

    text = (config / "moonraker.conf").read_text()
    assert SECTION in text
    assert "virtualenv" not in text


def test_a_comment_above_the_next_section_stays(usual):
    conf = usual.path / "printer_data" / "config" / "moonraker.conf"
    conf.write_text(f"{MOONRAKER}\n[{SECTION}]\ntype: x\n\n# history\n[history]\n")
    usual.install("--uninstall")

    assert conf.read_text() == f"{MOONRAKER}\n# history\n[history]\n"


def test_a_section_in_the_middle_is_removed_and_no_other(usual):
    conf = usual.path / "printer_data" / "config" / "moonraker.conf"
    ours = f"[{SECTION}]\ntype: git_repo\n\n# a comment of mine\npath: x\n"
    conf.write_text(f"{MOONRAKER}\n{ours}\n[history]\n")
    usual.install("--uninstall")

    assert conf.read_text() == f"{MOONRAKER}\n[history]\n"


def test_a_folder_that_is_no_checkout_gets_no_update_section(usual):
    output = usual.install().stdout

    assert (
        SECTION
        not in (usual.path / "printer_data" / "config" / "moonraker.conf").read_text()
    )
    assert "no git checkout" in output


def test_a_host_without_moonraker_is_accepted(home):
    home.klipper()
    home.env()
    home.data(moonraker=None)
    home.git()
    home.install()

    assert linked(home)


def test_unwanted_parts_are_left_out(usual):
    usual.git()
    before = (usual.path / "printer_data" / "config" / "moonraker.conf").read_text()
    usual.install("--no-pip", "--no-moonraker")

    assert linked(usual)
    assert asked_pip(usual.path / "klippy-env") == ""
    conf = usual.path / "printer_data" / "config" / "moonraker.conf"
    assert conf.read_text() == before


def test_an_installed_paho_is_not_installed_again(usual):
    (usual.path / "klippy-env" / "bin" / "python.has_paho").touch()
    usual.install()

    assert asked_pip(usual.path / "klippy-env") == ""


def test_if_pip_fails_nothing_else_is_changed(usual):
    (usual.path / "klippy-env" / "bin" / "python.pip").write_text("1")
    done = usual.install(check=False)

    assert done.returncode == 1
    assert "--no-pip" in done.stderr
    assert not link(usual.path / "klipper").exists()


def test_a_python_that_is_too_old_is_refused(usual):
    (usual.path / "klippy-env" / "bin" / "python.old").touch()
    done = usual.install(check=False)

    assert done.returncode == 1
    assert "3.7" in done.stderr
    assert not link(usual.path / "klipper").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--nonsense"], ["--preset"], ["--env", "/x"], ["--preset", "nothing"]],
)
def test_wrong_options_are_refused_before_anything_is_changed(usual, arguments):
    before = usual.snapshot()
    done = usual.install(*arguments, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("install.sh: ")
    assert usual.snapshot() == before


def test_help_explains_the_options(home):
    assert "--uninstall" in home.install("--help").stdout
    assert "voron\t" in home.install("--list-presets").stdout


def test_the_menu_writes_the_sections_of_the_chosen_machine(tmp_path):
    """It asks at a terminal, as a person uses it."""
    home = Home(tmp_path)
    home.klipper()
    home.env()
    config = home.data()
    command = f"{home.project}/install.sh --units {home.units}"
    environment = {**os.environ, "HOME": str(home.path), "PATH": PATH}
    subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        input="voron\n",
        text=True,
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert "voron/ptfe" in (config / "maintain.cfg").read_text()


# The real pip, without a network


@pytest.fixture
def wheels(tmp_path):
    """A folder with a package that is called paho-mqtt 2.1.0."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "paho_mqtt-2.1.0.dist-info"
    with zipfile.ZipFile(folder / "paho_mqtt-2.1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("paho/__init__.py", "")
        wheel.writestr("paho/mqtt/__init__.py", '__version__ = "2.1.0"\n')
        wheel.writestr("paho/mqtt/client.py", "")
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: paho-mqtt\nVersion: 2.1.0\n",
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
            "Tag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "")
    return folder


def test_a_real_environment_gets_the_package(tmp_path, wheels):
    home = Home(tmp_path)
    home.klipper()
    env = home.path / "klippy-env"
    venv.create(env, symlinks=True)
    # To install pip takes longer than all the rest.
    [packages] = env.glob("lib/python3*/site-packages")
    (packages / "pip").symlink_to(Path(pip.__file__).parent)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    home.install(**offline)

    version = subprocess.run(
        [
            env / "bin" / "python",
            "-c",
            "import paho.mqtt as m; print(m.__version__)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert version == "2.1.0\n"
    assert "as it was" in home.install(**offline).stdout


def test_shellcheck_finds_no_fault():
    programs.require("shellcheck")
    done = subprocess.run(
        ["shellcheck", "-x", "install.sh", *map(str, ROOT.glob("deploy/install/*.sh"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")
