"""Facts that only an installed Home Assistant knows. Its own Python runs this file."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import homeassistant
from homeassistant.const import __version__

COMPONENTS = Path(homeassistant.__file__).parent / "components"


def requirements(domains: list[str]) -> list[str]:
    """Return what pip has to install for these integrations and their dependencies."""
    packages: set[str] = set()
    seen: set[str] = set()
    while domains:
        domain = domains.pop()
        manifest = COMPONENTS / domain / "manifest.json"
        if domain in seen or not manifest.exists():
            continue
        seen.add(domain)
        description = json.loads(manifest.read_text())
        packages.update(description.get("requirements", ()))
        domains += description.get("dependencies", ())
    return sorted(packages)


def http() -> dict[str, object] | None:
    """Return what the http integration stores, if it has its settings in storage.

    Settings from YAML are on trial there, and a restart undoes them.
    """
    if not (COMPONENTS / "http" / "config.py").exists():
        return None
    config = importlib.import_module("homeassistant.components.http.config")
    default = config._DEFAULT_CONFIG  # noqa: SLF001 - it has no public name
    data = {"stable": default, "pending": None}
    return {
        "version": config.STORAGE_VERSION,
        "minor_version": 1,
        "key": "http",
        "data": dict(data, yaml_migration_done=True),
    }


def wanted() -> str:
    """Return the version of Home Assistant that the installed test harness wants."""
    lines = importlib.metadata.requires("pytest-homeassistant-custom-component") or []
    (version,) = [
        each.partition("==")[2] for each in lines if each.startswith("homeassistant==")
    ]
    return version


# These process the sound of a microphone. Home Assistant imports one class of each.
SOUND = {"pymicro_vad": "MicroVad", "pyspeex_noise": "AudioProcessor"}


def stand_ins() -> str:
    """Write stand-ins for missing packages that a compiler would have to make."""
    missing = [each for each in SOUND if importlib.util.find_spec(each) is None]
    for each in missing:
        file = Path(sysconfig.get_path("purelib")) / f"{each}.py"
        file.write_text(f"class {SOUND[each]}:\n    pass\n")
    return " ".join(missing)


WHAT: dict[str, Callable[[], object]] = {
    "constraints": lambda: COMPONENTS.parent / "package_constraints.txt",
    "http": lambda: json.dumps(http()),
    "requirements": lambda: "\n".join(requirements(sys.argv[2:])),
    "stand-ins": stand_ins,
    "version": lambda: __version__,
    "wanted": wanted,
}

if __name__ == "__main__":
    sys.stdout.write(f"{WHAT[sys.argv[1]]()}\n")
