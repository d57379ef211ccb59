"""The page at /docs, in a real browser: it shows every operation and fetches nothing else."""

import html
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from applyrate.api.app import ROUTES
from applyrate.api.docs_page import CONTENT_SECURITY_POLICY, render
from applyrate.api.openapi import describe, operation_of
from tests.browser.chromium import DESK, PHONE, launched
from tests.servers import Server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test for any console error and any request but the one for itself."""
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    yield page
    context.close()
    assert complaints == []
    assert [
        url for url in requests if not url.endswith("/docs") and not url.startswith("data:")
    ] == []


def test_every_operation_is_seen(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/docs")
    document = httpx.get(f"{server.url}/openapi.json").json()
    assert page.title() == document["info"]["title"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            article = page.locator(f"#{operation['operationId']}")
            assert article.is_visible()
            assert article.locator("h3").inner_text() == operation["summary"]
            assert article.locator(".route").inner_text().split() == [method.upper(), path]
            for parameter in operation.get("parameters", ()):
                assert parameter["name"] in article.locator(".fields").first.inner_text()
            assert server.url in article.locator("pre").first.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable_by_day_and_by_night(page: Page, server: Server, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{server.url}/docs")
    for selector in ("h1", ".intro p", ".told p", ".kind", ".scopes code", "figcaption", "nav a"):
        contrast = page.locator(selector).first.evaluate(CONTRAST)
        assert contrast >= 4.5, selector


CONTRAST = """(element) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (color) => { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); };
  const light = () => {
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = [];
  for (let node = element; node; node = node.parentElement) {
    grounds.push(getComputedStyle(node).backgroundColor);
  }
  grounds.reverse().forEach(paint);
  const ground = light();
  paint(getComputedStyle(element).color);
  const text = light();
  return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
}"""


def test_nothing_is_wider_than_a_phone(page: Page, server: Server) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{server.url}/docs")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_navigation_leads_to_an_operation(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/docs")
    page.get_by_role("navigation").get_by_text("Revoke a key").click()
    expect(page.locator("#revokeKey h3")).to_be_in_viewport()
    assert page.url.endswith("/docs#revokeKey")


def test_a_request_can_be_copied(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.url}/docs")
    button = page.locator("#recordReplies button")
    button.click()
    expect(button).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {server.url}/replies \\\n")


def test_the_pages_requests_work_when_pasted(server: Server) -> None:
    page = html.unescape(httpx.get(f"{server.url}/docs").text)
    urls = re.findall(r"curl '?(http[^' <\n]+)", page)
    assert (
        f"{server.url}/resource-usage/instruction/ins_refund/usage-summary"
        "?from=2026-03-01&to=2026-03-31"
    ) in urls
    client = server.client()
    client.put("/conversations/conv_7", json={"status": "resolved"})
    for url in urls:
        is_post = url.endswith(("/replies", "/v1/traces"))
        with client.stream("GET", url) as answer:  # some answers have no end
            assert answer.status_code == (405 if is_post else 200), url


def test_the_page_lets_nothing_run_but_its_own(server: Server) -> None:
    answer = httpx.get(f"{server.url}/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; ")
    assert " style=" not in answer.text
    assert " src=" not in answer.text


def test_a_host_header_cannot_write_into_the_page(server: Server) -> None:
    operations = {operation.operation_id: operation for operation in map(operation_of, ROUTES)}
    page = render(describe(ROUTES), operations, base_url="http://<script>&'\"")
    assert page.count("<script>") == 1
    hostile = httpx.get(f"{server.url}/docs", headers={"Host": "a'&amp;\"<script>"})
    assert hostile.status_code == 400
    quoting = httpx.get(f"{server.url}/docs", headers={"Host": "a'$(id)'"})
    assert "http://a'$(id)" not in re.findall(r"curl.*", html.unescape(quoting.text))[0]
