"""What Home Assistant's Marketplace makes of a repository; run by its own Python.

`market.py FOLDER` with the paths of its files, one a line, prints what the Marketplace
would install from it, and what it complains of.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

from aiogithubapi.models.git_tree import GitHubGitTreeEntryModel
from homeassistant.components.marketplace.exceptions import MarketplaceError
from homeassistant.components.marketplace.repositories import base, integration
from homeassistant.components.marketplace.utils.logger import LOGGER


class Complaints(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record.getMessage())


def tree(files: list[str]) -> list[GitHubGitTreeEntryModel]:
    """Return the files and their folders as GitHub lists them."""
    folders = {str(each) for file in files for each in Path(file).parents}
    kinds = [
        *((each, "tree") for each in folders - {"."}),
        *((f, "blob") for f in files),
    ]
    return [
        GitHubGitTreeEntryModel({"path": path, "type": kind})
        for path, kind in sorted(kinds)
    ]


def main() -> None:
    root, files = Path(sys.argv[1]), sys.stdin.read().splitlines()
    complaints = Complaints()
    LOGGER.addHandler(complaints)
    core = SimpleNamespace(config_path="/config")
    repository = integration.IntegrationRepository(
        SimpleNamespace(core=core),
        "klipper-upkeep/klipper-upkeep",
    )
    about = json.loads((root / "hacs.json").read_text())
    repository.repository_manifest = base.RepositoryManifest.from_dict(about)
    repository.tree = tree(files)
    repository.treefiles = files
    is_found = repository.try_resolve_content()
    folder = root / str(repository.content.path.remote)
    manifest = json.loads((folder / "manifest.json").read_text())
    repository._use_integration_manifest(manifest)  # noqa: SLF001 - it has no other name
    try:
        integration._check_loadable_manifest(folder, repository.data.domain)  # noqa: SLF001
    except MarketplaceError as error:
        complaints.all.append(str(error))
    report = {
        "found": is_found,
        "folder": repository.localpath,
        "name": repository.repository_manifest.name,
        "needs": repository.repository_manifest.homeassistant,
        "has a flow": repository.data.config_flow,
        "complaints": [*complaints.all, *map(str, repository.validate.errors)],
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
