"""Each picture of the docs is made by one command, or is drawn by hand."""

from __future__ import annotations

import pytest

from tests import pictures


def test_every_picture_of_the_docs_is_made_by_one_command():
    folders = ("docs/images", "integration/images")
    kept = {
        str(path.relative_to(pictures.ROOT))
        for folder in folders
        for path in (pictures.ROOT / folder).iterdir()
    }
    made = [file for _, files in pictures.KINDS.values() for file in files]
    assert sorted(kept) == sorted(made + pictures.DRAWN)


@pytest.mark.system
@pytest.mark.timeout(180)
def test_the_pictures_of_the_page_can_be_made(tmp_path):
    (tmp_path / "docs" / "images").mkdir(parents=True)
    try:
        pictures.page(tmp_path)
    except pictures.UnavailableError as missing:
        pytest.skip(str(missing))
    for file in pictures.PAGES:
        assert (tmp_path / file).read_bytes()[:4] == b"\x89PNG"
