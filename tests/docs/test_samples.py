"""The program for which a sample in the documents is written accepts it.

A block of an unknown kind fails the tests, so that nobody adds a sample that is never
run.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from klippy_extra.contract import Command
from mqtt_bridge import settings
from tests.fakes import VirtualPrinter

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "integration" / "README.md",
        ROOT / "deploy" / "kiauh" / "README.md",
    ]
)
BLOCK = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# The first characters of a block without a language.
LOOKS = {
    "ini": re.compile(r".*^\[(maintain|gcode_macro)\b", re.MULTILINE | re.DOTALL),
    "shell": re.compile(
        r"\$ |mk |make |cd |cp |git |pip |ln |\./|~/|python3 |upkeep-bridge |mosquitto_"
    ),
    "python part": re.compile(r"class "),
    "python await": re.compile(r"from .* import "),
    "credentials": re.compile("username:"),
    "picture": re.compile(".*(──|─▶)", re.DOTALL),
    "mosquitto": re.compile("# Every printer"),
}


def samples(*kinds):
    """Return the blocks of these kinds, each with a name for the report."""
    blocks = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, match in enumerate(BLOCK.finditer(text)):
            if kind(*match.groups()) in kinds:
                name = f"{page.relative_to(ROOT)}-{number}"
                blocks.append(pytest.param(match[2], id=name))
    return blocks


def kind(language, text):
    """Return the kind of a block: its language, or what its text shows."""
    fitting = (name for name, pattern in LOOKS.items() if pattern.match(text))
    return language.strip() or next(fitting, "unknown")


ELSEWHERE = {
    "python": "tests/mktl_daemon/unit/test_docs.py runs them",
    "python client": "tests/mktl_daemon/unit/test_docs.py runs it",
    "python test": "tests/docs/test_mktl_pages.py runs it with pytest",
    "bash": "tests/docs/test_mktl_pages.py completes words with it",
    "mosquitto": "tests/system/test_bridge_docs.py gives a broker these rights",
    "erlang": "test_bridge_docs.py compares them with mosquitto's: EMQX is no package",
    "picture": "there is nothing to run",
}
HERE = {
    "ini",
    "toml",
    "yaml",
    "json",
    "shell",
    "python part",
    "python await",
    "credentials",
}


def test_every_sample_is_of_a_kind_that_is_run():
    kinds = {
        (str(page.relative_to(ROOT)), kind(*match.groups()))
        for page in PAGES
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
    }
    assert {each for each in kinds if each[1] not in {*HERE, *ELSEWHERE}} == set()
    assert {each for _, each in kinds} >= HERE, (
        "one kind has no sample in the documents"
    )


@pytest.mark.parametrize("text", samples("ini"))
def test_klipper_starts_with_the_sections_of_a_printer(text, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    secrets = tmp_path / "printer_data" / "config" / "upkeep.secrets"
    secrets.parent.mkdir(parents=True)
    secrets.write_text("username: voron\npassword: correct horse\n")
    # This broker refuses at once, and no name server is asked.
    text = re.sub("mqtt_host: .*", "mqtt_host: 127.0.0.1\nmqtt_port: 9", text)
    text = text.replace("…", "G4 P1")
    if "[maintain]" not in text:
        text = "[maintain]\n" + text

    with VirtualPrinter(text, tmp_path) as printer:
        assert printer.state == "ready", printer.state_message
        assert not any("does not have" in line for line in printer.console)
        for name in re.findall(r"\[maintain (.+?)\]", text):
            assert printer.status(f"maintain {name}")["status"]


@pytest.mark.parametrize("text", samples("toml"))
def test_the_bridge_accepts_the_settings(text, tmp_path):
    file = tmp_path / "bridge.toml"
    for name in re.findall(r'_file = "(.*)"', text):
        token = tmp_path / Path(name).name
        token.write_text("a-token-that-is-long-enough\n")
        token.chmod(0o600)
        text = text.replace(name, str(token))
    file.write_text(text)
    assert settings.load(file, {"HOME": str(tmp_path)})


@pytest.mark.parametrize("text", samples("yaml"))
def test_home_assistant_reads_the_yaml(text):
    assert isinstance(yaml.safe_load(text), (dict, list))


@pytest.mark.parametrize("text", samples("json"))
def test_a_json_sample_is_json(text):
    text = text.strip()
    assert json.loads(text if text[0] in "{[" else f"{{{text.rstrip(',')}}}")


@pytest.mark.parametrize("text", samples("python part", "python await"))
def test_a_part_of_a_program_is_python(text):
    compile(text, "sample", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("text", samples("credentials"))
def test_the_extra_reads_the_credentials(text, tmp_path):
    file = tmp_path / "upkeep.secrets"
    file.write_text(text)
    file.chmod(0o600)
    assert settings.credentials(str(file), {}) == (
        "voron",
        "correct horse battery staple",
    )


@pytest.mark.parametrize("text", samples("shell"))
def test_every_command_is_accepted_by_its_program(text):
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if "$ " in text and not line.startswith("$ "):
            continue  # This is a line of the command's output.
        for command in line.removeprefix("$ ").split(" && "):
            words = shlex.split(command, comments=True)
            if words:
                run(words)


def run(words):
    """Let the program check these words without carrying them out."""
    program, *rest = words
    if program == "make":
        command = ["make", "--dry-run", "--directory", str(ROOT), *rest]
    elif program in ("mk", "upkeep-bridge"):
        command = [str(Path(sys.executable).parent / program), *rest, "--help"]
    elif program.endswith("install.sh"):
        usage = subprocess.check_output(["sh", str(ROOT / "install.sh"), "--help"])
        assert all(each.encode() in usage for each in rest)
        return
    elif program == "python3":
        script = rest[0].replace("~/klipper-upkeep", str(ROOT))
        command = [sys.executable, script, "--help"]
        assert rest[1] in subprocess.check_output(command, text=True), words
    elif program == "mosquitto_pub":
        assert Command.decode(rest[rest.index("-m") + 1].encode()).command == "done"
        return
    else:
        linked = [each for each in rest if each.startswith("~/klipper-upkeep/")]
        fetches = program.endswith("python") and rest[:2] == ["-m", "pip"]
        assert fetches or program in ("cd", "cp", "git", "ln", "pip"), words
        assert all(
            (ROOT / each[len("~/klipper-upkeep/") :]).exists() for each in linked
        )
        return
    assert shutil.which(command[0]), command
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout.decode()
