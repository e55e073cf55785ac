"""Each picture of the docs is made by one command, or is drawn by hand."""

from __future__ import annotations

from pathlib import Path

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


def test_the_tests_that_make_pictures_of_home_assistant_exist():
    sources = {each: (pictures.ROOT / each).read_text() for each in pictures.LOOKS}
    files = {Path(each).stem for each in sources}
    tests = "".join(sources.values())
    for each in pictures.ONLY:
        assert each in files or f"def {each}(" in tests


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
