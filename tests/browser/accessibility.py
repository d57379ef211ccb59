"""What axe-core finds wrong with a page for those who use it by other means than eyes and mouse."""

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

from tests.npm import install

LOCKED = Path(__file__).parent / "axe"


def barriers(page: Page) -> list[str]:
    """Every violation on the page as it is now, with its place; empty where there is none."""
    # Evaluated, not loaded as a script: the page's own policy forbids scripts of others.
    page.evaluate(_axe())
    found = page.evaluate(
        """async () => {
          const { violations } = await axe.run(document, { resultTypes: ["violations"] });
          return violations.flatMap(({ id, impact, nodes }) =>
            nodes.map(({ target, failureSummary }) =>
              `${impact} ${id} at ${target.join(" ")}: ${failureSummary}`));
        }"""
    )
    return [str(barrier) for barrier in found]


@cache
def _axe() -> str:
    return (install(LOCKED) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
