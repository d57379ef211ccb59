"""Light and dark, and what the bundle may weigh."""

import gzip

from playwright.sync_api import Page, Response, expect

from tests.browser.agents import Agents
from tests.browser.readers import Readers

MOST_BYTES = 150_000


def ground(page: Page) -> int:
    """How light the page's ground is, from 0 to 255."""
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)"
    )
    return int((red + green + blue) / 3)


def test_the_page_is_as_light_or_dark_as_the_system(readers: Readers, agents: Agents) -> None:
    light = readers.sign_in(agents.key, color_scheme="light")
    light.goto("/dashboard")
    assert ground(light) > 200
    dark = readers.sign_in(agents.key, color_scheme="dark")
    dark.goto("/dashboard")
    assert ground(dark) < 60


def test_the_reader_may_choose_otherwise_for_good(readers: Readers, agents: Agents) -> None:
    page = readers.sign_in(agents.key, color_scheme="light")
    page.goto("/dashboard")
    page.get_by_role("button", name="Switch between light and dark").click()
    assert ground(page) < 60
    expect(page.locator("[data-chart] canvas")).to_be_visible()
    page.goto("/dashboard/unused")
    assert ground(page) < 60
    page.get_by_role("button", name="Switch between light and dark").click()
    assert ground(page) > 200


def test_script_and_style_are_light_and_kept(readers: Readers, agents: Agents) -> None:
    page = readers.sign_in(agents.key)
    loaded: dict[str, int] = {}

    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))  # noqa: PLW0108 (a builtin cannot be a listener)
    page.goto("/dashboard")
    page.wait_for_load_state("load")
    for response in responses:
        if response.request.resource_type in ("script", "stylesheet"):
            loaded[response.url] = len(gzip.compress(response.body(), 9))
    assert len(loaded) == 2
    assert sum(loaded.values()) < MOST_BYTES
    for url in loaded:
        headers = page.request.get(url).headers
        assert "immutable" in headers["cache-control"]
