"""What the shop's catalogue says of the simulated agent: names, versions, and what is kept."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from applyrate.demo.agent import ALWAYS, EVERYWHERE, HAND_OVER, Instruction
from applyrate.demo.topics import TOPICS
from applyrate.usage import CatalogueEntry, ResourceType


def catalogue(end_at: datetime) -> Iterator[CatalogueEntry]:
    """The agent's instructions and knowledge as their authors know them, up to a moment.

    An instruction has a version for each time it was written anew. Some articles were published
    only lately, and the search has not found them yet.
    """
    for rule in (
        HAND_OVER,
        *EVERYWHERE,
        *(rule for topic in TOPICS for rule in topic.instructions),
    ):
        yield from _instruction(rule, end_at)
    articles = {article for topic in TOPICS for article in topic.articles}
    for article in (*sorted(articles), *_UNFOUND):
        yield CatalogueEntry(
            ResourceType.KNOWLEDGE,
            article,
            name=article.removeprefix("kb-").replace("-", " ").title(),
            url=f"https://help.example.com/{article.removeprefix('kb-')}",
        )


_KEPT: Final = ("no-legal-advice", "no-emojis")
"""Safety nets: they may stay unused."""

_UNFOUND: Final = ("kb-returns-hammocks", "kb-sofa-aspen", "kb-warranty-hammocks")

_FIRST_AGE: Final = 120


def _instruction(rule: Instruction, end_at: datetime) -> Iterator[CatalogueEntry]:
    ages = [min(rule.since_age, _FIRST_AGE)]
    ages += [age for age in (rule.rewritten_age, rule.dead_age) if 0 < age < ALWAYS]
    for number, age in enumerate(ages, start=1):
        yield CatalogueEntry(
            ResourceType.INSTRUCTION,
            rule.id,
            name=rule.id.replace("-", " ").capitalize(),
            version=f"v{number}",
            published_at=end_at - timedelta(days=age),
            keep=rule.id in _KEPT,
        )
