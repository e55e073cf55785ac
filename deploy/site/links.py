"""A hook for MkDocs: links to files outside of docs/ become links to the forge."""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_more: Any) -> str:
    """Complete the links that leave docs/; warn if a link names no file."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def whole(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[1]))
        is_folder = (ROOT / path).is_dir()
        if path.startswith("docs/") and not is_folder:
            return link[0]
        if not (ROOT / path).exists():
            logging.getLogger("mkdocs").warning("%s links to %s", page.file, path)
        kind = "tree" if is_folder else "blob"
        return f"]({config['repo_url']}/{kind}/main/{path}{link[2] or ''})"

    return LINK.sub(whole, markdown)
