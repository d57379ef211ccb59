"""What holds of every page: it is for everybody, in light and dark, on a desk and a phone."""

from itertools import pairwise

import pytest
from playwright.sync_api import Page

from tests.browser.accessibility import barriers
from tests.browser.agents import Agents
from tests.browser.chromium import PHONE
from tests.browser.pages import NAMES, look_at
from tests.browser.readers import Readers

every_page = pytest.mark.parametrize("name", NAMES)


def open_page(readers: Readers, agents: Agents, name: str, **options: object) -> Page:
    look = look_at(agents, name)
    page = readers.sign_in(look.key, **options) if look.key else readers.arrive(**options)
    page.goto(look.path)
    if name == "not-found":
        readers.watch.forgive("404")
    return page


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_anybodys_way(
    readers: Readers, agents: Agents, name: str, scheme: str
) -> None:
    page = open_page(readers, agents, name, color_scheme=scheme)
    assert barriers(page) == []


@every_page
def test_nothing_is_wider_than_a_phone(readers: Readers, agents: Agents, name: str) -> None:
    page = open_page(readers, agents, name, viewport=PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert barriers(page) == []


@every_page
def test_a_page_says_what_it_is(readers: Readers, agents: Agents, name: str) -> None:
    page = open_page(readers, agents, name)
    assert page.title().endswith(" · Applyrate")
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((e) => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@every_page
def test_every_page_works_without_its_script(readers: Readers, agents: Agents, name: str) -> None:
    page = open_page(readers, agents, name, java_script_enabled=False)
    assert page.get_by_role("heading", level=1).is_visible()
    for chart in page.get_by_role("figure").filter(has=page.locator("[data-chart]")).all():
        chart.get_by_text("Numbers as a table").click()
        assert chart.get_by_role("table").is_visible()
