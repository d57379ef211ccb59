"""Making a key, using it, and revoking it."""

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.readers import Readers
from tests.servers import Server


@pytest.fixture
def keeper(readers: Readers, site: Server) -> Page:
    """Somebody with a full-access key to an organization of their own, on the page of its keys."""
    page = readers.sign_in(site.new_key(site.new_org()))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/dashboard/keys")
    return page


def row_of(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def make_key(page: Page, name: str, *scopes: str) -> str:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("only what is ticked here" if scopes else "do everything").check()
    for scope in scopes:
        page.get_by_role("checkbox", name=scope).check()
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_key_is_made_copied_and_used(keeper: Page, site: Server) -> None:
    key = make_key(keeper, "reporting", "training:read", "chat-sessions:read")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=site.url, headers=headers) as client:
        assert client.get("/resource-usage/instruction").status_code == 200
        assert client.get("/resource-usage/action").status_code == 403
    row = row_of(keeper, "reporting")
    expect(row).to_contain_text("active")
    expect(row).to_contain_text(key[-4:])
    expect(row.get_by_role("listitem")).to_have_text(["chat-sessions:read", "training:read"])


def test_a_key_is_shown_only_once(keeper: Page) -> None:
    key = make_key(keeper, "for everything")
    assert key in keeper.content()
    keeper.goto("/dashboard/keys")
    assert key not in keeper.content()
    expect(row_of(keeper, "for everything")).to_contain_text("everything")


def test_a_key_is_revoked_after_a_second_click(keeper: Page, site: Server) -> None:
    key = make_key(keeper, "old importer")
    row = row_of(keeper, "old importer")
    row.get_by_label("Revoke old importer").click()
    expect(row).to_contain_text("active")
    row.get_by_role("button", name="Yes, revoke").click()
    expect(row_of(keeper, "old importer")).to_contain_text("revoked")
    answer = httpx.get(
        f"{site.url}/resource-usage/instruction", headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 401


def test_the_page_tells_when_a_key_was_last_used(keeper: Page) -> None:
    own = keeper.get_by_role("row").filter(has_text="yours")
    expect(own).to_contain_text("just now")


def test_a_key_that_may_nothing_is_refused_with_the_reason(keeper: Page, readers: Readers) -> None:
    keeper.get_by_label("Name", exact=True).fill("idle")
    keeper.get_by_role("button", name="Make the key").click()
    expect(keeper.get_by_role("alert")).to_contain_text("scope")
    expect(keeper.get_by_label("Name", exact=True)).to_have_value("idle")
    readers.watch.forgive("400")


def test_revoking_ones_own_key_leads_to_the_sign_in(keeper: Page, readers: Readers) -> None:
    own = keeper.get_by_role("row").filter(has_text="yours")
    own.get_by_text("Revoke", exact=True).click()
    expect(own).to_contain_text("This signs you out.")
    own.get_by_role("button", name="Yes, revoke").click()
    expect(keeper.get_by_role("heading", level=1)).to_have_text("Sign in to Applyrate")
    readers.watch.forgive("401")


def test_a_key_that_may_only_read_makes_none(readers: Readers, site: Server) -> None:
    page = readers.sign_in(site.new_key(site.new_org(), ["training:read", "chat-sessions:read"]))
    page.goto("/dashboard/keys")
    expect(page.get_by_role("button", name="Make the key")).to_have_count(0)
    readers.watch.forgive("403")


def test_a_form_from_elsewhere_makes_no_key(keeper: Page) -> None:
    answer = keeper.request.post("/dashboard/keys", form={"name": "stolen", "access": "full"})
    assert answer.status == 403
    keeper.goto("/dashboard/keys")
    expect(row_of(keeper, "stolen")).to_have_count(0)
