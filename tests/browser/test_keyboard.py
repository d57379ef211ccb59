"""The dashboard in the hands of somebody without a mouse."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.agents import Agents
from tests.browser.pages import look_at
from tests.browser.readers import Readers

MOST_STOPS = 400


@pytest.mark.parametrize(
    "name", ["sign-in", "overview", "resource", "unused", "conversation", "intake", "keys"]
)
def test_tab_reaches_all_that_can_be_clicked_and_shows_where_it_is(
    readers: Readers, agents: Agents, name: str
) -> None:
    look = look_at(agents, name)
    page = readers.sign_in(look.key) if look.key else readers.arrive()
    page.goto(look.path)
    page.evaluate(BEGIN_AT_THE_TOP)
    wanted = set(page.evaluate(NUMBER_WHAT_CAN_BE_CLICKED))
    reached: dict[int, dict[str, Any]] = {}
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(TELL_FOCUS)
        if stop is None:
            break
        reached.setdefault(stop["number"], stop)  # a date has stops for its day, month and year
    hidden = [stop["text"] for stop in reached.values() if not stop["shown"]]
    assert hidden == []
    left_out = page.evaluate(TELL_TEXTS, sorted(wanted - reached.keys()))
    assert left_out == []
    order = [stop["number"] for stop in reached.values()]
    assert order == sorted(order), "the order of the tabs is not the order of the page"


def test_the_first_tab_leads_past_the_navigation(page: Page) -> None:
    page.goto("/dashboard")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_a_window_is_picked_and_a_table_sorted_by_keys_alone(page: Page) -> None:
    page.goto("/dashboard")
    page.locator("[data-picker] summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Last 7 days")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Last 7 days")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**preset=7d*")
    head = page.get_by_role("columnheader", name="Applied")
    head.get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=applied*")
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(head.get_by_role("link")).to_be_focused()  # the next Enter turns it round
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")


NUMBER_WHAT_CAN_BE_CLICKED = """() => {
  const found = document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']");
  [...found].forEach((element, number) => { element.dataset.stop = number; });
  return [...found].filter((element) =>
    element.checkVisibility() && !element.disabled && element.tabIndex >= 0
    && !(element.type === "radio" && !element.checked)).map((e) => Number(e.dataset.stop));
}"""

BEGIN_AT_THE_TOP = """() => {
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
}"""

TELL_FOCUS = """() => {
  const element = document.activeElement;
  if (!element || element === document.body || element.dataset.stop === undefined) {
    return null;
  }
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
  const around = getComputedStyle(element.parentElement);
  const { width, height } = element.getBoundingClientRect();
  const rings = outlineStyle !== "none" && parseFloat(outlineWidth) > 0
    || boxShadow !== "none" || around.outlineStyle !== "none";
  return {
    number: Number(element.dataset.stop),
    text: `${element.tagName} ${element.textContent.trim() || element.name}`,
    shown: rings && width > 0 && height > 0,
  };
}"""

TELL_TEXTS = """(numbers) => numbers.map((number) => {
  const element = document.querySelector(`[data-stop="${number}"]`);
  return `${element.tagName} ${element.textContent.trim() || element.name}`;
})"""
