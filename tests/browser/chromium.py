"""Chromium: how it is started, and what a page must never do while it is looked at."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Request,
    ViewportSize,
    sync_playwright,
)

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser without a window. Where there is none the test is skipped, but for CI's."""
    if not CHROMIUM.exists():
        told = f"{CHROMIUM} is missing: the pages were not seen in a browser (install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """What pages complain of: errors, warnings, and requests to anywhere but the service."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._complaints: list[str] = []

    def over(self, context: BrowserContext) -> None:
        """Watch every page of a context."""
        context.on("console", self._hear)
        context.on("weberror", lambda error: self._complaints.append(str(error.error)))
        context.on("request", self._see)

    def forgive(self, text: str) -> None:
        """Strike out the complaints that hold a text; there must be one."""
        left = [told for told in self._complaints if text not in told]
        assert len(left) < len(self._complaints), f"no page complained of {text!r}"
        self._complaints = left

    def check(self) -> None:
        """Fail where anything is left."""
        assert not self._complaints, "\n".join(self._complaints)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._complaints.append(f"{message.type}: {message.text}")

    def _see(self, request: Request) -> None:
        if not request.url.startswith((f"{self._url}/", "data:", "blob:")):
            self._complaints.append(f"request to {request.url}")
