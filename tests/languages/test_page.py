"""The page shows only texts that are in its catalogues."""

from __future__ import annotations

import pytest

from tests.languages import page, texts

PAGE = texts.ROOT / "mqtt_bridge" / "web" / "page"


@pytest.mark.parametrize("source", sorted(each.name for each in PAGE.glob("*.js")))
def test_every_text_of_the_page_is_in_the_catalogue(source: str) -> None:
    assert list(page.raw((PAGE / source).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("html`<h2>Parts</h2>`", "Parts"),
        ("html`<p>${t('left')} of all</p>`", "of all"),
        ('html`<p class="x">${rows.map((row) => html`<b>Due</b>`)}</p>`', "Due"),
        ("html`<p>${{ a: 1 }.a}<i>Done</i></p>`", "Done"),
        ('html`<button aria-label="Close" onClick=${close}>x</button>`', "Close"),
        ("html`<input placeholder='Search' />`", "Search"),
        ('throw new Error("No answer");', "No answer"),
        ('node.textContent = "Loading";', "Loading"),
    ],
)
def test_a_text_outside_the_catalogue_is_found(code: str, text: str) -> None:
    assert list(page.raw(f"// A comment.\nconst a = 'b';\n{code}\n")) == [text]


@pytest.mark.parametrize(
    "code",
    [
        "// html`<h2>Parts</h2>`",
        'html`<a class="left" href="#/log">${t("view.log")}</a>`',
        "html`<a title=${t('close')} style=${`width: ${width}px`}>x</a>`",
        "html`<input placeholder='IMPORT_PART …' />`",
        "const key = `${printer}/task`;",
        "throw new Error(t('no.answer'));",
    ],
)
def test_a_text_that_is_not_for_people_is_left_out(code: str) -> None:
    assert list(page.raw(code)) == []
