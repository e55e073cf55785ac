"""Klipper Upkeep in KIAUH's menu: clones the project and runs its installer.

install.sh decides what is installed where; this file knows nothing about Klipper.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from core.logger import Logger
from extensions.base_extension import BaseExtension

CHECKOUT = Path.home() / "klipper-upkeep"


class KlipperUpkeepExtension(BaseExtension):
    """Install, update and remove; each prints one sentence at its end."""

    def install_extension(self, **_kwargs: object) -> None:
        """Clone the project, if there is no checkout yet, and install from it."""
        fetched = CHECKOUT.exists() or self._run(
            "git", "clone", self.metadata["repo"], str(CHECKOUT)
        )
        self._end(fetched and self._installer(), "is installed")

    def update_extension(self, **_kwargs: object) -> None:
        """Pull the changes and install again, because a new version may need more."""
        fetched = self._run("git", "-C", str(CHECKOUT), "pull", "--ff-only")
        self._end(fetched and self._installer("--yes"), "is up to date")

    def remove_extension(self, **_kwargs: object) -> None:
        """Uninstall it from Klipper. The checkout and the counts stay."""
        self._end(self._installer("--uninstall"), "is uninstalled")

    def _installer(self, *options: str) -> bool:
        return self._run("sh", str(CHECKOUT / "install.sh"), *options)

    def _run(self, *command: str) -> bool:
        try:
            return subprocess.run(command, check=False).returncode == 0
        except OSError as error:
            Logger.print_error(str(error))
            return False

    def _end(self, is_well: bool, result: str) -> None:
        if is_well:
            Logger.print_ok(f"Klipper Upkeep {result}.")
        else:
            Logger.print_error("Klipper Upkeep: this failed. The lines above say why.")
