"""People who look at the dashboard: a browser context each, signed in or not."""

from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.chromium import DESK, Watch


class Readers:
    """Contexts of one browser for one test. ``watch`` hears what their pages complain of."""

    def __init__(self, browser: Browser, url: str, cookies: dict[str, Any]) -> None:
        self.url = url
        self.watch = Watch(url)
        self._browser = browser
        self._cookies = cookies
        self._contexts: list[BrowserContext] = []

    def arrive(self, **options: Any) -> Page:
        """Somebody who is not signed in. Options are those of a browser context."""
        context = self._browser.new_context(
            **{"viewport": DESK, "base_url": self.url, "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(5_000)
        self._contexts.append(context)
        self.watch.over(context)
        return context.new_page()

    def sign_in(self, key: str, **options: Any) -> Page:
        """Somebody who signed in with a key, on no page yet."""
        if key not in self._cookies:
            page = self.arrive()
            give_key(page, key, "/dashboard/sign-in")
            self._cookies[key] = page.context.storage_state()
        return self.arrive(storage_state=self._cookies[key], **options)

    def leave(self) -> None:
        """Close everything, and fail where anything was wrong."""
        for context in self._contexts:
            context.close()
        self.watch.check()


def give_key(page: Page, key: str, path: str = "/dashboard") -> None:
    """Ask for a page, and sign in with a key where it leads to the form."""
    page.goto(path)
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
