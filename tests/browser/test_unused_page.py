"""The dead weight: found, explained, downloaded, and kept on purpose."""

import csv
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from applyrate.usage import Applied, Available, CatalogueEntry, Recording, Reply, ResourceType
from tests.browser.readers import Readers
from tests.servers import Server


@pytest.fixture
def unused(page: Page) -> Page:
    page.goto("/dashboard/unused")
    return page


def row_of(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def test_the_most_costly_comes_first_with_its_reason(unused: Page) -> None:
    rows = unused.get_by_role("row").filter(has=unused.get_by_role("rowheader"))
    times = [
        int(text.rstrip("×").replace(",", ""))  # noqa: RUF001 (as it is shown)
        for text in rows.locator("td:nth-child(3)").all_inner_texts()
    ]
    assert times == sorted(times, reverse=True)
    assert times[0] > 1000
    expect(row_of(unused, "Mention the app")).to_contain_text("Stopped being applied")
    expect(row_of(unused, "Cheque refunds")).to_contain_text("Never applied")
    expect(row_of(unused, "No emojis")).to_contain_text("Kept on purpose")
    unused.goto("/dashboard/unused?type=knowledge&reason=never_available")
    expect(row_of(unused, "Warranty Hammocks")).to_contain_text("Never available")


def test_a_reason_shows_those_alone(unused: Page) -> None:
    unused.get_by_role("navigation", name="Reasons").get_by_text("Stopped").click()
    unused.wait_for_url("**reason=stopped*")
    expect(unused.get_by_role("rowheader")).to_have_count(2)
    assert set(unused.locator("tbody .badge").all_inner_texts()) == {"Stopped being applied"}


def test_the_csv_holds_every_row_of_the_page_and_those_after_it(unused: Page) -> None:
    unused.goto("/dashboard/unused?type=knowledge")
    shown = unused.locator("tbody .name small").all_inner_texts()
    with unused.expect_download() as download:
        unused.get_by_role("link", name="Download CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    with download.value.path().open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = [row["resource_id"] for row in rows]
    assert ids[: len(shown)] == shown
    told = unused.locator(".pages span").inner_text()
    assert told.endswith(f"of {len(ids)}")


@pytest.fixture
def shop(site: Server) -> str:
    """An organization with two instructions of which one is never applied."""
    org = site.new_org()
    replies = [
        Reply(
            f"r_{number}",
            "conv",
            datetime.now(UTC) - timedelta(hours=number),
            Available(["busy", "idle"]),
            Applied(["busy"]),
        )
        for number in range(1, 4)
    ]
    site.store.record([Recording(org, replies)])
    site.store.set_catalogue(org, [CatalogueEntry(ResourceType.INSTRUCTION, "idle", name="Idle")])
    return org


def test_what_is_kept_on_purpose_says_so_until_it_is_not_any_more(
    readers: Readers, site: Server, shop: str
) -> None:
    page = readers.sign_in(site.new_key(shop))
    page.goto("/dashboard/unused")
    expect(row_of(page, "Idle")).to_contain_text("Never applied")
    row_of(page, "Idle").get_by_role("button", name="Keep").click()
    expect(row_of(page, "Idle")).to_contain_text("Kept on purpose")
    row_of(page, "Idle").get_by_role("button", name="Stop keeping").click()
    expect(row_of(page, "Idle")).to_contain_text("Never applied")


def test_whoever_may_only_read_keeps_nothing(readers: Readers, site: Server, shop: str) -> None:
    page = readers.sign_in(site.new_key(shop, ["training:read", "chat-sessions:read"]))
    page.goto("/dashboard/unused")
    expect(row_of(page, "Idle")).to_be_visible()
    expect(page.get_by_role("button", name="Keep")).to_have_count(0)
    expect(page.get_by_role("main")).to_contain_text("training:write")
