"""Pictures of every page, light and dark, at a desk and on a phone: ``make screenshots``.

They go into ``.cache/screenshots``, and the overview, small, to where the README shows it from.
"""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Playwright, sync_playwright

from tests.browser.agents import Agents, filled
from tests.browser.chromium import ARGUMENTS, CHROMIUM, DESK, PHONE
from tests.browser.pages import Look, every_look, look_at
from tests.browser.readers import Readers
from tests.servers import running_server

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".cache" / "screenshots"
SHOWN = ROOT / "docs" / "_static"
SHOWN_SIZE: dict[str, Any] = {
    "viewport": {"width": 1200, "height": 800},
    "device_scale_factor": 1.5,
}
DAYS = 90
SCHEMES = ("light", "dark")


def main() -> None:
    """Take every picture anew, and fail where a page complains."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with agents_to_look_at() as agents, sync_playwright() as playwright:
        take(playwright, agents)
    print(f"{len(list(PICTURES.glob('*.png')))} pictures are in {PICTURES.relative_to(ROOT)}.")


@contextmanager
def agents_to_look_at() -> Iterator[Agents]:
    """A service as the tests have it, with more days."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder) / "data") as server,
    ):
        yield filled(server, DAYS)


def take(playwright: Playwright, agents: Agents) -> None:
    """Take the pictures of every page, and the README's."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    readers = Readers(browser, agents.server.url, {})
    for look, scheme in product(every_look(agents), SCHEMES):
        for size, viewport in (("desk", DESK), ("phone", PHONE)):
            page = see(readers, look, color_scheme=scheme, viewport=viewport)
            page.screenshot(path=PICTURES / f"{look.name}-{scheme}-{size}.png", full_page=True)
            page.close()
    for scheme in SCHEMES:
        overview = look_at(agents, "overview")
        page = see(readers, overview, color_scheme=scheme, **SHOWN_SIZE)
        write_webp(page, SHOWN / f"overview-{scheme}.webp")
    readers.watch.forgive("404")
    readers.leave()
    browser.close()


def see(readers: Readers, look: Look, **options: Any) -> Page:
    """A page as it is once its charts are drawn and its fonts are there."""
    page = readers.sign_in(look.key, **options) if look.key else readers.arrive(**options)
    page.goto(look.path)
    page.evaluate("document.fonts.ready")
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart]')].every((e) => e.querySelector('canvas'))"
    )
    page.wait_for_timeout(100)
    return page


def write_webp(page: Page, file: Path) -> None:
    """What is to be seen of a page without scrolling, as WebP, which the browser can write."""
    shot = base64.b64encode(page.screenshot()).decode()
    painter = page.context.new_page()
    written = painter.evaluate(
        """async (shot) => {
          const picture = new Image();
          picture.src = `data:image/png;base64,${shot}`;
          await picture.decode();
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [picture.width, picture.height];
          canvas.getContext("2d").drawImage(picture, 0, 0);
          return canvas.toDataURL("image/webp", 0.85);
        }""",
        shot,
    )
    painter.close()
    file.write_bytes(base64.b64decode(written.partition(",")[2]))


if __name__ == "__main__":
    main()
